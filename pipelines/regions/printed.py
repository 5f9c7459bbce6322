"""Whether pieces of a picture are printed letters, or cables, ribs, vessels and bone that look like a row of them.

Text is drawn on the picture's own pixels. Its edges take a pixel, while focal spot, motion and detector blur what lies
in the beam. Its strokes end, while a cable or a rib goes on beyond the piece that was cut out of it, where it stands
out less: a letter's region hardly changes with the threshold (maximally stable extremal regions: Matas, Chum, Urban and
Pajdla 2002, used for text by Neumann and Matas 2010). One text has one ink, and its letters stand on one line.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation, binary_erosion, label

from pipelines.regions.letters import Letters

__all__ = ["is_printed"]

_LETTERS = 3  # printed ones, that make a text
_MANY = 6  # in a row, that are no chance
_STEEP = 0.5  # of the contrast, that the brightness of an edge changes by from pixel to pixel at least
_CRISP = 0.7  # likewise, of letters without a blur of any kind
_LOWER = 0.4  # of the contrast of a letter: what is joined to it at that threshold goes on
_GROWTH = 0.25  # of its height, that a letter gains by the lower threshold at most, above or below
_WINDOW = 0.5  # of its height, that is looked at above and below
_ON_LINE = 0.08  # of the height, that the letters of a line deviate by
_LEAST_ALIGNED = 0.5  # of a line's letters, that reach one line
_MOST_ALIGNED = 0.75  # of many letters, that reach one line: three cables do so by chance, six do not
_EVEN_INK = 20.0  # of 255: standard deviation of the brightness of a line's letters ...
_EVEN_CONTRAST = 0.15  # ... or of what they stand out by, as a share of it
_CORE = 80  # percentile of a letter's pixels: its ink, without its blurred edge
_EDGE = 75  # percentile of the gradient along its edge: where strokes meet it is small


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What tells a printed letter."""

    steepness: float  # of its edge, as a share of its contrast, per source pixel
    growth: float  # heights
    contrast: float
    ink: float


def is_printed(letters: Letters, members: Sequence[int], *, pixel: float) -> bool:
    """Whether a row of letters, or one piece of letters that touch, was printed on the picture.

    Args:
        letters: the pieces of the picture.
        members: the row's pieces.
        pixel: size of the picture's pixels in source pixels; below 1 the source was enlarged, which blurs its edges.
    """
    seen = [_look(letters, place, pixel) for place in members]
    steepness = np.array([each.steepness for each in seen])
    steep = steepness >= _STEEP
    closed = np.array([each.growth <= _GROWTH for each in seen])
    if len(seen) == 1:  # its many strokes were counted before
        return bool(steep[0] or closed[0])
    sure = int((steep & closed).sum())
    if sure >= _MANY:  # where the background changes, so does what they stand out by
        return True
    if not _is_even(np.array([each.ink for each in seen]), np.array([each.contrast for each in seen])):
        return False
    aligned = _share_aligned(letters.boxes[members])
    crisp = int((steepness >= _CRISP).sum())  # counts alone: a narrow plate around letters hides that their strokes end
    return bool(
        (sure >= _LETTERS and aligned.max() >= _LEAST_ALIGNED)
        or ((len(seen) >= _MANY or crisp >= _LETTERS) and aligned.max() >= _MOST_ALIGNED)
        or (steep.sum() >= _LETTERS and aligned.min() == 1.0)
    )


def _is_even(ink: Float[np.ndarray, " letters"], contrast: Float[np.ndarray, " letters"]) -> bool:
    return bool(ink.std() <= _EVEN_INK or contrast.std() <= _EVEN_CONTRAST * contrast.mean())


def _share_aligned(boxes: Float[np.ndarray, "letters 4"]) -> Float[np.ndarray, "2"]:
    """Shares of the letters that reach up to one line, and that stand on one."""
    height = float(np.median(boxes[:, 2] - boxes[:, 0]))
    edges = boxes[:, [0, 2]]
    return np.asarray((np.abs(edges - np.median(edges, axis=0)) <= max(1.0, _ON_LINE * height)).mean(axis=0))


def _look(letters: Letters, place: int, pixel: float) -> _Seen:
    top, left, bottom, right = (int(edge) for edge in letters.boxes[place])
    piece: Bool[np.ndarray, "height width"] = letters.pieces[top:bottom, left:right] == letters.numbers[place]
    contrast = max(1.0, float(np.percentile(letters.hat[top:bottom, left:right][piece], _CORE)))
    ink = float(np.percentile(letters.source[top:bottom, left:right][piece], _CORE))
    return _Seen(
        steepness=_steepness(letters, piece, (top, left)) / contrast / min(1.0, pixel),
        growth=_growth(letters, piece, (top, left), _LOWER * contrast),
        contrast=contrast,
        ink=ink,
    )


def _steepness(letters: Letters, piece: Bool[np.ndarray, "height width"], corner: tuple[int, int]) -> float:
    """Gradient along a piece's edge, in grey values per pixel."""
    (rows, columns), (top, left) = letters.source.shape, corner
    first_row, first_column = max(0, top - 1), max(0, left - 1)
    last_row, last_column = min(rows, top + piece.shape[0] + 1), min(columns, left + piece.shape[1] + 1)
    along_rows, along_columns = np.gradient(letters.source[first_row:last_row, first_column:last_column].astype(float))
    inside = np.zeros(along_rows.shape, dtype=bool)
    row, column = top - first_row, left - first_column
    inside[row : row + piece.shape[0], column : column + piece.shape[1]] = piece
    edge = binary_dilation(inside) & ~binary_erosion(inside)
    return float(np.percentile(np.hypot(along_rows, along_columns)[edge], _EDGE))


def _growth(letters: Letters, piece: Bool[np.ndarray, "height width"], corner: tuple[int, int], least: float) -> float:
    """Heights that a piece gains above or below, the larger of the two, with what stands out by ``least`` beside it."""
    height, (top, left) = piece.shape[0], corner
    reach = max(3, round(_WINDOW * height))
    first_row, first_column = max(0, top - reach), max(0, left - 2)
    window = letters.hat[first_row : top + height + reach, first_column : left + piece.shape[1] + 2] > least
    regions, _ = label(window, structure=np.ones((3, 3)))
    row, column = top - first_row, left - first_column
    own = np.unique(regions[row : row + height, column : column + piece.shape[1]][piece])
    filled = np.flatnonzero(np.isin(regions, own[own > 0]).any(axis=1))
    if not len(filled):
        return 0.0
    return float(max(row - filled[0], filled[-1] + 1 - row - height) / height)
