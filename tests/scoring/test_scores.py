"""Scores of a heat on its image, beside those of the content-blind references."""

import numpy as np
import pytest
from mean_iou import mean_iou
from model_input import to_model

from audit.metrics.blind import BlindCase, BlindMaps, rasterise
from audit.metrics.overlap import (
    average_precision,
    contrast_to_noise,
    energy_in_box,
    iou_at_levels,
    iou_at_otsu,
    relevance_rank,
)
from audit.metrics.pointing import Tolerance, pointing_outcome
from audit.metrics.scores import box_mask, score_blind, score_heat
from audit.phantom.evaluation import held_out_phantoms
from pipelines.geometry import Fit, Placement
from pipelines.study import Box
from reports.score_catalogue import BLIND_METHODS, COHORT_IOU, names_of

SCORES = names_of("localisation")
MEASURES = {
    "energy in box": energy_in_box,
    "relevance rank": relevance_rank,
    "average precision": average_precision,
    "IoU at Otsu": iou_at_otsu,
    "mIoU": mean_iou,
    "CNR": contrast_to_noise,
}
CROPPED = np.pad(np.random.default_rng(0).random((9, 5)), ((0, 0), (0, 4)), constant_values=np.nan)


def case(
    patient: str, *boxes: tuple[float, float, float, float], side: str | None = None, zone: str | None = None
) -> BlindCase:
    return BlindCase(patient=patient, finding="nodule", side=side, zone=zone, boxes=boxes)


UPPER_LEFT, LOWER_RIGHT = (0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.9, 0.9)


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
        for model_px in ((4.0, 4.0), (2.0, 2.0))
    )
    assert (near, far) == ("hit", "miss")


@pytest.mark.parametrize(
    ("spacing_mm", "outcome"),
    [
        pytest.param((0.2, 0.25), "hit", id="exactly 10 mm"),
        pytest.param((0.25, 0.2), "hit", id="8 mm across"),
        pytest.param((0.2, 0.251), "miss", id="a little more"),
        pytest.param(None, "unscored", id="size of a pixel not known"),
    ],
)
def test_a_tolerance_in_millimetres_needs_to_know_how_large_a_pixel_is(spacing_mm, outcome) -> None:
    heat, target = np.zeros((200, 200), np.float32), np.zeros((200, 200), bool)
    heat[100, 100] = 1.0
    target[100, 140] = True  # 40 px along the row
    scores = score_heat(heat, target, method="m2ib", model_px=(1.0, 1.0), spacing_mm=spacing_mm)
    found = by_name(scores)["m2ib", "pointing game, 10 mm"]
    assert found.outcome == outcome
    assert (found.reason is not None) == (outcome == "unscored")


def test_the_references_meet_the_same_millimetres_as_the_model() -> None:
    """A mean box 20 rows below the case's own, on pixels of 0.4 mm: 8 mm away; of 0.6 mm: 12 mm."""
    own, other = case("a", (0.2, 0.20, 0.4, 0.40)), case("b", (0.2, 0.55, 0.4, 0.65))
    for row_mm, outcome in ((0.4, "hit"), (0.6, "miss")):
        scores = by_name(
            score_blind(
                BlindMaps([own, other]), own, image_shape=(100, 100), model_px=(1.0, 1.0), spacing_mm=(row_mm, 9.0)
            )
        )
        assert scores["class-mean box", "pointing game, 10 mm"].outcome == outcome


def test_a_random_map_has_the_boxs_share_of_the_image_and_no_contrast() -> None:
    """The expectations that stand in the table, against the mean over maps of noise."""
    box = case("a", (0.25, 0.25, 0.5, 0.75))
    table = by_name(score_blind(BlindMaps([]), box, image_shape=(128, 128), model_px=(1.0, 1.0)))
    rng, target = np.random.default_rng(0), rasterise(box.boxes)
    noise = [rng.random(target.shape) for _ in range(40)]
    for name in ("energy in box", "relevance rank", "average precision", "CNR"):
        drawn = np.mean([MEASURES[name](heat, target) for heat in noise])
        assert table["random", name].value == pytest.approx(drawn, abs=0.01)


@pytest.mark.parametrize(
    ("heat", "target", "reason"),
    [
        pytest.param(np.ones((9, 9)), np.zeros((9, 9), bool), "no box was drawn", id="no box"),
        pytest.param(CROPPED, np.isnan(CROPPED), "outside what the model sees", id="cropped"),
    ],
)
def test_what_cannot_be_scored_says_why(heat, target, reason) -> None:
    scores = score_heat(heat, target, method="m2ib", model_px=(1.0, 1.0))
    assert [score.score for score in scores] == list(SCORES)
    assert all(score.value is None and score.outcome == "unscored" and reason in score.reason for score in scores)


def test_every_score_stands_beside_every_blind_reference() -> None:
    cases = [case("a", UPPER_LEFT), case("b", UPPER_LEFT), case("c", LOWER_RIGHT)]
    scores = by_name(score_blind(BlindMaps(cases), cases[0], image_shape=(300, 200), model_px=(1.0, 1.0)))
    assert {method for method, _ in scores} == set(BLIND_METHODS)
    assert all((method, name) in scores for method in BLIND_METHODS for name in SCORES)
    assert scores["random", "pointing game, tau 0"].value == pytest.approx(0.04, abs=0.002)
    assert scores["centre", "pointing game, tau 0"].outcome == "miss"


def test_a_broken_map_loses_and_is_not_left_out() -> None:
    scores = score_heat(np.full((9, 9), np.nan), np.ones((9, 9), bool), method="m2ib", model_px=(1.0, 1.0))
    found = {score.score: (score.value, score.outcome) for score in scores}
    assert found.pop("pointing game, 10 mm") == found.pop(COHORT_IOU) == (None, "unscored")
    assert found.pop("pointing game, tau 0") == found.pop("pointing game, tau 15") == (0.0, "miss")
    assert set(found.values()) == {(0.0, "scored")}
    assert set(by_name(scores)["m2ib", COHORT_IOU].levels) == {0.0}


def test_scores_agree_with_the_functions_that_measure_them() -> None:
    rng, outcomes = np.random.default_rng(2), []
    for _ in range(60):
        heat, target = rng.random((20, 30)), rng.random((20, 30)) < 0.1
        heat[:, 25:] = np.nan
        scores = {s.score: s for s in score_heat(heat, target, method="m2ib", model_px=(2 / 15, 2 / 15))}
        near, far = scores["pointing game, tau 0"].outcome, scores["pointing game, tau 15"].outcome
        assert near == pointing_outcome(heat, target).value
        assert far == pointing_outcome(heat, target, tolerance=Tolerance(reach=2.0)).value
        for name, measure in MEASURES.items():
            assert scores[name].value == measure(heat, target)
        assert scores[COHORT_IOU].levels == pytest.approx(iou_at_levels(heat, target), abs=1e-4)
        outcomes.append((near, far))
    assert set(outcomes) == {("hit", "hit"), ("miss", "hit"), ("miss", "miss")}


def test_a_box_outside_the_image_scores_no_reference() -> None:
    scores = score_blind(BlindMaps([]), case("a", (1.2, 0.1, 1.4, 0.3)), image_shape=(300, 200), model_px=(1.0, 1.0))
    assert {score.reason for score in scores} == {"the box lies outside the image"}
    assert {score.outcome for score in scores} == {"unscored"}


def test_planted_findings_are_found_by_a_map_that_looks_and_by_the_references_less_often() -> None:
    """Boxes of rendered phantoms; the map that looks is the box itself, seen on a model's 14 x 14 grid."""
    drawn = [(phantom, f) for phantom in held_out_phantoms(12, seed=4) for f in sorted(phantom.phantom.findings)]
    targets = [(held_out, finding, held_out.boxes(finding)) for held_out, finding in drawn]
    targets = [(held_out, finding, boxes) for held_out, finding, boxes in targets if len(boxes) == 1]
    cases = []
    for held_out, finding, (box,) in targets:
        height, width = held_out.radiograph.image.shape
        share = (box.x / width, box.y / height, (box.x + box.width) / width, (box.y + box.height) / height)
        cases.append(BlindCase(patient=held_out.name, finding=finding, side=None, zone=None, boxes=(share,)))
    maps, hits = BlindMaps(cases), dict.fromkeys(("looks", *BLIND_METHODS), 0.0)
    for (held_out, _, boxes), blind_case in zip(targets, cases, strict=True):
        height, width = held_out.radiograph.image.shape
        placement = Placement.of(height, width, size=224, fit=Fit.LETTERBOX)
        heat = placement.heat_to_source(looking(placement, boxes[0]))
        model_px = placement.model_px
        target = box_mask(boxes, rows=height, columns=width)
        for score in (
            *score_heat(heat, target, method="looks", model_px=model_px),
            *score_blind(maps, blind_case, image_shape=(height, width), model_px=model_px),
        ):
            hits[score.method] += score.value or 0.0 if score.score == "pointing game, tau 15" else 0.0
    assert hits.pop("looks") == len(targets) > 12
    assert all(0 < caught < 0.9 * len(targets) for caught in hits.values())


def looking(placement: Placement, box: Box) -> np.ndarray:
    """Heat on the grid that falls off with the distance from a box's centre."""
    row, column = to_model(placement, box.y + box.height / 2, box.x + box.width / 2)
    y, x = np.mgrid[0:14, 0:14] * 16.0 + 8.0
    return np.exp(-np.hypot(y - row, x - column) / 40.0).astype(np.float32)
