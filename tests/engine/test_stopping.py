"""Ctrl-C and SIGTERM: the study at hand is finished, the pages are made, and the run says how to go on."""

import os
import signal
from pathlib import Path

import pytest
from out_trees import tree_of
from run_configs import FAST
from typer.testing import CliRunner

from audit.cli import app
from audit.pipeline.score import Finisher
from pipelines.phantom.cohort import make_cohort
from reports.results_folder import read_run, study_folders

STUDIES = 3


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, count=STUDIES, seed=4, columns=64, brief=True)
    return folder


def command(cohort: Path, out: Path) -> list[str]:
    flags = ["--dicom-dir", str(cohort / "dicom"), "--reports", str(cohort / "reports"), "--out", str(out)]
    return ["run", *flags, "--boxes", str(cohort / "boxes.csv"), *FAST, "--controls", "0", "--no-words"]


def send_during_the_first_study(monkeypatch: pytest.MonkeyPatch, *signals: int) -> None:
    real, calls = Finisher.finish, []

    def finish(self, explained):
        calls.append(explained)
        if len(calls) == 1:
            for number in signals:
                os.kill(os.getpid(), number)
        return real(self, explained)

    monkeypatch.setattr(Finisher, "finish", finish)


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 130, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, id="SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_a_signal_lets_the_study_at_hand_finish_and_says_how_to_go_on(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    out, handlers = tmp_path / "out", [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    send_during_the_first_study(monkeypatch, number)
    told = CliRunner().invoke(app, command(cohort, out))
    assert told.exit_code == status, told.output
    assert "Stopping after the current study; interrupt again to stop immediately" in told.stderr
    assert "2 studies still to be audited. Repeat the same command to continue" in told.stderr
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert len(study_folders(out)) == 1
    record = read_run(out)
    assert (record.counts["audited"], record.not_done) == (1, STUDIES - 1)
    assert "Unfinished: 2 studies to go" in (out / "index.html").read_text()

    again = CliRunner().invoke(app, command(cohort, out))
    assert again.exit_code == 0, again.output
    assert "1 study done already, 2 to do" in again.stderr
    whole = CliRunner().invoke(app, command(cohort, tmp_path / "whole"))
    assert whole.exit_code == 0
    # Their image files are new: a stamp is taken only once a file is older than the clock of its disk is coarse.
    assert tree_of(out, stamps=False) == tree_of(tmp_path / "whole", stamps=False)


def test_a_second_signal_stops_at_once_and_what_was_finished_stays(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    send_during_the_first_study(monkeypatch, signal.SIGINT, signal.SIGINT)
    told = CliRunner().invoke(app, command(cohort, out))
    assert told.exit_code == 130
    assert "Stopped. Repeat the same command to continue; finished studies are reused." in told.stderr
    assert study_folders(out) == []
    assert not (out / "index.html").exists()
    again = CliRunner().invoke(app, command(cohort, out))
    assert again.exit_code == 0, again.output
    assert len(study_folders(out)) == STUDIES
