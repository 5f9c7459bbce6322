"""Resident memory and time per study against the size of the cohort, on small phantoms."""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.commands import audit_command, audit_environment, failure_of
from benchmarks.machine import command_line, write_section
from pipelines.phantom.cohort import make_cohort

_FIRST = 200  # studies after which the memory should have settled
_TENTHS = 10
_FULL_SIZE = 2000  # studies that the figure is asked for; fewer are not written down


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a running audit held at one moment."""

    finished: int  # studies
    resident_mb: float  # 10^6 bytes, its children's included


def watch(command: Sequence[str], out: Path, *, every: float = 0.5) -> list[Sample]:
    """Run a command, and sample it every so many seconds until it ends.

    Raises:
        RuntimeError: it failed.
    """
    samples = []
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=audit_environment())
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            finished = sum(1 for _ in (out / "studies").glob("*/record.json"))
            if resident := resident_mb(watched):
                samples.append(Sample(finished=finished, resident_mb=resident))
            time.sleep(every)
        if process.returncode != 0:
            said.seek(0)
            raise RuntimeError(failure_of(process.returncode, said.read()))
    return samples


def resident_mb(process: psutil.Process) -> float:
    """Memory of a process and of what it started; 0 where it has ended."""
    own = _own_resident_mb(process)
    if own == 0.0:
        return 0.0
    try:
        children = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0.0
    return own + sum(_own_resident_mb(child) for child in children)


def _own_resident_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.NoSuchProcess:  # a decoder may end at any moment
        return 0.0


def finish_times(out: Path) -> list[float]:
    """When each study was finished, in order: its record is written last."""
    return sorted(path.stat().st_mtime for path in (out / "studies").glob("*/record.json"))


def seconds_by_tenth(times: Sequence[float]) -> list[float]:
    """Seconds a study in each tenth of a run, from the first study that is finished on.

    Raises:
        ValueError: there are too few studies for tenths.
    """
    if len(times) <= _TENTHS:
        raise ValueError(f"tenths need more than {_TENTHS} studies, got {len(times)}")
    marks = [tenth * (len(times) - 1) // _TENTHS for tenth in range(_TENTHS + 1)]
    return [(times[later] - times[earlier]) / (later - earlier) for earlier, later in pairwise(marks)]


def table(samples: Sequence[Sample], times: Sequence[float]) -> list[str]:
    """Lay out what was measured."""
    settled_after = min(_FIRST, len(times) // 2)
    after = [sample.resident_mb for sample in samples if sample.finished >= settled_after]
    settled, most = after[0], max(after)
    # Once all studies are written, the cohort page is made and then the process takes itself down: neither is a study.
    last = next((sample.resident_mb for sample in samples if sample.finished == len(times)), after[-1])
    tenths = seconds_by_tenth(times)
    mean = (times[-1] - times[0]) / (len(times) - 1)
    return [
        "| | MB |",
        "|---|---|",
        f"| resident after the first {settled_after} studies | {settled:.0f} |",
        f"| after the last, {len(times)} | {last:.0f} ({last - settled:+.0f}) |",
        f"| at most, from there to the end of the cohort page | {most:.0f} ({most - settled:+.0f}) |",
        "",
        f"Seconds a study: {mean:.3f}; in each tenth of the run " + ", ".join(f"{value:.3f}" for value in tenths) + ": "
        f"from {min(tenths) / mean - 1:+.0%} to {max(tenths) / mean - 1:+.0%} of their mean.",
    ]


def main() -> None:
    """Audit many small phantoms and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=_FULL_SIZE)
    parser.add_argument("--columns", type=int, default=256)
    parser.add_argument("--steps", type=int, default=2, help="of the method: fewer, as time is spent on studies here")
    parser.add_argument("--samples", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        cohort, out = Path(temporary) / "cohort", Path(temporary) / "out"
        make_cohort(cohort, count=given.studies, seed=3, columns=given.columns)
        command = audit_command(cohort, out, "--model", "phantom", "--device", "cpu")
        samples = watch([*command, "--set", f"m2ib.steps={given.steps}", "--set", f"m2ib.samples={given.samples}"], out)
        times = finish_times(out)
    if len(times) != given.studies:
        sys.exit(f"{len(times)} of {given.studies} studies were audited")
    lines = [f"{given.studies} phantoms of {given.columns} px, {given.steps} steps and {given.samples} samples.", ""]
    lines += table(samples, times)
    if given.studies >= _FULL_SIZE:
        write_section("bench_memory", command=command_line("bench_memory"), lines=lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
