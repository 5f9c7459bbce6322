"""How a frontal radiograph lies, by its anatomy and its side marker: upright, mirrored, or rotated by quarter turns."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from pipelines.regions.chest import part_within
from pipelines.regions.marks import find_marks, side_marker
from pipelines.study import Orientation, SideMarker

__all__ = ["find_orientation", "marker_when", "turned", "turned_back"]

# Natural logarithms of how much likelier an orientation has to be than its rivals. On 155 real films, all upright, the
# anatomy made the mirror image likelier by 1.8 at most, and no orientation by another quarter turn.
_LEAST_MARGIN = 2.0  # of an image that is mirrored over the same that is not, and the other way round
_LEAST_MARGIN_OF_TURNS = 1.0  # over those of other quarter turns
_WEIGHT_OF_MARKER = 4.0  # of a side marker that is mirrored and stands on the wrong side, or neither

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


def marker_when(picture: UInt8[np.ndarray, "rows columns"], orientation: Orientation) -> SideMarker | None:
    """Read the side marker of an image that lies in an orientation, after it is made upright.

    Args:
        picture: display values, white is dense, with pixels enough to read letters.
        orientation: how the picture lies.
    """
    upright = np.ascontiguousarray(turned_back(picture, orientation))
    return side_marker(find_marks(upright), upright.shape[1])


def find_orientation(
    picture: UInt8[np.ndarray, "rows columns"],
    valid: Bool[np.ndarray, "rows columns"],
    marker_of: Callable[[Orientation], SideMarker | None],
) -> Orientation | None:
    """Tell how a frontal chest radiograph lies; None if it cannot be told.

    Quarter turns are easy to tell by the anatomy, and mirroring is not. So an image is called upright or mirrored only
    if the other is clearly less likely; one that is clearly rotated is named even if it is unclear whether it is
    mirrored as well. A side marker counts if its letter and its place say the same: both are mirrored, or neither is. A
    marker that was laid the wrong way round, or on the wrong side, says nothing. An upright image of a patient whose
    organs are reversed (situs inversus) looks like a mirrored one, except for its marker.

    Args:
        picture: display values, white is dense.
        valid: False behind collimators and in padding.
        marker_of: reads the side marker once the image is made upright as from an orientation that is not mirrored, as
            :func:`marker_when` does. It is called once.
    """
    from pipelines.regions.orientation_network import orientation_scores  # noqa: PLC0415 - pages are made without torch

    if not valid.any():
        return None
    found: list[float] = orientation_scores(picture[part_within(valid)]).tolist()
    scores = dict(zip(Orientation, found, strict=True))
    best = max(scores, key=lambda each: scores[each])
    if scores[best] - max(scores[each] for each in scores if not _same_turns(each, best)) < _LEAST_MARGIN_OF_TURNS:
        return None
    as_is, mirrored = sorted((each for each in scores if _same_turns(each, best)), key=lambda each: each.is_mirrored)
    margin = scores[mirrored] - scores[as_is] + _WEIGHT_OF_MARKER * _says_mirrored(marker_of(as_is))
    if best.quarter_turns == 0 and abs(margin) < _LEAST_MARGIN:
        return None
    return mirrored if margin > 0.0 else as_is


def _same_turns(one: Orientation, other: Orientation) -> bool:
    return one.quarter_turns == other.quarter_turns


def _says_mirrored(marker: SideMarker | None) -> int:
    """Return 1 if letter and place of a marker are mirrored, -1 if neither is, and 0 if they disagree."""
    if marker is None or marker.mirrored == marker.right_is_at_left:
        return 0
    return 1 if marker.mirrored else -1
