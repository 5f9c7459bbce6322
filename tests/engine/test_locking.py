"""One run at a time on one OUT: who holds it is named, and a lock dies with its process."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.storage.lock import Shard, held
from pipelines.errors import OutputError

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from audit.storage.lock import Shard, held

with held(Path(sys.argv[1]), Shard.parse(sys.argv[2]) if len(sys.argv) > 2 else None):
    print("held", flush=True)
    sys.stdin.read()
"""

Hold = Callable[..., subprocess.Popen]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Starts processes that hold a folder until their stdin closes."""
    started: list[subprocess.Popen] = []

    def start(out: Path, *shard: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(out), *shard],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.communicate()


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def test_a_second_run_is_refused_and_told_who_runs_where_and_since_when(hold: Hold, tmp_path: Path) -> None:
    other = hold(tmp_path)
    with pytest.raises(OutputError, match="is in use by another run") as refused, held(tmp_path):
        pytest.fail("two runs at once")
    assert f"process {other.pid} on {socket.gethostname()} since 20" in str(refused.value)
    assert "wait for it or end it" in str(refused.value)
    for command in (["render", str(tmp_path)], ["score", str(tmp_path)]):
        told = CliRunner().invoke(app, command)
        assert (told.exit_code, told.stderr.count("is in use by another run")) == (1, 1)


def test_a_killed_holder_leaves_nothing_that_holds(hold: Hold, tmp_path: Path) -> None:
    other = hold(tmp_path)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert names(tmp_path) == [".m2ib-audit.lock"]
    with held(tmp_path):
        pass
    assert names(tmp_path) == []


def test_a_child_that_outlives_a_killed_run_does_not_hold_its_lock(tmp_path: Path) -> None:
    child = 'os.fork() or (print("held", flush=True), time.sleep(3600))'  # it speaks, so it has begun before the kill
    fork = HOLD.replace('print("held", flush=True)', f"import os, time\n    {child}")
    parent = subprocess.Popen(
        [sys.executable, "-c", fork, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "held\n"
        parent.kill()
        parent.wait()
        with held(tmp_path):
            pass
    finally:
        os.killpg(parent.pid, signal.SIGKILL)  # the child, which sleeps in the session that the parent opened
        parent.communicate()


def test_shards_run_beside_each_other_and_not_beside_a_whole_run(hold: Hold, tmp_path: Path) -> None:
    hold(tmp_path, "1/3")
    with held(tmp_path, Shard(number=2, of=3)):
        assert len(names(tmp_path)) == 3
    with pytest.raises(OutputError, match=r"in use by shard 1/3 of a run \(process \d+"), held(tmp_path):
        pytest.fail("a whole run beside a shard")
    with pytest.raises(OutputError, match="in use by shard 1/3"), held(tmp_path, Shard(number=1, of=3)):
        pytest.fail("one shard twice")
    with pytest.raises(OutputError, match="the same N"), held(tmp_path, Shard(number=2, of=4)):
        pytest.fail("parts that overlap")


def test_a_shard_is_refused_beside_a_whole_run(hold: Hold, tmp_path: Path) -> None:
    hold(tmp_path)
    with pytest.raises(OutputError, match="in use by another run"), held(tmp_path, Shard(number=1, of=2)):
        pytest.fail("a shard beside a whole run")


def test_locks_are_gone_when_everybody_has_left(tmp_path: Path) -> None:
    with held(tmp_path, Shard(number=1, of=2)), held(tmp_path, Shard(number=2, of=2)):
        assert [bool(re.match(r"\.m2ib-audit\.lock", name)) for name in names(tmp_path)] == [True] * 3
    assert names(tmp_path) == []


def test_every_study_belongs_to_one_shard_whatever_their_order() -> None:
    keys = [f"{number * 7919:016x}" for number in range(100)]
    shards = [Shard(number=number, of=7) for number in range(1, 8)]
    assert all(sum(shard.holds(key) for shard in shards) == 1 for key in keys)
    assert all(any(shard.holds(key) for key in keys) for shard in shards)
