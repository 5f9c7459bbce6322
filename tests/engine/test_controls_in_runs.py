"""Several methods, controls and faithfulness all the way through a run: records, tables, verdicts and pages."""

import numpy as np
import pandas as pd
import pytest
from run_configs import run_config
from scipy.stats import pearsonr

from audit.execution.run import RunResult, run
from pipelines.phantom.cohort import make_cohort
from reports.record import ScoredPhrase
from reports.results_folder import read_study, study_folders
from reports.score_catalogue import POINTING

SAMPLE = 4


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("controls")
    make_cohort(folder / "cohort", count=4, seed=11, columns=160, brief=True)
    return run(
        run_config(
            dicom_dir=folder / "cohort" / "dicom",
            reports=folder / "cohort" / "reports",
            boxes=(folder / "cohort" / "boxes.csv",),
            out=folder / "out",
            model="phantom",
            device="cpu",
            method=("m2ib", "grad_cam"),
            steps=2,
            samples=2,
            controls=SAMPLE,
            faithfulness=2,
        )
    )


def phrases_of(result: RunResult) -> list[tuple[ScoredPhrase, dict[str, np.ndarray]]]:
    studies = [read_study(folder) for folder in study_folders(result.page.parent)]
    return [(phrase, study.heats) for study in studies for image in study.record.images for phrase in image.phrases]


def test_a_sample_of_phrases_has_controls_whose_heat_is_kept(result: RunResult) -> None:
    sampled = [(phrase, heats) for phrase, heats in phrases_of(result) if phrase.controls]
    assert len(sampled) == SAMPLE
    for phrase, heats in sampled:
        names = {"m2ib": phrase.heat} | {other.method: other.heat for other in phrase.others}
        assert {control.method for control in phrase.controls} == {"m2ib", "grad_cam"}
        for control in phrase.controls:
            original, changed = heats[names[control.method]], heats[control.heat]
            assert control.total == pytest.approx(float(changed.sum()), rel=1e-3)
            if control.pearson is not None:
                expected = pearsonr(original.ravel(), changed.ravel()).statistic
                assert control.pearson == pytest.approx(expected, abs=1e-4)
            assert (control.text is None) == (control.control in {"other window", "second seed"})


def test_further_methods_are_scored_on_the_same_phrases(result: RunResult) -> None:
    for phrase, heats in phrases_of(result):
        (other,) = phrase.others
        assert (other.method, other.unit, other.tokens) == ("grad_cam", "dimensionless", ())
        assert other.peak == pytest.approx(float(heats[other.heat].max()))
    table = pd.read_parquet(result.page.parent / "scores.parquet")
    assert not table.duplicated(["image", "phrase", "method", "score"]).any()
    pointing = table[table["score"] == POINTING].groupby("method", observed=True).size()
    assert pointing["m2ib"] == pointing["grad_cam"] == pointing["centre"]


def test_faithfulness_stands_beside_its_own_shuffled_heat(result: RunResult) -> None:
    summaries = [s for s in result.record.summaries if s.score == "image confidence drop" and s.finding is None]
    by_method = {s.method: s for s in summaries if s.averaging == "micro"}
    assert set(by_method) == {"m2ib", "grad_cam", "shuffled m2ib", "shuffled grad_cam"}
    (difference,) = by_method["m2ib"].differences
    assert (difference.reference, difference.scored) == ("shuffled m2ib", 2)
    shuffled = by_method["shuffled m2ib"].estimate
    assert difference.estimate == pytest.approx((by_method["m2ib"].estimate or 0.0) - (shuffled or 0.0))


def test_a_small_run_says_that_it_is_too_small(result: RunResult) -> None:
    assert [verdict.method for verdict in result.record.verdicts] == ["m2ib", "grad_cam"]
    assert {verdict.verdict for verdict in result.record.verdicts} == {"too few cases to say"}
    assert {summary.phrases for summary in result.record.controls if summary.control == "negated"} == {SAMPLE}
    assert [evidence.method for evidence in result.record.evidence] == ["m2ib", "grad_cam"]


def test_the_pages_tell_of_verdict_and_controls(result: RunResult) -> None:
    cohort = result.page.read_text(encoding="utf-8")
    for words in ("too few cases to say", "Another patient&#39;s phrase", "Faithfulness to the model"):
        assert words in cohort
    pages = [(folder / "index.html").read_text("utf-8") for folder in study_folders(result.page.parent)]
    assert any("Controls: what changes this heat" in page for page in pages)
    assert all("Same scale for all studies" in page for page in pages)
