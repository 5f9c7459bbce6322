"""Similarity of two heat maps: rank correlation, structural similarity, distance of the peaks, relative change.

Heat maps are compared on the grid of the model: at the size of the input, as in the papers, the interpolation alone
would make them similar.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from audit.attribution.pairs import Attribution
from audit.metrics.statistics import Interval

__all__ = [
    "PairSimilarity",
    "peak_distance",
    "rank_correlation",
    "relative_change",
    "similarity",
    "similarity_of_random_pairs",
    "structure",
]

Map = Float[np.ndarray, "rows columns"]

_WINDOW = 7  # cells a side, of the structural similarity; less where the grid is smaller
_FEWEST = 3  # values to rank, and cells a side of a window
_RANDOM_PAIRS = 50  # as in Arun et al.
_FEWEST_PATIENTS = 3  # for a jackknife: without one of them at least one pair is left


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSimilarity:
    """The similarity of one pair's heat to that of the trained model."""

    spearman: float | None  # of the image heat, -1 to 1; None where either is flat, not finite or of under three cells
    ssim: float | None  # of the min-max image heat, -1 to 1; None as above, or where a side has under three cells
    words_spearman: float | None  # of the word heat; None as above, or where words were not explained
    cosine: float  # of the pair under the randomised model


def similarity(trained: Attribution, found: Attribution) -> PairSimilarity:
    """Compare two explanations of one pair; the first is the trained model's."""
    first, second = (one.heat.detach().cpu().double().numpy() for one in (trained, found))
    words = (np.array([heat for _, heat in one.words], dtype=float) for one in (trained, found))
    return PairSimilarity(
        spearman=rank_correlation(first, second),
        ssim=structure(first, second),
        words_spearman=rank_correlation(*words),
        cosine=found.cosine,
    )


def rank_correlation(first: Float[np.ndarray, "*shape"], second: Float[np.ndarray, "*shape"]) -> float | None:
    """Spearman's rank correlation, ties at their mean rank, -1 to 1; None for a flat map or fewer than three values."""
    if first.size < _FEWEST or not (_has_relief(first) and _has_relief(second)):
        return None
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def structure(first: Map, second: Map) -> float | None:
    """Structural similarity of two maps brought to 0 to 1, in windows of up to seven cells a side, -1 to 1.

    None for a flat map, one that is not finite, or one with a side of fewer than three cells.

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".
    """
    side = min(first.shape)
    if side < _FEWEST or not (_has_relief(first) and _has_relief(second)):
        return None
    window = min(_WINDOW, side - (side + 1) % 2)
    scaled = [(one - one.min()) / (one.max() - one.min()) for one in (first, second)]
    return float(structural_similarity(*scaled, data_range=1.0, win_size=window))  # type: ignore[no-untyped-call]


def peak_distance(first: Map, second: Map, *, size: int) -> float | None:
    """Distance between the centres of the hottest cells, in pixels; None for a flat map.

    Args:
        first: a heat map on the model's grid.
        second: another one on the same grid.
        size: pixels a side of the model's square input.
    """
    if not (_has_relief(first) and _has_relief(second)):
        return None
    rows, columns = first.shape
    one, other = (np.unravel_index(int(heat.argmax()), heat.shape) for heat in (first, second))
    return float(np.hypot((one[0] - other[0]) * size / rows, (one[1] - other[1]) * size / columns))


def relative_change(first: Map, second: Map) -> float | None:
    """Euclidean norm of the difference of two maps over that of the first, 0 or more; None for a map of zeros."""
    norm = float(np.linalg.norm(first))
    if not np.isfinite(norm) or norm == 0.0 or not np.isfinite(second).all():
        return None
    return float(np.linalg.norm(second - first)) / norm


def similarity_of_random_pairs(maps: Sequence[Map], patients: Sequence[str], *, seed: int) -> Interval | None:
    """Mean structural similarity of up to 50 random pairs of maps of different patients, with a 95 % interval.

    It is the reference of the randomisation test: maps of different images resemble each other as far as the method
    puts its heat at the same place on every image. A map takes part in several pairs, and the interval is therefore
    that of the jackknife over patients, with Student's t.

    Args:
        maps: heat of the trained model, on one grid.
        patients: of the maps.
        seed: of the draw.

    Returns:
        None for maps of fewer than three patients, or where none can be compared.

    Source: Arun et al. 2021, "Assessing the trustworthiness of saliency maps for localizing abnormalities in medical
    imaging", figure 3 (50 random pairs); Arvesen 1969, "Jackknifing U-statistics".
    """
    apart = [(one, other) for one, other in combinations(range(len(maps)), 2) if patients[one] != patients[other]]
    order = np.random.default_rng(seed).permutation(len(apart))[:_RANDOM_PAIRS]
    measured = [
        (patients[one], patients[other], value)
        for one, other in (apart[place] for place in sorted(order))
        if (value := structure(maps[one], maps[other])) is not None
    ]
    names = sorted({name for one, other, _ in measured for name in (one, other)})
    if len(names) < _FEWEST_PATIENTS:
        return None
    values = np.array([value for _, _, value in measured])
    without = [
        kept.mean() for name in names if (kept := values[[name not in {one, other} for one, other, _ in measured]]).size
    ]
    count = len(without)
    spread = float(np.sqrt((count - 1) / count * ((np.array(without) - np.mean(without)) ** 2).sum()))
    half = float(stdtrit(count - 1, 0.975)) * spread
    mean = float(values.mean())
    return Interval(
        estimate=mean,
        low=max(-1.0, mean - half),
        high=min(1.0, mean + half),
        values=len(values),
        patients=len(names),
    )


def _has_relief(values: Float[np.ndarray, "*shape"]) -> bool:
    return bool(np.isfinite(values).all()) and float(values.max()) > float(values.min())
