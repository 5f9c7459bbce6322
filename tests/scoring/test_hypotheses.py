"""Tests with a margin agree with their intervals; McNemar, Holm and Benjamini-Hochberg with other programs."""

import json
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.metrics.hypotheses import benjamini_hochberg, difference_of_groups, holm, mcnemar_exact, p_value
from audit.metrics.statistics import paired_difference, patient_interval


def pairs(lead: float, seed: int = 0, patients: int = 40) -> tuple[np.ndarray, np.ndarray, list[int]]:
    generator = np.random.default_rng(seed)
    first, second = (generator.random((patients, 3)) < rate for rate in (0.4 + lead, 0.4))
    return first.ravel().astype(float), second.ravel().astype(float), np.repeat(np.arange(patients), 3).tolist()


@pytest.mark.parametrize("limit", [-0.1, 0.0, 0.05])
@pytest.mark.parametrize("lead", [0.0, 0.15, 0.3])
def test_p_is_one_minus_the_level_whose_interval_ends_at_the_limit(lead: float, limit: float) -> None:
    values = pairs(lead)
    p = p_value(lambda level: paired_difference(*values, level=level), limit)
    if p < 1.0:
        interval = paired_difference(*values, level=1.0 - p)
        assert min(abs(interval.low - limit), abs(interval.high - limit)) < 1e-6
    for level in (0.9, 0.95, 0.99):
        interval = paired_difference(*values, level=level)
        assert (interval.low <= limit <= interval.high) is (p >= 1.0 - level)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_mcnemar_is_the_binomial_tail_of_the_discordant_pairs(drawn: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(side, dtype=float) for side in zip(*drawn, strict=True))
    only_first, only_second = (int((one > other).sum()) for one, other in ((first, second), (second, first)))
    count, least = only_first + only_second, min(only_first, only_second)
    tail = sum(comb(count, place) for place in range(least + 1)) / 2**count
    assert mcnemar_exact(first, second) == pytest.approx(min(2.0 * tail, 1.0), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5))
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    places = range(len(p_values))
    sets = [chosen for size in range(1, len(p_values) + 1) for chosen in combinations(places, size)]
    closed = [
        max(min(len(chosen) * min(p_values[each] for each in chosen), 1.0) for chosen in sets if place in chosen)
        for place in places
    ]
    assert holm(p_values) == pytest.approx(closed)


# ``fixtures/statsmodels.json`` holds what statsmodels 0.15 returned, which is no dependency; ``made_with`` names the
# calls. The p-values are drawn with numpy's default_rng(20261201); some are equal, 0 or 1.
STATSMODELS = json.loads((Path(__file__).parent / "fixtures" / "statsmodels.json").read_text("utf-8"))


@pytest.mark.parametrize("case", STATSMODELS["adjusted"], ids=lambda case: f"{len(case['p'])} p-values")
def test_adjusted_p_values_are_those_of_statsmodels(case: dict[str, list[float]]) -> None:
    assert holm(case["p"]) == pytest.approx(case["holm"], abs=1e-9)
    assert benjamini_hochberg(case["p"]) == pytest.approx(case["benjamini_hochberg"], abs=1e-9)


@pytest.mark.parametrize("case", STATSMODELS["mcnemar"], ids=lambda case: f"{case['won']} won, {case['lost']} lost")
def test_the_exact_mcnemar_is_that_of_statsmodels(case: dict[str, float]) -> None:
    won, lost = int(case["won"]), int(case["lost"])
    first = np.array([0.0] * won + [1.0] * lost + [1.0, 0.0])
    second = np.array([1.0] * won + [0.0] * lost + [1.0, 0.0])
    assert mcnemar_exact(first, second) == pytest.approx(case["p"], abs=1e-9)


def test_the_difference_of_groups_is_newcombes_for_independent_cases() -> None:
    hits = np.array([1.0] * 56 + [0.0] * 14 + [1.0] * 48 + [0.0] * 32)
    in_group = np.arange(150) < 70
    found = difference_of_groups(hits, in_group, list(range(150)))
    # Newcombe 1998, table II, contrast (a), method 10: 56/70 - 48/80
    assert (found.estimate, found.low, found.high) == (
        pytest.approx(0.2),
        pytest.approx(0.0524, abs=5e-3),
        pytest.approx(0.3339, abs=5e-3),
    )


def test_alike_phrases_of_patients_widen_the_difference_of_groups() -> None:
    hits = np.repeat(np.array([1.0, 0.0, 1.0, 1.0, 0.0] * 8), 4)
    in_group = np.arange(160) < 60
    apart = difference_of_groups(hits, in_group, list(range(160)))
    alike = difference_of_groups(hits, in_group, np.repeat(np.arange(40), 4).tolist())
    assert alike.high - alike.low > 1.5 * (apart.high - apart.low)
    one = patient_interval(hits[in_group], np.repeat(np.arange(15), 4).tolist())
    assert alike.high - alike.low > one.high - one.low
