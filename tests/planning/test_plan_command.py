"""``m2ib-audit plan``: the table, the pilot, the protocol that a run takes, and the log that names it first."""

import json
import shutil
from pathlib import Path

import pytest
from made_up_cohort import make_cohort
from made_up_scores import scores_of
from run_configs import run_config
from typer.testing import CliRunner

from audit.cli import app
from audit.execution.run import run
from audit.logbook import AUDIT_LOG
from audit.logbook.known import LogContent
from audit.planning.clustering import intraclass_correlation
from audit.planning.protocol import read_protocol
from pipelines.errors import AuditError
from pipelines.phantom.cohort import make_cohort as make_phantoms
from reports.results_folder import read_run
from reports.score_catalogue import POINTING


def plan(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["plan", *words])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def pilot(tmp_path: Path) -> Path:
    """The files of an OUT that a pilot is read from."""
    folder = tmp_path / "pilot"
    folder.mkdir()
    scores_of(rate=0.6).to_parquet(folder / "scores.parquet")
    (folder / "run.json").write_text(make_cohort(2).run.model_dump_json(), encoding="utf-8")
    return folder


def test_stated_values_give_a_table_of_all_four_questions() -> None:
    code, out, _ = plan("--assume", "rate=0.6", "--assume", "icc=0.2", "--patients", "60")
    assert code == 0
    assert "rate                   0.6  stated" in out
    rows = [
        line for line in out.splitlines() if line.startswith(("precision", "superiority", "non-inferiority", "gap"))
    ]
    assert len(rows) == 4
    assert all("points" in line for line in rows)


def test_only_the_questions_that_are_given_are_planned() -> None:
    _, out, _ = plan("--superiority-margin", "0.05", "--json")
    made = json.loads(out)
    assert [each["kind"] for each in made["questions"]] == ["superiority"]
    assert made["tested_at"] == 0.05


def test_a_pilot_gives_its_rates_and_clustering(pilot: Path) -> None:
    code, out, err = plan(str(pilot), "--json")
    assert code == 0, err
    made, table = json.loads(out), scores_of(rate=0.6)
    own = table[(table["method"] == "m2ib") & (table["score"] == POINTING)]
    icc = intraclass_correlation(own["value"].to_numpy(), own["patient"].astype(str).tolist())
    found = {name: each["value"] for name, each in made["assumptions"].items() if each["from"] == "pilot"}
    assert found["rate"] == pytest.approx(own["value"].mean())
    assert found["icc"] == pytest.approx(max(icc, 0.0))
    assert (found["phrases_per_study"], found["studies_per_patient"], found["variation"]) == (2.0, 1.0, 0.0)
    assert 0.0 < found["discordance"] < 1.0
    assert made["patients_at_hand"] == 120


def test_a_pilot_without_a_single_hit_can_be_planned_with(pilot: Path) -> None:
    scores_of(rate=0.0).to_parquet(pilot / "scores.parquet")
    code, out, err = plan(str(pilot), "--json")
    assert code == 0, err
    assert "half a hit and half a miss are added" in err
    made = json.loads(out)
    assert made["assumptions"]["rate"] == {"value": pytest.approx(0.5 / 241.0), "from": "pilot"}
    assert [each["size"] is None for each in made["questions"]] == [False, True, False, False]  # below the blind maps


def test_two_pilots_give_the_discordance_of_the_models(pilot: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(pilot, tmp_path / "other"))
    table = scores_of(rate=0.6)
    changed = (table["method"] == "m2ib") & (table["phrase"] == 0)
    table.loc[changed, "value"] = 1.0 - table.loc[changed, "value"]
    table.to_parquet(other / "scores.parquet")
    _, out, _ = plan(str(pilot), str(other), "--json")
    found = json.loads(out)["assumptions"]["model_discordance"]
    assert found == {"value": 0.5, "from": "pilot"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--assume", "rates=0.5"], "one of the keys rate, blind-rate"),
        (["--assume", "rate=half"], "'half' is not a number"),
        (["--assume", "rate=50"], "rate: input should be less than 1"),
        (["--subgroup", "female"], "give ATTRIBUTE=VALUE"),
        (["--subgroup", "town=here"], "attribute: input should be"),
        (["--half-width", "5"], "half-width: input should be less than 0.5"),
    ],
    ids=["unknown key", "no number", "percent", "no attribute", "unknown attribute", "wide"],
)
def test_a_wrong_value_is_named_in_one_line(words: list[str], said: str) -> None:
    code, _, err = plan(*words)
    assert (code, len(err.splitlines())) == (1, 1)
    assert said in err


def test_the_protocol_names_the_models_and_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "protocol.toml"
    words = ["--models", "phantom", "--models", "phantom-habit", "--protocol-out", str(path)]
    assert plan(*words)[0] == 0
    made = read_protocol(path).content
    assert list(made.models) == ["A", "B"]
    assert [each.size is not None for each in made.questions] == [True] * 4
    code, _, err = plan(*words)
    assert code == 1
    assert "never replaced" in err


def test_one_model_plans_no_comparison_and_cannot_be_compared(tmp_path: Path) -> None:
    path = tmp_path / "protocol.toml"
    assert plan("--models", "phantom", "--protocol-out", str(path))[0] == 0
    assert [each.kind for each in read_protocol(path).content.questions] == ["precision", "superiority", "subgroup gap"]
    words = ["--models", "phantom", "--non-inferiority-margin", "0.1", "--protocol-out", str(tmp_path / "other.toml")]
    code, _, err = plan(*words)
    assert code == 1
    assert "names model 'B', which is not in [models]" in err


def test_a_protocol_that_follows_a_result_is_known_to_be_late() -> None:
    started = {"event": "run started", "protocol_sha256": "a"}
    done = {"event": "study done", "study": "s", "record_sha256": "r"}
    for entries, before in (
        ([started, done], True),
        ([done, started], False),
        ([started, done, {"event": "run replaced"}, started], True),
        ([done, {"event": "run replaced"}, started], False),
        ([{"event": "log begun over studies", "studies": 3}, started], False),
    ):
        log = LogContent()
        for entry in entries:
            log.add(entry)
        assert log.protocols == {"a": before}


def test_a_run_names_its_protocol_before_the_first_result_and_refuses_another_model(tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    make_phantoms(cohort, count=3, seed=11, columns=160, brief=True)
    path, late = tmp_path / "protocol.toml", tmp_path / "late.toml"
    assert plan("--models", "phantom", "--protocol-out", str(path), "--half-width", "0.1")[0] == 0
    late.write_text(path.read_text() + "# changed after the results\n")
    values = {
        "dicom_dir": cohort / "dicom",
        "reports": cohort / "reports",
        "boxes": cohort / "boxes.csv",
        "out": tmp_path / "out",
        "device": "cpu",
        "steps": 1,
        "samples": 1,
        "controls": 0,
        "words": False,
    }
    with pytest.raises(AuditError, match="is not in it; it names A"):
        run(run_config(**values, model="phantom-habit", protocol=path))
    assert not (tmp_path / "out").exists()
    run(run_config(**values, model="phantom", protocol=path))
    entries = [json.loads(line) for line in (tmp_path / "out" / AUDIT_LOG).read_text().splitlines()]
    named = [entry["n"] for entry in entries if entry.get("protocol_sha256") == read_protocol(path).sha256]
    assert named[0] < min(entry["n"] for entry in entries if entry["event"] == "study done")
    recorded = read_run(tmp_path / "out").protocol
    assert (recorded.sha256, recorded.before_results) == (read_protocol(path).sha256, True)
    assert recorded.answers[0].outcome in {"answered", "less precise than planned"}
    assert "protocol" not in read_run(tmp_path / "out").config["scoring"]
    again = run(run_config(**values, model="phantom", protocol=late)).record  # studies are reused
    assert again.history.done_before == 3
    assert again.protocol.before_results is False
