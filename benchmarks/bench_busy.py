"""A run beside busy processes: with the threads that the command chooses, with one, and with the libraries' defaults.

Three phantoms are audited without controls and words. Settings are run in turn, so that each ratio is one of runs that
stood under the same load. Seconds depend on the machine and on what else it does; the ratios are the point.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit.machine import allowed_cores
from benchmarks.commands import audit_command, audit_environment, failure_of
from benchmarks.machine import command_line, write_section
from pipelines.phantom.cohort import make_cohort

__all__ = ["CHOSEN", "DEFAULTS", "ONE", "Timed", "beside", "environment_with", "ratios", "settings_with", "table"]

CHOSEN, ONE, DEFAULTS = "chosen by the command", "one thread", "the libraries' defaults"
SETTINGS: Mapping[str, Mapping[str, str]] = {
    CHOSEN: {},
    ONE: {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    # What libgomp, libomp and OpenBLAS do when nobody sets anything; set, since the command leaves alone what is set.
    DEFAULTS: {
        "GOMP_SPINCOUNT": "300000",
        "KMP_BLOCKTIME": "200",
        "OPENBLAS_NUM_THREADS": str(allowed_cores(os.environ)),
    },
}
_OF_THREADS = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_")
_FLAGS = ("--model", "phantom", "--device", "cpu", "--controls", "0", "--no-words", "--set", "inputs.index=none")
_STAGES = ("attribution", "scoring")
_BUSY_SECONDS = 1800  # a busy process ends by then, whatever becomes of this one
_BUSY = f"import time\nend = time.monotonic() + {_BUSY_SECONDS}\nwhile time.monotonic() < end: pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Seconds of one run: of the whole command, and of its stages."""

    setting: str
    busy: int  # processes beside it
    whole: float
    stages: Mapping[str, float]


@contextmanager
def beside(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Keep ``count`` processes busy that compute all the time."""
    processes = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def settings_with(spins: Sequence[int]) -> dict[str, Mapping[str, str]]:
    """Give all settings, and as many more as there are counts of turns that a waiting thread spins."""
    more = {f"spin of {turns}": {"GOMP_SPINCOUNT": str(turns), "OPENBLAS_NUM_THREADS": "1"} for turns in spins}
    return {**SETTINGS, **more}


def environment_with(variables: Mapping[str, str]) -> dict[str, str]:
    """Give a run's environment: of the caller's variables for threads none is left."""
    kept = {name: value for name, value in audit_environment().items() if not name.startswith(_OF_THREADS)}
    return kept | dict(variables)


def measure(cohort: Path, out: Path, setting: str, variables: Mapping[str, str], *, busy: int) -> Timed:
    """Audit a cohort in a process of its own, beside busy ones.

    Args:
        cohort: of phantoms.
        out: folder that is not there yet.
        setting: its name.
        variables: of the setting, for the run's environment.
        busy: number of busy processes.

    Raises:
        RuntimeError: the run failed.
    """
    command = audit_command(cohort, out, *_FLAGS)
    with beside(busy):
        start = time.perf_counter()
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment_with(variables))
        whole = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(failure_of(done.returncode, done.stderr))
    timings = json.loads((out / "run.json").read_text(encoding="utf-8"))["timings"]
    stages = {stage["stage"]: float(stage["seconds"]) for stage in timings}
    return Timed(setting=setting, busy=busy, whole=whole, stages={name: stages[name] for name in _STAGES})


def ratios(timed: Sequence[Timed], *, busy: int, to: str) -> dict[str, float]:
    """Median, over repetitions, of each setting's seconds to those of the setting ``to`` in the same repetition."""
    chosen = [each for each in timed if each.busy == busy]
    by_setting = {name: [each.whole for each in chosen if each.setting == name] for name in _names(timed)}
    return {
        name: statistics.median(own / other for own, other in zip(seconds, by_setting[to], strict=True))
        for name, seconds in by_setting.items()
    }


def _names(timed: Sequence[Timed]) -> list[str]:
    return list(dict.fromkeys(each.setting for each in timed))


def table(timed: Sequence[Timed]) -> list[str]:
    """Lay out medians and ratios, a row for each setting and number of busy processes."""
    columns = ["busy processes", "threads", "whole run, s", *(f"{stage}, s" for stage in _STAGES)]
    columns += [f"to {ONE}", f"to {DEFAULTS}"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for busy in sorted({each.busy for each in timed}):
        to_one, to_defaults = (ratios(timed, busy=busy, to=to) for to in (ONE, DEFAULTS))
        for name in _names(timed):
            runs = [each for each in timed if (each.setting, each.busy) == (name, busy)]
            seconds = [statistics.median(each.whole for each in runs)]
            seconds += [statistics.median(each.stages[stage] for each in runs) for stage in _STAGES]
            cells = [str(busy), name, *(f"{value:.1f}" for value in seconds)]
            cells += [f"{to_one[name]:.2f}", f"{to_defaults[name]:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Run every setting in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=3)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1], help="numbers of busy processes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--spins", type=int, nargs="*", default=[], help="further values of GOMP_SPINCOUNT to compare")
    parser.add_argument("--write", action="store_true", help="into RESULTS.md; on a machine that does nothing else")
    given = parser.parse_args()
    timed: list[Timed] = []
    settings = settings_with(given.spins)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_cohort(folder / "cohort", count=given.studies, seed=7)
        for repeat in range(given.repeats):
            for busy in given.busy:
                for number, (setting, variables) in enumerate(settings.items()):
                    out = folder / f"out-{repeat}-{busy}-{number}"
                    timed.append(measure(folder / "cohort", out, setting, variables, busy=busy))
                    print(f"{busy} busy, {setting}: {timed[-1].whole:.1f} s", file=sys.stderr, flush=True)
    asked = f"{given.studies} phantoms, medians of {given.repeats}; ratios are of runs of the same repetition."
    lines = [asked, "", *table(timed)]
    if given.write:
        write_section("bench_busy", command=command_line("bench_busy"), lines=lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
