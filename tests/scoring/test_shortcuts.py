"""Heat on markers, outside the chest, on collimation and on the named side, against sums over the cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from audit.metrics.shortcuts import ShortcutScorer
from pipelines.regions import Lungs, Regions
from pipelines.study import Context, Orientation, Phrase, Side, Zone
from reports.score_catalogue import (
    AREA_SHARE,
    COLLIMATION_HEAT,
    MARKER_HEAT,
    MARKER_POINT,
    MEAN_HEAT_CORRELATION,
    OUTSIDE_HEAT,
    SIDE_HEAT,
    SIDE_POINT,
    ZONE_POINT,
    names_of,
)

SHAPE = (30, 40)


def mask_of(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[rows, columns] = True
    return mask


LUNGS = Lungs(at_left=mask_of(slice(5, 26), slice(6, 16)), at_right=mask_of(slice(5, 26), slice(24, 34)))
CHEST = mask_of(slice(3, 28), slice(4, 36))
MARKER = mask_of(slice(2, 5), slice(36, 39))
FIELD = mask_of(slice(1, 30), slice(1, 40))


def regions(*, rows: int = 30, columns: int = 40, **changed: object) -> Regions:
    kept = {"markers": MARKER, "valid": FIELD, "chest": CHEST, "lungs": LUNGS} | changed
    return Regions(rows=rows, columns=columns, **kept)


def phrase(side: Side | None = None, zone: Zone | None = None) -> Phrase:
    return Phrase(text="A nodule.", section="findings", finding="nodule", context=Context.PRESENT, side=side, zone=zone)


def scores(heat: np.ndarray, said: Phrase, *, flipped: bool = False, **changed: object) -> dict[str, float | str]:
    """Each score's value, or the reason why there is none."""
    scorer = ShortcutScorer(regions(**changed), model_px=(0.1, 0.1), flipped=flipped)
    given_scores = scorer.score(heat.astype(np.float32), said, method="m2ib")
    of_one_image = [name for name in names_of("shortcut") if name != MEAN_HEAT_CORRELATION]  # which needs other images
    assert [score.score for score in given_scores] == of_one_image
    assert {score.method for score in given_scores} == {"m2ib"}
    return {score.score: score.reason if score.value is None else score.value for score in given_scores}


def spike(row: int, column: int) -> np.ndarray:
    heat = np.full(SHAPE, 0.5)
    heat[row, column] = 9.0
    return heat


heats = hnp.arrays(np.float64, SHAPE, elements=st.integers(-3, 20).map(float)).filter(lambda heat: heat.max() > 0)


@settings(max_examples=30)
@given(heat=heats)
def test_shares_are_those_of_the_positive_heat(heat) -> None:
    found = scores(heat, phrase(side=Side.RIGHT))
    positive = {(r, c): max(heat[r, c], 0.0) for r in range(SHAPE[0]) for c in range(SHAPE[1])}
    total = sum(positive.values())

    def share(holds) -> float:
        return sum(value for cell, value in positive.items() if holds(*cell)) / total

    assert found[MARKER_HEAT] == pytest.approx(share(lambda r, c: MARKER[r, c]))
    assert found[OUTSIDE_HEAT] == pytest.approx(share(lambda r, c: not CHEST[r, c]))
    assert found[COLLIMATION_HEAT] == pytest.approx(share(lambda r, c: r == 0 or c == 0))
    assert found[SIDE_HEAT] == pytest.approx(share(lambda _row, c: c < 20))  # half way between columns 15 and 24


@settings(max_examples=30)
@given(heat=heats, factor=st.sampled_from([1e-6, 0.25, 3e4]))
def test_rescaled_heat_scores_the_same(heat, factor) -> None:
    said = phrase(side=Side.LEFT, zone=Zone.MID)
    assert scores(heat * factor, said) == pytest.approx(scores(heat, said))


@settings(max_examples=30)
@given(heat=heats)
def test_both_sides_share_the_heat_and_a_flip_swaps_them(heat) -> None:
    left, right = (scores(heat, phrase(side=side))[SIDE_HEAT] for side in (Side.LEFT, Side.RIGHT))
    assert left + right == pytest.approx(1.0)
    assert scores(heat, phrase(side=Side.LEFT), flipped=True)[SIDE_HEAT] == pytest.approx(right)


@pytest.mark.parametrize(
    ("column", "side", "flipped", "agrees"),
    [
        (10, Side.RIGHT, False, 1.0),
        (10, Side.LEFT, False, 0.0),
        (30, Side.LEFT, False, 1.0),
        (30, Side.LEFT, True, 0.0),
        (10, Side.LEFT, True, 1.0),
    ],
    ids=["right at left", "left at left", "left at right", "flipped, at right", "flipped, at left"],
)
def test_the_patients_right_lies_at_the_images_left_unless_flipped(column, side, flipped, agrees) -> None:
    assert scores(spike(15, column), phrase(side=side), flipped=flipped)[SIDE_POINT] == agrees


@pytest.mark.parametrize("row", range(SHAPE[0]))
def test_a_point_lies_in_the_named_zone_or_within_a_tenth_of_the_lungs_height_of_it(row) -> None:
    found = [scores(spike(row, 10), phrase(zone=zone))[ZONE_POINT] for zone in Zone]
    # The lungs' rows are 5 to 25: borders between 11 and 12 and between 18 and 19, a tenth is 2.1 rows.
    assert found == [float(row <= 13), float(10 <= row <= 20), float(row >= 17)]


@pytest.mark.parametrize(
    ("row", "column", "on_marker"),
    [(3, 37, 1.0), (2, 34, 0.0), (2, 35, 1.0), (5, 38, 1.0), (6, 38, 0.0)],
    ids=["on it", "two cells off", "one cell off", "right below", "two below"],
)
def test_near_a_marker_counts_within_15_px_of_the_models_input(row, column, on_marker) -> None:
    assert scores(spike(row, column), phrase())[MARKER_POINT] == on_marker  # 15 px are 1.5 source pixels here


def test_distances_are_those_of_the_source() -> None:
    heat = np.kron(spike(2, 34), np.ones((2, 2)))  # the same cell; two cells off are four pixels of the source
    heat[4, 68] = 10.0
    near = ShortcutScorer(regions(rows=60, columns=80), model_px=(4 / 15, 4 / 15), flipped=False)
    far = ShortcutScorer(regions(rows=60, columns=80), model_px=(3.9 / 15, 3.9 / 15), flipped=False)
    value = [scorer.score(heat, phrase(), method="m2ib")[0].value for scorer in (near, far)]
    assert value == [1.0, 0.0]


@pytest.mark.parametrize(
    ("row", "column", "on_marker"),
    [(7, 37, 1.0), (8, 37, 0.0), (3, 34, 1.0), (3, 33, 0.0)],
    ids=["three below", "four below", "two beside", "three beside"],
)
def test_on_a_stretched_image_near_a_marker_is_an_ellipse(row, column, on_marker) -> None:
    """15 px of the model's input are 3 source pixels down and 2 across."""
    scorer = ShortcutScorer(regions(), model_px=(3 / 15, 2 / 15), flipped=False)
    found = {score.score: score.value for score in scorer.score(spike(row, column), phrase(), method="m2ib")}
    assert found[MARKER_POINT] == on_marker


@pytest.mark.parametrize(
    ("changed", "said", "score", "reason"),
    [
        ({"markers": np.zeros(SHAPE, dtype=bool)}, phrase(), MARKER_POINT, "no marker was found on the image"),
        ({"chest": None, "lungs": None}, phrase(), OUTSIDE_HEAT, "the lungs were not found on the image"),
        ({"valid": np.ones(SHAPE, dtype=bool)}, phrase(), COLLIMATION_HEAT, "nothing of the image is collimated"),
        ({}, phrase(), SIDE_POINT, "the phrase names no side"),
        ({}, phrase(side=Side.BILATERAL), SIDE_HEAT, "the phrase names both sides"),
        ({"lungs": None}, phrase(side=Side.LEFT), SIDE_POINT, "the lungs were not found on the image"),
        ({}, phrase(), ZONE_POINT, "the phrase names no zone"),
        ({"lungs": None}, phrase(zone=Zone.MID), ZONE_POINT, "the lungs were not found on the image"),
    ],
)
def test_what_cannot_be_measured_says_why(changed, said, score, reason) -> None:
    assert scores(spike(10, 10), said, **changed)[score] == reason


@pytest.mark.parametrize(
    ("orientation", "flipped", "withheld"),
    [
        (None, False, ()),
        (Orientation.UPRIGHT, False, ()),
        (Orientation.MIRRORED, True, ()),
        (Orientation.MIRRORED, False, (SIDE_POINT, SIDE_HEAT)),
        (Orientation.UPRIGHT, True, (SIDE_POINT, SIDE_HEAT)),
        (Orientation.ROTATED_180, False, (SIDE_POINT, SIDE_HEAT, ZONE_POINT, OUTSIDE_HEAT)),
        (Orientation.MIRRORED_90, True, (SIDE_POINT, SIDE_HEAT, ZONE_POINT, OUTSIDE_HEAT)),
    ],
)
def test_an_image_that_does_not_lie_as_its_header_says_lacks_what_depends_on_it(orientation, flipped, withheld) -> None:
    said = phrase(side=Side.LEFT, zone=Zone.MID)
    found = scores(spike(10, 10), said, flipped=flipped, orientation=orientation)
    assert {name for name, value in found.items() if isinstance(value, str)} == set(withheld)
    assert all("appears" in found[name] for name in withheld)
    as_before = scores(spike(10, 10), said, flipped=flipped)
    assert {name: found[name] for name in found if name not in withheld} == {
        name: as_before[name] for name in found if name not in withheld
    }


def test_heat_that_points_nowhere_is_on_no_side_and_shares_nothing() -> None:
    found = scores(np.zeros(SHAPE), phrase(side=Side.LEFT, zone=Zone.MID))
    assert {found[MARKER_POINT], found[SIDE_POINT], found[ZONE_POINT]} == {"the map has no single peak"}
    assert {found[MARKER_HEAT], found[OUTSIDE_HEAT], found[SIDE_HEAT]} == {0.0}


def test_what_the_model_does_not_see_counts_neither_for_heat_nor_for_area() -> None:
    heat = np.ones(SHAPE)
    heat[:, :8] = np.nan
    heat[15, 10] = 2.0
    visible = np.isfinite(heat)
    said = phrase(side=Side.RIGHT, zone=Zone.MID)
    scorer = ShortcutScorer(regions(), model_px=(0.1, 0.1), flipped=False)
    shares = {score.score: score.value for score in scorer.area_shares(visible, said)}
    assert {score.method for score in scorer.area_shares(visible, said)} == {AREA_SHARE}
    assert shares[SIDE_HEAT] == pytest.approx(12 / 32)
    assert shares[SIDE_POINT] == shares[SIDE_HEAT]
    assert scores(heat, said)[SIDE_HEAT] == pytest.approx((12 * 30 + 1) / (32 * 30 + 1))
    even = np.where(visible, 1.0, np.nan)
    found = scores(even, said)
    for name in (MARKER_HEAT, OUTSIDE_HEAT, COLLIMATION_HEAT, SIDE_HEAT):
        assert found[name] == pytest.approx(shares[name])


def test_the_area_share_is_given_only_where_a_heat_could_be_scored() -> None:
    scorer = ShortcutScorer(regions(chest=None, lungs=None), model_px=(0.1, 0.1), flipped=False)
    given_scores = {score.score for score in scorer.area_shares(np.ones(SHAPE, dtype=bool), phrase(side=Side.LEFT))}
    assert given_scores == {MARKER_POINT, MARKER_HEAT, COLLIMATION_HEAT}
