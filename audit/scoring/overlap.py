"""How much of the heat lies in the box, and how well its hot region covers it.

Both are None, not measured, where the target is empty or the model saw none of it, and 0 for a map that holds nothing
to measure (no heat, flat, NaN throughout): to leave such maps out would reward a method for showing nothing.
"""

import numpy as np
from jaxtyping import Bool, Float
from skimage.filters import threshold_otsu

from audit.scoring.pointing import is_measurable, rounding

__all__ = ["energy_in_box", "iou_at_otsu"]

_BINS = 256


def energy_in_box(heat: Float[np.ndarray, "height width"], target: Bool[np.ndarray, "height width"]) -> float | None:
    """Share of the positive heat that lies in ``target``, 0 to 1; None where it cannot be measured.

    Source: Wang et al. 2020, "Score-CAM", section 4.3 (energy-based pointing game).
    """
    if not is_measurable(heat, target):
        return None
    positive = np.where(np.isfinite(heat) & (heat > 0), heat, 0.0).astype(np.float64)
    total = float(positive.sum())
    return float(positive[target].sum()) / total if total > 0.0 else 0.0


def iou_at_otsu(heat: Float[np.ndarray, "height width"], target: Bool[np.ndarray, "height width"]) -> float | None:
    """Intersection over union of ``target`` with the heat above Otsu's threshold, 0 to 1; None where not measurable.

    Only pixels with a finite heat take part, of the target as well.

    Source: Otsu 1979, "A threshold selection method from gray-level histograms".
    """
    if not is_measurable(heat, target):
        return None
    finite = np.isfinite(heat)
    values = heat[finite]
    if values.size == 0 or values.max() - values.min() <= rounding(values):
        return 0.0
    hot = finite & (heat > threshold_otsu(values, nbins=_BINS))  # type: ignore[no-untyped-call]
    wanted = target & finite
    return float((hot & wanted).sum() / (hot | wanted).sum())
