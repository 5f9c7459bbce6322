"""Whatever a record may name has words on the pages, so that a translation leaves none of it in English."""

from collections.abc import Iterable
from typing import get_args

import pytest

from audit.attribution.methods import METHODS
from audit.controls.plan import Control
from audit.metrics.faithfulness.curves import Change, word_curve_name
from audit.metrics.faithfulness.measures import FaithfulnessSettings
from audit.metrics.scores import BLIND_METHODS, SCORES
from audit.metrics.shortcuts import AREA_SHARE, SHORTCUT_SCORES
from audit.metrics.subgroups import ATTRIBUTES
from pipelines.study import Context, Side, View, Zone
from reports.review_record import REASONS
from reports.run_record import VerdictWord
from reports.texts import all_texts
from reports.words import CONTENT_BLIND, CONTROLS, OF_PLACE, SHORTCUTS

FAITHFULNESS = (
    *(f"{side} confidence {change}" for side in ("image", "text") for change in ("drop", "increase")),
    *(curve.name for curve in FaithfulnessSettings().curves),
    *map(word_curve_name, Change),
    "ROAD",
)


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("method", (*METHODS, *BLIND_METHODS, "another reader", AREA_SHARE)),
        ("reference", (*BLIND_METHODS, "another reader")),
        ("blind", BLIND_METHODS),
        ("score", (*SCORES, *SHORTCUT_SCORES, *FAITHFULNESS)),
        ("shortcut", SHORTCUT_SCORES),
        ("control", Control),
        ("instead", Control),
        ("attribute", ATTRIBUTES),
        ("judgement.word", get_args(VerdictWord)),
        ("judgement.meaning", get_args(VerdictWord)),
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


def test_the_pages_know_the_same_names_as_the_audit() -> None:
    assert set(CONTENT_BLIND) == set(BLIND_METHODS)
    assert set(OF_PLACE) == set(SCORES)
    assert set(SHORTCUTS) == set(SHORTCUT_SCORES)
    assert set(CONTROLS) == set(Control)
