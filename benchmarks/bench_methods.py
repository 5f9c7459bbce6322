"""All methods on the same held-out phantoms: every score with its interval, word heat, trust and cost."""

import argparse
import resource
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from audit.attribution.methods import METHODS, chosen_methods
from audit.cli.progress import progress_bar
from audit.configuration import ALL, MethodConfig
from audit.experiments.comparison import ComparisonConfig, compare
from audit.experiments.comparison_tables import markdown_table, table_lines
from benchmarks.machine import command_line, command_parser, describe
from pipelines.phantom.cohort import make_cohort
from reports.comparison_page import comparison_tables
from reports.comparison_record import ComparisonRecord

__all__ = ["METHODS_FILE", "Measured", "measure", "page_lines"]

METHODS_FILE = Path(__file__).parent / "METHODS.md"
_EVERY = 10**6  # phrases: more than a benchmark has
_COLUMNS = 320  # px, as `m2ib-audit compare` renders its phantoms


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the file is made of."""

    short: ComparisonRecord  # phrases without side or zone
    whole: (
        ComparisonRecord | None
    )  # phrases that name both, for their words; None if none of the methods explains words
    cpu_minutes: float


def measure(given: argparse.Namespace) -> Measured:
    """Compare methods on phantoms with short reports, and those that explain words on phantoms with whole ones too."""
    before = _cpu_seconds()
    names = chosen_methods(MethodConfig(method=given.methods).method)
    with_words = [name for name in names if METHODS[name]().explains_words]
    shared = {"model": given.model, "device": given.device, "masks": given.masks, "seed": given.seed}
    with tempfile.TemporaryDirectory() as name, progress_bar() as progress:
        folder = Path(name)
        short = ComparisonConfig.of(
            out=folder / "short",
            phantoms=given.phantoms,
            method=names,
            faithfulness=given.faithfulness,
            word_phrases=0,
            sanity=given.sanity,
            **shared,
        )
        record, whole = compare(short, progress=progress).record, None
        if with_words and given.word_phantoms:
            make_cohort(folder, count=given.word_phantoms, seed=given.seed, columns=_COLUMNS)
            of_words = ComparisonConfig.of(
                out=folder / "whole",
                dicom_dir=folder / "dicom",
                reports=folder / "reports",
                boxes=folder / "boxes.csv",
                index="none",
                method=with_words,
                faithfulness=0,
                word_phrases=_EVERY,
                **shared,
            )
            whole = compare(of_words, progress=progress).record
    return Measured(short=record, whole=whole, cpu_minutes=(_cpu_seconds() - before) / 60)


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def page_lines(measured: Measured, given: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the file: what was run and where, then the tables."""
    yield f"# Methods compared on {given.phantoms} held-out phantoms"
    yield ""
    yield f"`{command_line('bench_methods')}`"
    yield ""
    yield describe()
    yield ""
    yield (
        "Reports name findings without side or zone, so that words do not reveal a location. The phantoms are drawn "
        f"with another seed than those of the training. RISE and KernelSHAP have {given.masks} masks per pair, fewer "
        f"than their default. {measured.cpu_minutes:.0f} minutes of CPU time in all."
    )
    yield ""
    yield from table_lines(measured.short)
    if measured.whole is None:
        return
    counts = measured.whole.counts
    yield ""
    yield f"# Words, on {counts['compared']} phantoms whose reports name side and zone"
    yield ""
    yield f"{counts['phrases with words']} phrases; the phantoms are drawn with the same seed. All words are explained."
    for table in comparison_tables(measured.whole):
        if table.key == "words":
            yield ""
            yield from markdown_table(table)


def _given() -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("--phantoms", type=int, default=500)
    parser.add_argument("--word-phantoms", type=int, default=100, help="with whole reports, for the words")
    parser.add_argument("--methods", default=ALL, help="all, or comma-separated names")
    parser.add_argument("--model", default="phantom")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--faithfulness", type=int, default=40, help="phrases; one or two seconds each")
    parser.add_argument("--sanity", type=int, default=20, help="phrases; 19 explanations by each method")
    parser.add_argument("--masks", type=int, default=100, help="masks per pair of RISE and KernelSHAP")
    parser.add_argument("--seed", type=int, default=20_260_777)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Compare and write the file."""
    given = _given()
    torch.set_num_threads(given.threads)
    text = "\n".join(page_lines(measure(given), given)) + "\n"
    if given.no_write:
        print(text)
    else:
        METHODS_FILE.write_text(text, encoding="utf-8")
        print(METHODS_FILE.name)


if __name__ == "__main__":
    main()
