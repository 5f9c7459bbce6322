"""Ranks, average precision and contrast against scikit-learn, scipy and loops, and their invariants."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import ttest_ind
from sklearn.metrics import average_precision_score

from audit.metrics.overlap import average_precision, contrast_to_noise, relevance_rank

SHAPE = (6, 8)
maps = hnp.arrays(np.float32, SHAPE, elements=st.integers(-50, 200).map(float))
few_values = hnp.arrays(np.float32, SHAPE, elements=st.sampled_from([0.0, 1.0, 2.0]))  # ties everywhere
masks = hnp.arrays(bool, SHAPE)
scores = pytest.mark.parametrize(
    "score", [relevance_rank, average_precision, contrast_to_noise], ids=lambda score: score.__name__
)


def with_unseen(heat: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    return np.where(unseen, np.nan, heat).astype(np.float32)


@given(heat=st.one_of(maps, few_values), target=masks, unseen=masks)
def test_average_precision_is_scikit_learns_on_the_pixels_seen(heat, target, unseen) -> None:
    seen = ~unseen
    assume(target[seen].any() and heat[seen].min() < heat[seen].max())
    expected = average_precision_score(target[seen], heat[seen])
    assert average_precision(with_unseen(heat, unseen), target) == pytest.approx(expected)


@given(heat=maps, target=masks)
def test_the_rank_of_a_map_without_ties_is_a_count(heat, target) -> None:
    assume(target.any())
    distinct = heat.ravel().argsort(kind="stable").argsort().reshape(SHAPE).astype(np.float32)
    hottest = sorted(((v, t) for v, t in zip(distinct.flat, target.flat, strict=True)), reverse=True)[: target.sum()]
    assert relevance_rank(distinct, target) == pytest.approx(sum(t for _, t in hottest) / target.sum())


@given(heat=few_values, target=masks, seed=st.integers(0, 99))
def test_ties_at_the_last_rank_are_broken_at_random_on_average(heat, target, seed) -> None:
    assume(target.any() and heat.min() < heat.max())
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(400):
        order = np.lexsort((rng.random(heat.size), heat.ravel()))[::-1][: target.sum()]
        drawn.append(target.ravel()[order].mean())
    assert relevance_rank(heat, target) == pytest.approx(np.mean(drawn), abs=0.1)


@given(heat=maps, target=masks)
def test_contrast_is_the_difference_of_means_over_the_root_of_both_variances(heat, target) -> None:
    inside, outside = heat[target].astype(float), heat[~target].astype(float)
    assume(inside.size and outside.size and heat.min() < heat.max())
    spread = np.sqrt(inside.var() + outside.var())
    found = contrast_to_noise(heat, target)
    if spread == 0.0:
        assert found is None
    else:
        assert found == pytest.approx((inside.mean() - outside.mean()) / spread, abs=1e-9)


def test_contrast_is_welchs_t_without_the_counts() -> None:
    """With as many pixels inside as outside the two differ by the root of n - 1 alone."""
    rng = np.random.default_rng(3)
    heat, target = rng.normal(size=(20, 20)), np.zeros((20, 20), bool)
    target[:10] = True
    t = ttest_ind(heat[target], heat[~target], equal_var=False).statistic
    assert contrast_to_noise(heat, target) == pytest.approx(t / np.sqrt(199))


def test_contrast_keeps_its_sign() -> None:
    heat, target = np.random.default_rng(0).random((9, 9)), np.zeros((9, 9), bool)
    target[2:5, 2:5] = True
    heat[target] += 1.0
    assert contrast_to_noise(heat, target) == pytest.approx(-contrast_to_noise(-heat, target))
    assert contrast_to_noise(heat, target) > 1.0


@scores
@given(heat=maps, target=masks, unseen=masks)
def test_flipping_map_and_mask_together_changes_nothing(score, heat, target, unseen) -> None:
    seen = with_unseen(heat, unseen)
    expected = score(seen, target)
    for rows, columns in product((1, -1), (1, -1)):
        found = score(seen[::rows, ::columns], target[::rows, ::columns])
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))
    assert score(seen.T, target.T) == (None if expected is None else pytest.approx(expected, abs=1e-9))


@pytest.mark.parametrize("score", [relevance_rank, average_precision], ids=lambda score: score.__name__)
@given(heat=maps, target=masks)
def test_any_rescaling_that_keeps_the_order_keeps_the_rank(score, heat, target) -> None:
    stretched = np.exp(heat.astype(np.float64) / 50.0)
    assert score(heat, target) == score(stretched, target)


@given(heat=maps, target=masks, factor=st.sampled_from([0.25, 3.0, 64.0]), shift=st.sampled_from([-8.0, 0.0, 100.0]))
def test_contrast_knows_no_unit_and_no_zero(heat, target, factor, shift) -> None:
    found, expected = contrast_to_noise(heat * np.float32(factor) + np.float32(shift), target), None
    expected = contrast_to_noise(heat, target)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-4, abs=1e-6))


@scores
def test_an_empty_or_unseen_target_is_not_measured(score) -> None:
    heat = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    assert score(heat, np.zeros(SHAPE, bool)) is None
    target = np.zeros(SHAPE, bool)
    target[2, 3] = True
    heat[2, 3] = np.nan
    assert score(heat, target) is None


@scores
@pytest.mark.parametrize("value", [0.0, -1.0, 0.7, np.nan], ids=["zero", "negative", "positive", "nan"])
def test_a_map_that_shows_nothing_earns_nothing(score, value) -> None:
    target = np.zeros(SHAPE, bool)
    target[:, 4:] = True
    assert score(np.full(SHAPE, value, np.float32), target) == 0.0


@scores
def test_rounding_noise_is_no_order(score) -> None:
    target = np.zeros(SHAPE, bool)
    target[:3] = True
    noisy = np.full(SHAPE, 3.0, np.float32)
    noisy[target] = np.nextafter(np.float32(3.0), np.float32(4.0))  # would rank perfectly
    assert score(noisy, target) == 0.0


@pytest.mark.parametrize(("inside", "value"), [(1.0, 1.0), (0.0, None)], ids=["box everywhere", "no noise"])
def test_contrast_without_an_outside_or_without_noise_is_not_measured(inside, value) -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[0, 0] = 1.0
    target = np.ones(SHAPE, bool) if inside else heat > 0
    assert contrast_to_noise(heat, target) is None


@scores
def test_a_share_of_a_pixel_counts_as_that_share(score) -> None:
    """A pixel of which a half is inside weighs as one pixel inside and one outside of half the size."""
    rng = np.random.default_rng(5)
    heat = rng.permutation(48).reshape(SHAPE).astype(np.float32)
    share = rng.integers(0, 3, SHAPE) / 2.0
    doubled, parts = np.repeat(heat, 2, axis=1), np.zeros((6, 16), bool)
    parts[:, ::2], parts[:, 1::2] = share > 0, share > 0.5
    tolerance = 0.0 if score is contrast_to_noise else 0.02  # within one pixel AP and rank see the order of its halves
    assert score(heat, share) == pytest.approx(score(doubled, parts), abs=max(tolerance, 1e-6))
