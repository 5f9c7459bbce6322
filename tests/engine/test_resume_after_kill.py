"""A run that is killed at any moment and started again ends as one that nobody disturbed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from out_trees import tree_of
from pydicom.uid import RLELossless

from audit.logbook import verify
from pipelines.phantom.cohort import make_cohort

ROOT = Path(__file__).parents[2]
STUDIES = 3
ROLES = ("parent", "worker", "server", "decoder")
KILLS = int(os.environ.get("M2IB_AUDIT_TEST_KILLS", "20"))  # of the tests that are slow, each
SALT = "a salt for tests only"


class WarmRunner:
    """Talks to ``warm_runner.py``, which has imported torch and forks run after run."""

    def __init__(self, cohort: Path) -> None:
        self._cohort = cohort
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm_runner.py"))],
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, out: Path, *, workers: int = 0, **kill: object) -> dict:
        settings = {
            "dicom_dir": str(self._cohort / "dicom"),
            "reports": str(self._cohort / "reports"),
            "boxes": str(self._cohort / "boxes.csv"),
            "out": str(out),
            "model": "phantom",
            "device": "cpu",
            "words": False,
            "hyperparameters": {"all": {"steps": 1, "samples": 1}},
            "controls": 2,
            "workers": workers,
        }
        return self._ask(out, {"settings": settings}, kill)

    def command(self, out: Path, *arguments: str, **kill: object) -> dict:
        return self._ask(out, {"arguments": arguments}, kill)

    def pull(self, into: Path, **kill: object) -> dict:
        return self._ask(into, {"pulled": [str(self._cohort / "dicom"), str(into)]}, kill)

    def _ask(self, out: Path, what: dict, kill: dict) -> dict:
        """Have it done; ``at_event``, ``after_seconds`` and ``role`` say when which process is killed."""
        asked = {
            **what,
            "out": str(out),
            "kill_at_event": kill.get("at_event"),
            "kill_after_seconds": kill.get("after_seconds"),
            "kill_role": kill.get("role", "parent"),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()  # closes its stdin, which ends it


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, count=STUDIES, seed=4, columns=64, brief=True)
    for path in sorted((folder / "dicom").rglob("*.dcm"))[::2]:  # decoders have work, too
        film = pydicom.dcmread(path)
        film.compress(RLELossless, generate_instance_uid=False)
        film.save_as(path)
    time.sleep(2.1)  # files that are younger have no stamp yet, and one tree would have stamps where another has none
    return folder


@pytest.fixture(scope="module")
def runner(cohort: Path) -> Iterator[WarmRunner]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", SALT)
        started = WarmRunner(cohort)
    yield started
    started.end()


@pytest.fixture(scope="module")
def undisturbed(runner: WarmRunner, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], int, float]:
    """The tree of a run that was left alone, how many changes it made in OUT, and what it took."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    told = runner.run(out)
    assert told["status"] == 0, told
    tree = tree_of(out)
    assert sum(name.endswith("record.json") for name in tree) == STUDIES
    assert int(told["told"]) > 10 * STUDIES
    return tree, int(told["told"]), told["seconds"]


def killed_and_resumed(
    runner: WarmRunner, undisturbed: tuple[dict[str, bytes], int, float], folder: Path, *, seed: int, moments: int
) -> list[int]:
    """Kill runs at seeded moments, hold each resumed tree against the undisturbed one; count what was done before.

    Even moments are between two changes of a file in OUT, spread over the whole run, so that each kind of half-written
    state comes up; odd ones are at a time, which also falls into the midst of reading, computing and writing.
    """
    tree, events, seconds = undisturbed
    draw, done_before = random.Random(seed), []
    for moment in range(moments):
        out = folder / f"out-{moment}"
        for _ in range(2 if draw.random() < 0.3 else 1):  # some are killed while they go on, too
            share = draw.random()
            if moment % 2 == 0:
                told = runner.run(out, at_event=1 + int(share * events))
            else:
                told = runner.run(out, after_seconds=share * seconds)
            assert told["signal"] in {0, signal.SIGKILL}
            assert told["status"] in {None, 0}, told
        if (out / "audit.jsonl").exists():  # what was killed left a log that shows no change but a torn end
            assert verify(out, SALT.encode()).wrong == [], (moment, share)
        told = runner.run(out)
        assert told["status"] == 0, (moment, told)
        found = tree_of(out)
        assert found.keys() == tree.keys(), (moment, share)
        differing = [name for name in tree if found[name] != tree[name]]
        assert differing == [], (moment, share)
        log = verify(out, SALT.encode())
        assert (log.intact, log.studies) == (True, STUDIES), (moment, share, log)
        done_before.append(json.loads((out / "run.json").read_text())["history"]["done_before"])
        shutil.rmtree(out)
    return done_before


def test_a_run_killed_at_two_moments_ends_as_one_that_nobody_disturbed(runner, undisturbed, tmp_path) -> None:
    done_before = killed_and_resumed(runner, undisturbed, tmp_path, seed=1, moments=2)
    assert sum(done_before) > 0  # else nothing was resumed, and equality would say nothing


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_a_run_killed_at_a_hundred_moments_ends_as_one_that_nobody_disturbed(runner, undisturbed, tmp_path) -> None:
    done_before = killed_and_resumed(runner, undisturbed, tmp_path, seed=2, moments=100)
    assert set(done_before) == set(range(STUDIES + 1))  # none done, some, all


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_killed_processes_of_a_run_with_workers_change_nothing(runner, undisturbed, tmp_path) -> None:
    tree, _, _ = undisturbed
    seconds = runner.run(tmp_path / "first", workers=2)["seconds"]
    draw = random.Random(3)
    for moment in range(KILLS):
        out, role, share = (
            tmp_path / f"out-{moment}",
            ("parent", "worker", "server", "decoder")[moment % 4],
            draw.random(),
        )
        told = runner.run(out, workers=2, after_seconds=share * seconds, role=role)
        assert told["left"] == 0, (role, share, told)
        if role == "parent":
            told = runner.run(out, workers=2)
        assert told["status"] == 0, (role, share, told)
        found = tree_of(out)
        assert found.keys() == tree.keys(), (role, share)
        assert [name for name in tree if found[name] != tree[name]] == [], (role, share)
        log = verify(out, SALT.encode())
        assert (log.intact, log.studies) == (True, STUDIES), (role, share, log)
        shutil.rmtree(out)


def killed_and_given_again(do: Callable[..., dict], ready: Path | None, folder: Path, *, kills: int) -> None:
    """Kill what is done between two changes of files, do it again, and hold the outcome to one that was left alone.

    Args:
        do: does it to a folder, killed as further arguments say.
        ready: a copy of it is the folder; None: it is made by ``do``.
        folder: where the copies lie.
        kills: at how many events, spread over all there are.
    """

    def begin(name: str) -> Path:
        return folder / name if ready is None else shutil.copytree(ready, folder / name)

    whole = begin("whole")
    told = do(whole)
    assert told["status"] == 0, told
    tree, events = tree_of(whole), int(told["told"])
    assert events >= STUDIES
    for moment in range(kills):
        out, event = begin(f"out-{moment}"), 1 + (moment * events) // kills
        told = do(out, at_event=event)
        assert told["signal"] == signal.SIGKILL, (event, told)
        told = do(out)
        assert told["status"] == 0, (event, told)
        found = tree_of(out)
        assert found.keys() == tree.keys(), event
        assert [name for name in tree if found[name] != tree[name]] == [], event
        if (out / "audit.jsonl").exists():
            assert verify(out, SALT.encode()).wrong == [], event
        shutil.rmtree(out)


@pytest.fixture(scope="module")
def finished(runner: WarmRunner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "out"
    assert runner.run(out)["status"] == 0
    return out


@pytest.fixture(scope="module")
def other_boxes(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of the cohort but for the last, so that scores change."""
    path = tmp_path_factory.mktemp("boxes") / "boxes.csv"
    path.write_text("".join((cohort / "boxes.csv").read_text().splitlines(keepends=True)[:-1]))
    return path


@pytest.fixture(scope="module")
def commands(
    runner: WarmRunner, cohort: Path, finished: Path, other_boxes: Path
) -> dict[str, tuple[Callable[..., dict], Path | None]]:
    """What is killed, and the folder that it goes on from."""

    def score(out: Path, **kill: object) -> dict:
        return runner.command(out, "score", str(out), "--boxes", str(other_boxes), **kill)

    def render(out: Path, **kill: object) -> dict:
        return runner.command(out, "render", str(out), **kill)

    def push(folder: Path, **kill: object) -> dict:
        originals = ["--dicom-dir", str(cohort / "dicom"), "--index", "none"]
        return runner.command(folder, "push", str(finished), *originals, "--to-folder", str(folder), **kill)

    return {
        "score": (score, finished),
        "render": (render, finished),
        "push": (push, None),
        "pull": (runner.pull, None),
    }


NAMES = ("score", "render", "push", "pull")


@pytest.mark.parametrize("name", NAMES)
def test_a_command_that_is_killed_and_given_again_ends_as_one_left_alone(commands, tmp_path, name) -> None:
    killed_and_given_again(*commands[name], tmp_path, kills=2)


@pytest.mark.slow
@pytest.mark.timeout(14400)
@pytest.mark.parametrize("name", NAMES)
def test_a_command_that_is_killed_at_many_moments_ends_as_one_left_alone(commands, tmp_path, name) -> None:
    killed_and_given_again(*commands[name], tmp_path, kills=KILLS)
