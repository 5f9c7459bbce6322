"""Work beside the device: order, bounds, and what is lost when a process dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
from threadpoolctl import threadpool_info

from audit.execution.workers import finished_here, finished_in_processes, prefetched
from audit.machine import Stopwatch
from audit.metrics.summary import score_table
from audit.pipeline.explain import ExplainedStudy
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.score_table import GrowingTable
from pipelines import processes
from pipelines.errors import OutputError, WorkerError
from pipelines.processes import ProcessPool
from pipelines.study import Exclusion, Report, Study


def explained(name: str) -> ExplainedStudy:
    report = Report(source="made up", text="")
    study = Study(study_instance_uid=name, report=report, report_joined_by="file name", cases=())
    return ExplainedStudy(study=study, cases=(), left_out=())


@dataclass(frozen=True)
class FakeFinisher:
    """Does what a study's name says, in whatever process it runs."""

    folder: Path

    def finish(self, study: ExplainedStudy) -> FinishedStudy:
        name = study.study.study_instance_uid
        if "bug" in name:
            raise ZeroDivisionError(name)
        if "killed" in name or ("once" in name and not (self.folder / name).exists()):
            (self.folder / name).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "no server" in name and b"forkserver" in Path(f"/proc/{os.getppid()}/cmdline").read_bytes():
            os.kill(os.getppid(), signal.SIGKILL)  # where it is gone already, the parent is one of the system's
        if "full" in name:
            raise OutputError("the disk is full")
        if "slow" in name:
            time.sleep(0.3)
        with (self.folder / "ran").open("a") as log:
            log.write(f"{name} {os.getpid()}\n")
        threads = {torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())}
        return FinishedStudy(images=1, phrases=1, rows=({"study": name, "threads": threads},))


def lost(study: ExplainedStudy, error: Exception) -> Exclusion:
    return Exclusion(source=study.study.study_instance_uid, stage="audit", reason=type(error).__name__, failed=True)


def outcomes(finished) -> list[str]:
    return [
        f"{one.left_out[0].source}: {one.left_out[0].reason}" if one.left_out else str(one.rows[0]["study"])
        for one in finished
    ]


@pytest.mark.parametrize("workers", [0, 2], ids=["here", "in processes"])
def test_studies_come_in_their_order_and_a_bug_loses_its_own(tmp_path, workers) -> None:
    names = ["slow 1", "2", "bug 3", "4", "slow 5", "6", "7", "8"]
    studies, finisher = (explained(name) for name in names), FakeFinisher(tmp_path)
    finished = (
        finished_in_processes(studies, finisher, lost, workers=workers)
        if workers
        else finished_here(studies, finisher, lost)
    )
    assert outcomes(finished) == ["slow 1", "2", "bug 3: ZeroDivisionError", "4", "slow 5", "6", "7", "8"]
    pids = {line.split()[-1] for line in (tmp_path / "ran").read_text().splitlines()}
    assert (str(os.getpid()) in pids) == (workers == 0)


def test_a_process_that_is_killed_again_and_again_loses_the_study_that_killed_it_and_no_other(tmp_path) -> None:
    names = ["1", "killed 2", *(str(number) for number in range(3, 12))]
    finished = finished_in_processes((explained(name) for name in names), FakeFinisher(tmp_path), lost, workers=2)
    assert outcomes(finished) == ["1", "killed 2: WorkerError", *names[2:]]


def test_a_process_that_is_killed_once_costs_nothing_but_time(tmp_path) -> None:
    names = ["once 1", "2", "once 3", "once 4", "5", "once 6"]
    finished = finished_in_processes((explained(name) for name in names), FakeFinisher(tmp_path), lost, workers=2)
    assert outcomes(finished) == names


def test_a_server_of_processes_that_is_killed_costs_nothing_but_time(tmp_path) -> None:
    names = ["1", "no server 2", "once 3", "4", "no server 5", "once 6", "killed 7", "8"]
    finished = finished_in_processes((explained(name) for name in names), FakeFinisher(tmp_path), lost, workers=2)
    assert outcomes(finished) == [*names[:6], "killed 7: WorkerError", "8"]


def refuse_starts(monkeypatch: pytest.MonkeyPatch, refusals: int) -> None:
    """Let the server refuse to start processes, as one does that is about to be gone."""
    connect, left = forkserver.connect_to_new_process, [None] * refusals

    def connect_or_not(descriptors: list[int]) -> tuple[int, int]:
        if left:
            left.pop()
            raise ConnectionRefusedError
        return connect(descriptors)

    monkeypatch.setattr(forkserver, "connect_to_new_process", connect_or_not)


def test_a_process_that_cannot_be_started_at_once_costs_nothing_but_time(tmp_path, monkeypatch) -> None:
    refuse_starts(monkeypatch, 5)
    finished = finished_in_processes(iter([explained("once 1")]), FakeFinisher(tmp_path), lost, workers=1)
    assert outcomes(finished) == ["once 1"]


def test_a_process_that_can_never_be_started_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(processes, "SECONDS_BETWEEN_STARTS", (0.0, 0.0))
    refuse_starts(monkeypatch, 1000)
    pool = ProcessPool(os.getenv, 1, name="looks")
    with pytest.raises(WorkerError, match="could not be started: ConnectionRefusedError"):
        pool.submit("PATH").result()
    pool.close(at_once=False)


def test_a_pool_that_is_closed_waits_for_no_start(monkeypatch) -> None:
    monkeypatch.setattr(processes, "SECONDS_BETWEEN_STARTS", (3600.0,))
    refuse_starts(monkeypatch, 1000)
    pool = ProcessPool(os.getenv, 1, name="looks")
    future = pool.submit("PATH")
    while not future.running():
        time.sleep(0.01)
    pool.close(at_once=True)
    with pytest.raises(WorkerError, match="stopped"):
        future.result()


def own_pid_or_die(path: Path | None) -> int:
    if path is not None and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def test_the_death_of_a_process_that_waits_is_no_try_of_the_next_task(tmp_path) -> None:
    pool = ProcessPool(own_pid_or_die, 1, name="looks")
    pid = pool.submit(None).result()
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.01)
    assert pool.submit(tmp_path / "once").result() != pid
    pool.close(at_once=False)


def is_shared(tensor: torch.Tensor) -> bool:
    return tensor.is_shared()


def test_nothing_passes_through_shared_memory_of_which_a_container_has_little() -> None:
    pool = ProcessPool(is_shared, 1, name="looks at a tensor")
    assert not pool.submit(torch.ones(4)).result()
    pool.close(at_once=False)


KILLED = """
import os, signal, sys, time
from pathlib import Path
from pipelines.processes import ProcessPool, preload
from busy import busy

def main():
    preload("pipelines.processes")
    pool = ProcessPool(busy, 2, name="is busy")
    for number in range(2):
        pool.submit(Path(sys.argv[1]) / str(number))
    while len(list(Path(sys.argv[1]).iterdir())) < 2:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    main()
"""


def test_no_process_outlives_a_parent_that_was_killed(tmp_path) -> None:
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": paths}
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    told = tmp_path / "told"
    told.mkdir()
    ended = subprocess.run([sys.executable, str(script), str(told)], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    pids = {int(pid) for path in told.iterdir() for pid in path.read_text().split()}
    assert len(pids) == 3  # two processes and their server
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        time.sleep(0.05)  # one that stays is a hang, which the timeout of every test ends


def test_a_full_disk_ends_the_run(tmp_path) -> None:
    studies = (explained(name) for name in ("1", "full 2", "3"))
    with pytest.raises(OutputError, match="the disk is full"):
        list(finished_in_processes(studies, FakeFinisher(tmp_path), lost, workers=2))


def test_no_more_studies_are_under_way_than_the_processes_can_use(tmp_path) -> None:
    taken: list[int] = []

    def studies():
        for number in range(20):
            taken.append(number)
            yield explained(f"slow {number}")

    finished = finished_in_processes(studies(), FakeFinisher(tmp_path), lost, workers=2)
    next(finished)
    assert len(taken) == 6
    finished.close()


def test_running_ahead_keeps_the_order_and_stays_within_its_bound() -> None:
    taken: list[int] = []

    def numbers():
        for number in range(50):
            taken.append(number)
            yield number

    ahead = prefetched(numbers(), most=3)
    assert next(ahead) == 0
    time.sleep(0.3)
    assert len(taken) <= 6
    assert list(ahead) == list(range(1, 50))


def test_what_the_thread_meets_is_raised_where_it_is_read() -> None:
    def numbers():
        yield 1
        raise OutputError("gone")

    ahead = prefetched(numbers(), most=3)
    assert next(ahead) == 1
    with pytest.raises(OutputError, match="gone"):
        next(ahead)


def test_the_thread_ends_when_its_reader_leaves_and_lets_go_of_what_it_read() -> None:
    before, closed = threading.active_count(), []

    def numbers():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    ahead = prefetched(numbers(), most=2)
    next(ahead)
    ahead.close()
    assert threading.active_count() == before
    assert closed == [True]


def test_a_stopwatch_adds_up_stages_of_several_processes() -> None:
    clock = Stopwatch()
    with clock("scoring"):
        time.sleep(0.01)
    own = clock.seconds["scoring"]
    assert own >= 0.01
    clock.add({"scoring": 1.0, "pages": 2.0})
    assert clock.seconds["scoring"] == own + 1.0
    assert clock.seconds["pages"] == 2.0


def test_a_table_that_grew_part_by_part_is_the_table_of_all_rows() -> None:
    rows = [
        {
            "study": f"s{number // 3}",
            "image": f"i{number // 3}",
            "patient": f"p{number % 7}",
            "phrase": number % 3,
            "finding": ["nodule", None][number % 2],
            "method": "m2ib",
            "score": "pointing game, tau 0",
            "value": [1.0, None][number % 2],
            "outcome": ["hit", "unscored"][number % 2],
            "reason": [None, "no box"][number % 2],
            "levels": None,
        }
        for number in range(3000)
    ]
    growing = GrowingTable()
    for start in range(0, len(rows), 3):
        growing.add(rows[start : start + 3])
    growing.add([])
    table, at_once = score_table(growing.to_frame()), score_table(rows)
    pd.testing.assert_frame_equal(table, at_once, check_categorical=False)
    assert score_table(GrowingTable().to_frame()).empty
