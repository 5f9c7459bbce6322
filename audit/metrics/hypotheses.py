"""Tests of differences in hits: by the interval over patients, with a margin; exact McNemar; adjusted p-values.

A difference is above a limit if the lower end of its interval is: test and interval cannot disagree. Superiority has
the limit 0 or a margin above it, non-inferiority the margin below 0. The error rate of such a one-sided question is
half of ``alpha``, as usual with two-sided intervals (ICH E9, section 2.2.2).
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binomtest

from audit.metrics.statistics import Interval, Labels, patient_interval

__all__ = ["benjamini_hochberg", "difference_of_groups", "holm", "mcnemar_exact", "p_value"]

_HALVINGS = 40
_LEAST_LOG = -12.0  # log10 of the smallest p that is distinguished from 0


def difference_of_groups(
    hits: Float[np.ndarray, " cases"],
    in_group: Bool[np.ndarray, " cases"],
    patients: Labels,
    *,
    level: float = 0.95,
) -> Interval:
    """Return the share of hits in a group minus that of the other cases, with its interval over patients.

    The ends are put together from the intervals of the two shares (MOVER). The groups are taken as independent. If
    patients have cases in both groups, that is conservative where their hits are positively correlated.

    Args:
        hits: 0 or 1 for each case.
        in_group: whether a case is in the group.
        patients: of the cases.
        level: of confidence.

    Raises:
        ValueError: one of the groups has no case, or as for :func:`audit.metrics.statistics.patient_interval`.

    Source: Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10; Donner
    and Zou 2012, "Closed-form confidence intervals for functions of the normal mean and standard deviation" (MOVER).
    """
    names = np.asarray(patients)
    own, other = (
        patient_interval(hits[chosen], names[chosen].tolist(), level=level) for chosen in (in_group, ~in_group)
    )
    difference = own.estimate - other.estimate
    return Interval(
        estimate=difference,
        low=difference - float(np.hypot(own.estimate - own.low, other.high - other.estimate)),
        high=difference + float(np.hypot(own.high - own.estimate, other.estimate - other.low)),
        values=len(hits),
        patients=len(np.unique(names)),
    )


def p_value(interval_of: Callable[[float], Interval], limit: float) -> float:
    """Return the two-sided p-value of a statistic against a limit: 1 - level of the interval that just reaches it.

    For a one-sided question (above the limit) compare it with ``alpha`` too, and take 1 if the estimate is below the
    limit.

    Args:
        interval_of: the interval of the statistic at a level of confidence.
        limit: hypothetical value of the statistic.
    """

    def excludes(logarithm: float) -> bool:
        interval = interval_of(1.0 - 10.0**logarithm)
        return not interval.low <= limit <= interval.high

    excluded, included = -1e-9, _LEAST_LOG  # log10 of p
    if not excludes(excluded):
        return 1.0
    if excludes(included):
        return float(np.power(10.0, included))
    for _ in range(_HALVINGS):
        middle = (excluded + included) / 2.0
        excluded, included = (middle, included) if excludes(middle) else (excluded, middle)
    return float(np.power(10.0, excluded))


def mcnemar_exact(first: Float[np.ndarray, " cases"], second: Float[np.ndarray, " cases"]) -> float:
    """Return the two-sided exact p-value of McNemar's test: are hits of one method as frequent as those of the other?

    It takes cases for independent: where patients have several, it errs more often than stated, and the interval of
    :func:`audit.metrics.statistics.paired_difference` decides.

    Args:
        first: 0 or 1 for each case.
        second: of the same cases, in the same order.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages".
    """
    only_first, only_second = (int(((one == 1.0) & (other == 0.0)).sum()) for one, other in _both_ways(first, second))
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def _both_ways(first: np.ndarray, second: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    return (first, second), (second, first)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for their number: those up to ``alpha`` hold together with an error rate of ``alpha``.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min((len(p_values) - rank) * p_values[place], 1.0))
        adjusted[place] = largest
    return tuple(adjusted)


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for exploring: of those up to ``q``, an expected share of at most ``q`` are by chance.

    The guarantee is for independent tests and for those that depend positively on each other.

    Source: Benjamini and Hochberg 1995, "Controlling the false discovery rate: a practical and powerful approach to
    multiple testing".
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place], reverse=True)
    adjusted, least = [0.0] * len(p_values), 1.0
    for below, place in enumerate(order):
        least = min(least, p_values[place] * len(p_values) / (len(p_values) - below))
        adjusted[place] = least
    return tuple(adjusted)
