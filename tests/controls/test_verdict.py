"""The verdict: its rule on made-up cohorts, at the edge of every test."""

import numpy as np
import pandas as pd
import pytest

from audit.controls.evidence import ControlRow, summarise_controls
from audit.controls.verdict import verdict_of
from audit.controls.verdict_rule import ACTIONS, RULE
from reports.run_record import ControlSummary, CosineTest, Estimate, VerdictRecord
from reports.score_catalogue import (
    BLIND_METHODS,
    FALL_BLANK,
    MARKER_POINT,
    MEAN_HEAT_CORRELATION,
    PERCENTILE,
    POINTING,
    RELIANCE,
    mean_heat_name,
)


def table_of(
    hits: list[float],
    blind: list[float],
    marker: list[float] | None = None,
    *,
    mean: list[float] | None = None,
    likeness: float = 0.3,
) -> pd.DataFrame:
    """A phrase a patient; every content-blind map scores ``blind`` divided by its place in the list.

    The mean heat scores as the first of these maps unless ``mean`` is given; ``likeness`` is the correlation with it.
    """
    rows = []
    for case, (hit, guess) in enumerate(zip(hits, blind, strict=True)):
        values = {("m2ib", POINTING): hit}
        values |= {(name, POINTING): guess / (place + 1) for place, name in enumerate(BLIND_METHODS)}
        values[mean_heat_name("m2ib"), POINTING] = guess if mean is None else mean[case]
        values["m2ib", MEAN_HEAT_CORRELATION] = likeness
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


def cosines(
    *, auc: tuple[float, float, float] | None = (0.9, 0.85, 0.94), blank: float | None = 1.5, relies: float | None = 0.6
) -> tuple[CosineTest, ...]:
    """Tests of a model that recognises, and relies on the marked region; None: not measured."""
    figures = {
        PERCENTILE: auc,
        FALL_BLANK: None if blank is None else (blank, blank - 0.05, blank + 0.05),
        RELIANCE: None if relies is None else (relies, relies - 0.2, relies + 0.2),
    }
    return tuple(
        CosineTest(
            kind="recognition" if test == PERCENTILE else "reliance",
            test=test,
            finding=finding,
            result=Estimate(estimate=figure[0], low=figure[1], high=figure[2], cases=38, patients=30),
            chance=0.5 if test == PERCENTILE else 0.0,
        )
        for test, figure in figures.items()
        if figure is not None
        for finding in (None, "nodule")
    )


def judge(
    table: pd.DataFrame, controls: tuple[ControlSummary, ...] | None = None, tests: tuple[CosineTest, ...] = cosines()
) -> VerdictRecord:
    return verdict_of(table, MOVES if controls is None else controls, tests, method="m2ib")


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
    found = judge(table, controls)
    assert (found.verdict, found.rule) == (verdict, RULE)
    assert found.because
    assert found.action == ACTIONS[verdict]


CHANCE, ALIKE = (0.52, 0.47, 0.57), (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("table", "tests", "verdict", "decided_by"),
    [
        (table_of(GOOD, BAD), cosines(auc=CHANCE), "ignores the image", "recognition"),
        (
            table_of(GOOD, BAD),
            cosines(auc=ALIKE, blank=None, relies=None),
            "ignores the image",
            "recognition",
        ),
        (table_of(BAD, BAD), cosines(auc=(0.58, 0.46, 0.7)), "not better than a blind map", "blind map"),
        (table_of(GOOD, BAD), cosines(auc=(0.4, 0.3, 0.5)), "ignores the image", "recognition"),
        (table_of(GOOD, BAD), cosines(blank=0.04), "ignores the image", "blank image"),
        (table_of(GOOD, BAD), cosines(blank=-1.5), "grounded", None),
        (table_of(GOOD, BAD, [1.0] * 120), cosines(auc=CHANCE), "ignores the image", "recognition"),
        (table_of(GOOD, BAD), cosines(relies=0.19), "right answer, wrong place", "reliance"),
        (table_of(GOOD, BAD), cosines(relies=0.21), "grounded", None),
        (table_of(GOOD, BAD, mean=GOOD, likeness=0.85), cosines(), "looks by habit", "fixed place"),
        (table_of(BAD, BAD, mean=BAD, likeness=0.85), cosines(), "looks by habit", "fixed place"),
        (table_of(BAD, BAD, mean=BAD, likeness=0.75), cosines(), "not better than a blind map", "blind map"),
        (table_of(GOOD, BAD, mean=GOOD, likeness=0.75), cosines(), "looks by habit", "mean heat"),
        (table_of(GOOD, BAD, mean=BAD, likeness=0.85), cosines(), "grounded", None),
    ],
    ids=[
        "recognition at chance",
        "cosines that are all alike",
        "a blind map where recognition is not known",
        "recognition below chance",
        "a blank image changes nothing",
        "a blank image raises the cosine",
        "recognition before the marker",
        "reliance that may be none",
        "reliance",
        "a fixed place beyond blind maps",
        "a fixed place, no better than a blind map",
        "no better than both, at no fixed place",
        "as its mean heat, at no fixed place",
        "close to its mean heat, and better",
    ],
)
def test_a_model_is_grounded_only_if_it_recognises_relies_and_looks_at_this_image(
    table, tests, verdict, decided_by
) -> None:
    found = judge(table, tests=tests)
    assert found.verdict == verdict
    assert [step.test for step in found.steps if step.decides] == ([] if decided_by is None else [decided_by])
    if decided_by is not None:
        (step,) = (step for step in found.steps if step.decides)
        assert (step.outcome, step.sentence) == ("failed", found.because[-1])


def test_recognition_whose_interval_holds_chance_and_more_stays_open() -> None:
    found = judge(table_of(GOOD, BAD), tests=cosines(auc=(0.58, 0.46, 0.7)))
    (step,) = (step for step in found.steps if step.decides)
    assert (found.verdict, step.test, step.outcome) == ("too few cases to say", "recognition", "too few cases")
    assert step.sentence.endswith("the interval holds 0.5 and 0.6, so more patients are required")


@pytest.mark.parametrize(
    ("missing", "decided_by"),
    [({"auc": None}, "recognition"), ({"blank": None}, "blank image"), ({"relies": None}, "reliance")],
)
def test_a_question_that_was_not_asked_is_said_and_is_not_taken_for_answered(missing: dict, decided_by: str) -> None:
    found = judge(table_of(GOOD, BAD), tests=cosines(**missing))
    assert found.verdict == "too few cases to say"
    (step,) = (step for step in found.steps if step.decides)
    assert (step.test, step.outcome, step.figure) == (decided_by, "not asked", None)
    assert step.sentence.startswith("not asked whether")
    assert step.sentence in found.because


def test_a_cosine_that_never_changes_is_said_to_be_the_reason_and_not_a_control_that_was_not_run() -> None:
    tests = cosines(auc=ALIKE, blank=None, relies=None)
    found = verdict_of(table_of(GOOD, BAD), MOVES, tests, method="m2ib", is_constant=True)
    sentences = {step.test: step.sentence for step in found.steps}
    for test in ("blank image", "reliance"):
        assert "a phrase has the same cosine with every image" in sentences[test]
        assert "was run" not in sentences[test]


def test_what_was_asked_and_failed_counts_although_another_question_was_not_asked() -> None:
    assert judge(table_of(BAD, BAD), tests=()).verdict == "not better than a blind map"
    assert judge(table_of(GOOD, BAD), STAYS, ()).verdict == "does not depend on the words"


def test_a_place_is_not_wrong_of_an_answer_that_may_not_be_right() -> None:
    found = judge(table_of(GOOD, BAD), tests=cosines(auc=None, relies=-1.0))
    assert found.verdict == "too few cases to say"
    assert [step.test for step in found.steps if step.decides] == ["recognition"]


def test_without_mean_heat_nothing_is_said_of_habit() -> None:
    table = table_of(GOOD, BAD)
    table = table[(table["method"] != mean_heat_name("m2ib")) & (table["score"] != MEAN_HEAT_CORRELATION)]
    found = judge(table)
    assert found.verdict == "too few cases to say"
    assert {step.test for step in found.steps if step.outcome == "not asked"} == {"fixed place", "mean heat"}


def test_the_steps_hold_every_figure_with_its_limit() -> None:
    found = judge(table_of(GOOD, BAD, [0.0] * 120))
    by_test = {step.test: step for step in found.steps}
    assert list(by_test) == [
        "cases",
        "recognition",
        "blank image",
        "marker",
        "fixed place",
        "blind map",
        "mean heat",
        "words",
        "reliance",
    ]
    assert {step.outcome for step in found.steps} == {"passed"}
    assert found.because == tuple(step.sentence for step in found.steps)
    figures = {test: (step.figure.estimate, step.limit) for test, step in by_test.items()}
    assert figures["cases"] == (120, 100)
    assert figures["recognition"] == (0.9, 0.5)
    assert figures["blank image"] == (1.5, 0.1)
    assert figures["fixed place"] == (pytest.approx(0.3), 0.8)
    assert figures["blind map"] == (pytest.approx(0.8 - 0.3), 0.1)
    assert figures["mean heat"] == (pytest.approx(0.8 - 0.3), 0.0)
    assert figures["reliance"] == (0.6, 0.0)
    assert by_test["blind map"].reference == BLIND_METHODS[0]
    assert by_test["mean heat"].reference == mean_heat_name("m2ib")
    assert VerdictRecord.model_validate_json(found.model_dump_json()) == found


def test_many_phrases_of_few_patients_are_too_few() -> None:
    table = table_of(GOOD, BAD).assign(patient="the same one")
    assert judge(table).verdict == "too few cases to say"


def test_the_best_blind_map_is_the_one_that_counts() -> None:
    table = table_of(GOOD, [1.0] * 120, mean=BAD)
    assert judge(table).verdict == "not better than a blind map"
    without = table[table["method"] != BLIND_METHODS[0]]
    assert judge(without).verdict == "grounded"


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.58, "not better than a blind map"), (0.62, "grounded")],
    ids=["8 points above", "12 points above"],
)
def test_a_hairs_breadth_above_a_blind_map_is_not_enough(share: float, verdict: str) -> None:
    table = table_of([share] * 120, [0.5] * 120)
    assert judge(table).verdict == verdict


def test_phrases_that_were_not_scored_take_no_part() -> None:
    table = table_of(GOOD, BAD)
    unscored = table.assign(image=table["image"] + " unscored", value=np.nan)
    both = judge(pd.concat([table, unscored]))
    assert both == judge(table)


def test_a_map_that_is_known_for_two_phrases_does_not_decide() -> None:
    """The class-mean box hits both phrases it is known for; the method hits 90 of 100 and the centre 10."""
    hits = [1.0] * 90 + [0.0] * 10
    table = table_of(hits, [0.0] * 90 + [1.0] * 10)
    known = table["image"].isin(["i0", "i1"])
    from_boxes = table["method"].isin(["class-mean box", "words-only prior"])
    table = table.assign(value=table["value"].mask(from_boxes & ~known, np.nan).mask(from_boxes & known, 1.0))
    assert judge(table).verdict == "grounded"


def test_a_map_that_is_known_for_two_phrases_cannot_acquit_either() -> None:
    """It misses the two phrases it is known for; the centre hits as often as the method."""
    table = table_of([1.0] * 50 + [0.0] * 50, [0.0] * 100)
    known = table["image"].isin(["i0", "i1"])
    from_boxes = table["method"].isin(["class-mean box", "words-only prior"])
    own = table[(table["method"] == "m2ib") & (table["score"] == POINTING)].set_index("image")["value"]
    centre = table["image"].map(own).where(table["method"] == "centre", table["value"])
    table = table.assign(value=centre.mask(from_boxes & ~known, np.nan))
    assert judge(table).verdict == "not better than a blind map"
