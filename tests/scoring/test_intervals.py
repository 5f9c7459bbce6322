"""Intervals over patients: how often they hold the truth, and what they are at the edges."""

import numpy as np
import pytest
from scipy import stats

from audit.metrics.statistics import Interval, paired_difference, patient_interval
from benchmarks.bench_intervals import Row, coverage, differences, macros, others, rates

CORRELATION = 0.3
SHORT = {
    "hits, rate 0.1",
    "hits, rate 0.4",
    "hits, rate 0.9",
    "difference, 0.1 against 0.1",
    "difference, 0.2 against 0.1",
    "difference, macro",
    "hits, macro over 5 findings, rate 0.1",
    "CNR, macro",
}
ALL = {row.name: row for kind in (rates, differences, macros, others) for row in kind(CORRELATION)}
SKEWED = {"skewed values, lognormal": 0.87, "skewed values, exponential": 0.90}
"""Least coverage where few patients do not show how skewed the values are."""


def check(row: Row, patients: int, cohorts: int) -> None:
    """At least 91 % (four standard errors below 95 % in 500 cohorts), or what skewed values allow; never of width 0."""
    held, _, flat = coverage(row, patients, cohorts, seed=11)
    assert held >= (0.91 if patients > 50 else SKEWED.get(row.name, 0.91))
    assert flat == 0.0


@pytest.mark.parametrize("patients", [10, 20])
@pytest.mark.parametrize("name", sorted(name for name in ALL if name.startswith(tuple(SHORT))))
def test_the_interval_holds_the_truth_in_19_of_20_cohorts(name: str, patients: int) -> None:
    check(ALL[name], patients, 500)


@pytest.mark.slow
@pytest.mark.parametrize("patients", [10, 20, 50, 200])
@pytest.mark.parametrize("name", sorted(ALL))
def test_every_kind_of_interval_holds_the_truth_in_19_of_20_cohorts(name: str, patients: int) -> None:
    check(ALL[name], patients, 1000)


@pytest.mark.parametrize("name", ["hits, rate 0.4", "difference, 0.3 against 0.3"])
def test_independent_cases_of_few_patients_do_not_get_an_interval_for_dependent_ones(name: str) -> None:
    """With a prior correlation of 0.25 that counted as ten patients it held the truth in 99.4 % of the cohorts."""
    rows = {row.name: row for kind in (rates, differences) for row in kind(0.001)}
    held, _, _ = coverage(rows[f"{name}, correlation 0.001"], 10, 1500, seed=12)
    assert 0.93 <= held <= 0.985


@pytest.mark.parametrize("patients", [10, 20])
@pytest.mark.parametrize("name", sorted(SKEWED))
def test_skewed_values_of_few_patients_lose_less_than_students_t_does(name: str, patients: int) -> None:
    held, _, _ = coverage(ALL[name], patients, 500, seed=11)
    assert held >= SKEWED[name]


@pytest.mark.parametrize("cases", [5, 23, 200])
def test_no_hit_at_all_leaves_about_three_in_n(cases: int) -> None:
    none = patient_interval(np.zeros(cases), list(range(cases)))
    every = patient_interval(np.ones(cases), list(range(cases)))
    test = stats.binomtest(0, cases)
    assert (none.estimate, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(test.proportion_ci(method="wilson").high)
    assert none.high == pytest.approx(test.proportion_ci(method="exact").high, rel=0.17)
    assert (every.low, every.high) == (pytest.approx(1.0 - none.high), 1.0)


@pytest.mark.parametrize("hits", [1, 6, 17])
def test_few_patients_with_a_case_each_are_no_clusters(hits: int) -> None:
    """The design effect is known to be 1 there, so that the quantile is that of the normal distribution."""
    values = np.repeat([1.0, 0.0], [hits, 23 - hits])
    theirs = stats.binomtest(hits, 22).proportion_ci(method="wilson")
    ours = patient_interval(values, list(range(23)))
    assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.06)


def test_a_rare_findings_single_miss_is_not_taken_for_certain() -> None:
    """The rate of the rare finding weighs as much as that of the frequent one, and rests on one case."""
    values, findings = np.tile([1.0, 0.0], 20), ["effusion"] * 40
    frequent = patient_interval(values, list(range(40)), groups=findings)
    with_rare = patient_interval(np.append(values, 0.0), list(range(41)), groups=[*findings, "nodule"])
    assert with_rare.estimate == pytest.approx(0.25)
    assert with_rare.high - with_rare.low > 2 * (frequent.high - frequent.low)
    assert with_rare.high > 0.7


@pytest.mark.parametrize("hits", [1, 60, 240, 399])
def test_many_patients_with_a_case_each_give_wilsons_interval(hits: int) -> None:
    values = np.repeat([1.0, 0.0], [hits, 400 - hits])
    theirs = stats.binomtest(hits, 400).proportion_ci(method="wilson")
    ours = patient_interval(values, list(range(400)))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.02, abs=1e-4)


def test_values_without_skewness_of_a_case_a_patient_give_students_t() -> None:
    drawn = np.random.default_rng(8).normal(0.0, 2.0, 20)
    values = 3.0 + np.concatenate([drawn, -drawn])
    theirs = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    ours = patient_interval(values, list(range(40)), level=0.9)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_differences_of_real_values_give_the_paired_t() -> None:
    rng = np.random.default_rng(2)
    other, drawn = rng.normal(size=30), rng.normal(size=15)
    one = other + 0.4 + np.concatenate([drawn, -drawn])
    theirs = stats.ttest_rel(one, other).confidence_interval()
    ours = paired_difference(one, other, list(range(30)))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_skewed_values_get_the_interval_of_a_studentised_bootstrap() -> None:
    """The studentised bootstrap corrects for skewness as well, to the same order: an independent reference."""
    rng = np.random.default_rng(4)
    values = rng.exponential(size=120)
    drawn = values[rng.integers(0, 120, (20_000, 120))]
    studentised = (drawn.mean(1) - values.mean()) / (drawn.std(1, ddof=1) / np.sqrt(120))
    error = values.std(ddof=1) / np.sqrt(120)
    theirs = values.mean() - error * np.quantile(studentised, [0.975, 0.025])
    plain = stats.ttest_1samp(values, 0.0).confidence_interval()
    ours = patient_interval(values, list(range(120)))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.15 * error)
    assert min(ours.low - plain.low, ours.high - plain.high) > 0.15 * error


def test_values_of_the_other_sign_turn_the_interval_round() -> None:
    values, patients = np.random.default_rng(9).exponential(size=30), np.arange(30) // 3
    forth, back = patient_interval(5.0 + values, patients), patient_interval(-5.0 - values, patients)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.high - forth.estimate > forth.estimate - forth.low


def test_patients_of_several_cases_agree_with_a_bootstrap_of_patients() -> None:
    """With 400 patients the percentile bootstrap is right as well: an independent reference for the variance."""
    rng = np.random.default_rng(5)
    patients = rng.integers(0, 400, 1500)
    values = (rng.random(1500) < rng.beta(1.0, 2.0, 400)[patients]).astype(float)
    groups = rng.integers(0, 4, 1500)
    sums, counts = (np.zeros((400, 4)) for _ in range(2))
    np.add.at(sums, (patients, groups), values)
    np.add.at(counts, (patients, groups), 1.0)
    taken = rng.multinomial(400, np.full(400, 1 / 400), size=4000)
    for ours, resampled in (
        (patient_interval(values, patients), (taken @ sums.sum(1)) / (taken @ counts.sum(1))),
        (patient_interval(values, patients, groups=groups), ((taken @ sums) / (taken @ counts)).mean(1)),
    ):
        assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])), abs=0.006)


def test_equal_images_of_a_patient_say_no_more_than_one() -> None:
    values, patients = np.tile([0.0, 1.0], 30), np.arange(60)
    once = patient_interval(values, patients)
    often = patient_interval(np.repeat(values, 20), np.repeat(patients, 20))
    naive = patient_interval(np.repeat(values, 20), np.arange(1200))
    assert often.high - often.low > 0.9 * (once.high - once.low)
    assert often.high - often.low > 3 * (naive.high - naive.low)


@pytest.mark.parametrize("agreeing", [np.ones(23), np.zeros(23)], ids=["both hit", "both miss"])
def test_pairs_that_never_disagree_leave_a_width(agreeing: np.ndarray) -> None:
    found = paired_difference(agreeing, agreeing, list(range(23)))
    assert found.estimate == 0.0
    assert -3 / 23 < found.low < -1 / 23
    assert found.high == -found.low


def test_swapping_the_pair_turns_the_interval_round() -> None:
    rng = np.random.default_rng(6)
    one, other = (rng.random(40) < 0.7).astype(float), (rng.random(40) < 0.3).astype(float)
    patients = np.arange(40) // 2
    forth, back = paired_difference(one, other, patients), paired_difference(other, one, patients)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))


@pytest.mark.parametrize(
    ("found", "ends"),
    [
        (patient_interval(np.array([0.2, 0.7]), ["a", "a"]), (0.0, 1.0)),
        (patient_interval(np.array([3.0, 4.0]), ["a", "a"]), (-np.inf, np.inf)),
        (paired_difference(np.array([0.2, 0.7]), np.array([0.1, 0.2]), ["a", "a"]), (-1.0, 1.0)),
    ],
    ids=["a share", "no bounds", "a difference of shares"],
)
def test_one_patient_tells_nothing_of_others(found: Interval, ends: tuple[float, float]) -> None:
    assert (found.low, found.high) == ends


@pytest.mark.parametrize("almost", [1.0 - 2.0**-53, 5e-324], ids=["one", "zero"])
def test_values_that_are_alike_but_for_rounding_have_an_interval(almost: float) -> None:
    found = patient_interval(np.array([round(almost), almost]), ["a", "b"])
    assert found.low == found.estimate == found.high == round(almost)


def test_macro_is_the_mean_of_the_groups_means() -> None:
    values, groups = np.array([1.0, 1.0, 1.0, 0.0]), ["nodule"] * 3 + ["effusion"]
    macro = patient_interval(values, list("abcd"), groups=groups)
    assert macro.estimate == pytest.approx(0.5)
    assert macro.low < 0.3
    assert macro.high > 0.7


def test_the_estimate_is_the_samples_own_mean() -> None:
    interval = patient_interval(np.array([1.0, 0.0, 0.0, 1.0, 1.0]), list("aabcd"))
    assert interval.estimate == pytest.approx(0.6)
    assert interval.low <= 0.6 <= interval.high
    assert (interval.values, interval.patients) == (5, 4)


@pytest.mark.parametrize("values", [[], [np.nan, 1.0]], ids=["empty", "nan"])
def test_unscored_cases_never_enter(values: list[float]) -> None:
    with pytest.raises(ValueError, match="values"):
        patient_interval(np.array(values, dtype=float), ["a"] * len(values))


def test_a_paired_difference_cancels_what_makes_a_case_hard() -> None:
    rng = np.random.default_rng(7)
    hardness = rng.random(80)
    values, reference = hardness + 0.1 + rng.normal(0, 0.01, 80), hardness
    patients = [str(i // 2) for i in range(80)]
    difference = paired_difference(values, reference, patients)
    alone = patient_interval(values, patients)
    assert difference.estimate == pytest.approx(values.mean() - reference.mean())
    assert 0.09 < difference.low < difference.high < 0.11
    assert alone.high - alone.low > 5 * (difference.high - difference.low)


def test_a_case_without_a_partner_is_refused() -> None:
    with pytest.raises(ValueError, match="unscored"):
        paired_difference(np.ones(3), np.array([1.0, np.nan, 1.0]), list("abc"))


@pytest.mark.parametrize("hits", [[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]], ids=["no hit", "some"])
def test_one_patient_with_several_findings_leaves_every_rate_possible(hits) -> None:
    found = patient_interval(np.array(hits), ["a"] * 3, groups=["effusion", "effusion", "nodule"])
    assert (found.low, found.high) == (0.0, 1.0)
