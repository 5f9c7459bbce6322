"""Means with 95 % intervals over patients: a patient's cases count as one draw, since they resemble each other.

There is one kind of interval for every mean in the project, and no resampling: a percentile bootstrap of ten to twenty
patients is too narrow, and has no width at all where every case is a hit or every case a miss. The variance of the mean
comes from the patients' linearised totals (Taylor series, as in surveys that sample clusters); what is done with it
depends on the values:

- **hits** (each value 0 or 1): the score interval of Wilson on the effective number of cases, with a quantile of
  Student's t. The design effect of few patients is itself a poor estimate, above all where hits are few, so it is
  averaged with the one that a correlation of 0.25 within patients would give; the prior counts as ten patients.
- **shares** (values within 0 and 1): the same without the prior.
- **differences of hits** (a paired difference where one side is a hit or a miss): Student's t after three quarters of a
  case have been added to each of the two outcomes that disagree, so that 0 of 23 discordant cases have a width.
- **other values**: Student's t. A single patient says nothing of the spread: the interval is as wide as the values may
  be, infinite where they have no bounds.

``benchmarks/bench_intervals.py`` measures how often each holds the truth.

Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; Korn and Graubard 1998,
"Confidence intervals for proportions with small expected number of positive counts estimated from survey data"
(effective number of cases); Bonett and Price 2012, "Adjusted Wald confidence interval for a difference of binomial
proportions based on paired data" (added cases; theirs is one case a side for independent pairs); Binder 1983, "On the
variances of asymptotically normal estimators from complex surveys" (linearisation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.special import stdtrit

__all__ = ["INTERVAL", "Interval", "Labels", "paired_difference", "patient_bootstrap", "patient_interval"]

Labels = Sequence[str] | Sequence[int] | Shaped[np.ndarray, " cases"]
"""A name or a number for each case."""

INTERVAL: Final = (
    "95 % intervals over patients: for shares of hits Wilson's score interval on the effective number of cases, for "
    "paired differences of hits Student's t with added cases (Bonett and Price), for other values Student's t"
)
"""What the intervals are called on pages and in run.json."""

_PRIOR_CORRELATION = 0.25  # of a patient's hits
_PRIOR_PATIENTS = 10.0
_ADDED_CASES = 0.75  # to each of the two outcomes of a pair that disagree


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A sample statistic with its interval over patients; the ends are infinite where one patient says nothing."""

    estimate: float
    low: float
    high: float
    values: int
    patients: int

    @property
    def is_bounded(self) -> bool:
        """Whether the interval says anything."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Values with their weights in the statistic, and whose they are."""

    estimate: float
    values: Float[np.ndarray, " cases"]
    weights: Float[np.ndarray, " cases"]  # sum to 1: alike for a plain mean, a group's share by its size for a macro
    residuals: Float[np.ndarray, " cases"]  # from the group's mean, scaled for the patients that it was taken from
    spread: float  # variance of the statistic if every case were a patient of its own
    patients: Int[np.ndarray, " cases"]
    count: int  # of patients
    groups: int

    @property
    def variance(self) -> float:
        """Of the statistic, from the patients' totals."""
        totals = np.bincount(self.patients, self.weights * self.residuals, self.count)
        return float(totals @ totals)

    @property
    def concentration(self) -> float:
        """Sum of the squared weights of patients: 1 over how many patients of equal weight would say as much."""
        of_patients = np.bincount(self.patients, self.weights, self.count)
        return float(of_patients @ of_patients)

    @property
    def degrees(self) -> float:
        """Of freedom of the variance: patients of equal weight less one; 0 where there is one patient."""
        return 0.0 if self.count == 1 else max(1.0 / self.concentration - 1.0, 1.0)

    def quantile(self, level: float, *, prior: float = 0.0) -> float:
        """Of Student's t; ``prior`` degrees more where the prior says as much of the variance as so many patients."""
        degrees = self.degrees + (prior if self.groups == 1 else 0.0)
        return float(stdtrit(degrees, 0.5 + level / 2.0)) if degrees > 0.0 else np.inf

    @property
    def case_weight(self) -> float:
        """Sum of the squared weights of cases: 1 over the number of cases for a plain mean."""
        return float(self.weights @ self.weights)

    def design_effect(self, *, informative: float) -> float:
        """Variance over that of independent cases, averaged with what the prior correlation gives.

        Args:
            informative: patients that the sample's own figure counts for.
        """
        prior = 1.0 + (self.concentration / self.case_weight - 1.0) * _PRIOR_CORRELATION
        if self.spread == 0.0:
            return prior
        own = self.variance / self.spread
        return (informative * own + _PRIOR_PATIENTS * prior) / (informative + _PRIOR_PATIENTS)


def patient_interval(
    values: Float[np.ndarray, " cases"],
    patients: Labels,
    *,
    groups: Labels | None = None,
    level: float = 0.95,
    bound: float = np.inf,
) -> Interval:
    """Give the mean of ``values`` with its interval over patients.

    Values that all are 0 or 1 are taken for hits, those within 0 and 1 for shares: see the module. Paired values go to
    :func:`paired_difference`. With ``groups`` (findings, say) the statistic is the mean of the groups' means (macro).
    ``bound`` is the largest absolute value that can occur (1 for a correlation), where there is one.

    Raises:
        ValueError: no value, a value that is not finite, or lengths that differ.
    """
    sample = _sample(values, patients, groups)
    if _are_hits(values):
        low, high = _hits(sample, level)
    elif values.min() >= 0.0 and values.max() <= 1.0:
        low, high = _shares(sample, level)
    else:
        low, high = _real(sample, level, bound=bound)
    return _interval(sample, low, high)


def paired_difference(
    values: Float[np.ndarray, " cases"],
    reference: Float[np.ndarray, " cases"],
    patients: Labels,
    *,
    generator: np.random.Generator | None = None,  # noqa: ARG001 - callers of 0.1.0 hand one over
    groups: Labels | None = None,
    level: float = 0.95,
) -> Interval:
    """Give the mean of ``values`` minus the mean of ``reference`` on the same cases, with its interval over patients.

    What makes a case hard for both cancels. With ``groups`` it is the difference of the macro means.

    Args:
        values: of the cases.
        reference: of the same cases, in the same order.
        patients: of the same cases.
        generator: not used since intervals are computed without resampling.
        groups: of the same cases.
        level: of confidence.

    Raises:
        ValueError: what :func:`patient_interval` refuses, an unscored partner among it.
    """
    sample = _sample(values - reference, patients, groups)
    if _are_hits(values) or _are_hits(reference):
        low, high = _differences_of_hits(sample, level)
    else:
        within = min(values.min(), reference.min()) >= 0.0 and max(values.max(), reference.max()) <= 1.0
        low, high = _real(sample, level, bound=1.0 if within else np.inf)
    return _interval(sample, low, high)


def patient_bootstrap(
    values: Float[np.ndarray, " cases"],
    patients: Labels,
    *,
    generator: np.random.Generator | None = None,  # noqa: ARG001 - callers of 0.1.0 hand one over
    groups: Labels | None = None,
    resamples: int = 0,  # noqa: ARG001 - callers of 0.1.0 hand it over
    level: float = 0.95,
) -> Interval:
    """:func:`patient_interval` under the name and with the arguments that it had in 0.1.0; nothing is resampled."""
    return patient_interval(values, patients, groups=groups, level=level)


def _are_hits(values: Float[np.ndarray, " cases"]) -> bool:
    return bool(((values == 0.0) | (values == 1.0)).all())


def _sample(values: Float[np.ndarray, " cases"], patients: Labels, groups: Labels | None) -> _Sample:
    if len(values) == 0 or len(values) != len(patients) or (groups is not None and len(groups) != len(values)):
        raise ValueError(f"{len(values)} values need as many patients and groups, and at least one")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite: leave unscored cases out")
    values = np.asarray(values, dtype=float)
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    group = np.zeros(len(values), dtype=int)
    if groups is not None:
        group = np.unique(np.asarray(groups), return_inverse=True)[1]
    sizes = np.bincount(group).astype(float)
    weights = 1.0 / (len(sizes) * sizes[group])
    overall = float(values.mean())
    means = np.bincount(group, values) / sizes
    estimate = float(means.mean())
    held = _patients_of_groups(patient, group, len(sizes))
    if len(sizes) > 1:
        # A group's own mean is no measure of spread where one patient makes it, or where all its cases are alike.
        means = np.where(held == 1, overall, (sizes * means + overall) / (sizes + 1.0))
    few = np.sqrt(held / np.maximum(held - 1.0, 1.0))  # a mean lies closer to its own cases than the truth does
    residuals = values - means[group]
    return _Sample(
        estimate=estimate,
        values=values,
        weights=weights,
        residuals=residuals * few[group],
        spread=float((weights * residuals) @ (weights * residuals)),
        patients=patient,
        count=len(names),
        groups=len(sizes),
    )


def _patients_of_groups(
    patient: Int[np.ndarray, " cases"], group: Int[np.ndarray, " cases"], groups: int
) -> Float[np.ndarray, " groups"]:
    pairs = np.unique(group * (int(patient.max()) + 1) + patient)
    return np.bincount(pairs // (int(patient.max()) + 1), minlength=groups).astype(float)


def _hits(sample: _Sample, level: float) -> tuple[float, float]:
    share = sample.estimate
    variance = share * (1.0 - share)
    effect = sample.design_effect(informative=4.0 * variance * sample.degrees)
    spread = sample.spread if sample.spread > 0.0 else variance * sample.case_weight
    cases = 1.0 / (effect * sample.case_weight) if variance == 0.0 else variance / (effect * spread)
    return _wilson(share, cases, sample.quantile(level, prior=_PRIOR_PATIENTS))


def _shares(sample: _Sample, level: float) -> tuple[float, float]:
    if sample.count == 1:
        return 0.0, 1.0
    share, variance = sample.estimate, sample.variance
    if variance == 0.0 or not 0.0 < share < 1.0:  # all alike, or so but for rounding: correlations of 1
        return share, share
    return _wilson(share, share * (1.0 - share) / variance, sample.quantile(level))


def _wilson(share: float, cases: float, quantile: float) -> tuple[float, float]:
    if np.isinf(quantile):  # one patient in several groups says nothing of others: the formula's limit
        return 0.0, 1.0
    squared = quantile * quantile / cases
    middle = (share + squared / 2.0) / (1.0 + squared)
    half = quantile * np.sqrt(share * (1.0 - share) / cases + squared / (4.0 * cases)) / (1.0 + squared)
    # At 0 and at 1 the end is exact, whatever rounding makes of it.
    return 0.0 if share == 0.0 else max(middle - half, 0.0), 1.0 if share == 1.0 else min(middle + half, 1.0)


def _differences_of_hits(sample: _Sample, level: float) -> tuple[float, float]:
    squares = float(sample.weights @ sample.values**2)
    # Twice the share of pairs that disagree: the whole sample tells of the design effect where every second one does.
    effect = sample.design_effect(informative=min(1.0, 2.0 * squares) * sample.degrees)
    cases = 1.0 / sample.case_weight
    added = _ADDED_CASES * effect
    all_cases = cases + 2.0 * added
    middle = sample.estimate * cases / all_cases
    variance = (squares * cases + 2.0 * added) / all_cases - middle**2
    half = sample.quantile(level, prior=_PRIOR_PATIENTS) * np.sqrt(effect * variance / all_cases)
    return max(middle - half, -1.0), min(middle + half, 1.0)


def _real(sample: _Sample, level: float, *, bound: float) -> tuple[float, float]:
    if sample.count == 1:
        return -bound, bound
    half = sample.quantile(level) * np.sqrt(sample.variance)
    return max(sample.estimate - half, -bound), min(sample.estimate + half, bound)


def _interval(sample: _Sample, low: float, high: float) -> Interval:
    return Interval(
        estimate=sample.estimate,
        low=min(float(low), sample.estimate),
        high=max(float(high), sample.estimate),
        values=len(sample.values),
        patients=sample.count,
    )
