"""Gaps of subgroups: what they are of, how many tests there are, and what a cohort could have detected."""

import numpy as np
import pytest

from audit.metrics.hypotheses import benjamini_hochberg, difference_of_groups, holm, p_value
from audit.metrics.subgroup_gaps import GroupOfPhrases, gaps_of


def groups_of_values(values: np.ndarray, attribute: str = "maker") -> list[GroupOfPhrases]:
    return [
        GroupOfPhrases(attribute=attribute, members=values == value, others=values != value)
        for value in np.unique(values)
    ]


def cohort(count: int, rates: dict[str, float], seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw hits of patients with two phrases each; a patient's group follows from the number."""
    generator = np.random.default_rng(seed)
    patients = np.repeat(np.arange(count), 2)
    values = np.array(list(rates))[patients % len(rates)]
    hits = generator.random(len(patients)) < np.array([rates[value] for value in values])
    return hits.astype(float), patients, values


def test_a_gap_is_the_difference_to_the_other_phrases_with_its_own_p() -> None:
    hits, patients, values = cohort(60, {"a": 0.8, "b": 0.4, "c": 0.5})
    for gap, value in zip(gaps_of(hits, patients, groups_of_values(values)), "abc", strict=True):
        interval = difference_of_groups(hits, values == value, patients)
        assert (gap.estimate, gap.low, gap.high) == (interval.estimate, interval.low, interval.high)
        assert gap.estimate == pytest.approx(hits[values == value].mean() - hits[values != value].mean())
        expected = p_value(
            lambda level, value=value: difference_of_groups(hits, values == value, patients, level=level), 0.0
        )
        assert gap.p == pytest.approx(expected)


def test_p_values_are_adjusted_for_all_tests_of_the_table() -> None:
    hits, patients, values = cohort(90, {"a": 0.75, "b": 0.5, "c": 0.5})
    sexes = np.array(["f", "m"])[patients % 2]
    gaps = gaps_of(hits, patients, [*groups_of_values(values), *groups_of_values(sexes, "sex")])
    family = [gap.p for gap in gaps[:4]]  # the second of two sexes asks the same as the first
    assert [gap.tests for gap in gaps] == [4] * 5
    assert [gap.p_holm for gap in gaps[:4]] == pytest.approx(holm(family))
    assert [gap.p_bh for gap in gaps[:4]] == pytest.approx(benjamini_hochberg(family))
    female, male = gaps[3:]
    assert (female.p, female.p_holm, female.p_bh) == (male.p, male.p_holm, male.p_bh)
    assert female.estimate == pytest.approx(-male.estimate)


def test_groups_of_few_phrases_or_patients_are_not_tested_and_cost_nothing() -> None:
    hits, patients, _ = cohort(40, {"a": 0.5})
    values = np.where(patients < 9, "nine patients", np.where(patients < 18, "others", "rest"))
    values[patients == 0] = "nine patients"
    gaps = gaps_of(hits, patients, groups_of_values(values))
    assert [gap is None for gap in gaps] == [True, True, False]
    assert gaps[2].tests == 1


def test_a_group_of_what_is_not_known_is_not_tested() -> None:
    hits, patients, _ = cohort(40, {"a": 0.5})
    unknown = GroupOfPhrases(attribute="sex", members=patients < 20, others=np.zeros(len(hits), dtype=bool))
    assert gaps_of(hits, patients, [unknown]) == [None]


@pytest.mark.parametrize("count", [80, 320])
def test_the_detectable_gap_shrinks_as_the_root_of_the_cohort(count: int) -> None:
    hits, patients, values = cohort(count, {"a": 0.5, "b": 0.5})
    (gap, _) = gaps_of(hits, patients, groups_of_values(values))
    # Two independent shares of p = 0.5: (1.96 + 0.84) standard errors
    assert gap.detectable == pytest.approx(2.8 * np.sqrt(0.25 * 2.0 / count), rel=0.15)


def test_a_gap_as_large_as_the_detectable_one_is_found_in_four_of_five_cohorts() -> None:
    rates, found = {"a": 0.65, "b": 0.35}, []  # a gap of 0.3
    for seed in range(60):
        hits, patients, values = cohort(44, rates, seed=seed)
        (gap, _) = gaps_of(hits, patients, groups_of_values(values))
        found.append((gap.p_holm <= 0.05, gap.detectable))
    assert np.mean([detectable for _, detectable in found]) == pytest.approx(0.3, abs=0.02)
    assert 0.65 <= np.mean([is_found for is_found, _ in found]) <= 0.95
