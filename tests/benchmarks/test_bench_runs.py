"""Whole runs: stages and speed are read from run.json, memory from the processes, and a failure is told."""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from benchmarks.bench_memory import Sample, finish_times, resident_mb, seconds_by_tenth, table, watch
from benchmarks.bench_run import STAGES, header, measure
from benchmarks.gpu import BusyGPU, busy_share
from pipelines.phantom.cohort import make_cohort

_STUDY = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1]) / "studies" / "a"
folder.mkdir(parents=True, exist_ok=True)
(folder / "record.json").touch()
if sys.argv[2] == "fail":
    sys.exit("no room left")
time.sleep(3)
"""


def test_a_run_is_watched_until_it_ends(tmp_path) -> None:
    samples = watch([sys.executable, "-c", _STUDY, str(tmp_path), "end"], tmp_path, every=0.05)
    assert len(samples) > 1
    assert samples[-1].finished == 1
    assert samples[-1].resident_mb > 1.0


def test_a_run_that_fails_is_told_with_its_last_words(tmp_path) -> None:
    with pytest.raises(RuntimeError, match="ended with 1: no room left"):
        watch([sys.executable, "-c", _STUDY, str(tmp_path), "fail"], tmp_path, every=0.05)


def test_memory_is_that_of_a_process_and_of_what_it_started() -> None:
    child = "import time; held = b'x' * 100_000_000; print('held', flush=True); time.sleep(3600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        watched = psutil.Process(process.pid)
        started = watched.children
        assert process.stdout is not None
        process.stdout.readline()
        both, own = resident_mb(watched), watched.memory_info().rss / 1e6
        for each in (*started(), watched):
            each.kill()
    assert both > own + 100
    assert resident_mb(watched) == 0.0


def test_time_per_study_is_taken_between_tenths() -> None:
    slower = [float(index if index < 50 else 50 + 3 * (index - 50)) for index in range(101)]
    assert seconds_by_tenth(slower) == pytest.approx([1.0] * 5 + [3.0] * 5)
    with pytest.raises(ValueError, match="more than 10"):
        seconds_by_tenth(slower[:10])


def test_studies_are_timed_by_when_their_records_were_written(tmp_path) -> None:
    for name, moment in (("b", 20), ("a", 10)):
        record = tmp_path / "studies" / name / "record.json"
        record.parent.mkdir(parents=True)
        record.touch()
        os.utime(record, (moment, moment))
    (tmp_path / "studies" / "unfinished").mkdir()
    assert finish_times(tmp_path) == [10.0, 20.0]


def test_memory_is_compared_from_the_settled_size_to_the_last_study_and_not_to_the_end_of_the_process() -> None:
    grown = [Sample(finished=done, resident_mb=500 + done / 10) for done in range(0, 401, 10)]
    after = [Sample(finished=400, resident_mb=value) for value in (590.0, 30.0)]
    lines = table([*grown, *after], [float(index) for index in range(400)])
    assert "| resident after the first 200 studies | 520 |" in lines
    assert "| after the last, 400 | 540 (+20) |" in lines
    assert "| at most, from there to the end of the cohort page | 590 (+70) |" in lines
    assert "from +0% to +0%" in lines[-1]


@pytest.mark.parametrize(
    ("percentages", "share"),
    [([0, 0, 50, 0, 100, 0], 0.5), ([80], 0.8), ([0, 0], None), ([], None)],
    ids=["start and end are left out", "one", "never at work", "no GPU"],
)
def test_a_gpu_is_busy_between_its_first_and_last_work(percentages, share) -> None:
    assert busy_share(percentages) == (None if share is None else pytest.approx(share))


def test_the_driver_is_asked_until_the_work_is_done(tmp_path, monkeypatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 73\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with BusyGPU(every=0.02) as gpu:
        while len(gpu.percentages) < 2:
            time.sleep(0.02)
    asked = len(gpu.percentages)
    assert asked > 1
    assert set(gpu.percentages) == {73.0}
    time.sleep(0.1)
    assert len(gpu.percentages) == asked


def test_without_a_driver_nothing_is_measured_of_a_gpu(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with BusyGPU(every=0.01) as gpu:
        time.sleep(0.05)
    assert busy_share(gpu.percentages) is None


@pytest.mark.slow
def test_a_whole_run_is_measured_stage_by_stage(tmp_path) -> None:
    make_cohort(tmp_path / "cohort", count=2, seed=3, columns=128)
    out = tmp_path / "out"
    flags = ["--model", "phantom", "--device", "cpu", "--set", "all.steps=2", "--set", "all.samples=1"]
    measured = measure(tmp_path / "cohort", out, *flags)
    assert measured.studies == 2
    assert all(measured.stages[stage] > 0 for stage in STAGES)
    assert sum(measured.stages[stage] for stage in STAGES) <= measured.auditing < measured.whole
    assert json.loads((out / "run.json").read_text())["counts"]["audited"] == 2
    row = measured.row("uncompressed")
    assert row.count("|") == header()[0].count("|") == header()[1].count("|")
    with pytest.raises(RuntimeError, match="the run ended with"):
        measure(tmp_path / "cohort", tmp_path / "none", "--model", str(tmp_path / "nowhere"))
