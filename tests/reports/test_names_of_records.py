"""Whatever a record may name has words on the pages, so that a translation leaves none of it in English."""

from collections.abc import Iterable
from typing import get_args

import pytest

from audit.attribution.methods import METHODS
from audit.controls.plan import Control
from audit.faithfulness.curves import Baseline, Change, CurveSettings, word_curve_name
from audit.faithfulness.measures import FaithfulnessSettings
from audit.metrics.scores import MEASURES, tolerances
from audit.metrics.subgroups import ATTRIBUTES
from pipelines.study import Context, Side, View, Zone
from reports.outcomes import CONTROLS
from reports.review_record import REASONS
from reports.run_record import StepOutcome, VerdictTest, VerdictWord
from reports.score_catalogue import (
    BLIND_METHODS,
    COHORT_IOU,
    HUMAN,
    MEAN_IOU,
    REFERENCES,
    SCORES,
    names_of,
)
from reports.texts import all_texts

MEASURED_BY_DEFAULT = (
    *(f"{side} confidence {change}" for side in ("image", "text") for change in ("drop", "increase")),
    *(curve.name for curve in FaithfulnessSettings().curves),
    *map(word_curve_name, Change),
    "ROAD",
)


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("method", (*METHODS, *REFERENCES)),
        ("reference", (*BLIND_METHODS, HUMAN)),
        ("blind", BLIND_METHODS),
        ("score", SCORES),
        ("shortcut", names_of("shortcut")),
        ("control", Control),
        ("instead", Control),
        ("attribute", ATTRIBUTES),
        ("judgement.word", get_args(VerdictWord)),
        ("judgement.meaning", get_args(VerdictWord)),
        ("judgement.test", get_args(VerdictTest)),
        ("judgement.outcome", get_args(StepOutcome)),
        ("side", Side),
        ("zone", Zone),
        ("context", set(Context)),
        ("view", {"named", *View} - {View.PA, View.AP}),
        ("reason", REASONS),
    ],
)
def test_a_section_has_words_for_all_that_records_name_and_nothing_else(section: str, names: Iterable[str]) -> None:
    held = {key.removeprefix(f"{section}.") for key in all_texts() if key.startswith(f"{section}.")}
    assert held == {str(name) for name in names}


def test_the_pages_know_the_same_controls_as_the_audit() -> None:
    assert set(CONTROLS) == set(Control)


def test_the_catalogue_has_every_score_that_is_measured_and_no_other() -> None:
    by_map = {name for name in names_of("localisation") if not SCORES[name].is_pointing}
    assert by_map == {*MEASURES, COHORT_IOU, MEAN_IOU}
    assert {name for name, spec in SCORES.items() if spec.is_pointing} == set(
        tolerances(model_px=(1.0, 1.0), spacing_mm=None)
    )
    curves = {CurveSettings(change=change, baseline=baseline).name for change in Change for baseline in Baseline}
    assert set(names_of("faithfulness")) == {*MEASURED_BY_DEFAULT, *curves}
