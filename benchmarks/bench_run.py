"""A whole ``m2ib-audit run`` on phantoms of realistic size (3000 x 2500, 12 bit), with the time of each stage."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.cohorts import make_large_cohort
from benchmarks.machine import write_section
from benchmarks.models import FULL, write_checkpoint

_STAGES = ("decode", "prefix", "attribution", "scoring", "pages", "writing")


def run(
    cohort: Path, out: Path, *, model: str, device: str, workers: int | None
) -> tuple[dict[str, float], float, int]:
    """Audit a cohort in a process of its own: seconds by stage, of the whole, and how many studies were audited."""
    command = [sys.executable, "-m", "audit.cli", "run", "--out", str(out), "--model", model, "--device", device]
    for flag, name in (("--dicom-dir", "dicom"), ("--reports", "reports"), ("--boxes", "boxes.csv")):
        command += [flag, str(cohort / name)]
    if workers is not None:
        command += ["--workers", str(workers)]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    record = json.loads((out / "run.json").read_text())
    return {stage["stage"]: stage["seconds"] for stage in record["timings"]}, seconds, record["counts"]["audited"]


def main() -> None:
    """Run both kinds of files and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=6)
    parser.add_argument("--model", default="biomedclip", help="biomedclip: random weights of its shape; or phantom")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--columns", type=int, default=2500)
    given = parser.parse_args()
    lines = [
        f"{given.studies} studies, model of {given.model}'s shape, seconds a study:",
        "",
        "| files | " + " | ".join(_STAGES) + " | whole run, with start-up |",
        "|---" * (len(_STAGES) + 2) + "|",
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = given.model
        if model == "biomedclip":
            write_checkpoint(folder / "model", FULL)
            model = str(folder / "model")
        for name, compressed in (("uncompressed", False), ("JPEG 2000", True)):
            cohort = folder / name
            make_large_cohort(
                cohort, count=given.studies, rows=given.rows, columns=given.columns, compressed=compressed
            )
            stages, seconds, studies = run(
                cohort, folder / f"{name} out", model=model, device=given.device, workers=given.workers
            )
            per_study = [f"{stages[stage] / studies:.3f}" for stage in _STAGES]
            lines.append(f"| {name} | " + " | ".join(per_study) + f" | {seconds / studies:.2f} |")
    if (given.rows, given.columns) == (3000, 2500):
        write_section("bench_run", command=f"python -m benchmarks.bench_run --studies {given.studies}", lines=lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
