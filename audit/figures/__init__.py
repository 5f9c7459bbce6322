"""Figures for notebooks and papers, by matplotlib, which comes with the extra ``notebook``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.errors import AuditError
from pipelines.study import Box

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from audit.attribution.explanation import Explanation

__all__ = ["figure"]


def figure(explained: "Explanation | Sequence[Explanation]", *, boxes: Sequence[Box] = ()) -> "Figure":
    """Draw one explanation, or several side by side: picture, heat, boxes, hottest point, and the phrase's words.

    Each heat has the colours of its own range, in its own unit: two columns compare places, not heights. Cold patches
    stay transparent, as on the pages. Nothing is shown or kept: a notebook displays what it is given, and ``savefig``
    writes it.

    Args:
        explained: from ``explain``; at least one.
        boxes: in the picture's pixels; drawn on every column.

    Raises:
        AuditError: matplotlib is not installed.
        ValueError: nothing to draw.
    """
    try:
        from audit.figures.drawing import draw  # noqa: PLC0415 - matplotlib is an extra
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("matplotlib"):
            raise
        raise AuditError("a figure needs matplotlib: pip install 'm2ib-audit[notebook]'") from error
    columns = list(explained) if isinstance(explained, Sequence) else [explained]
    if not columns:
        raise ValueError("nothing to draw: give one explanation at least")
    return draw(columns, boxes)
