"""Scores beside content-blind references, leave one patient out."""

import numpy as np
import pytest

from audit.scoring.blind import GRID, BlindCase, BlindMaps, blind_point, centre_map, near_target, rasterise
from audit.scoring.scores import (
    BLIND_METHODS,
    SCORES,
    box_mask,
    score_blind,
    score_heat,
    score_table,
    summarise,
)
from pipelines.study import Box


def case(
    patient: str, *boxes: tuple[float, float, float, float], side: str | None = None, zone: str | None = None
) -> BlindCase:
    return BlindCase(patient=patient, finding="nodule", side=side, zone=zone, boxes=boxes)


UPPER_LEFT, LOWER_RIGHT = (0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.9, 0.9)


def test_the_class_mean_box_is_the_mean_of_the_other_patients_boxes() -> None:
    cases = [case("a", UPPER_LEFT), case("a", LOWER_RIGHT), case("b", LOWER_RIGHT), case("c", UPPER_LEFT)]
    mean = BlindMaps(cases).class_mean_box(cases[0])
    expected = np.mean([rasterise(c.boxes) for c in cases if c.patient != "a"], axis=0)
    np.testing.assert_allclose(mean, expected, atol=1e-6)


def test_a_patients_own_boxes_are_never_seen() -> None:
    only = case("a", UPPER_LEFT)
    maps = BlindMaps([only, only])
    assert maps.class_mean_box(only) is None
    assert maps.words_only_prior(only) is None


def test_the_words_only_prior_reads_side_and_zone_and_falls_back_where_nobody_else_has_them() -> None:
    cases = [
        case("a", UPPER_LEFT, side="right", zone="upper"),
        case("b", LOWER_RIGHT, side="left", zone="lower"),
        case("c", LOWER_RIGHT, side="left", zone="upper"),
    ]
    maps = BlindMaps(cases)
    lower_left = maps.words_only_prior(case("d", UPPER_LEFT, side="left", zone="lower"))
    np.testing.assert_array_equal(lower_left, rasterise([LOWER_RIGHT]).astype(np.float32))
    mid_left = maps.words_only_prior(case("d", UPPER_LEFT, side="left", zone="mid"))
    np.testing.assert_array_equal(mid_left, rasterise([LOWER_RIGHT]).astype(np.float32))
    nowhere = maps.words_only_prior(case("d", UPPER_LEFT, side="bilateral"))
    np.testing.assert_allclose(nowhere, maps.class_mean_box(case("d", UPPER_LEFT)))


def test_a_blind_map_points_at_the_middle_of_its_largest_plateau() -> None:
    blind = np.zeros((GRID, GRID), np.float32)
    blind[10:12, 10:12] = 1.0
    blind[50:60, 80:100] = 1.0
    row, column = blind_point(blind)
    assert row * GRID == pytest.approx(54.5, abs=0.6)
    assert column * GRID == pytest.approx(89.5, abs=0.6)


def test_the_centre_map_is_a_gaussian_of_a_sixth_of_each_side() -> None:
    profile = centre_map()[GRID // 2]
    deviation = (np.arange(GRID)[profile >= profile.max() * np.exp(-0.5)].size - 1) / 2 / GRID
    assert deviation == pytest.approx(1 / 6, abs=0.01)


def test_random_hits_by_the_share_of_area_within_the_tolerance() -> None:
    target = rasterise([(0.25, 0.25, 0.75, 0.5)])
    assert near_target(target, (400, 200), tolerance_px=0.0).mean() == pytest.approx(0.125, abs=1e-3)
    rows, columns = np.mgrid[0:GRID, 0:GRID]
    marked = np.argwhere(target)
    height, width = 400 / GRID, 200 / GRID
    distance = np.min([np.hypot((rows - r) * height, (columns - c) * width) for r, c in marked], axis=0)
    np.testing.assert_array_equal(near_target(target, (400, 200), tolerance_px=20.0), distance <= 20.0)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        pytest.param((2.0, 3.0, 2.0, 1.0), slice(3, 4), slice(2, 4), id="whole pixels"),
        pytest.param((2.4, 3.4, 2.0, 1.0), slice(3, 4), slice(2, 4), id="centres inside"),
        pytest.param((-5.0, -5.0, 7.0, 6.0), slice(0, 1), slice(0, 2), id="clipped"),
    ],
)
def test_a_pixel_belongs_to_a_box_if_its_centre_does(box, rows, columns) -> None:
    x, y, width, height = box
    mask = box_mask([Box(x=x, y=y, width=width, height=height, label="nodule")], rows=6, columns=8)
    expected = np.zeros((6, 8), bool)
    expected[rows, columns] = True
    np.testing.assert_array_equal(mask, expected)


def by_name(scores) -> dict[tuple[str, str], object]:
    return {(score.method, score.score): score for score in scores}


def test_the_tolerance_is_given_at_the_models_scale() -> None:
    heat = np.zeros((200, 200), np.float32)
    heat[100, 100] = 1.0
    target = np.zeros((200, 200), bool)
    target[100, 140] = True  # 40 source px away: 20 model px at 2 source px each, 10 at 4
    near, far = (
        by_name(score_heat(heat, target, method="m2ib", model_px=model_px))["m2ib", "pointing game, tau 15"].outcome
        for model_px in (4.0, 2.0)
    )
    assert (near, far) == ("hit", "miss")


@pytest.mark.parametrize(
    ("heat", "target", "reason"),
    [
        pytest.param(np.ones((9, 9)), np.zeros((9, 9), bool), "no box was drawn", id="no box"),
        pytest.param(np.full((9, 9), np.nan), np.ones((9, 9), bool), "outside what the model sees", id="cropped"),
    ],
)
def test_what_cannot_be_scored_says_why(heat, target, reason) -> None:
    scores = score_heat(heat, target, method="m2ib", model_px=1.0)
    assert [score.score for score in scores] == list(SCORES)
    assert all(score.value is None and score.outcome == "unscored" and reason in score.reason for score in scores)


def test_every_score_stands_beside_every_blind_reference() -> None:
    cases = [case("a", UPPER_LEFT), case("b", UPPER_LEFT), case("c", LOWER_RIGHT)]
    scores = by_name(score_blind(BlindMaps(cases), cases[0], image_shape=(300, 200), model_px=1.0))
    assert {method for method, _ in scores} == set(BLIND_METHODS)
    assert all((method, name) in scores for method in BLIND_METHODS for name in SCORES)
    assert scores["random", "pointing game, tau 0"].value == pytest.approx(0.04, abs=0.002)
    assert scores["centre", "pointing game, tau 0"].outcome == "miss"


def row(patient: str, value: float | None, *, finding: str = "nodule", method: str = "m2ib") -> dict[str, object]:
    outcome = "unscored" if value is None else "hit" if value else "miss"
    shared = {
        "study": patient,
        "image": patient,
        "patient": patient,
        "phrase": 0,
        "finding": finding,
        "context": "present",
    }
    return {
        **shared,
        "side": None,
        "zone": None,
        "method": method,
        "score": SCORES[0],
        "value": value,
        "outcome": outcome,
        "reason": None,
    }


def test_unscored_cases_never_enter_a_denominator_and_are_counted() -> None:
    table = score_table([row("a", 1.0), row("b", 0.0), row("c", None), row("d", 1.0, finding="edema")])
    found = {(s.averaging, s.finding): s for s in summarise(table, seed=1)}
    micro = found["micro", None]
    assert (micro.estimate, micro.scored, micro.unscored, micro.patients) == (pytest.approx(2 / 3), 3, 1, 3)
    assert found["macro", None].estimate == pytest.approx(0.75)
    assert found["micro", "nodule"].estimate == pytest.approx(0.5)


def test_a_score_that_nobody_could_measure_has_no_estimate() -> None:
    (micro, *_) = summarise(score_table([row("a", None)]), seed=1)
    assert (micro.estimate, micro.low, micro.scored, micro.unscored) == (None, None, 0, 1)
