"""A whole ``m2ib-audit run`` on phantoms of realistic size (3000 x 2500, 12 bit), with the time of each stage."""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.cohorts import make_large_cohort, repeat_studies
from benchmarks.commands import audit_command, audit_environment, failure_of
from benchmarks.gpu import BusyGPU, busy_share
from benchmarks.machine import NO_GPU, command_line, write_device_section
from benchmarks.models import FULL, write_checkpoint

STAGES = ("decode", "prefix", "attribution", "scoring", "pages", "writing")
_AROUND = ("inputs", "model", "summary")  # stages before the first study and after the last
_ROWS, _COLUMNS = 3000, 2500


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One whole run."""

    studies: int
    stages: Mapping[str, float]  # seconds, over all processes
    whole: float  # seconds, from the command to its end
    auditing: float  # seconds, from the first study to the last
    gpu_busy: float | None  # share of the time

    def row(self, name: str) -> str:
        """Give the line of a table."""
        stages = [f"{self.stages.get(stage, 0.0) / self.studies:.3f}" for stage in STAGES]
        busy = NO_GPU if self.gpu_busy is None else f"{self.gpu_busy:.0%}"
        speeds = [f"{self.studies / seconds:.3g}" for seconds in (self.auditing, self.whole)]
        return f"| {' | '.join([name, *stages, *speeds, busy])} |"


def header() -> list[str]:
    """Give the first two lines of the table."""
    columns = ["files", *STAGES, "studies/s while auditing", "studies/s of the whole command", "GPU busy"]
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def measure(cohort: Path, out: Path, *flags: str) -> Measured:
    """Audit a cohort in a process of its own.

    Raises:
        RuntimeError: not every study was audited.
    """
    start = time.perf_counter()
    with BusyGPU() as gpu:
        command = audit_command(cohort, out, *flags)
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=audit_environment())
    whole = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(failure_of(done.returncode, done.stderr))
    return _read(json.loads((out / "run.json").read_text(encoding="utf-8")), whole, busy_share(gpu.percentages))


def _read(record: Mapping[str, Any], whole: float, gpu_busy: float | None) -> Measured:
    stages = {stage["stage"]: float(stage["seconds"]) for stage in record["timings"]}
    ran = datetime.fromisoformat(record["finished"]) - datetime.fromisoformat(record["created"])
    return Measured(
        studies=record["counts"]["audited"],
        stages=stages,
        whole=whole,
        auditing=ran.total_seconds() - sum(stages.get(stage, 0.0) for stage in _AROUND),
        gpu_busy=gpu_busy,
    )


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=6)
    parser.add_argument("--distinct", type=int, default=16, help="images that are made; the other studies repeat them")
    parser.add_argument("--model", default="biomedclip", help="biomedclip: random weights of its shape; or phantom")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    parser.add_argument("--rows", type=int, default=_ROWS)
    parser.add_argument("--columns", type=int, default=_COLUMNS)
    return parser.parse_args()


def main() -> None:
    """Run both kinds of files and write the section."""
    given = _given()
    lines = [f"{given.studies} studies, model {given.model}. Seconds a study in each stage, over all processes:", ""]
    lines += header()
    with tempfile.TemporaryDirectory() as temporary:
        folder, model = Path(temporary), given.model
        if model == "biomedclip":
            write_checkpoint(folder / "model", FULL)
            model = str(folder / "model")
        flags = ["--model", model, "--device", given.device]
        flags += ["--set", f"execution.workers={given.workers}"] if given.workers is not None else []
        flags += ["--set", "model.compile=true"] if given.compile else []
        for name, compressed in (("uncompressed", False), ("JPEG 2000", True)):
            cohort, out = folder / name, folder / f"{name} out"
            distinct = min(given.studies, given.distinct)
            make_large_cohort(cohort, count=distinct, rows=given.rows, columns=given.columns, compressed=compressed)
            repeat_studies(cohort, count=given.studies)
            lines.append(measure(cohort, out, *flags).row(name))
            shutil.rmtree(cohort)  # thousands of films would fill a disk
            shutil.rmtree(out)
    if (given.rows, given.columns) == (_ROWS, _COLUMNS):
        on_gpu = given.device.startswith("cuda") or (given.device == "auto" and torch.cuda.is_available())
        write_device_section("bench_run", command=command_line("bench_run"), lines=lines, on_gpu=on_gpu)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
