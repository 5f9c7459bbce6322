"""Text that was burned into a film: found, and blanked in what is shown, or the film is left out.

The model sees the film as it is: what the hospital's model is shown is what is audited, and a model that reads the text
shall be caught at it. Only the picture that is stored and shown is blanked, and the receipt of its pixels says so.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from jaxtyping import Float

from pipelines.regions.text import Area, find_text
from pipelines.study import PixelStep

__all__ = ["Area", "BurnedIn", "blanked", "examine"]

_RING_PX = 3  # around an area: what its place is filled with is the median of that
_STEP = "burned-in text"

Display = Float[np.ndarray, "rows columns"]


class BurnedIn(StrEnum):
    """What becomes of films with burned-in text."""

    MASK = "mask"  # shown with the text blanked
    LEAVE_OUT = "leave-out"
    KEEP = "keep"  # nothing is looked for


def examine(display: Display, policy: BurnedIn, *, stated: bool) -> tuple[tuple[Area, ...], PixelStep] | str:
    """Look for burned-in text.

    Args:
        display: [0, 1], as it would be shown.
        policy: what becomes of it.
        stated: the header says that identifying text is burned in (BurnedInAnnotation YES, PS3.3 C.7.6.1). A header
            that says NO, or nothing, is not believed.

    Returns:
        The areas to blank and what the receipt says of them, or a sentence that says why the film is left out.
    """
    if policy is BurnedIn.KEEP:
        return (), PixelStep(step=_STEP, detail="not looked for (burned-in keep)")
    areas = find_text(display)
    if areas and policy is BurnedIn.LEAVE_OUT:
        return f"{_counted(areas)} on the film: --set inputs.burned-in=mask shows it with them blanked"
    if stated and policy is BurnedIn.LEAVE_OUT:
        return (
            "the header says that text is burned in (BurnedInAnnotation YES): --set inputs.burned-in=keep takes it as "
            "it is"
        )
    if stated and not areas:
        return (
            "the header says that text is burned in (BurnedInAnnotation YES) and none was found to blank: look at the "
            "film, and pass --set inputs.burned-in=keep if it may be shown"
        )
    if not areas:
        return (), PixelStep(step=_STEP, detail="none was found")
    share = _share(areas, display.shape)
    detail = f"{_counted(areas)}, {share:.1%} of the picture, blanked in what is shown; the model saw the film as it is"
    return areas, PixelStep(step=_STEP, detail=detail)


def blanked(display: Display, areas: Sequence[Area]) -> Display:
    """Fill areas with what is around them; nothing of their content stays."""
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
