"""How a frontal radiograph lies, as far as its anatomy shows: upright, mirrored, or rotated by quarter turns."""

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from pipelines.regions.chest import part_within
from pipelines.study import Orientation

__all__ = ["find_orientation", "turned", "turned_back"]

# Natural logarithms of how much likelier an orientation has to be than its rivals. On 155 real films, all upright, the
# mirror image was likelier by 1.8 at most, and no orientation by another quarter turn was likelier.
_LEAST_MARGIN = 2.0
_LEAST_MARGIN_OF_TURNS = 1.0  # over those of other quarter turns

Pixels = Shaped[np.ndarray, "*batch rows columns"]
Turned = Shaped[np.ndarray, "*batch turned_rows turned_columns"]


def turned(pixels: Pixels, orientation: Orientation) -> Turned:
    """Mirror and rotate upright images; a view of the pixels."""
    mirrored = pixels[..., ::-1] if orientation.is_mirrored else pixels
    return np.rot90(mirrored, -orientation.quarter_turns, axes=(-2, -1))


def turned_back(pixels: Pixels, orientation: Orientation) -> Turned:
    """Make images upright that lie in an orientation; a view of the pixels."""
    rotated = np.rot90(pixels, orientation.quarter_turns, axes=(-2, -1))
    return rotated[..., ::-1] if orientation.is_mirrored else rotated


def find_orientation(
    picture: UInt8[np.ndarray, "rows columns"], valid: Bool[np.ndarray, "rows columns"]
) -> Orientation | None:
    """Tell how a frontal chest radiograph lies; None if it cannot be told.

    Quarter turns are easy to tell, and mirroring is not. So an image is called upright or mirrored only if the other
    is clearly less likely; one that is clearly rotated is named even if it is unclear whether it is mirrored as well.
    An upright image of a patient whose organs are reversed (situs inversus) looks like a mirrored one.

    Args:
        picture: display values, white is dense.
        valid: False behind collimators and in padding.
    """
    from pipelines.regions.orientation_network import orientation_scores  # noqa: PLC0415 - pages are made without torch

    if not valid.any():
        return None
    scores = orientation_scores(picture[part_within(valid)])
    order = [list(Orientation)[place] for place in np.argsort(scores)[::-1]]
    best, *rivals = order
    margin = _LEAST_MARGIN
    if best.quarter_turns:
        rivals, margin = [each for each in rivals if each.quarter_turns != best.quarter_turns], _LEAST_MARGIN_OF_TURNS
    score_of = dict(zip(Orientation, scores, strict=True))
    return best if score_of[best] - score_of[rivals[0]] >= margin else None
