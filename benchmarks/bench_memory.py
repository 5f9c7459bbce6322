"""Resident memory and time per study against the size of the cohort, on small phantoms."""

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.machine import write_section
from pipelines.phantom.cohort import make_cohort

_FIRST = 200  # studies after which the memory should have settled


def watch(command: list[str], out: Path, *, every: float = 0.5) -> list[tuple[float, int, float]]:
    """Run a command and sample seconds, finished studies and resident memory (MB, its children's included)."""
    samples = []
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            family = [watched, *watched.children(recursive=True)]
            resident = sum(one.memory_info().rss for one in family) / 1e6
        except psutil.NoSuchProcess:
            break
        done = sum(1 for _ in (out / "studies").glob("*/record.json"))
        samples.append((time.perf_counter() - start, done, resident))
        time.sleep(every)
    if process.wait() != 0:
        raise RuntimeError(f"the run ended with {process.returncode}")
    return samples


def main() -> None:
    """Audit many small phantoms and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--columns", type=int, default=256)
    parser.add_argument("--steps", type=int, default=2, help="of the method: fewer, as time is spent on studies here")
    parser.add_argument("--samples", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        cohort, out = Path(temporary) / "cohort", Path(temporary) / "out"
        make_cohort(cohort, count=given.studies, seed=3, columns=given.columns)
        command = [sys.executable, "-m", "audit.cli", "run", "--model", "phantom", "--out", str(out)]
        command += ["--dicom-dir", str(cohort / "dicom"), "--reports", str(cohort / "reports")]
        command += ["--boxes", str(cohort / "boxes.csv"), "--steps", str(given.steps), "--samples", str(given.samples)]
        samples = watch(command, out)
    settled = next(resident for _, done, resident in samples if done >= min(_FIRST, given.studies // 2))
    last = samples[-1][2]
    auditing = [resident for _, done, resident in samples if done >= min(_FIRST, given.studies // 2)]
    per_tenth = _seconds_by_tenth(samples, given.studies)
    mean = sum(per_tenth) / len(per_tenth)
    lines = [
        f"{given.studies} phantoms of {given.columns} px, {given.steps} steps and {given.samples} samples.",
        "",
        "| | MB |",
        "|---|---|",
        f"| resident after the first {min(_FIRST, given.studies // 2)} studies | {settled:.0f} |",
        f"| at the end | {last:.0f} ({last - settled:+.0f}) |",
        f"| at most, from there to the end | {max(auditing):.0f} ({max(auditing) - settled:+.0f}) |",
        "",
        "Seconds a study in each tenth of the run: " + ", ".join(f"{value:.3f}" for value in per_tenth) + "; "
        f"from {min(per_tenth) / mean - 1:+.0%} to {max(per_tenth) / mean - 1:+.0%} of their mean.",
    ]
    if given.studies >= 10 * _FIRST:
        write_section(
            "bench_memory", command=f"python -m benchmarks.bench_memory --studies {given.studies}", lines=lines
        )
    print("\n".join(lines))


def _seconds_by_tenth(samples: list[tuple[float, int, float]], studies: int) -> list[float]:
    """Time between every tenth of the studies, from the first that is finished on."""
    marks = []
    for tenth in range(11):
        wanted = max(1, studies * tenth // 10)
        marks.append(next((seconds, done) for seconds, done, _ in samples if done >= wanted))
    return [(later[0] - earlier[0]) / max(1, later[1] - earlier[1]) for earlier, later in pairwise(marks)]


if __name__ == "__main__":
    main()
