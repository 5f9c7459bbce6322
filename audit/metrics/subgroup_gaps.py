"""Is a subgroup's hit rate another than that of the other phrases? Tests that are adjusted for their number.

All groups of a run's table are one family, because no one of them was asked about beforehand. Holm's adjustment is for
conclusions: with an error rate of alpha no gap at all is found by chance. Benjamini and Hochberg's is for exploring: an
expected share of at most alpha of the gaps found are by chance. Groups of the same attribute are not independent; both
adjustments are cautious there, as two groups of one attribute are one test.

A group that shows no gap may only have been too small. Therefore each has the smallest gap that a cohort like this one
detects with a probability of 80 % at the strictest step of Holm's adjustment.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri

from audit.metrics.hypotheses import benjamini_hochberg, difference_of_groups, holm, p_value
from audit.metrics.statistics import Interval
from reports.run_record import SubgroupGap
from reports.score_catalogue import FEW_PATIENTS, FEW_PHRASES

__all__ = ["GroupOfPhrases", "gaps_of"]

_ALPHA: Final = 0.05
_POWER: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOfPhrases:
    """A value of an attribute, and its phrases."""

    attribute: str
    members: Bool[np.ndarray, " cases"]
    others: Bool[np.ndarray, " cases"]  # phrases with another known value; none for a group of what is not known


def gaps_of(
    hits: Float[np.ndarray, " cases"], patients: Int[np.ndarray, " cases"], groups: Sequence[GroupOfPhrases]
) -> list[SubgroupGap | None]:
    """Return each group's hit rate minus that of the other phrases, tested and adjusted for the number of tests.

    Args:
        hits: 0 or 1 for each phrase.
        patients: number of the patient of each phrase.
        groups: of one method.

    Returns:
        None where a group or the others have fewer than 20 phrases or 10 patients: no test could say anything.
    """
    tested = [place for place, group in enumerate(groups) if _is_large(group, patients)]
    intervals: dict[int, Callable[[float], Interval]] = {
        place: partial(_difference, hits, patients, groups[place]) for place in tested
    }
    first: dict[int, int] = {}  # of the same test: two groups that are each other's others
    for place in tested:
        first[place] = next((each for each in first if _are_opposite(groups[each], groups[place])), place)
    family = [place for place in tested if first[place] == place]
    plain = [p_value(intervals[place], 0.0) for place in family]
    adjusted = dict(zip(family, zip(plain, holm(plain), benjamini_hochberg(plain), strict=True), strict=True))
    found: list[SubgroupGap | None] = [None] * len(groups)
    for place in tested:
        interval = intervals[place](1.0 - _ALPHA)
        p, confirmed, explored = adjusted[first[place]]
        found[place] = SubgroupGap(
            estimate=interval.estimate,
            low=interval.low,
            high=interval.high,
            p=p,
            p_holm=confirmed,
            p_bh=explored,
            tests=len(family),
            detectable=_detectable(intervals[place], len(family)),
        )
    return found


def _difference(
    hits: Float[np.ndarray, " cases"], patients: Int[np.ndarray, " cases"], group: GroupOfPhrases, level: float
) -> Interval:
    chosen = group.members | group.others
    return difference_of_groups(hits[chosen], group.members[chosen], patients[chosen], level=level)


def _is_large(group: GroupOfPhrases, patients: Int[np.ndarray, " cases"]) -> bool:
    return all(
        np.count_nonzero(side) >= FEW_PHRASES and len(np.unique(patients[side])) >= FEW_PATIENTS
        for side in (group.members, group.others)
    )


def _are_opposite(group: GroupOfPhrases, other: GroupOfPhrases) -> bool:
    return group.attribute == other.attribute and np.array_equal(group.members, other.others)


def _detectable(interval_of: Callable[[float], Interval], tests: int) -> float:
    """Return the gap that is detected with a probability of 80 % at level alpha over the number of tests.

    It is what reaches from 0 to the end of the strictest interval, and as many standard errors further as the power
    asks for. Both are read off this cohort's intervals (normal approximation), and hold for gaps that are not large.
    """
    half, strict = (_half_width(interval_of(1.0 - alpha)) for alpha in (_ALPHA, _ALPHA / tests))
    return float(strict + ndtri(_POWER) * half / ndtri(1.0 - _ALPHA / 2.0))


def _half_width(interval: Interval) -> float:
    return (interval.high - interval.low) / 2.0
