"""Scores of heat against boxes: overlap, energy and ranking of pixels.

All are None, not measured, where the target is empty or the model saw none of it, and 0 for a map that holds nothing
to measure (no heat, flat, NaN throughout): to leave such maps out would reward a method for showing nothing. Only
pixels with a finite heat take part, of the target as well.

The conventions are those of :mod:`audit.metrics.overlap`: None where nothing can be measured, 0 for a flat map, only
finite pixels take part. A random map has the target's share of the image as its expected rank and average precision,
and a contrast of 0.
"""

import numpy as np
from jaxtyping import Float
from skimage.filters import threshold_otsu

from audit.metrics.pointing import Target, rounding, visible_parts

__all__ = [
    "LEVELS",
    "average_precision",
    "contrast_to_noise",
    "energy_in_box",
    "iou_at_levels",
    "iou_at_otsu",
    "is_flat",
    "mean_of_levels",
    "relevance_rank",
]

_BINS = 256
_STEPS = 50
LEVELS = tuple(step / _STEPS for step in range(_STEPS))
"""Thresholds on the min-max heat among which a cohort's best one is chosen, from the lowest."""
_MEAN_OVER = (0.1, 0.2, 0.3, 0.4, 0.5)


def energy_in_box(heat: Float[np.ndarray, "height width"], target: Target) -> float | None:
    """Share of the positive heat in ``target``, 0 to 1; None if it cannot be measured.

    Source: Wang et al. 2020, "Score-CAM", section 4.3 (energy-based pointing game).
    """
    parts = visible_parts(heat, target)
    if parts is None:
        return None
    values, shares = parts
    positive = np.maximum(values, 0.0).astype(np.float64)
    total = float(positive.sum())
    return float(positive @ shares) / total if total > 0.0 else 0.0


def iou_at_otsu(heat: Float[np.ndarray, "height width"], target: Target) -> float | None:
    """Intersection over union of ``target`` with the heat above Otsu's threshold, 0 to 1; None where not measurable.

    Source: Otsu 1979, "A threshold selection method from gray-level histograms".
    """
    parts = visible_parts(heat, target)
    if parts is None:
        return None
    values, shares = parts
    if is_flat(values):
        return 0.0
    hot = values > threshold_otsu(values, nbins=_BINS)  # type: ignore[no-untyped-call]
    shared = float(shares[hot].sum())
    return shared / (float(hot.sum()) + float(shares.sum()) - shared)


def iou_at_levels(heat: Float[np.ndarray, "height width"], target: Target) -> tuple[float, ...] | None:
    """Intersection over union with the min-max heat above each of :data:`LEVELS`, 0 to 1; None where not measurable.

    The levels lie on the min-max scale, as published thresholds do, and not in nats: so they serve methods whose heat
    has another unit, and the references as well.
    """
    parts = visible_parts(heat, target)
    if parts is None:
        return None
    values, shares = parts
    if is_flat(values):
        return (0.0,) * _STEPS
    scaled = values.astype(np.float64) - float(values.min())
    levels_below = np.searchsorted(LEVELS, scaled / scaled.max(), side="left")
    hot, shared = (
        # From "pixels by how many levels they exceed" to "pixels that exceed level k".
        np.bincount(levels_below, weights=weights, minlength=_STEPS + 1)[::-1].cumsum()[::-1][1:]
        for weights in (None, shares)
    )
    ious = shared / (hot + float(shares.sum()) - shared)
    return tuple(float(iou) for iou in ious)


def mean_of_levels(ious: tuple[float, ...]) -> float:
    """Mean of the IoU at five thresholds, 0.1 to 0.5 of the min-max heat, 0 to 1.

    Args:
        ious: the IoU at every one of :data:`LEVELS`, as :func:`iou_at_levels` gives it.

    Source: Boecking et al. 2022, "Making the most of text semantics to improve biomedical vision-language processing"
    (phrase grounding).
    """
    return sum(ious[LEVELS.index(level)] for level in _MEAN_OVER) / len(_MEAN_OVER)


def is_flat(values: Float[np.ndarray, " values"]) -> bool:
    """Return True if the finite values of a map differ only by rounding in its own precision, or there are none."""
    return values.size == 0 or bool(values.max() - values.min() <= rounding(values))


def relevance_rank(heat: Float[np.ndarray, "height width"], target: Target) -> float | None:
    """Share of the |G| hottest pixels that lie in the target G, 0 to 1; None where it cannot be measured.

    Of pixels tied at the last place each takes part in proportion: the expectation over every way to break the tie.

    Source: Arras et al. 2022, "CLEVR-XAI: a benchmark dataset for the ground truth evaluation of neural network
    explanations" (relevance rank accuracy).
    """
    parts = visible_parts(heat, target)
    if parts is None:
        return None
    if is_flat(parts[0]):
        return 0.0
    values, shares = parts
    wanted = float(shares.sum())
    place = values.size - min(int(np.ceil(wanted)), values.size)
    last = np.partition(values, place)[place]
    above, tied = values > last, values == last
    places = wanted - float(above.sum())
    return float(shares[above].sum() + places * shares[tied].mean()) / wanted


def average_precision(heat: Float[np.ndarray, "height width"], target: Target) -> float | None:
    """Average precision of the heat as a detector of the target's pixels, 0 to 1; None where it cannot be measured.

    The sum of precision times the step in recall over every distinct value of the heat, without interpolation. A flat
    map gets 0 here, where that sum would give it chance.

    Source: Su et al. 2015, "A relationship between the average precision and the area under the ROC curve".
    """
    parts = visible_parts(heat, target)
    if parts is None:
        return None
    if is_flat(parts[0]):
        return 0.0
    order = np.argsort(parts[0])[::-1]
    values, shares = (part[order] for part in parts)
    ends = np.append(np.flatnonzero(values[1:] != values[:-1]), values.size - 1)
    found = shares.cumsum()[ends]
    steps = np.diff(found, prepend=0.0)
    return float((steps * found / (ends + 1)).sum() / found[-1])


def contrast_to_noise(heat: Float[np.ndarray, "height width"], target: Target) -> float | None:
    """Signed contrast-to-noise ratio: the mean inside minus the mean outside, over the root of both variances' sum.

    Negative where the heat avoids the target. The published absolute value would take a map that points everywhere but
    at the finding for a good one. None also where the target leaves nothing outside, or where both parts are constant
    and differ, so that there is no noise to measure by.

    Source: Boecking et al. 2022, "Making the most of text semantics to improve biomedical vision-language processing"
    (phrase grounding), there without the sign.
    """
    parts = visible_parts(heat, target)
    if parts is None:
        return None
    values, shares = parts
    if is_flat(values):
        return 0.0
    inside, outside = (_mean_and_variance(values.astype(np.float64), weights) for weights in (shares, 1.0 - shares))
    if inside is None or outside is None or inside[1] + outside[1] <= 0.0:
        return None
    return (inside[0] - outside[0]) / float(np.sqrt(inside[1] + outside[1]))


def _mean_and_variance(
    values: Float[np.ndarray, " pixels"], weights: Float[np.ndarray, " pixels"]
) -> tuple[float, float] | None:
    total = float(weights.sum())
    if total <= 0.0:
        return None
    mean = float(values @ weights) / total
    return mean, float(np.square(values - mean) @ weights) / total
