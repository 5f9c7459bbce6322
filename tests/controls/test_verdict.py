"""The verdict: its rule on made-up cohorts, at the edge of every test."""

import numpy as np
import pandas as pd
import pytest

from audit.controls.evidence import ControlRow, summarise_controls
from audit.controls.verdict import RULE, verdict_of
from reports.run_record import ControlSummary
from reports.score_catalogue import BLIND_METHODS, MARKER_POINT, POINTING


def table_of(hits: list[float], blind: list[float], marker: list[float] | None = None) -> pd.DataFrame:
    """A phrase a patient; every content-blind map scores ``blind`` divided by its place in the list."""
    rows = []
    for case, (hit, guess) in enumerate(zip(hits, blind, strict=True)):
        values = {("m2ib", POINTING): hit}
        values |= {(name, POINTING): guess / (place + 1) for place, name in enumerate(BLIND_METHODS)}
        if marker is not None:
            values |= {("m2ib", MARKER_POINT): marker[case]}
        rows += [
            {
                "image": f"i{case}",
                "phrase": 0,
                "finding": "nodule",
                "patient": f"p{case}",
                "method": method,
                "score": score,
                "value": value,
            }
            for (method, score), value in values.items()
        ]
    return pd.DataFrame(rows)


def controls_of(falls: list[bool]) -> tuple[ControlSummary, ...]:
    rows = [
        ControlRow(
            patient=f"p{case}",
            method="m2ib",
            control="shuffled report",
            pearson=0.5,
            hit=not falls_here,
            hit_before=True,
            cosine=0.0,
            cosine_before=0.5,
            total=1.0,
            total_before=1.0,
        )
        for case, falls_here in enumerate(falls)
    ]
    return summarise_controls(rows) if rows else ()


GOOD, BAD = [1.0] * 96 + [0.0] * 24, [0.0] * 84 + [1.0] * 36
MOVES, STAYS = controls_of([True] * 20 + [False] * 10), controls_of([False] * 30)


@pytest.mark.parametrize(
    ("table", "controls", "verdict"),
    [
        (table_of(GOOD, BAD), MOVES, "grounded"),
        (table_of(BAD, BAD), MOVES, "not better than a blind map"),
        (table_of(BAD, GOOD), MOVES, "not better than a blind map"),
        (table_of(GOOD, BAD), STAYS, "does not depend on the words"),
        (table_of(GOOD, BAD, [1.0] * 60 + [0.0] * 60), MOVES, "looks at the marker"),
        (table_of(GOOD, BAD, [1.0] * 30 + [0.0] * 90), MOVES, "grounded"),
        (table_of(BAD, BAD, [1.0] * 120), STAYS, "looks at the marker"),
        (table_of(GOOD[:99], BAD[:99]), MOVES, "too few cases to say"),
        (table_of(GOOD, BAD), (), "too few cases to say"),
        (table_of(GOOD, BAD), controls_of([True] * 19), "too few cases to say"),
    ],
    ids=[
        "grounded",
        "as a blind map",
        "worse than a blind map",
        "words do not matter",
        "marker in half",
        "marker in a quarter, which the interval does not clear",
        "marker before all else",
        "too few phrases",
        "no controls",
        "too few controls",
    ],
)
def test_the_first_rule_that_holds_is_the_verdict(table, controls, verdict) -> None:
    found = verdict_of(table, controls, method="m2ib")
    assert (found.verdict, found.rule) == (verdict, RULE)
    assert found.because


def test_many_phrases_of_few_patients_are_too_few() -> None:
    table = table_of(GOOD, BAD).assign(patient="the same one")
    assert verdict_of(table, MOVES, method="m2ib").verdict == "too few cases to say"


def test_the_best_blind_map_is_the_one_that_counts() -> None:
    table = table_of(GOOD, [1.0] * 120)
    assert verdict_of(table, MOVES, method="m2ib").verdict == "not better than a blind map"
    without = table[table["method"] != BLIND_METHODS[0]]
    assert verdict_of(without, MOVES, method="m2ib").verdict == "grounded"


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.58, "not better than a blind map"), (0.62, "grounded")],
    ids=["8 points above", "12 points above"],
)
def test_a_hairs_breadth_above_a_blind_map_is_not_enough(share: float, verdict: str) -> None:
    table = table_of([share] * 120, [0.5] * 120)
    assert verdict_of(table, MOVES, method="m2ib").verdict == verdict


def test_phrases_that_were_not_scored_take_no_part() -> None:
    table = table_of(GOOD, BAD)
    unscored = table.assign(image=table["image"] + " unscored", value=np.nan)
    both = verdict_of(pd.concat([table, unscored]), MOVES, method="m2ib")
    assert both == verdict_of(table, MOVES, method="m2ib")


def test_a_map_that_is_known_for_two_phrases_does_not_decide() -> None:
    """The class-mean box hits both phrases it is known for; the method hits 90 of 100 and the centre 10."""
    hits = [1.0] * 90 + [0.0] * 10
    table = table_of(hits, [0.0] * 90 + [1.0] * 10)
    known = table["image"].isin(["i0", "i1"])
    from_boxes = table["method"].isin(["class-mean box", "words-only prior"])
    table = table.assign(value=table["value"].mask(from_boxes & ~known, np.nan).mask(from_boxes & known, 1.0))
    assert verdict_of(table, MOVES, method="m2ib").verdict == "grounded"


def test_a_map_that_is_known_for_two_phrases_cannot_acquit_either() -> None:
    """It misses the two phrases it is known for; the centre hits as often as the method."""
    table = table_of([1.0] * 50 + [0.0] * 50, [0.0] * 100)
    known = table["image"].isin(["i0", "i1"])
    from_boxes = table["method"].isin(["class-mean box", "words-only prior"])
    own = table[table["method"] == "m2ib"].set_index("image")["value"]
    centre = table["image"].map(own).where(table["method"] == "centre", table["value"])
    table = table.assign(value=centre.mask(from_boxes & ~known, np.nan))
    assert verdict_of(table, MOVES, method="m2ib").verdict == "not better than a blind map"
