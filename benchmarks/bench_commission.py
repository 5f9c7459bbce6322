"""How often five encoders, four of them with a known fault, get five verdicts, over cohorts of different seeds."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from audit.experiments.commissioning import EXPECTED, Commissioning, commission
from benchmarks.machine import command_line, command_parser, write_section
from reports.results_folder import read_run
from reports.score_catalogue import MARKER_POINT, PERCENTILE, POINTING


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """What one cohort gave."""

    seed: int
    seconds: float  # of the processor
    passed: bool
    cells: tuple[str, ...]  # a model each: verdict, recognition, hits, marker


def judge(seed: int, studies: int) -> Cohort:
    """Commission on one cohort, in a thread of its own."""
    torch.set_num_threads(1)
    start = _processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        result = commission(Path(folder), studies=studies, seed=seed, device="cpu", processes=1)
        cells = tuple(_cells(result, Path(folder)))
    return Cohort(seed=seed, seconds=_processor_seconds() - start, passed=result.passed, cells=cells)


def _processor_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _cells(result: Commissioning, folder: Path) -> Iterator[str]:
    for model in result.models:
        record = read_run(folder / model.model)
        shares = {
            summary.score: summary.estimate
            for summary in record.summaries
            if (summary.method, summary.finding, summary.averaging) == ("m2ib", None, "micro")
        }
        areas = {test.test: test.result.estimate for test in record.cosine_tests if test.finding is None}
        figures = areas.get(PERCENTILE), shares.get(POINTING), shares.get(MARKER_POINT)
        told = ", ".join(f"{share:.2f}" for share in figures if share is not None)
        yield f"{model.found.verdict} ({told})"


def _given() -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("--cohorts", type=int, default=20)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2000, help="of the first cohort; the next have the next")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each")
    return parser.parse_args()


def main() -> None:
    """Judge every cohort and write the section."""
    given = _given()
    seeds = range(given.seed, given.seed + given.cohorts)
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as executor:
        waiting = [executor.submit(judge, seed, given.studies) for seed in seeds]
        found = []
        for future in as_completed(waiting):
            cohort = future.result()
            found.append(cohort)
            state = "pass" if cohort.passed else "FAIL"
            print(f"seed {cohort.seed}: {state}; {cohort.seconds:.0f} s; {'; '.join(cohort.cells)}", flush=True)
    found.sort(key=lambda cohort: cohort.seed)
    passed = (
        f"{sum(each.passed for each in found)} of {len(found)} cohorts of {given.studies} studies passed: each encoder "
        "got its own verdict. In brackets: share of hits, and of peaks on a marker. The margin of the rule "
        "was set on cohorts of other seeds, 1000 to 1011."
    )
    lines = [
        passed,
        "",
        f"| seed | {' | '.join(EXPECTED)} | passed | s |",
        f"|---|{'---|' * len(EXPECTED)}---|---|",
        *(
            f"| {each.seed} | {' | '.join(each.cells)} | {'yes' if each.passed else 'NO'} | {each.seconds:.0f} |"
            for each in found
        ),
    ]
    if not given.no_write:
        write_section("bench_commission", command=command_line("bench_commission"), lines=lines)
    print(passed)


if __name__ == "__main__":
    main()
