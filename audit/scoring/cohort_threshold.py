"""The one threshold that suits a cohort best, chosen for each patient on all the others."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

__all__ = ["iou_at_cohort_threshold"]


def iou_at_cohort_threshold(
    ious: Float[np.ndarray, "cases levels"], patients: Sequence[str]
) -> Float[np.ndarray, " cases"]:
    """Give each case its IoU at the level whose mean IoU over the other patients' cases is highest.

    Of equal levels the lowest is taken. A patient's own cases never choose, or the score would be fitted to what it
    measures.

    Args:
        ious: IoU of each case at each of a fixed ladder of thresholds, as a streamed run leaves them.
        patients: whose case each is.

    Returns:
        NaN, not measured, where there is no other patient.

    Source: Saporta et al. 2022, "Benchmarking saliency methods for chest X-ray interpretation", methods (one threshold
    tuned on other cases for the best mean IoU); leaving one patient out is ours.
    """
    names, index = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < 2:
        return np.full(len(ious), np.nan)
    sums = np.zeros((len(names), ious.shape[1]))
    counts = np.zeros(len(names))
    np.add.at(sums, index, ious)
    np.add.at(counts, index, 1.0)
    others = (sums.sum(0) - sums) / (counts.sum() - counts)[:, None]
    # Rounded, so that sums taken in another order choose the same of two equal levels.
    best = np.round(others, 9).argmax(1)
    chosen: Float[np.ndarray, " cases"] = ious[np.arange(len(ious)), best[index]]
    return chosen
