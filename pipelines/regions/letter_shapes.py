"""What the letter network answers: shapes, in cells of a fixed size. Without torch, which pages do not need."""

from enum import IntEnum

__all__ = ["LETTER_PX", "STRIDE", "LetterShape"]

LETTER_PX = (10.0, 27.0)
"""Height of the letters that the network finds; others need another scale of the image."""

STRIDE = 4
"""Size of a cell, px."""


class LetterShape(IntEnum):
    """What has its middle at a cell."""

    NONE = 0
    L = 1
    R = 2
    MIRRORED_L = 3
    MIRRORED_R = 4
    OTHER = 5  # another letter or digit, a letter of a word, or one on its side
