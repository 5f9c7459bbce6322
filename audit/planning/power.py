"""The power of the four questions, for the intervals that answer them.

Power is the probability that the interval of :mod:`audit.metrics.statistics` or of
:func:`audit.metrics.hypotheses.difference_of_groups` answers the question. The formulas follow those intervals: the
moderated design effect, Student's t and the added cases. The estimate is taken as normal and the estimated design
effect as a multiple of a chi-squared variable; the mean over that variable is a sum over its quantiles.
``benchmarks/bench_plan.py`` compares the result with simulated cohorts.

Source: Connor 1987, "Sample size for testing differences in proportions for the paired-sample design" (variance of a
paired difference); Liu, Hsueh, Hsieh and Chen 2002, "Tests for equivalence or non-inferiority for paired binary data".
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri, stdtrit
from scipy.stats import chi2

from audit.metrics.statistics import moderation
from audit.planning.clustering import Clustering

__all__ = ["Design", "gap_power", "paired_power", "precision_power"]

_QUANTILES = (np.arange(48) + 0.5) / 48
_LEAST_PATIENTS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A planned cohort, and the level of its intervals."""

    patients: float
    clustering: Clustering
    level: float = 0.95

    @property
    def phrases(self) -> float:
        """Expected number of scored phrases."""
        return self.patients * self.clustering.phrases_per_patient

    @property
    def counted(self) -> float:
        """Number of phrases as the interval of a share counts them: less those of one patient of the mean."""
        return self.phrases * (1.0 - 1.0 / self.patients)

    @property
    def effective(self) -> float:
        """Number of independent phrases with the same variance of the mean."""
        return self.phrases / self.clustering.design_effect

    def part(self, share: float) -> "Design":
        """Return the cohort of a subgroup with this share of the patients."""
        patients = max(share * self.patients, _LEAST_PATIENTS)
        return Design(patients=patients, clustering=self.clustering, level=self.level)

    def moderated(self, excess: float) -> tuple[Float[np.ndarray, " quantiles"], float]:
        """Return equally likely moderated design effects of a sample, and the quantile of the interval.

        Args:
            excess: excess kurtosis of a phrase's value.
        """
        size = self.clustering.weighted_size
        patients = max(self.phrases / size - 1.0, 1.0)
        own_degrees = 2.0 / (2.0 / patients + max(excess, 0.0) / self.phrases)
        uncertain = 1.0 - 1.0 / size
        own = np.full(len(_QUANTILES), self.clustering.design_effect)
        if uncertain > 0.0:
            own = own * chi2.ppf(_QUANTILES, own_degrees / uncertain) / (own_degrees / uncertain)
        factor, added, degrees = moderation(
            own_degrees, concentration=size / self.phrases, case_weight=1.0 / self.phrases
        )
        upper = 0.5 + self.level / 2.0
        return factor * own + added, float(stdtrit(degrees, upper) if np.isfinite(degrees) else ndtri(upper))


def precision_power(design: Design, *, rate: float, half_width: float) -> float:
    """Return the probability that half the width of a hit rate's interval is at most ``half_width``."""
    effects, quantile = design.moderated(_excess(rate))
    spread = np.sqrt(rate * (1.0 - rate) / design.effective)
    rates = np.clip(rate + spread * ndtri(_QUANTILES), 0.0, 1.0)
    clustering = design.clustering
    sizes = 1.0 + clustering.variation * clustering.gain_by_size / np.sqrt(design.patients) * ndtri(_QUANTILES[1::3])
    low, high = _wilson(rates[:, None, None], design.counted * sizes[:, None] / effects, quantile)
    return float(((high - low) / 2.0 <= half_width).mean())


def paired_power(design: Design, *, difference: float, discordance: float, limit: float) -> float:
    """Return the probability that the interval of a paired difference of hits lies above ``limit``.

    Args:
        design: the cohort.
        difference: true mean difference.
        discordance: mean square of a phrase's difference; for hits the share of phrases where only one side hits.
        limit: 0 or a margin above it for superiority, below it for non-inferiority.
    """
    squares = max(discordance, abs(difference))
    variance = squares - difference**2
    only_first, only_second = (squares + difference) / 2.0, (squares - difference) / 2.0
    fourth = (
        only_first * (1.0 - difference) ** 4 + only_second * (1.0 + difference) ** 4 + (1.0 - squares) * difference**4
    )
    effects, quantile = design.moderated(fourth / variance**2 - 3.0 if variance > 0.0 else np.inf)
    cases = design.phrases + 2.0 * effects  # one added to each of the two outcomes that disagree
    middle = difference * design.phrases / cases
    estimated = (squares * design.phrases + 2.0 * effects) / cases - middle**2
    distance = middle - quantile * np.sqrt(effects * estimated / cases) - limit
    error = np.sqrt(variance / design.effective) * design.phrases / cases
    return float(ndtr(distance / np.maximum(error, 1e-12)).mean())


def gap_power(design: Design, *, rate: float, gap: float, share: float) -> float:
    """Return the probability that the interval of the difference of two subgroups' hit rates excludes 0.

    Args:
        design: the cohort.
        rate: of the larger subgroup.
        gap: by which the rate of the smaller subgroup is lower (negative: higher).
        share: of the patients in the smaller subgroup.
    """
    small, large = design.part(share), design.part(1.0 - share)
    lower = rate - gap
    distances, variance = [], 0.0
    for part, own, is_lower in ((small, lower, gap > 0.0), (large, rate, gap <= 0.0)):
        effects, quantile = part.moderated(_excess(own))
        low, high = _wilson(np.full(len(effects), own), part.counted / effects, quantile)
        distances.append((high - own if is_lower else own - low) ** 2)
        variance += own * (1.0 - own) / part.effective
    reach = np.sqrt(distances[0][:, None] + distances[1][None, :])
    return float(ndtr((abs(gap) - reach) / max(np.sqrt(variance), 1e-12)).mean())


def _excess(rate: float) -> float:
    variance = rate * (1.0 - rate)
    return 1.0 / variance - 6.0 if variance > 0.0 else np.inf


def _wilson(
    rates: Float[np.ndarray, "..."], cases: Float[np.ndarray, "..."], quantile: float
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    squared = quantile * quantile / cases
    middle = (rates + squared / 2.0) / (1.0 + squared)
    half = quantile * np.sqrt(rates * (1.0 - rates) / cases + squared / (4.0 * cases)) / (1.0 + squared)
    return middle - half, middle + half
