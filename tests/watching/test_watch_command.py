"""`watch` reads finished runs alone, says which folders are none, and ends with the status of the stop rule."""

import json
import shutil
from datetime import date
from pathlib import Path

import pytest
from made_up_audits import written_run
from typer.testing import CliRunner, Result

from audit.cli import app
from audit.planning.protocol import as_toml
from audit.watching.watch import WATCH
from reports.protocol_record import PrecisionQuestion, Protocol, StopRule
from reports.watch_record import WatchRecord

DATES = ("2026-11-02", "2026-11-09", "2026-11-16", "2026-11-23")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose studies have shifted dates."""
    return written_run(tmp_path_factory.mktemp("runs") / "run", days=[date(2140, 3, 1)])


@pytest.fixture
def audits(run: Path, tmp_path: Path) -> Path:
    """Four audits, named by their dates, not in the order in which they were written."""
    folder = tmp_path / "audits"
    for day in reversed(DATES):
        shutil.copytree(run, folder / f"chest {day}", symlinks=True)
    return folder


def watched(*words: object) -> Result:
    return CliRunner().invoke(app, ["watch", *map(str, words)])


def protocol_in(folder: Path, limit: float) -> Path:
    rule = StopRule(metric="hit rate", alarm="below", limit=limit, audits_in_a_row=2)
    question = PrecisionQuestion(kind="precision", name="hit rate", half_width=0.05)
    protocol = Protocol(
        method="m2ib", alpha=0.05, power=0.8, multiplicity="none", questions=(question,), monitoring=rule
    )
    path = folder / f"below-{limit}.toml"
    path.write_text(as_toml(protocol))
    return path


def test_runs_are_compared_in_order_of_their_dates(audits: Path) -> None:
    result = watched(audits, "--reference", 3)
    assert result.exit_code == 0, result.output
    line = json.loads(result.stdout)
    assert (line["state"], line["audit"], line["audits"], line["stopped_at"]) == ("in control", DATES[-1], 4, None)
    assert line["signals"] == []
    assert 0.0 < line["values"]["hit rate"] <= 1.0
    record = WatchRecord.model_validate_json((audits / WATCH).read_bytes())
    assert [audit.label for audit in record.audits] == list(DATES)
    assert [audit.is_reference for audit in record.audits] == [True, True, True, False]
    assert "In control" in (audits / "watch.html").read_text()


def test_two_audits_of_a_day_and_names_without_a_date_have_labels(audits: Path) -> None:
    sound = audits / f"chest {DATES[-1]}"
    shutil.copytree(sound, audits / f"repeated {DATES[-1]}")
    shutil.move(audits / f"chest {DATES[0]}", audits / "chest 2026-99-99")  # no date: that of the run, March, counts
    assert watched(audits).exit_code == 0
    record = WatchRecord.model_validate_json((audits / WATCH).read_bytes())
    assert [audit.label for audit in record.audits] == ["2026-03-04", *DATES[1:], f"{DATES[-1]} (2)"]


def test_the_stop_rule_of_a_protocol_ends_with_status_4(audits: Path, tmp_path: Path) -> None:
    stopped = watched(audits, "--protocol", protocol_in(tmp_path, 0.999), "--out", tmp_path / "trend")
    assert stopped.exit_code == 4
    line = json.loads(stopped.stdout)
    assert (line["state"], line["stop_rule"], line["stopped_at"]) == ("stopped", "protocol", DATES[1])
    assert (tmp_path / "trend" / "watch.html").exists()
    assert not (audits / "watch.html").exists()
    assert watched(audits, "--protocol", protocol_in(tmp_path, 0.01)).exit_code == 0


def test_folders_that_are_no_finished_run_are_listed_without_their_names(audits: Path) -> None:
    (audits / "Jane Smith").mkdir()
    (audits / f"chest {DATES[0]}" / "run.json").write_text("{}")
    table = audits / f"chest {DATES[1]}" / "scores.csv"
    table.write_text(table.read_text() + "\n")
    result = watched(audits)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["audits"] == 2
    assert json.loads(result.stdout)["state"] == "too few audits"
    record = (audits / WATCH).read_text()
    said = [each for each in json.loads(record)["left_out"] if each.startswith("a folder: ")]
    assert len(said) == 3
    assert "Jane" not in record + (audits / "watch.html").read_text() + result.output
    assert "no finished run" not in result.output
    assert "not a finished run (no run.json)" in result.output
    assert "scores.csv is not the table that was written" in result.output


def test_a_changed_model_is_marked_and_the_series_goes_on(audits: Path, tmp_path: Path) -> None:
    sound = json.loads((audits / f"chest {DATES[0]}" / "run.json").read_text())["model"]
    written_run(audits / "2026-11-30", model={**sound, "sha256": "a" * 64})
    assert watched(audits, "--reference", 4).exit_code == 0
    record = WatchRecord.model_validate_json((audits / WATCH).read_bytes())
    assert [audit.changed for audit in record.audits] == [(), (), (), (), ("model",)]
    assert record.model.sha256 == "a" * 64
    assert watched(audits, "--since", "2026-11-23").exit_code == 0
    record = WatchRecord.model_validate_json((audits / WATCH).read_bytes())
    assert [audit.label for audit in record.audits] == ["2026-11-23", "2026-11-30"]


def test_one_run_is_divided_by_true_dates_alone(run: Path, tmp_path: Path) -> None:
    shifted = watched(run, "--period", "week")
    assert shifted.exit_code == 1
    assert "shifted by patient" in shifted.output
    assert "--show-phi" in shifted.output
    days = [date(2026, 11, 2), date(2026, 11, 8), date(2026, 12, 31)]
    shown = written_run(tmp_path / "shown", days=days, patient_data_shown=True)
    result = watched(shown, "--period", "week", "--reference", 1)
    assert result.exit_code == 0, result.output
    record = WatchRecord.model_validate_json((tmp_path / "shown-watch" / WATCH).read_bytes())
    assert [(audit.label, audit.studies) for audit in record.audits] == [("2026-W45", 8), ("2026-W53", 4)]
    assert "excluded share" in record.not_measured
    assert record.patient_data_shown
    assert watched(shown, "--period", "month").exit_code == 0
    record = WatchRecord.model_validate_json((tmp_path / "shown-watch" / WATCH).read_bytes())
    assert [audit.label for audit in record.audits] == ["2026-11", "2026-12"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["{run}"], "--period week", id="one run without a period"),
        pytest.param(["{empty}"], "holds no finished run", id="no run"),
        pytest.param(["{audits}", "--period", "week"], "is not a run", id="a period of a folder"),
        pytest.param(["{audits}", "--since", "2027-01-01"], "the newest audit is of 2026-11-23", id="since later"),
        pytest.param(["{audits}", "--method", "rise"], "no scores of rise", id="a method that no audit has"),
        pytest.param(["{audits}", "--out", "{run}"], "the audit log lists", id="into a run"),
        pytest.param(["{run}", "--out", "{run}/trend"], "the audit log lists", id="below a run"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    words: list[str], said: str, run: Path, audits: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    result = watched(*(word.format(run=run, audits=audits, empty=tmp_path / "empty") for word in words))
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
