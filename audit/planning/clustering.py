"""Correlation of hits within patients, and by how much it enlarges the variance of a mean."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from audit.metrics.statistics import Labels

__all__ = ["Clustering", "intraclass_correlation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """How phrases are distributed over studies and patients, and how alike those of one patient are."""

    correlation: float  # intraclass correlation of the values within patients
    phrases_per_patient: float
    variation: float = 0.0  # coefficient of variation of the phrases per patient

    @property
    def weighted_size(self) -> float:
        """Mean number of phrases of the patient of a random phrase."""
        return max(self.phrases_per_patient * (1.0 + self.variation**2), 1.0)

    @property
    def design_effect(self) -> float:
        """Variance of the mean over that of as many independent phrases.

        Source: Eldridge, Ashby and Kerry 2006, "Sample size for cluster randomized trials: effect of coefficient of
        variation of cluster size and analysis method", equation 3 (cluster-size weights).
        """
        return 1.0 + (self.weighted_size - 1.0) * self.correlation

    @property
    def gain_by_size(self) -> float:
        """Relative change of the effective number of phrases for a relative change of the phrases of the patients.

        It is below 1 because further phrases of a patient say less than those of others (first-order expansion).
        """
        independent = 1.0 - self.correlation
        return 2.0 - (independent + 2.0 * self.correlation * self.phrases_per_patient) / self.design_effect


def intraclass_correlation(values: Float[np.ndarray, " cases"], patients: Labels) -> float | None:
    """Return the correlation of two values of the same patient by the analysis-of-variance estimator.

    Also for binary values and paired differences. It may be negative. None: no patient has two values, there is one
    patient, or all values are alike.

    Source: Ridout, Demetrio and Firth 1999, "Estimating intraclass correlation for binary data", section 2.1.
    """
    index = np.unique(np.asarray(patients), return_inverse=True)[1]
    sizes = np.bincount(index).astype(float)
    cases, count = float(len(values)), len(sizes)
    if count < 2 or cases <= count:
        return None
    means = np.bincount(index, values) / sizes
    between = float(sizes @ (means - values.mean()) ** 2) / (count - 1)
    within = float(((values - means[index]) ** 2).sum()) / (cases - count)
    typical = (cases - float(sizes @ sizes) / cases) / (count - 1)
    total = between + (typical - 1.0) * within
    return (between - within) / total if total > 0.0 else None
