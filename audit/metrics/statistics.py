"""Means with 95 % intervals over patients: a patient's cases count as one draw, since they resemble each other.

There is one kind of interval for every mean in the project, and no resampling: a percentile bootstrap of ten to twenty
patients is too narrow, and has no width at all where every case is a hit or every case a miss. The variance of the mean
comes from the patients' linearised totals (Taylor series, as in surveys that sample clusters). The interval depends on
the values:

- **hits** (each value 0 or 1): Wilson's score interval on the effective number of cases, the number of cases divided by
  the design effect.
- **shares** (values within 0 and 1): the same, with the variance of the patients' totals as it is.
- **differences of hits** (a paired difference where one side is a hit or a miss): Student's t after one case has been
  added to each of the two outcomes that disagree, so that 0 of 23 discordant cases have a width.
- **other values**: Student's t, corrected for the skewness of the patients' totals. A single patient says nothing about
  the spread: the interval is as wide as the values may be, infinite where they have no bounds.

The design effect of few patients is itself a poor estimate, above all where hits are few. It is averaged with the
design effect of a small correlation within patients, as a variance is moderated by a prior; its degrees of freedom
follow from the number of patients and the kurtosis of the values (Satterthwaite), and set the quantile of Student's t.
Where each patient has one case the design effect is known, and the quantile is that of the normal distribution.

``benchmarks/bench_intervals.py`` measures how often each interval holds the truth.

Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; Korn and Graubard 1998,
"Confidence intervals for proportions with small expected number of positive counts estimated from survey data"
(effective number of cases); Satterthwaite 1946, "An approximate distribution of estimates of variance components";
Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression in microarray experiments",
section 3 (moderated variance and its degrees of freedom); Bonett and Price 2012, "Adjusted Wald confidence interval for
a difference of binomial proportions based on paired data" (added cases); Hall 1992, "On the removal of skewness by
transformation"; Binder 1983, "On the variances of asymptotically normal estimators from complex surveys"
(linearisation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.special import ndtri, stdtrit

from reports.run_record import Estimate

__all__ = ["INTERVAL", "Interval", "Labels", "moderation", "paired_difference", "patient_interval", "recorded"]

Labels = Sequence[str] | Sequence[int] | Shaped[np.ndarray, " cases"]
"""A name or a number for each case."""

INTERVAL: Final = (
    "95 % intervals over patients: for shares of hits Wilson's score interval on the effective number of cases, for "
    "paired differences of hits Student's t with added cases (Bonett and Price), for other values Student's t, "
    "corrected for skewness (Hall)"
)
"""What the intervals are called on pages and in run.json."""

_PRIOR_CORRELATION = 0.1  # of a patient's hits
_PRIOR_DEGREES = 3.0  # of freedom that the prior design effect counts for
_PRIOR_CASES = 4.0  # at the overall rate, that each of several groups is given to estimate its variance
_ROUNDING = 1e-9
_ADDED_CASES = 1.0  # to each of the two outcomes of a pair that disagree


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
        """True if both ends are finite."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """Values with their weights in the statistic, and whose they are."""

    estimate: float
    values: Float[np.ndarray, " cases"]
    weights: Float[np.ndarray, " cases"]  # sum to 1: alike for a plain mean, a group's share by its size for a macro
    residuals: Float[np.ndarray, " cases"]  # from the group's mean, scaled for the patients that it was taken from
    spread: float  # variance of the statistic if every case were a patient of its own
    binomial: float  # the same from the groups' rates, for hits: one miss of a group does not make its variance 0
    patients: Int[np.ndarray, " cases"]
    count: int  # of patients
    groups: int

    @property
    def variance(self) -> float:
        """Of the statistic, from the patients' totals."""
        return float(self.totals @ self.totals)

    @property
    def totals(self) -> Float[np.ndarray, " patients"]:
        """Each patient's share of the statistic's deviation from the truth (linearised)."""
        return np.bincount(self.patients, self.weights * self.residuals, self.count)

    @property
    def concentration(self) -> float:
        """Sum of the squared weights of patients: 1 over how many patients of equal weight would say as much."""
        of_patients = np.bincount(self.patients, self.weights, self.count)
        return float(of_patients @ of_patients)

    @property
    def degrees(self) -> float:
        """Of freedom of the variance: patients of equal weight less one; 0 where there is one patient."""
        return 0.0 if self.count == 1 else max(1.0 / self.concentration - 1.0, 1.0)

    @property
    def case_weight(self) -> float:
        """Sum of the squared weights of cases: 1 over the number of cases for a plain mean."""
        return float(self.weights @ self.weights)

    @property
    def skewness(self) -> float:
        """Of the statistic, from the patients' totals, shrunk by its own sampling variance.

        Ten patients of a normal distribution have a skewness by chance, and correcting for it would cost coverage. A
        macro mean is not corrected: its skewness is that of the groups with a case or two.
        """
        totals, squares = self.totals, self.variance
        if squares == 0.0 or self.groups > 1:
            return 0.0
        found = float((totals**3).sum() / squares**1.5)
        by_chance = 6.0 * self.concentration**2  # variance of the skewness of normal values, for a mean
        return found * found * found / (found * found + by_chance)

    def design_effect(self, *, excess: float) -> tuple[float, float]:
        """Variance over that of independent cases, moderated, and its degrees of freedom (:func:`moderation`).

        Args:
            excess: excess kurtosis of a case's value; infinite where all values are alike.
        """
        own_degrees = self._degrees_of_variance(excess) if self.spread > 0.0 else 0.0
        own = self.variance / self.spread if own_degrees > 0.0 else 0.0
        factor, added, degrees = moderation(own_degrees, concentration=self.concentration, case_weight=self.case_weight)
        return factor * own + added, degrees

    def _degrees_of_variance(self, excess: float) -> float:
        """Satterthwaite's: twice the squared variance over the variance of its estimate."""
        if self.degrees == 0.0:
            return 0.0
        of_cases = max(excess, 0.0) * float((self.weights**4).sum()) / self.case_weight**2
        return 2.0 / (2.0 / self.degrees + of_cases)


def moderation(own_degrees: float, *, concentration: float, case_weight: float) -> tuple[float, float, float]:
    """Return how a sample's design effect is averaged with that of the prior.

    The degrees of freedom are infinite where each patient has one case: the design effect is then known to be 1.

    Args:
        own_degrees: degrees of freedom of the sample's design effect; 0 where it gives none.
        concentration: sum of the squared weights of patients.
        case_weight: sum of the squared weights of cases.

    Returns:
        The factor of the sample's design effect, what is added to it, and the degrees of freedom of the sum.
    """
    prior = 1.0 + (concentration / case_weight - 1.0) * _PRIOR_CORRELATION
    degrees = own_degrees + _PRIOR_DEGREES
    uncertain = 1.0 - case_weight / concentration  # share of the pairs of a patient's cases in the variance
    freedom = degrees / uncertain if uncertain > _ROUNDING else np.inf
    return own_degrees / degrees, _PRIOR_DEGREES * prior / degrees, freedom


def recorded(interval: Interval) -> Estimate | None:
    """Return the record of an interval; None if one patient says nothing about others, so that it has no ends."""
    if not interval.is_bounded:
        return None
    return Estimate(
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        cases=interval.values,
        patients=interval.patients,
    )


def patient_interval(
    values: Float[np.ndarray, " cases"],
    patients: Labels,
    *,
    groups: Labels | None = None,
    level: float = 0.95,
    bound: float = np.inf,
    may_be_negative: bool = False,
) -> Interval:
    """Return the mean of ``values`` with its interval over patients.

    Values that are all 0 or 1 are treated as hits, those within 0 and 1 as shares: see the module. For paired values
    use :func:`paired_difference`. With ``groups`` (such as findings) the statistic is the mean of the groups' means
    (macro). ``bound`` is the largest possible absolute value (1 for a correlation), if there is one.
    ``may_be_negative``: the values are no shares, whatever those of the sample are.

    Raises:
        ValueError: no value, a value that is not finite, or lengths that differ.
    """
    sample = _sample(values, patients, groups)
    if may_be_negative:
        low, high = _real(sample, level, bound=bound)
    elif _are_hits(values):
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
    groups: Labels | None = None,
    level: float = 0.95,
) -> Interval:
    """Return the mean of ``values`` minus the mean of ``reference`` on the same cases, with its interval over patients.

    Effects that make a case hard for both cancel. With ``groups`` it is the difference of the macro means.

    Args:
        values: of the cases.
        reference: of the same cases, in the same order.
        patients: of the same cases.
        groups: of the same cases.
        level: of confidence.

    Raises:
        ValueError: as for :func:`patient_interval`, also for an unscored partner.
    """
    sample = _sample(values - reference, patients, groups)
    if _are_hits(values) or _are_hits(reference):
        low, high = _differences_of_hits(sample, level)
    else:
        within = min(values.min(), reference.min()) >= 0.0 and max(values.max(), reference.max()) <= 1.0
        low, high = _real(sample, level, bound=1.0 if within else np.inf)
    return _interval(sample, low, high)


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
    rates = (np.bincount(group, values) + _PRIOR_CASES * overall) / (sizes + _PRIOR_CASES) if len(sizes) > 1 else means
    return _Sample(
        estimate=estimate,
        values=values,
        weights=weights,
        residuals=residuals * few[group],
        spread=float((weights * residuals) @ (weights * residuals)),
        binomial=float((weights**2 * few[group] ** 2) @ (rates * (1.0 - rates))[group]),
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
    if _has_no_spread(sample):
        return 0.0, 1.0
    share = sample.estimate
    variance = share * (1.0 - share)
    effect, degrees = sample.design_effect(excess=1.0 / variance - 6.0 if variance > 0.0 else np.inf)
    cases = variance / (effect * sample.binomial) if variance > 0.0 else 1.0 / (effect * sample.case_weight)
    return _wilson(share, cases, _quantile(degrees, level))


def _shares(sample: _Sample, level: float) -> tuple[float, float]:
    if sample.count == 1:
        return 0.0, 1.0
    share, variance = sample.estimate, sample.variance
    if variance == 0.0 or not 0.0 < share < 1.0:  # all alike, or so but for rounding: correlations of 1
        return share, share
    return _wilson(share, share * (1.0 - share) / variance, _quantile(sample.degrees, level))


def _has_no_spread(sample: _Sample) -> bool:
    """Return True if all groups belong to one patient, which gives no information about other patients."""
    return sample.count == 1 and sample.groups > 1


def _quantile(degrees: float, level: float) -> float:
    """Of Student's t; of the normal distribution where ``degrees`` is infinite."""
    return float(stdtrit(degrees, 0.5 + level / 2.0)) if np.isfinite(degrees) else float(ndtri(0.5 + level / 2.0))


def _wilson(share: float, cases: float, quantile: float) -> tuple[float, float]:
    squared = quantile * quantile / cases
    middle = (share + squared / 2.0) / (1.0 + squared)
    half = quantile * np.sqrt(share * (1.0 - share) / cases + squared / (4.0 * cases)) / (1.0 + squared)
    # At 0 and at 1 the end is exact, whatever rounding makes of it.
    return 0.0 if share == 0.0 else max(middle - half, 0.0), 1.0 if share == 1.0 else min(middle + half, 1.0)


def _differences_of_hits(sample: _Sample, level: float) -> tuple[float, float]:
    if _has_no_spread(sample):
        return -1.0, 1.0
    squares = float(sample.weights @ sample.values**2)
    spread = squares - sample.estimate**2
    fourth = float(sample.weights @ (sample.values - sample.estimate) ** 4)
    effect, degrees = sample.design_effect(excess=fourth / spread**2 - 3.0 if spread > 0.0 else np.inf)
    cases = 1.0 / sample.case_weight
    added = _ADDED_CASES * effect
    all_cases = cases + 2.0 * added
    middle = sample.estimate * cases / all_cases
    variance = (squares * cases + 2.0 * added) / all_cases - middle**2
    half = _quantile(degrees, level) * np.sqrt(effect * variance / all_cases)
    return max(middle - half, -1.0), min(middle + half, 1.0)


def _real(sample: _Sample, level: float, *, bound: float) -> tuple[float, float]:
    if sample.count == 1:
        return -bound, bound
    error, quantile = float(np.sqrt(sample.variance)), _quantile(sample.degrees, level)
    low, high = (sample.estimate - error * _with_skewness(q, sample.skewness) for q in (quantile, -quantile))
    return max(low, -bound), min(high, bound)


def _with_skewness(quantile: float, skewness: float) -> float:
    """Return the quantile of a studentised mean whose numerator has this skewness.

    Inverts Hall's monotone cubic transformation, which removes the skewness of a studentised mean to first order.
    """
    if abs(skewness) < _ROUNDING:
        return quantile
    return float(3.0 / skewness * (np.cbrt(1.0 + skewness * (quantile - skewness / 6.0)) - 1.0))


def _interval(sample: _Sample, low: float, high: float) -> Interval:
    return Interval(
        estimate=sample.estimate,
        low=min(float(low), sample.estimate),
        high=max(float(high), sample.estimate),
        values=len(sample.values),
        patients=sample.count,
    )
