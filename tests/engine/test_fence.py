"""What a process writes for a run that no longer holds OUT does not reach OUT."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from audit.pipeline.write import write_failed_study
from audit.storage.lock import Fence, Shard, held
from pipelines.errors import OutputError
from reports.record import FailedStudyRecord
from reports.writing import replaced, write_durably, write_text_atomically

KEY = "0123456789abcdef"
LOCK = ".m2ib-audit.lock"
HOLD_AND_DIE = """
import os, signal, sys
from pathlib import Path
from audit.storage.lock import Shard, held

with held(Path(sys.argv[1]), Shard.parse(sys.argv[2]) if len(sys.argv) > 2 else None):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def fence_of_killed_run(out: Path, shard: str | None = None) -> Fence:
    """What a process has in hand that worked for a run which was killed."""
    command = [sys.executable, "-c", HOLD_AND_DIE, str(out), *filter(None, [shard])]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == -signal.SIGKILL
    lock = out / (LOCK if shard is None else f"{LOCK}-shard-{Shard.parse(shard)}")
    return Fence(out=out, lock=lock, token=json.loads(lock.read_text())["run"])


def changes(out: Path):
    yield lambda: write_text_atomically(out / "run.json", "of the earlier run")
    yield lambda: write_durably(out / "heat.npz", b"of the earlier run")
    yield lambda: write_failed_study(out, FailedStudyRecord.model_construct(key=KEY))


def test_an_orphan_of_a_killed_run_writes_until_another_begins_and_nothing_after(tmp_path: Path) -> None:
    orphan = fence_of_killed_run(tmp_path)
    (tmp_path / "studies" / KEY).mkdir(parents=True)
    with orphan.kept():
        write_text_atomically(tmp_path / "run.json", "whole")
    with held(tmp_path):
        before = sorted(tmp_path.rglob("*"))
        for change in changes(tmp_path):
            with orphan.kept(), pytest.raises(OutputError, match="another run has taken over"):
                change()
        assert sorted(tmp_path.rglob("*")) == before
        assert (tmp_path / "run.json").read_text() == "whole"


def test_a_run_that_takes_over_before_a_file_is_moved_in_stops_the_move(tmp_path: Path) -> None:
    orphan = fence_of_killed_run(tmp_path)

    def late_move() -> None:
        with orphan.kept(), replaced(tmp_path / "run.json") as temporary:
            temporary.write_text("of the earlier run")
            fence_of_killed_run(tmp_path)  # the next run, killed in its turn

    with pytest.raises(OutputError, match="another run has taken over"):
        late_move()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


@pytest.mark.parametrize(("first", "then"), [("1/2", None), (None, "1/2"), ("1/2", "1/2")])
def test_shards_and_whole_runs_take_over_from_each_other(tmp_path: Path, first: str | None, then: str | None) -> None:
    orphan = fence_of_killed_run(tmp_path, first)
    orphan.check()
    with held(tmp_path, None if then is None else Shard.parse(then)), pytest.raises(OutputError):
        orphan.check()


def test_shards_beside_each_other_do_not_take_over(tmp_path: Path) -> None:
    with held(tmp_path, Shard.parse("1/2")) as first, held(tmp_path, Shard.parse("2/2")) as second:
        first.check()
        second.check()


def test_an_out_that_is_removed_in_mid_run_ends_it_with_a_sentence(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with held(out):
        shutil.rmtree(out)
        with pytest.raises(OutputError, match="out was removed or emptied while the run wrote there"):
            write_text_atomically(out / "run.json", "text")
    assert not out.exists()


def test_a_run_whose_out_was_made_again_leaves_the_lock_of_the_next_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with held(out) as first:
        shutil.rmtree(out)
        out.mkdir()
        second = fence_of_killed_run(out)
        with pytest.raises(OutputError, match="another run has taken over"):
            first.check()
    second.check()
