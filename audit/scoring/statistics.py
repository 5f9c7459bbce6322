"""Estimates with 95 % intervals: whole patients are drawn again, since one patient's images resemble each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Interval", "paired_difference", "patient_bootstrap"]

Labels = Sequence[str] | Int[np.ndarray, " cases"]
"""A name or a number for each case; the same labels, sorted alike, give the same intervals."""

_WEIGHTS_AT_ONCE = 500_000  # resamples x patients: 4 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A sample statistic with its percentile bootstrap interval."""

    estimate: float
    low: float
    high: float
    values: int
    patients: int


def patient_bootstrap(
    values: Float[np.ndarray, " cases"],
    patients: Labels,
    *,
    generator: np.random.Generator,
    groups: Labels | None = None,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Give the mean of ``values`` with its percentile interval over resampled patients.

    With ``groups`` (findings, say) the statistic is the mean of the groups' means (macro); a group that a resample does
    not hold takes no part in it. The estimate is the sample's own statistic, not the mean of the resamples.

    Raises:
        ValueError: no value, a value that is not finite, or lengths that differ.

    Source: Davison and Hinkley 1997, "Bootstrap methods and their application", section 3.8 (resampling clusters).
    """
    if len(values) == 0 or len(values) != len(patients) or (groups is not None and len(groups) != len(values)):
        raise ValueError(f"{len(values)} values need as many patients and groups, and at least one")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite: leave unscored cases out")
    patient_names, patient_index = np.unique(np.asarray(patients), return_inverse=True)
    group_names, group_index = np.unique(
        np.asarray(groups) if groups is not None else np.zeros(len(values), dtype=int), return_inverse=True
    )
    shape = (len(patient_names), len(group_names))
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (patient_index, group_index), values)
    np.add.at(counts, (patient_index, group_index), 1.0)
    resampled = _resample(sums, counts, resamples, generator)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(resampled, [tail, 1.0 - tail])
    estimate = _mean_of_groups(sums.sum(0)[None], counts.sum(0)[None])[0]
    return Interval(
        estimate=float(estimate), low=float(low), high=float(high), values=len(values), patients=len(patient_names)
    )


def paired_difference(
    values: Float[np.ndarray, " cases"],
    reference: Float[np.ndarray, " cases"],
    patients: Labels,
    *,
    generator: np.random.Generator,
    groups: Labels | None = None,
) -> Interval:
    """Give the mean of ``values`` minus the mean of ``reference`` on the same cases, with its 95 % interval.

    Both are resampled together, so that what makes a case hard for both cancels. With ``groups`` it is the difference
    of the macro means.

    Raises:
        ValueError: what :func:`patient_bootstrap` refuses, an unscored partner among it.
    """
    return patient_bootstrap(values - reference, patients, generator=generator, groups=groups)


def _resample(
    sums: Float[np.ndarray, "patients groups"],
    counts: Float[np.ndarray, "patients groups"],
    resamples: int,
    generator: np.random.Generator,
) -> Float[np.ndarray, " resamples"]:
    """Draw how often each patient is taken and average what they hold, a part of the resamples at a time."""
    patients = len(sums)
    part = max(1, _WEIGHTS_AT_ONCE // patients)
    means = []
    for start in range(0, resamples, part):
        size = min(part, resamples - start)
        drawn = generator.integers(patients, size=(size, patients))
        drawn += patients * np.arange(size)[:, None]
        # How often each patient is taken; counting draws is ten times faster than drawing the counts (multinomial).
        taken = np.bincount(drawn.ravel(), minlength=size * patients).reshape(size, patients).astype(np.float64)
        means.append(_mean_of_groups(taken @ sums, taken @ counts))
    return np.concatenate(means)


def _mean_of_groups(
    sums: Float[np.ndarray, "resamples groups"], counts: Float[np.ndarray, "resamples groups"]
) -> Float[np.ndarray, " resamples"]:
    means = np.divide(sums, counts, out=np.zeros_like(sums, dtype=float), where=counts > 0)
    held = (counts > 0).sum(1)
    averaged: Float[np.ndarray, " resamples"] = means.sum(1) / held
    return averaged
