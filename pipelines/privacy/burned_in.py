"""Detects burned-in text on radiographs; blanks it in the displayed image, or excludes the image.

The model gets the unchanged image, because the audit must test what the hospital's model sees, and must detect a model
that reads the text. Only the stored and displayed image is blanked; its processing steps record that.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from jaxtyping import Float

from pipelines.regions.text import Area, find_text
from pipelines.study import PixelStep

__all__ = ["Area", "BurnedIn", "blanked", "examine"]

_RING_PX = 3  # width of the ring around an area whose median fills the area
_STEP = "burned-in text"

Display = Float[np.ndarray, "rows columns"]


class BurnedIn(StrEnum):
    """What to do with images that have burned-in text."""

    MASK = "mask"  # the text is blanked in the displayed image
    LEAVE_OUT = "leave-out"
    KEEP = "keep"  # text is not searched for


def examine(display: Display, policy: BurnedIn, *, stated: bool) -> tuple[tuple[Area, ...], PixelStep] | str:
    """Look for burned-in text.

    Args:
        display: the displayed image, [0, 1].
        policy: what to do with burned-in text.
        stated: whether the header states burned-in annotation (BurnedInAnnotation YES, PS3.3 C.7.6.1). A header with
            NO or without the element is not trusted.

    Returns:
        The areas to blank and the processing step, or the reason why the image is excluded.
    """
    if policy is BurnedIn.KEEP:
        return (), PixelStep(step=_STEP, detail="not looked for (burned-in keep)")
    areas = find_text(display)
    if areas and policy is BurnedIn.LEAVE_OUT:
        return f"{_counted(areas)} on the image: --set inputs.burned-in=mask shows it with the text blanked"
    if stated and policy is BurnedIn.LEAVE_OUT:
        return (
            "the header says that text is burned in (BurnedInAnnotation YES): --set inputs.burned-in=keep audits it "
            "unchanged"
        )
    if stated and not areas:
        return (
            "the header says that text is burned in (BurnedInAnnotation YES), but none was found to blank: check the "
            "image, and pass --set inputs.burned-in=keep if it may be shown"
        )
    if not areas:
        return (), PixelStep(step=_STEP, detail="none was found")
    share = _share(areas, display.shape)
    detail = f"{_counted(areas)}, {share:.1%} of the image, blanked for display; the model saw the unchanged image"
    return areas, PixelStep(step=_STEP, detail=detail)


def blanked(display: Display, areas: Sequence[Area]) -> Display:
    """Fill areas with the median of their surroundings; nothing of their content remains."""
    shown = display.copy()
    for area in areas:
        top, left = max(0, area.top - _RING_PX), max(0, area.left - _RING_PX)
        outer = np.s_[top : area.bottom + _RING_PX, left : area.right + _RING_PX]
        inner = np.s_[area.top : area.bottom, area.left : area.right]
        around = np.ones(display.shape, dtype=bool)
        around[inner] = False
        ring = display[outer][around[outer]]
        shown[inner] = np.median(ring) if ring.size else 0.0
    return shown


def _counted(areas: Sequence[Area]) -> str:
    return "one area looks like text" if len(areas) == 1 else f"{len(areas)} areas look like text"


def _share(areas: Sequence[Area], shape: tuple[int, ...]) -> float:
    return sum((area.bottom - area.top) * (area.right - area.left) for area in areas) / (shape[0] * shape[1])
