"""Does the heat rank the pixels inside the box before those outside, and by how much does it stand out there?

The conventions are those of :mod:`audit.scoring.overlap`: None where nothing can be measured, 0 for a flat map, only
finite pixels take part. A random map has the target's share of the image as its expected rank and average precision,
and a contrast of 0.
"""

import numpy as np
from jaxtyping import Float

from audit.scoring.overlap import is_flat
from audit.scoring.sampling import Target, visible_parts

__all__ = ["average_precision", "contrast_to_noise", "relevance_rank"]


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
