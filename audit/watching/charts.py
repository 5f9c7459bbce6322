"""Control charts of one quantity: Shewhart and EWMA for means, distances for distributions, and the time of a change.

Every chart compares an audit with the reference audits and includes the error of these, which is the same for all
later audits. Limits are quantiles of Student's t with the first Cornish-Fisher term for skewness, because shares near 0
are skewed. All charts together give a false alarm in one of :data:`AUDITS_A_FALSE_ALARM` audits (Bonferroni over the
tests of an audit), so that a series of twelve audits gives one in less than 5 % of series.

Source: Roberts 1959, "Control chart tests based on geometric moving averages" (EWMA, lambda 0.2); Cornish and Fisher
1938, "Moments and cumulants in the specification of distributions"; Kolmogorov and Smirnov, with the effective number
of cases in place of the number; Wilks 1938 (likelihood ratio of two multinomial samples, each patient counted once),
in place of the chi-square of Marcucci 1985, "Monitoring multinomial processes", which errs where few are expected;
Samuel, Pignatiello and Calvin 1998, "Identifying the time of a step change with X-bar control charts".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, kolmogi, stdtrit

from audit.watching.reference_mean import (
    PRIOR_DEGREES,
    Cases,
    ReferenceMean,
    Spread,
    patients_of,
    pooled,
    weight_per_patient,
)

__all__ = ["AUDITS_A_FALSE_ALARM", "LEAST_CASES", "Point", "change_point", "distance_chart", "ewma_chart", "mean_chart"]

AUDITS_A_FALSE_ALARM = 240
"""Audits in which all charts together give one false alarm; twelve audits give one with a probability of 5 %."""
LEAST_CASES = 10
"""Cases of an audit, below which a quantity is not measured in it."""
_LAMBDA = 0.2  # weight of the newest audit in the EWMA
_MEAN_KOLMOGOROV = np.pi**2 / 12.0  # of the square of the Kolmogorov distribution
_LEAST_EXPECTED = 1.0  # patients of a category in an audit; rarer ones are counted together


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One audit on a chart."""

    audit: int  # its place in the series
    value: float
    low: float  # control limits
    high: float

    @property
    def is_beyond(self) -> bool:
        """Whether the value is outside its limits."""
        return not self.low <= self.value <= self.high


def mean_chart(expected: ReferenceMean, audits: Sequence[Cases | None], *, level: float) -> tuple[Point, ...]:
    """Return the mean of each audit with Shewhart limits; audits without cases have no point.

    Args:
        expected: of the reference audits.
        audits: the whole series, reference audits first.
        level: probability of an in-control audit to lie beyond its limits.
    """
    return tuple(
        _point(
            expected,
            place,
            _mean(cases),
            _added(expected.spread(patients_of(cases)), expected.own),
            level,
        )
        for place, cases in enumerate(audits)
        if cases is not None
    )


def ewma_chart(
    expected: ReferenceMean, audits: Sequence[Cases | None], *, first: int, level: float
) -> tuple[Point, ...]:
    """Return the exponentially weighted moving average from audit ``first`` on, which starts at the centre.

    Weights, variance and third moment are exact for audits of different size.
    """
    points = []
    value, weight, error = expected.centre, 0.0, Spread(variance=0.0, third=0.0)
    for place, cases in enumerate(audits):
        if place < first or cases is None:
            continue
        own, kept = expected.spread(patients_of(cases)), 1.0 - _LAMBDA
        value = kept * value + _LAMBDA * _mean(cases)
        weight = kept * weight + _LAMBDA
        error = Spread(
            variance=kept**2 * error.variance + _LAMBDA**2 * own.variance,
            third=kept**3 * error.third + _LAMBDA**3 * own.third,
        )
        reference = Spread(variance=weight**2 * expected.own.variance, third=weight**3 * expected.own.third)
        points.append(_point(expected, place, value, _added(error, reference), level))
    return tuple(points)


def _mean(cases: Cases) -> float:
    return float(cases.values.astype(float).mean())


def _added(error: Spread, reference: Spread) -> Spread:
    """Return the spread of a difference."""
    return Spread(variance=error.variance + reference.variance, third=error.third - reference.third)


def _point(expected: ReferenceMean, audit: int, value: float, error: Spread, level: float) -> Point:
    quantile = float(stdtrit(expected.degrees, 1.0 - level / 2.0))
    deviation = float(np.sqrt(error.variance))
    shift = (quantile**2 - 1.0) * error.third / deviation**3 / 6.0
    # A correction beyond the quantile itself is none: no limit lies on the wrong side of the centre.
    low = expected.centre + deviation * min(shift - quantile, 0.0)
    high = expected.centre + deviation * max(shift + quantile, 0.0)
    return Point(audit=audit, value=value, low=max(low, expected.low), high=min(high, expected.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Distance:
    """How far two distributions are from each other."""

    value: float
    relative: float  # a square that has the mean 1 where the distributions are the same
    limit: float  # at the level asked for
    is_square: bool  # the value grows with the square of a difference


def distance_chart(audits: Sequence[Cases | None], *, first: int, level: float) -> tuple[Point, ...]:
    """Return how far the distribution of each audit is from that of the reference audits.

    Numbers are compared by the Kolmogorov-Smirnov distance, 0 to 1. Categories are compared by the likelihood ratio,
    each patient counted once; it has no upper end. Limits are scaled by how much the reference audits differ from each
    other beyond chance, as those of means are.

    Args:
        audits: the whole series, the reference audits first.
        first: place of the first audit after the reference, which has an audit with cases.
        level: probability of an in-control audit to lie above its limit.
    """
    references = [cases for cases in audits[:first] if cases is not None]
    reference = pooled(references)
    compare = _kolmogorov if np.issubdtype(reference.values.dtype, np.number) else _likelihood_ratio
    excess = 1.0
    if len(references) > 1:
        rests = [pooled([each for each in references if each is not own]) for own in references]
        among = [compare(rest, own, level).relative for rest, own in zip(rests, references, strict=True)]
        excess = max((PRIOR_DEGREES + sum(among)) / (PRIOR_DEGREES + len(among)), 1.0)
    points = []
    for place, cases in enumerate(audits):
        if cases is not None:
            found = compare(reference, cases, level)
            high = found.limit * (excess if found.is_square else np.sqrt(excess))
            points.append(Point(audit=place, value=found.value, low=0.0, high=float(high)))
    return tuple(points)


def _kolmogorov(reference: Cases, cases: Cases, level: float) -> _Distance:
    one, other = np.sort(reference.values.astype(float)), np.sort(cases.values.astype(float))
    at = np.concatenate([one, other])
    shares = [np.searchsorted(sample, at, side="right") / len(sample) for sample in (one, other)]
    effective = [_effective(each, reference) for each in (reference, cases)]
    size = effective[0] * effective[1] / (effective[0] + effective[1])
    value = float(np.abs(shares[0] - shares[1]).max())
    return _Distance(
        value=value,
        relative=size * value**2 / _MEAN_KOLMOGOROV,
        limit=float(kolmogi(level) / np.sqrt(size)),
        is_square=False,
    )


def _effective(cases: Cases, reference: Cases) -> float:
    """Return the number of independent cases that say as much, by the correlation of ranks in the reference."""
    ranks = np.searchsorted(np.sort(reference.values.astype(float)), reference.values.astype(float), side="right")
    found = ReferenceMean.of([Cases(values=ranks.astype(float), patients=reference.patients)], limits=(-np.inf, np.inf))
    if found is None:
        return float(len(cases))
    return found.sd**2 / found.spread(patients_of(cases)).variance


def _likelihood_ratio(reference: Cases, cases: Cases, level: float) -> _Distance:
    both = pooled([reference, cases])
    names, index = np.unique(both.values.astype(str), return_inverse=True)
    parts = (index[: len(reference)], reference), (index[len(reference) :], cases)
    weighted = [np.bincount(part, weight_per_patient(each), minlength=len(names)) for part, each in parts]
    counts = _with_rare_ones_together(np.stack(weighted))
    degrees = max(counts.shape[1] - 1.0, 1.0)
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    seen = counts > 0.0
    logs = np.log(counts[seen] / expected[seen])
    value = max(float(2.0 * (counts[seen] * logs).sum()), 0.0)
    return _Distance(value=value, relative=value / degrees, limit=float(chdtri(degrees, level)), is_square=True)


def _with_rare_ones_together(counts: np.ndarray) -> np.ndarray:
    """Sum up the categories of which less than one patient is expected in the audit."""
    expected = counts.sum(0) * counts[1].sum() / counts.sum()
    rare = expected < _LEAST_EXPECTED
    return np.column_stack([counts[:, ~rare], counts[:, rare].sum(1)]) if rare.any() else counts


def change_point(expected: ReferenceMean, audits: Sequence[Cases | None], *, first: int, last: int) -> int:
    """Return the place of the first audit after a step of the mean: the maximum-likelihood estimate.

    Args:
        expected: of the reference audits.
        audits: the whole series.
        first: place of the first audit after the reference.
        last: place of the audit that gave the signal.
    """
    best, place = -1.0, last
    weights, sums = 0.0, 0.0
    for audit in range(last, first - 1, -1):
        cases = audits[audit]
        if cases is None:
            continue
        precision = 1.0 / expected.spread(patients_of(cases)).variance
        weights, sums = weights + precision, sums + precision * (_mean(cases) - expected.centre)
        if sums**2 / weights > best:
            best, place = sums**2 / weights, audit
    return place
