"""All methods on the same held-out phantoms: every score with its interval, and what each method costs."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from audit.cli.progress import progress_bar
from audit.configuration import ALL
from audit.experiments.comparison import ComparisonConfig, compare
from audit.experiments.comparison_tables import table_lines
from benchmarks.machine import command_line, command_parser, describe
from reports.comparison_record import ComparisonRecord

__all__ = ["METHODS_FILE", "measure", "page_lines"]

METHODS_FILE = Path(__file__).parent / "METHODS.md"


def measure(given: argparse.Namespace) -> ComparisonRecord:
    """Compare the methods on phantoms and return only the record."""
    with tempfile.TemporaryDirectory() as folder, progress_bar() as progress:
        settings = ComparisonConfig.of(
            out=Path(folder) / "out",
            phantoms=given.phantoms,
            method=given.methods,
            model=given.model,
            device=given.device,
            faithfulness=given.faithfulness,
            masks=given.masks,
            seed=given.seed,
        )
        return compare(settings, progress=progress).record


def page_lines(record: ComparisonRecord, *, phantoms: int, masks: int) -> Iterator[str]:
    """Yield the lines of the file: what was run and where, then the tables."""
    minutes = (record.finished - record.created).total_seconds() / 60
    yield f"# Methods compared on {phantoms} held-out phantoms"
    yield ""
    yield f"`{command_line('bench_methods')}`"
    yield ""
    yield describe()
    yield ""
    yield (
        "Reports name findings without side or zone, so that words do not reveal a location. The phantoms are drawn "
        f"with another seed than those of the training. RISE and KernelSHAP have {masks} masks per pair, fewer than "
        f"their default. {minutes:.0f} minutes in all."
    )
    yield ""
    yield from table_lines(record)


def _given() -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("--phantoms", type=int, default=500)
    parser.add_argument("--methods", default=ALL, help="all, or comma-separated names")
    parser.add_argument("--model", default="phantom")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--faithfulness", type=int, default=40, help="phrases; one or two seconds each")
    parser.add_argument("--masks", type=int, default=100, help="masks per pair of RISE and KernelSHAP")
    parser.add_argument("--seed", type=int, default=20_260_777)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Compare and write the file."""
    given = _given()
    torch.set_num_threads(given.threads)
    record = measure(given)
    text = "\n".join(page_lines(record, phantoms=given.phantoms, masks=given.masks)) + "\n"
    if given.no_write:
        print(text)
    else:
        METHODS_FILE.write_text(text, encoding="utf-8")
        print(METHODS_FILE.name)


if __name__ == "__main__":
    main()
