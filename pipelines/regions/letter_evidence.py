"""Tells whether what has the layout of a line of text also looks like letters: edges, tubes and wires do not."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Picture

from pipelines.regions.letter_shapes import STRIDE, LetterShape

__all__ = ["is_writing"]

_SEEN = 0.6  # minimum probability of the likeliest letter; of printed names it is nearly always 0.99
_HEIGHTS_PX = (12.0, 17.0, 24.0, 36.0)  # at which a line is looked at: the last ones for lines joined to one area
_MARGIN = 0.8  # heights around a line that are looked at with it
_MOST_PX = 1600  # of a line's length: more of it shows no more


def is_writing(values: UInt8[np.ndarray, "rows columns"], edges: tuple[float, float, float, float]) -> bool:
    """Return False if nothing in a frame looks like a letter, upright or on its side.

    Args:
        values: the image.
        edges: top, left, bottom and right of the letters, px.
    """
    top, left, bottom, right = edges
    height = max(1.0, min(bottom - top, right - left))
    margin = _MARGIN * height
    rows = slice(max(0, int(top - margin)), int(np.ceil(bottom + margin)))
    columns = slice(max(0, int(left - margin)), int(np.ceil(right + margin)))
    line = values[rows, columns]
    turns = (0,) if right - left >= bottom - top else (1, 3)
    return any(
        _likeliest(np.ascontiguousarray(np.rot90(line, turn)), px / height) >= _SEEN
        for turn in turns
        for px in _HEIGHTS_PX
    )


def _likeliest(line: UInt8[np.ndarray, "rows columns"], scale: float) -> float:
    """Return the probability of the likeliest letter of a line that is resized by ``scale``."""
    from pipelines.regions.letter_network import letter_answers  # noqa: PLC0415 - pages are rendered without torch

    scale = min(scale, _MOST_PX / max(line.shape))
    rows, columns = (max(2 * STRIDE, round(length * scale)) for length in line.shape)
    kernel = Picture.Resampling.BOX if scale < 1.0 else Picture.Resampling.BILINEAR
    shapes, _ = letter_answers(np.asarray(Picture.fromarray(line).resize((columns, rows), kernel)))
    return 1.0 - float(shapes[LetterShape.NONE].min())
