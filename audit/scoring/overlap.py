"""How much of the heat lies in the box, and how well its hot region covers it.

All are None, not measured, where the target is empty or the model saw none of it, and 0 for a map that holds nothing
to measure (no heat, flat, NaN throughout): to leave such maps out would reward a method for showing nothing. Only
pixels with a finite heat take part, of the target as well.
"""

import numpy as np
from jaxtyping import Float
from skimage.filters import threshold_otsu

from audit.scoring.pointing import rounding
from audit.scoring.sampling import Target, visible_parts

__all__ = ["LEVELS", "energy_in_box", "iou_at_levels", "iou_at_otsu", "is_flat", "mean_iou", "mean_of_levels"]

_BINS = 256
_STEPS = 50
LEVELS = tuple(step / _STEPS for step in range(_STEPS))
"""Thresholds on the min-max heat among which a cohort's best one is chosen, from the lowest."""
_MEAN_OVER = (0.1, 0.2, 0.3, 0.4, 0.5)


def energy_in_box(heat: Float[np.ndarray, "height width"], target: Target) -> float | None:
    """Share of the positive heat that lies in ``target``, 0 to 1; None where it cannot be measured.

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


def mean_iou(heat: Float[np.ndarray, "height width"], target: Target) -> float | None:
    """Mean of the IoU at five thresholds, 0.1 to 0.5 of the min-max heat; None where it cannot be measured.

    Source: Boecking et al. 2022, "Making the most of text semantics to improve biomedical vision-language processing"
    (phrase grounding).
    """
    ious = iou_at_levels(heat, target)
    return None if ious is None else mean_of_levels(ious)


def mean_of_levels(ious: tuple[float, ...]) -> float:
    """The mean IoU of a map whose IoU at every one of :data:`LEVELS` is known."""
    return sum(ious[LEVELS.index(level)] for level in _MEAN_OVER) / len(_MEAN_OVER)


def is_flat(values: Float[np.ndarray, " values"]) -> bool:
    """Whether finite values of a map in its own precision differ by rounding alone, or there are none."""
    return values.size == 0 or bool(values.max() - values.min() <= rounding(values))
