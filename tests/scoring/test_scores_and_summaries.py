"""Scores of a heat beside its references, and their summary over a cohort."""

import numpy as np
import pytest

from audit.phantom.evaluation import held_out_phantoms
from audit.scoring.blind import BlindCase, BlindMaps
from audit.scoring.overlap import energy_in_box, iou_at_otsu
from audit.scoring.pointing import pointing_outcome
from audit.scoring.scores import (
    BLIND_METHODS,
    SCORES,
    box_mask,
    score_blind,
    score_heat,
    score_table,
    summarise,
)
from pipelines.geometry import Fit, Placement
from pipelines.study import Box

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
        for model_px in (4.0, 2.0)
    )
    assert (near, far) == ("hit", "miss")


@pytest.mark.parametrize(
    ("heat", "target", "reason"),
    [
        pytest.param(np.ones((9, 9)), np.zeros((9, 9), bool), "no box was drawn", id="no box"),
        pytest.param(CROPPED, np.isnan(CROPPED), "outside what the model sees", id="cropped"),
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


def test_a_broken_map_loses_and_is_not_left_out() -> None:
    scores = score_heat(np.full((9, 9), np.nan), np.ones((9, 9), bool), method="m2ib", model_px=1.0)
    assert [(score.value, score.outcome) for score in scores] == [(0.0, "miss")] * 2 + [(0.0, "scored")] * 2


def test_scores_agree_with_the_functions_that_measure_them() -> None:
    rng, outcomes = np.random.default_rng(2), []
    for _ in range(60):
        heat, target = rng.random((20, 30)), rng.random((20, 30)) < 0.1
        heat[:, 25:] = np.nan
        near, far, energy, iou = score_heat(heat, target, method="m2ib", model_px=2 / 15)
        assert near.outcome == pointing_outcome(heat, target).value
        assert far.outcome == pointing_outcome(heat, target, tolerance_px=2.0).value
        assert (energy.value, iou.value) == (energy_in_box(heat, target), iou_at_otsu(heat, target))
        outcomes.append((near.outcome, far.outcome))
    assert set(outcomes) == {("hit", "hit"), ("miss", "hit"), ("miss", "miss")}


def test_a_box_outside_the_image_scores_no_reference() -> None:
    scores = score_blind(BlindMaps([]), case("a", (1.2, 0.1, 1.4, 0.3)), image_shape=(300, 200), model_px=1.0)
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
        model_px = 1.0 / placement.scale
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
    row, column = placement.to_model(box.y + box.height / 2, box.x + box.width / 2)
    y, x = np.mgrid[0:14, 0:14] * 16.0 + 8.0
    return np.exp(-np.hypot(y - row, x - column) / 40.0).astype(np.float32)


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


def test_a_box_lost_to_cropping_is_lost_to_the_references_as_well() -> None:
    rows = [row("a", 1.0), row("b", None), row("a", 0.0, method="centre"), row("b", 1.0, method="centre")]
    found = {s.method: s for s in summarise(score_table(rows), seed=1) if s.averaging == "micro" and s.finding is None}
    assert (found["centre"].estimate, found["centre"].scored, found["centre"].unscored) == (0.0, 1, 1)
    assert found["m2ib"].estimate == 1.0


def test_references_alone_keep_their_values() -> None:
    (micro, *_) = summarise(score_table([row("a", 1.0, method="centre")]), seed=1)
    assert (micro.estimate, micro.scored) == (1.0, 1)


def test_the_order_of_the_rows_does_not_matter() -> None:
    rng = np.random.default_rng(6)
    rows = [row(str(i // 2), float(rng.random() < 0.4), finding=("edema", "nodule")[i % 3 == 0]) for i in range(40)]
    forward, backward = (summarise(score_table(order), seed=3) for order in (rows, rows[::-1]))
    for one, other in zip(forward, backward, strict=True):
        assert one.model_dump() == pytest.approx(other.model_dump())


def test_the_seed_moves_the_interval_and_not_the_estimate() -> None:
    rows = [row(str(i), float(i % 3)) for i in range(30)]
    one, other = (summarise(score_table(rows), seed=seed)[0] for seed in (1, 2))
    assert one.estimate == other.estimate
    assert (one.low, one.high) != (other.low, other.high)


def test_a_phrase_without_a_finding_counts_in_the_whole_and_in_no_finding() -> None:
    found = summarise(score_table([row("a", 1.0), row("b", 0.0) | {"finding": None}]), seed=1)
    assert [(s.averaging, s.finding, s.estimate) for s in found] == [
        ("micro", None, 0.5),
        ("macro", None, 0.5),
        ("micro", "nodule", 1.0),
    ]
