"""How much of the heat lies in the box, and how well its hot region covers it."""

import numpy as np
from jaxtyping import Bool, Float
from skimage.filters import threshold_otsu

__all__ = ["energy_in_box", "iou_at_otsu"]

_BINS = 256


def energy_in_box(heat: Float[np.ndarray, "height width"], target: Bool[np.ndarray, "height width"]) -> float | None:
    """Share of the positive heat that lies in ``target``, 0 to 1; None where the target is empty or there is no heat.

    Source: Wang et al. 2020, "Score-CAM", section 4.3 (energy-based pointing game).
    """
    positive = np.where(np.isfinite(heat) & (heat > 0), heat, 0.0).astype(np.float64)
    total = float(positive.sum())
    if total == 0.0 or not target.any():
        return None
    return float(positive[target].sum()) / total


def iou_at_otsu(heat: Float[np.ndarray, "height width"], target: Bool[np.ndarray, "height width"]) -> float | None:
    """Intersection over union of ``target`` with the heat above Otsu's threshold, 0 to 1.

    Only pixels with a finite heat take part. None where no target pixel does; 0 for a flat map, which has no hot region.

    Source: Otsu 1979, "A threshold selection method from gray-level histograms".
    """
    finite = np.isfinite(heat)
    wanted = target & finite
    if not wanted.any():
        return None
    values = heat[finite]
    if values.min() == values.max():
        return 0.0
    hot = finite & (heat > threshold_otsu(values, nbins=_BINS))  # type: ignore[no-untyped-call]
    return float((hot & wanted).sum() / (hot | wanted).sum())
