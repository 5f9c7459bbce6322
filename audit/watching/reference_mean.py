"""What the reference audits say of a quantity: its mean, and how far the mean of a later audit may lie from it.

The variance of a later audit's mean is predicted from the reference audits, as a p-chart does, and not taken from the
audit itself: an audit of hits alone has no variance. Cases of a patient are correlated, so the variance is that of a
beta-binomial distribution (of clustered values in general): ``sd^2 * sum(n + n * (n - 1) * correlation) / N^2`` over
the patients with ``n`` of the ``N`` cases. Audits may differ by more than chance between patients: by Laney's factor,
estimated from the reference audits, which is at least 1.

Source: Shewhart 1931, "Economic control of quality of manufactured product"; Laney 2002, "Improved control charts for
attributes" (p'-chart; here the mean square of the z-scores, averaged with prior degrees of freedom, takes the place of
moving ranges, because there are few reference audits).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Shaped

from audit.planning.clustering import intraclass_correlation

__all__ = ["PRIOR_DEGREES", "Cases", "ReferenceMean", "Spread", "patients_of", "pooled", "weight_per_patient"]

_LEAST_CORRELATION = 0.1
"""Of the cases of a patient, unless many patients show a lower one: the assumption of the project's intervals."""
_MANY_PATIENTS = 200  # with several cases
_LEAST_SD = 0.01  # of shares: an encoder whose heat never touches a marker has no variance there
PRIOR_DEGREES = 3.0  # of Laney's factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """The values of a quantity in one audit, with the patient of each."""

    values: Shaped[np.ndarray, " cases"]  # numbers, or names of categories
    patients: Shaped[np.ndarray, " cases"]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Variance and third central moment of the error of a mean."""

    variance: float
    third: float


def patients_of(cases: Cases) -> Int[np.ndarray, " patients"]:
    """Return the number of cases of each patient."""
    counts: Int[np.ndarray, " patients"] = np.unique(cases.patients, return_counts=True)[1]
    return counts


def pooled(audits: Sequence[Cases]) -> Cases:
    """Join the cases of audits; a patient of several of them is one patient."""
    return Cases(
        values=np.concatenate([each.values for each in audits]),
        patients=np.concatenate([each.patients for each in audits]),
    )


def weight_per_patient(cases: Cases) -> Float[np.ndarray, " cases"]:
    """Return weights by which each patient counts once, however many cases the patient has."""
    _, index, counts = np.unique(cases.patients, return_inverse=True, return_counts=True)
    weights: Float[np.ndarray, " cases"] = 1.0 / counts[index]
    return weights


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceMean:
    """A numeric quantity in the reference audits."""

    centre: float
    sd: float  # of a case
    skewness: float  # of a case
    correlation: float  # of two cases of a patient
    laney: float  # factor of the standard error, at least 1
    degrees: float  # of freedom of the variance
    own: Spread  # of the error of ``centre``
    low: float  # least possible value
    high: float

    @classmethod
    def of(cls, audits: Sequence[Cases], *, limits: tuple[float, float]) -> "ReferenceMean | None":
        """Estimate from the reference audits.

        Args:
            audits: the cases of each.
            limits: least and greatest possible value of a case.

        Returns:
            None if the quantity does not vary at all and has no natural scale.
        """
        cases = pooled(audits)
        values = cases.values.astype(float)
        is_share = limits == (0.0, 1.0)
        if is_share and np.isin(values, (0.0, 1.0)).all():
            share = (values.sum() + 0.5) / (len(values) + 1.0)
            sd = float(np.sqrt(share * (1.0 - share)))
            skewness = float((1.0 - 2.0 * share) / sd)
        else:
            sd = max(float(values.std(ddof=1)), _LEAST_SD if is_share else 0.0)
            if sd == 0.0:
                return None
            skewness = float(((values - values.mean()) ** 3).mean() / sd**3)
        alone = cls(
            centre=float(values.mean()),
            sd=sd,
            skewness=skewness,
            correlation=_correlation(cases),
            laney=1.0,
            degrees=float(max(len(np.unique(cases.patients)) - 1, 1)),
            own=Spread(variance=0.0, third=0.0),
            low=limits[0],
            high=limits[1],
        )
        found = replace(alone, laney=alone.laney_factor(audits))
        return replace(found, own=found.spread(patients_of(cases)))

    def spread(self, sizes: Int[np.ndarray, " patients"]) -> Spread:
        """Predict variance and third moment of the mean of an audit, from the number of cases of each patient."""
        total = float(sizes.sum())
        variance = self.laney**2 * self.sd**2 * float((sizes + sizes * (sizes - 1.0) * self.correlation).sum())
        variance /= total**2
        # The third moment is that of as many independent cases as give this variance.
        return Spread(variance=variance, third=self.skewness * variance**2 / self.sd)

    def laney_factor(self, audits: Sequence[Cases]) -> float:
        """Return by how much audits differ more than patients alone make them, as a factor of the standard error."""
        squares = sum(
            (float(each.values.astype(float).mean()) - self.centre) ** 2 / self.spread(patients_of(each)).variance
            for each in audits
        )
        return float(np.sqrt(max((PRIOR_DEGREES + squares) / (PRIOR_DEGREES + len(audits) - 1.0), 1.0)))


def _correlation(cases: Cases) -> float:
    found = intraclass_correlation(cases.values.astype(float), cases.patients.tolist())
    several = int((patients_of(cases) > 1).sum())
    least = _LEAST_CORRELATION if several < _MANY_PATIENTS else 0.0
    return min(max(found if found is not None else least, least), 1.0)
