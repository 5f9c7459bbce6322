"""Figures for notebooks and papers with matplotlib, which the extra ``notebook`` installs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.errors import AuditError
from pipelines.study import Box

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from audit.attribution.explanation import Explanation

__all__ = ["figure"]


def figure(explained: "Explanation | Sequence[Explanation]", *, boxes: Sequence[Box] = ()) -> "Figure":
    """Draw one explanation, or several side by side: image, heat, boxes, maximum, and the phrase's words.

    Each heat map is coloured over its own range, in its own unit: compare the places in two columns, not the values.
    Cold patches are transparent, as on the pages. The figure is neither shown nor saved: a notebook displays it, and
    ``savefig`` writes it.

    Args:
        explained: results of ``explain``; at least one.
        boxes: in the image's pixels; drawn on every column.

    Raises:
        AuditError: matplotlib is not installed.
        ValueError: nothing to draw.
    """
    try:
        from audit.attribution.drawing import draw  # noqa: PLC0415 - matplotlib is an extra
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("matplotlib"):
            raise
        raise AuditError("a figure needs matplotlib: pip install 'm2ib-audit[notebook]'") from error
    columns = list(explained) if isinstance(explained, Sequence) else [explained]
    if not columns:
        raise ValueError("nothing to draw: give at least one explanation")
    return draw(columns, boxes)
