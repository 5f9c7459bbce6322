"""``m2ib-audit compare`` from a cohort to its tables and page."""

import json
import re
from html import unescape
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import pytest
import torch
from pydicom import dcmread
from run_configs import run_config
from typer.testing import CliRunner

from audit.attribution.engine import Method
from audit.attribution.methods import METHODS
from audit.attribution.pairs import Maps, Pairs
from audit.cli import app
from audit.configuration import InputsConfig
from audit.execution.run import run
from audit.experiments import comparison as comparing
from audit.experiments.comparison import ComparisonConfig, compare
from audit.experiments.comparison_tables import FILES, as_markdown
from pipelines.errors import ModelError, OutputError
from pipelines.phantom.cohort import make_cohort
from reports.comparison_page import comparison_tables, render_comparison
from reports.comparison_record import ComparisonRecord
from reports.score_catalogue import SCORES

FAST = {"model": "phantom", "device": "cpu", "seed": 5}
NAMES = ("nib", "grad_cam")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> InputsConfig:
    folder = tmp_path_factory.mktemp("phantoms")
    make_cohort(folder, count=3, seed=21, columns=160, brief=True)
    return InputsConfig(
        index="none", dicom_dir=folder / "dicom", reports=folder / "reports", boxes=(folder / "boxes.csv",)
    )


def limited(cohort: InputsConfig) -> InputsConfig:
    return cohort.model_copy(update={"limit": 1})


@pytest.fixture(scope="module")
def compared(cohort: InputsConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", "a salt for tests only")
        compare(ComparisonConfig.of(out=out, inputs=cohort, method=NAMES, faithfulness=1, sanity=3, **FAST))
    return out


@pytest.fixture
def record(compared: Path) -> ComparisonRecord:
    return ComparisonRecord.model_validate_json((compared / "comparison.json").read_text("utf-8"))


def test_everything_that_is_promised_is_written_and_nothing_else(compared: Path) -> None:
    assert sorted(path.name for path in compared.iterdir()) == sorted(FILES)


def test_a_comparison_finds_what_a_run_of_the_same_methods_finds(
    compared: Path, record: ComparisonRecord, cohort: InputsConfig, tmp_path: Path
) -> None:
    asked = run_config(
        dicom_dir=cohort.dicom_dir,
        reports=cohort.reports,
        boxes=cohort.boxes,
        out=tmp_path / "run",
        method=NAMES,
        controls=0,
        faithfulness=1,
        burned_in="keep",  # a comparison keeps no pictures, so it blanks none
        **FAST,
    )
    of_run = run(asked).record.summaries
    assert any(SCORES[summary.score].kind == "words" for summary in of_run)
    ours = {(s.method, s.score, s.finding, s.averaging): s for s in record.scores}
    assert len(of_run) == len(ours) > 80
    for theirs in of_run:
        own = ours[theirs.method, theirs.score, theirs.finding, theirs.averaging]
        assert own.estimate == pytest.approx(theirs.estimate, abs=1e-4), own  # drops are in percent
        assert (own.scored, own.unscored) == (theirs.scored, theirs.unscored)
    pairs = pd.read_parquet(compared / "scores.parquet")
    sampled = pairs[(pairs["score"] == "ROAD") & (pairs["method"] == "nib")]
    assert len(sampled) == record.counts["faithfulness sample"] == 1


def test_every_method_has_a_cost_and_words_are_timed_where_there_are_any(record: ComparisonRecord) -> None:
    nib, grad_cam = record.methods
    assert nib.pairs == grad_cam.pairs >= record.counts["compared"] == 3
    assert nib.seconds_image is not None
    assert nib.seconds_image > 0
    assert (nib.pairs_with_words, grad_cam.pairs_with_words) == (nib.pairs, 0)
    assert grad_cam.seconds_with_words is None
    assert record.baseline == "nib"
    assert record.phantom_images


def test_each_method_is_checked_on_the_asked_number_of_phrases_and_its_cost_is_not_the_comparisons(
    record: ComparisonRecord,
) -> None:
    assert [(method.method, method.phrases) for method in record.sanity] == [("nib", 3), ("grad_cam", 3)]
    assert all({stage.tower for stage in method.stages} == {"image", "text"} for method in record.sanity)
    assert {method.pairs for method in record.methods} == {record.counts["phrases with words"]}


def test_the_table_has_a_row_a_score_with_differences_and_costs(compared: Path, record: ComparisonRecord) -> None:
    table = pd.read_csv(compared / "comparison.csv")
    assert len(table) == len(record.scores) == len(pd.read_parquet(compared / "comparison.parquet"))
    pointing = table[(table["score"] == "pointing game, tau 0") & table["finding"].isna()]
    own = pointing[(pointing["method"] == "grad_cam") & (pointing["averaging"] == "micro")].iloc[0]
    first = pointing[(pointing["method"] == "nib") & (pointing["averaging"] == "micro")].iloc[0]
    assert own["minus_baseline_estimate"] == pytest.approx(own["estimate"] - first["estimate"])
    assert own["seconds_image"] > 0
    assert pointing[pointing["is_reference"]]["seconds_image"].isna().all()


def test_nothing_of_a_patient_is_written(compared: Path, cohort: InputsConfig) -> None:
    written = b"".join((compared / name).read_bytes() for name in FILES)
    for path in cohort.dicom_dir.iterdir():
        header = dcmread(path, stop_before_pixels=True)
        for secret in (path.stem, header.PatientID, str(header.PatientName), header.SOPInstanceUID):
            assert secret
            assert secret.encode() not in written
    assert str(cohort.dicom_dir).encode() not in written


def test_the_page_runs_nothing_but_its_own_script_and_shows_every_method(compared: Path) -> None:
    page = (compared / "index.html").read_text("utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert unescape(policy[1]).startswith("default-src 'none'")
    assert "unsafe" not in policy[1]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert all(f"<bdi>{name}</bdi>" in page for name in ("NIB", "Grad-CAM", "Class-mean box"))
    assert "says nothing about patients" in page


def test_a_hostile_model_name_is_text_on_the_page_and_in_the_table(record: ComparisonRecord) -> None:
    name = "<script>alert(1)</script>|x"
    hostile = record.model_copy(update={"model": record.model.model_copy(update={"name": name})})
    assert "<script>alert" not in render_comparison(hostile)
    assert r"\<script\>alert(1)\</script\>\|x" in as_markdown(hostile)


def test_every_row_of_the_markdown_has_the_columns_of_its_head(record: ComparisonRecord) -> None:
    columns = 0
    for line in as_markdown(record).splitlines():
        if not line.startswith("|"):
            columns = 0
            continue
        columns = columns or line.count("|")
        assert line.count("|") == columns
    assert {table.key for table in comparison_tables(record)} >= {"place", "blind", "baseline", "faithfulness", "cost"}


class Refusing(Method):
    """A method that says that it cannot explain any model."""

    name, unit, explains_words, numbers = "rollout", "dimensionless", False, MappingProxyType({})

    def attribute(self, pairs: Pairs) -> Maps:  # noqa: ARG002 - as every method has it
        raise ModelError("its attention is not there")


def test_a_method_that_refuses_the_model_is_listed_and_stops_no_other(
    cohort: InputsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ComparisonConfig.of(out=tmp_path / "out", inputs=limited(cohort), method=NAMES, faithfulness=0, **FAST)
    monkeypatch.setattr(comparing, "build_methods", lambda *_names, **_masks: (METHODS["grad_cam"](), Refusing()))
    result = compare(asked)
    assert [method.refused for method in result.record.methods] == [None, "its attention is not there"]
    assert {score.method for score in result.record.scores if not score.is_reference} == {"grad_cam"}
    assert "its attention is not there" in result.page.read_text("utf-8")
    assert "its attention is not there" in (tmp_path / "out" / "comparison.md").read_text("utf-8")
    monkeypatch.setattr(comparing, "build_methods", lambda *_names, **_masks: (Refusing(),))
    with pytest.raises(ModelError, match="none of the methods explains phantom: its attention"):
        compare(ComparisonConfig.of(out=tmp_path / "none", inputs=cohort, **FAST))
    assert not (tmp_path / "none").exists()


def test_a_limit_takes_studies_by_the_seed_and_says_how_many(cohort: InputsConfig, tmp_path: Path) -> None:
    taken = []
    for place, seed in enumerate((1, 1, 2, 3, 4)):
        fast = {**FAST, "seed": seed}
        out = tmp_path / str(place)
        result = compare(
            ComparisonConfig.of(out=out, inputs=limited(cohort), method=("grad_cam",), faithfulness=0, **fast)
        )
        assert result.record.counts["compared"] == 1
        assert result.record.counts["studies"] == 3
        (study,) = pd.read_parquet(out / "scores.parquet")["study"].unique()
        taken.append(study)
    assert taken[0] == taken[1]
    assert len(set(taken)) > 1


def test_an_out_with_other_files_is_left_alone_and_a_comparison_is_replaced_only_on_demand(
    cohort: InputsConfig, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    asked = ComparisonConfig.of(out=tmp_path, inputs=limited(cohort), method=("grad_cam",), faithfulness=0, **FAST)
    with pytest.raises(OutputError, match=r"notes\.txt"):
        compare(asked)
    (tmp_path / "notes.txt").unlink()
    first = compare(asked).record
    with pytest.raises(OutputError, match="--overwrite"):
        compare(asked)
    again = ComparisonConfig.of(
        out=tmp_path, inputs=limited(cohort), method=("grad_cam",), faithfulness=0, overwrite=True, **FAST
    )
    assert compare(again).record.scores == first.scores


def test_phantoms_are_made_for_the_comparison_and_leave_nothing_behind(tmp_path: Path) -> None:
    flags = [
        "--phantoms",
        "2",
        "--methods",
        "grad_cam,rise",
        "--faithfulness",
        "0",
        "--masks",
        "4",
    ]
    result = CliRunner().invoke(app, ["compare", "--out", str(tmp_path / "out"), *flags])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "out" / "index.html")
    written = json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8"))
    assert written["counts"]["compared"] == 2
    assert written["model"]["name"] == "phantom"  # which no flag named
    assert [method["own_settings"] for method in written["methods"]] == [{}, {"masks": 500}]
    assert "masks 4 (default 500)" in (tmp_path / "out" / "comparison.md").read_text("utf-8")
    assert written["phantom_images"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--phantoms", "2", "--methods", "lime"], "lime: unknown; give all, or some of m2ib"),
        (["--phantoms", "2", "--reports", "r"], "--phantoms makes its own cohort"),
        (["--dicom-dir", "d"], "give --dicom-dir and --reports, or --phantoms"),
        (["--phantoms", "2", "--masks", "1"], "--masks 1"),
    ],
    ids=["unknown-method", "two-cohorts", "half-a-cohort", "too-few-masks"],
)
def test_wrong_flags_end_in_one_line_that_says_the_mend(flags: list[str], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", "--out", str(tmp_path / "out"), "--model", "phantom", *flags])
    assert result.exit_code == 1
    assert said in result.stderr
    assert not (tmp_path / "out").exists()
