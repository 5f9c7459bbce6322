"""Overlap scores against independent references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mean_iou import mean_iou
from sklearn.metrics import jaccard_score

from audit.metrics.overlap import LEVELS, energy_in_box, iou_at_levels, iou_at_otsu

maps = hnp.arrays(np.float32, (6, 8), elements=st.integers(-50, 200).map(float))
masks = hnp.arrays(bool, (6, 8))


@given(heat=maps, target=masks)
def test_energy_is_the_positive_heat_inside_over_all_of_it(heat, target) -> None:
    inside = sum(max(v, 0.0) for v, t in zip(heat.flat, target.flat, strict=True) if t)
    total = sum(max(v, 0.0) for v in heat.flat)
    expected = None if not target.any() else inside / total if total else 0.0
    assert energy_in_box(heat, target) == (None if expected is None else pytest.approx(expected, abs=1e-6))


@given(heat=maps, target=masks)
def test_flips_change_neither_energy_nor_iou(heat, target) -> None:
    for score in (energy_in_box, iou_at_otsu, mean_iou, iou_at_levels):
        assert score(heat[::-1], target[::-1]) == pytest.approx(score(heat, target), abs=1e-9)
        assert score(heat[:, ::-1], target[:, ::-1]) == pytest.approx(score(heat, target), abs=1e-9)


def otsu_by_hand(values: np.ndarray) -> float:
    """The split that leaves the least variance within its two sides, tried at every value."""
    cuts = np.unique(values)[:-1]
    within = [
        (values <= cut).sum() * values[values <= cut].var() + (values > cut).sum() * values[values > cut].var()
        for cut in cuts
    ]
    return float(cuts[int(np.argmin(within))])


def test_iou_uses_otsus_split_and_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    heat = rng.normal(1.0, 0.1, (30, 30)).astype(np.float32)
    heat[5:15, 8:20] += 3.0
    target = np.zeros((30, 30), bool)
    target[7:17, 8:22] = True
    expected = jaccard_score(target.ravel(), (heat > otsu_by_hand(heat.ravel())).ravel())
    assert iou_at_otsu(heat, target) == pytest.approx(expected, abs=1e-6)


@given(heat=maps, target=masks, unseen=masks)
def test_iou_at_each_level_is_a_count_of_the_pixels_above_it(heat, target, unseen) -> None:
    seen = ~unseen
    found = iou_at_levels(np.where(unseen, np.nan, heat).astype(np.float32), target)
    if not target.any() or (seen.any() and not target[seen].any()):
        assert found is None
        return
    if not seen.any() or heat[seen].min() == heat[seen].max():
        assert set(found) == {0.0}
        return
    low, high = float(heat[seen].min()), float(heat[seen].max())
    for level, iou in zip(LEVELS, found, strict=True):
        hot = np.array([(float(v) - low) / (high - low) > level for v in heat[seen]])
        assert iou == pytest.approx(jaccard_score(target[seen], hot, zero_division=0.0))


@given(heat=maps, target=masks)
def test_mean_iou_is_the_mean_at_five_thresholds_of_the_min_max_heat(heat, target) -> None:
    scaled = (heat.astype(float) - heat.min()) / (float(heat.max()) - float(heat.min()) or 1.0)
    ious = [(target & (scaled > t)).sum() / max((target | (scaled > t)).sum(), 1) for t in (0.1, 0.2, 0.3, 0.4, 0.5)]
    flat = heat.min() == heat.max()
    assert mean_iou(heat, target) == (None if not target.any() else 0.0 if flat else pytest.approx(np.mean(ious)))


@given(heat=maps, target=masks, factor=st.sampled_from([0.5, 4.0]), shift=st.sampled_from([-16.0, 0.0, 64.0]))
def test_thresholds_on_the_min_max_heat_know_no_unit_and_no_zero(heat, target, factor, shift) -> None:
    """Powers of two, so that no rounding moves a pixel over a threshold."""
    changed = heat * np.float32(factor) + np.float32(shift)
    assert iou_at_levels(changed, target) == iou_at_levels(heat, target)
    assert mean_iou(changed, target) == mean_iou(heat, target)


@given(heat=maps, target=masks, factor=st.floats(0.1, 50.0))
def test_energy_knows_no_unit(heat, target, factor) -> None:
    expected = energy_in_box(heat, target)
    found = energy_in_box(heat * np.float32(factor), target)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-5))


def test_flat_heat_covers_nothing_and_unseen_targets_are_unscored() -> None:
    target = np.zeros((6, 8), bool)
    target[2, 3] = True
    assert iou_at_otsu(np.ones((6, 8), np.float32), target) == 0.0
    unseen = np.ones((6, 8), np.float32)
    unseen[2, 3] = np.nan
    assert iou_at_otsu(unseen, target) is None
    assert energy_in_box(unseen, target) is None
    assert iou_at_levels(unseen, target) is mean_iou(unseen, target) is None
    assert energy_in_box(np.ones((6, 8), np.float32), np.zeros((6, 8), bool)) is None


@pytest.mark.parametrize("score", [energy_in_box, iou_at_otsu, mean_iou])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan], ids=["zero", "negative", "nan"])
def test_a_map_that_shows_nothing_earns_nothing(score, value) -> None:
    """Left out of the mean instead, it would reward a method for showing nothing."""
    assert score(np.full((6, 8), value, np.float32), np.ones((6, 8), bool)) == 0.0


def test_rounding_noise_is_no_hot_region() -> None:
    noisy = np.float32(3.0) + np.random.default_rng(0).integers(0, 3, (6, 8)).astype(np.float32) * np.float32(2**-22)
    assert noisy.min() < noisy.max()
    assert iou_at_otsu(noisy, np.ones((6, 8), bool)) == 0.0
