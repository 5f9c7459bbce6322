"""A run that is killed at any moment and started again ends as one that nobody disturbed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from out_trees import tree_of

from audit.logbook import verify
from pipelines.phantom.cohort import make_cohort

ROOT = Path(__file__).parents[2]
STUDIES = 3
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

    def run(self, out: Path, *, at_event: int | None = None, after_seconds: float | None = None) -> dict:
        settings = {
            "dicom_dir": str(self._cohort / "dicom"),
            "reports": str(self._cohort / "reports"),
            "boxes": str(self._cohort / "boxes.csv"),
            "out": str(out),
            "model": "phantom",
            "device": "cpu",
            "words": False,
            "steps": 1,
            "samples": 1,
            "controls": 2,
        }
        asked = {"settings": settings, "kill_at_event": at_event, "kill_after_seconds": after_seconds}
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


def test_a_run_killed_at_four_moments_ends_as_one_that_nobody_disturbed(runner, undisturbed, tmp_path) -> None:
    done_before = killed_and_resumed(runner, undisturbed, tmp_path, seed=1, moments=4)
    assert sum(done_before) > 0  # else nothing was resumed, and equality would say nothing


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_a_run_killed_at_a_hundred_moments_ends_as_one_that_nobody_disturbed(runner, undisturbed, tmp_path) -> None:
    done_before = killed_and_resumed(runner, undisturbed, tmp_path, seed=2, moments=100)
    assert set(done_before) == set(range(STUDIES + 1))  # none done, some, all
