"""Runs on a real Ray: on this machine alone, and on a cluster of nodes of which one is killed in mid-run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from out_trees import pages_listed
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from audit.cli import app
from pipelines.phantom.cohort import make_cohort
from reports.results_folder import PAGES, read_run

ROOT = Path(__file__).parents[2]
FAST = ["--model", "phantom", "--device", "cpu", "--set", "all.steps=2", "--set", "all.samples=2", "--controls", "4"]


def flags_for(cohort: Path, out: Path) -> list[str]:
    inputs = ["--dicom-dir", str(cohort / "dicom"), "--reports", str(cohort / "reports")]
    return [*inputs, "--boxes", str(cohort / "boxes.csv"), *FAST, "--out", str(out)]


def run_here(cohort: Path, out: Path, *, status: int) -> None:
    """Run in this process; sums come out alike to the last bit only where one thread adds them, as an actor does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):  # numpy's threads too
            ended = CliRunner().invoke(app, ["run", *flags_for(cohort, out)])
    finally:
        torch.set_num_threads(threads)
    assert ended.exit_code == status, ended.stderr


def process(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these words."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)


def on_a_cluster(*words: str) -> dict[str, Any]:
    for _ in range(3):
        ended = process(str(Path(__file__).parent / "on_a_cluster.py"), *words)
        if "timed out during startup" not in ended.stderr:  # Ray gives its own processes 30 s, on a busy machine too
            break
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def without_clock(record: Path) -> dict[str, Any]:
    kept = json.loads(record.read_text())
    for name in ("created", "finished", "timings", "seal", "device"):
        kept.pop(name, None)
    if kept.get("fingerprint"):
        del kept["fingerprint"]["stamps"]  # none of a file that is too new
    return kept


def assert_equal_runs(one: Path, other: Path) -> None:
    """Everything that two runs left is the same, but for times and the device."""
    pd.testing.assert_frame_equal(pd.read_parquet(one / "scores.parquet"), pd.read_parquet(other / "scores.parquet"))
    files = [sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) for out in (one, other)]
    assert files[0] == files[1]
    for name in files[0]:
        if name.endswith(".json"):
            assert without_clock(one / name) == without_clock(other / name), name
        elif name == PAGES:  # of checksums of pages
            assert pages_listed((one / name).read_bytes()) == pages_listed((other / name).read_bytes())
        elif not name.endswith((".html", ".jsonl")):  # pages show the record and its date, logs what happened when
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.slow
def test_a_run_on_ray_leaves_what_a_local_run_leaves(tmp_path: Path) -> None:
    make_cohort(tmp_path / "cohort", count=3, seed=3, columns=160, brief=True)
    broken = tmp_path / "cohort" / "dicom" / "phantom-00002.dcm"
    broken.write_bytes(broken.read_bytes()[:-5000])
    run_here(tmp_path / "cohort", tmp_path / "local", status=3)
    flags = flags_for(tmp_path / "cohort", tmp_path / "ray")
    ended = process("-m", "audit.cli", "run", *flags, "--set", "execution.engine=ray")
    assert ended.returncode == 3, ended.stderr
    assert_equal_runs(tmp_path / "local", tmp_path / "ray")
    record = read_run(tmp_path / "ray")
    assert record.counts["audited"] == 2
    timed = {stage.stage for stage in record.timings}
    assert {"decode", "prefix", "attribution", "controls", "scoring", "pages", "writing"} <= timed


@pytest.mark.slow
def test_what_befalls_an_actor_is_told_apart() -> None:
    told = on_a_cluster("fates")
    assert told["work"] == [
        "decoder well",
        "receipt",
        "ZeroDivisionError: bug",
        "WorkerLostError",  # the task that killed it
        "WorkerLostError",  # the task behind
    ]
    assert told["start"] == "ModelError: no such folder"
    assert told["alive"] == [True, False]
    assert told["joined again"] is False


def test_a_missing_ray_is_told_with_its_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.execution.on_ray.batch.find_spec", lambda _name: None)
    flags = flags_for(tmp_path, tmp_path / "out")
    told = CliRunner().invoke(app, ["run", *flags, "--set", "execution.engine=ray"])
    assert told.exit_code == 1
    assert "pip install 'm2ib-audit[ray]'" in told.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_node_killed_in_mid_run_changes_nothing(tmp_path: Path) -> None:
    make_cohort(tmp_path / "cohort", count=12, seed=3, columns=160)
    run_here(tmp_path / "cohort", tmp_path / "local", status=0)
    told = on_a_cluster("killed-node", *flags_for(tmp_path / "cohort", tmp_path / "ray"))
    assert told["code"] == 0
    assert told["nodes left"] == 2
    assert told["done when it died"][0] < 12, "the node was to die in mid-run"
    assert_equal_runs(tmp_path / "local", tmp_path / "ray")


@pytest.mark.slow
def test_a_result_on_a_node_that_is_gone_is_told_as_lost() -> None:
    told = on_a_cluster("lost-result")
    assert told == {"told": "DataLostError", "alive": [True, False]}
