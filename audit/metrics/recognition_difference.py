"""Recognition by one model compared with another on the same images and phrases: the difference of the areas."""

from collections.abc import Sequence

import numpy as np

from audit.metrics.recognition import EmbeddedImage, RankedFinding, ranked_by_finding, resampled_estimate
from audit.metrics.statistics import paired_difference, recorded
from reports.run_record import Estimate

__all__ = ["AreaDifference", "area_differences"]


AreaDifference = tuple[float, float, Estimate]
"""The areas of the first and of the second model, and the second minus the first."""


def area_differences(
    first: Sequence[EmbeddedImage], second: Sequence[EmbeddedImage]
) -> dict[str | None, AreaDifference]:
    """Return the difference of the areas under the ROC curve, over all phrases (None) and for each finding.

    Both models are resampled with the same patients, so that the difference is paired. An image is a case of its own
    phrases and a comparison for those of others: an interval of the phrases alone would be too narrow.

    Args:
        first: the images as the first model sees them.
        second: the same images with the same phrases in the same order, as the second model sees them.

    Raises:
        ValueError: images or phrases differ.
    """
    if _content(first) != _content(second):
        raise ValueError("both models need the same images and phrases")
    both = ranked_by_finding(first), ranked_by_finding(second)
    found = {}
    for finding in (None, *(name for name in both[0] if name is not None)):
        groups = [[of_model[finding]] if finding is not None else list(of_model.values()) for of_model in both]
        difference = _difference(groups)
        if difference is not None:
            found[finding] = difference
    return found


def _content(images: Sequence[EmbeddedImage]) -> set[tuple[object, ...]]:
    return {
        (image.key, image.patient, image.has, image.unclear, tuple(phrase.finding for phrase in image.phrases))
        for image in images
    }


def _difference(groups: Sequence[Sequence[RankedFinding]]) -> AreaDifference | None:
    phrases = list(
        zip(*([phrase for group in of_model for phrase in group.phrases] for of_model in groups), strict=True)
    )
    measured = [
        (before.percentile, after.percentile, before.patient)
        for before, after in phrases
        if before.percentile is not None and after.percentile is not None
    ]
    if not measured:
        return None
    values, others = (np.array([pair[place] for pair in measured], dtype=float) for place in (1, 0))
    plain = recorded(paired_difference(values, others, [pair[2] for pair in measured]))
    if plain is None:
        return None
    areas = float(others.mean()), float(values.mean())
    if np.ptp(values - others) == 0.0:
        return *areas, plain  # all alike: resampling would say that there is no doubt
    sums, counts = (
        [np.sum([getattr(group, name) for group in of_model], axis=0) for of_model in groups]
        for name in ("sums", "counts")
    )
    drawn = counts[0] > 0
    return *areas, resampled_estimate(plain, sums[1][drawn] / counts[1][drawn] - sums[0][drawn] / counts[0][drawn])
