"""The mean IoU of one map, from its IoU at every level."""

import numpy as np

from audit.metrics.overlap import iou_at_levels, mean_of_levels
from audit.metrics.pointing import Target


def mean_iou(heat: np.ndarray, target: Target) -> float | None:
    """Mean of the IoU at five thresholds, 0 to 1; None where it cannot be measured."""
    ious = iou_at_levels(heat, target)
    return None if ious is None else mean_of_levels(ious)
