"""Similarity of two heat maps: ranks, structure, peaks, relative change, and that of random pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, t

from audit.attribution.pairs import Attribution
from audit.faithfulness.similarity import (
    peak_distance,
    rank_correlation,
    relative_change,
    similarity,
    similarity_of_random_pairs,
    structure,
)

finite = st.floats(-5, 5).map(lambda value: round(value, 2))
heats = arrays(float, (5, 6), elements=finite)


@given(first=heats, second=heats)
def test_rank_correlation_is_pearson_of_the_ranks(first, second) -> None:
    found = rank_correlation(first, second)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert found is None
        return
    assert found == pytest.approx(np.corrcoef(rankdata(first), rankdata(second))[0, 1], abs=1e-9)
    assert rank_correlation(first, 3 * second + 1) == pytest.approx(found, abs=1e-9)
    assert rank_correlation(first, -second) == pytest.approx(-found, abs=1e-9)


def explanation(heat: np.ndarray, *, words: tuple[tuple[str, float], ...] = ()) -> Attribution:
    return Attribution(heat=torch.from_numpy(heat), words=words, cosine=0.5)


def plain_ssim(first: np.ndarray, second: np.ndarray, window: int) -> float:
    """The formula of 2004 at every window that lies inside, with sample covariances and a range of 1."""
    x, y = ((one - one.min()) / (one.max() - one.min()) for one in (first, second))
    values = []
    for row in range(x.shape[0] - window + 1):
        for column in range(x.shape[1] - window + 1):
            a, b = (one[row : row + window, column : column + window].ravel() for one in (x, y))
            covariance = np.cov(a, b)
            values.append(
                (2 * a.mean() * b.mean() + 1e-4)
                * (2 * covariance[0, 1] + 9e-4)
                / ((a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (covariance[0, 0] + covariance[1, 1] + 9e-4))
            )
    return float(np.mean(values))


@pytest.mark.parametrize(
    ("shape", "window"), [((16, 16), 7), ((7, 9), 7), ((6, 8), 5), ((4, 4), 3), ((3, 5), 3)], ids=str
)
def test_structural_similarity_is_the_published_formula(shape, window) -> None:
    rng = np.random.default_rng(sum(shape))
    first = rng.random(shape)
    second = first + rng.normal(0, 0.3, shape)
    found = similarity(explanation(first), explanation(second)).ssim
    assert found == pytest.approx(plain_ssim(first, second, window), abs=1e-9)
    assert similarity(explanation(first), explanation(4 * first - 1)).ssim == pytest.approx(1.0)


@pytest.mark.parametrize(
    "heat",
    [
        pytest.param(np.ones((5, 5)), id="flat"),
        pytest.param(np.full((5, 5), np.nan), id="NaN"),
        pytest.param(np.ones((5, 5)) * [np.inf, 1, 2, 3, 4], id="infinite"),
    ],
)
def test_a_heat_without_relief_is_not_compared(heat) -> None:
    other = np.random.default_rng(1).random((5, 5))
    for first, second in ((heat, other), (other, heat)):
        found = similarity(explanation(first), explanation(second))
        assert (found.spearman, found.ssim) == (None, None)
        assert found.words_spearman is None


def test_maps_too_small_for_a_window_or_a_rank_are_not_compared() -> None:
    narrow = similarity(
        explanation(np.array([[1.0, 2.0], [3.0, 0.0]])), explanation(np.array([[1.0, 2.0], [0.0, 3.0]]))
    )
    assert narrow.ssim is None
    assert narrow.spearman is not None
    words = (("left", 1.0), ("effusion", 2.0))
    heat = np.random.default_rng(1).random((5, 5))
    assert similarity(explanation(heat, words=words), explanation(heat, words=words)).words_spearman is None


def test_the_distance_of_peaks_is_in_pixels_of_the_input_along_both_axes() -> None:
    first, second = np.zeros((4, 8)), np.zeros((4, 8))
    first[1, 2], second[2, 6] = 1.0, 5.0
    assert peak_distance(first, second, size=160) == pytest.approx(np.hypot(40.0, 4 * 20.0))
    assert peak_distance(first, 3.0 * first, size=160) == 0.0
    assert peak_distance(first, np.ones((4, 8)), size=160) is None


def test_a_relative_change_is_of_the_norm_of_the_first_map() -> None:
    heat = np.array([[3.0, 0.0], [0.0, 4.0]])
    assert relative_change(heat, heat) == 0.0
    assert relative_change(heat, heat + np.array([[0.0, 0.5], [0.0, 0.0]])) == pytest.approx(0.1)
    assert relative_change(-7.0 * heat, -7.7 * heat) == pytest.approx(0.1)
    assert relative_change(np.zeros((2, 2)), heat) is None
    assert relative_change(heat, np.full((2, 2), np.nan)) is None


def test_random_pairs_are_of_different_patients_and_their_mean_is_that_of_all_pairs_where_these_are_few() -> None:
    rng = np.random.default_rng(3)
    maps = list(rng.random((6, 7, 7)))
    patients = ["a", "a", "b", "c", "d", "d"]
    apart = [(one, other) for one in range(6) for other in range(one) if patients[one] != patients[other]]
    found = similarity_of_random_pairs(maps, patients, seed=1)
    assert found is not None
    assert (found.values, found.patients) == (len(apart), 4) == (13, 4)
    assert found.estimate == pytest.approx(np.mean([structure(maps[one], maps[other]) for one, other in apart]))


def test_fifty_pairs_are_drawn_by_the_seed_alone() -> None:
    maps = list(np.random.default_rng(3).random((20, 5, 5)))
    patients = [str(place) for place in range(20)]
    first, again, other = (similarity_of_random_pairs(maps, patients, seed=seed) for seed in (1, 1, 2))
    assert first is not None
    assert first.values == 50
    assert first == again != other


def test_maps_of_two_patients_or_flat_maps_have_no_reference() -> None:
    maps = list(np.random.default_rng(3).random((4, 5, 5)))
    assert similarity_of_random_pairs(maps, ["a", "a", "b", "b"], seed=1) is None
    assert similarity_of_random_pairs([np.ones((5, 5))] * 4, ["a", "b", "c", "d"], seed=1) is None


def test_the_interval_of_all_pairs_is_that_of_the_deviations_of_each_patients_mean() -> None:
    """An independent form of the jackknife for all pairs of n maps: 2 (n - 1) / (n - 2) times each map's deviation."""
    maps = list(np.random.default_rng(8).random((9, 6, 6)) ** np.linspace(0.3, 4.0, 9)[:, None, None])
    values = np.array([[0.0 if one is other else structure(one, other) for other in maps] for one in maps])
    count, mean = 9, values.sum() / 72
    of_each = values.sum(1) / (count - 1)
    deviations = 2.0 * (of_each - mean) / (count - 2)
    error = np.sqrt((count - 1) / count * (deviations**2).sum())
    found = similarity_of_random_pairs(maps, [str(place) for place in range(count)], seed=0)
    assert found is not None
    assert found.estimate == pytest.approx(mean)
    assert found.high - found.estimate == pytest.approx(t.ppf(0.975, count - 1) * error)
    assert found.low < found.estimate < found.high
