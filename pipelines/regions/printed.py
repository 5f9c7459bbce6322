"""Detects pieces of an image that may be printed letters: uniform, narrow strokes of high contrast.

A stroke is the result of the white top-hat transform (Serra 1982). The shape of a letter is not evaluated.

Text is drawn on the image's own pixels: its edges are one pixel wide, while focal spot, motion and detector blur
everything in the beam. Its strokes end, while a cable or a rib continues beyond its detected piece with less contrast:
the region of a letter hardly changes with the threshold (maximally stable extremal regions: Matas, Chum, Urban and
Pajdla 2002, used for text by Neumann and Matas 2010). A text has one ink, and its letters stand on one line.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import (
    binary_dilation,
    binary_erosion,
    find_objects,
    gaussian_filter,
    label,
)

__all__ = ["HEIGHT_PX", "WINDOW_PX", "Boxes", "Letters", "Tones", "Values", "find_letters", "is_printed"]

Values = UInt8[np.ndarray, "rows columns"]
Boxes = Float[np.ndarray, "letters 4"]  # top, left, bottom, right
Tones = Float[np.ndarray, "letters 2"]  # contrast and brightness of a letter

HEIGHT_PX = (6, 84)  # of a letter
WINDOW_PX = 13  # strokes are narrower
_NOISES = 5.5  # minimum contrast, in standard deviations of the noise
_BLOCK = 32  # px: block in which the noise is measured
_BLUR = 0.8  # px: reduces the noise more than the contrast of letters
_NOISE_LEFT = 0.35  # share of the noise after the blur: 1 / (2 sqrt(pi) _BLUR)
_OF_BEST = 0.5  # minimum share of the highest contrast nearby: blurred edges would join letters
_NEAR = 25  # px
_FAINTEST = 8.0  # of 255: minimum contrast of a stroke on a known line
_FAINT_NOISES = 4.0  # standard deviations, likewise; the mean contrast of noise is 2.6
_FILLED = (0.14, 0.95)  # share of its frame that a letter covers
_WIDEST = 14.0  # heights: touching letters
_MOST_PIECES = 6000  # more are a texture; only those of highest contrast are used


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Letters:
    """Pieces that may be letters, or touching letters, and the image in which they were found."""

    boxes: Boxes
    tones: Tones
    crossings: Float[np.ndarray, " letters"] | None  # mean number of strokes that the rows of a piece cross
    hat: Values  # contrast of each pixel (top-hat)
    values: Values  # blurred
    source: Values  # not blurred
    pieces: Int[np.ndarray, "rows columns"]  # number of each pixel's piece; 0: none
    numbers: Int[np.ndarray, " letters"]  # of the letters' pieces
    faintest: float  # minimum contrast of a stroke on a known line

    def turned(self) -> "Letters":
        """Return them with rows and columns exchanged; the number of crossed strokes is then unknown."""
        return Letters(
            boxes=self.boxes[:, [1, 0, 3, 2]],
            tones=self.tones,
            crossings=None,
            hat=self.hat.T,
            values=self.values.T,
            source=self.source.T,
            pieces=self.pieces.T,
            numbers=self.numbers,
            faintest=self.faintest,
        )


def find_letters(values: Values, least: float) -> Letters:
    """Find pieces that are brighter than their surroundings and have the size and density of letters.

    Args:
        values: an image; for dark letters, its negative.
        least: minimum contrast of a letter, of 255.
    """
    noise = _NOISE_LEFT * _noise(values)
    source, values = values, gaussian_filter(values, _BLUR)
    lowest = ~_highest_around(~values, WINDOW_PX)
    opened = _highest_around(lowest, WINDOW_PX)
    hat = values - opened
    strokes = (hat > max(least, _NOISES * noise)) & (hat > _OF_BEST * _highest_around(hat, _NEAR))
    pieces, count = label(strokes, structure=np.ones((3, 3)))
    chosen, frames = _of_letters(pieces, count)
    if len(chosen) > _MOST_PIECES:
        contrast = _mean_of_pieces(hat, pieces)[chosen]
        chosen = np.sort(chosen[np.argsort(contrast)[-_MOST_PIECES:]])
    tones, crossings = np.zeros((0, 2)), np.zeros(0)
    if len(chosen) > 0:
        tones = np.stack([_mean_of_pieces(shown, pieces)[chosen] for shown in (hat, values)], axis=1)
        crossings = np.array([_crossings(pieces, int(index), frames[index - 1]) for index in chosen])
    return Letters(
        boxes=frames[chosen - 1],
        tones=tones,
        crossings=crossings,
        hat=hat,
        values=values,
        source=source,
        pieces=pieces,
        numbers=chosen,
        faintest=max(_FAINTEST, _FAINT_NOISES * noise),
    )


def _highest_around(values: Values, size: int) -> Values:
    """Return the highest value in the square of ``size`` px (odd) around each pixel, as far as it is on the image.

    Source: a maximum over a window is one over two windows of a power of two that overlap (sparse table, Bender and
    Farach-Colton 2000); on bytes this takes a tenth of the time of ``scipy.ndimage.maximum_filter``.
    """
    for _ in range(2):
        padded = np.pad(values, ((size // 2, size // 2), (0, 0)))
        reach = 1
        while 2 * reach <= size:
            padded = np.maximum(padded[: len(padded) - reach], padded[reach:])
            reach *= 2
        rest = size - reach
        values = np.ascontiguousarray(np.maximum(padded[: len(padded) - rest], padded[rest:]).T)
    return values


def _mean_of_pieces(values: Values, pieces: Int[np.ndarray, "rows columns"]) -> Float[np.ndarray, " pieces"]:
    """Return the mean of each piece by its number; the background counts as piece 0."""
    flat = pieces.ravel()
    inside = np.flatnonzero(flat)
    count = int(flat[inside].max(initial=0)) + 1
    totals = np.bincount(flat[inside], weights=values.ravel()[inside], minlength=count)
    return np.asarray(totals / np.maximum(np.bincount(flat[inside], minlength=count), 1))


def _of_letters(
    pieces: Int[np.ndarray, "rows columns"], count: int
) -> tuple[Int[np.ndarray, " letters"], Float[np.ndarray, "pieces 4"]]:
    """Select pieces of the size and density of letters, by number; also return the frames of all pieces."""
    if count == 0:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 4))
    frames = np.array(
        [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in find_objects(pieces)], dtype=float
    )
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    height, width = frames[:, 2] - frames[:, 0], frames[:, 3] - frames[:, 1]
    low, high = HEIGHT_PX
    short, long = np.minimum(height, width), np.maximum(height, width)
    fits = (long >= low) & (short <= high) & (long <= _WIDEST * np.maximum(short, low / 2))
    fits &= (sizes >= _FILLED[0] * height * width) & (sizes >= low)
    fits &= (sizes <= _FILLED[1] * height * width) | (long > 2.2 * short)  # I, 1, -: bars
    return np.flatnonzero(fits) + 1, frames


def _noise(values: Values) -> float:
    """Standard deviation of the noise where it is strong, from differences of neighbours; text is too rare to count."""
    steps = np.abs(np.diff(values[::2].astype(np.int16), axis=1))
    block = min(_BLOCK, steps.shape[1])
    by_block = np.median(steps[:, : steps.shape[1] // block * block].reshape(len(steps), -1, block), axis=2)
    return float(np.percentile(by_block, 75)) / 0.954  # of a normal distribution's differences: sqrt(2) * 0.6745


def _crossings(pieces: Int[np.ndarray, "rows columns"], index: int, frame: Float[np.ndarray, "4"]) -> float:
    """Return the mean number of strokes that the rows of a piece cross."""
    top, left, bottom, right = frame.astype(int)
    piece: Bool[np.ndarray, "rows columns"] = pieces[top:bottom, left:right] == index
    starts = piece.copy()
    starts[:, 1:] &= ~piece[:, :-1]
    return float(starts.sum(axis=1).mean())


_LETTERS = 3  # minimum number of printed letters in a text
_MANY = 6  # in a row, which is not by chance
_STEEP = 0.5  # minimum change of brightness per pixel at an edge, as a share of the contrast
_CRISP = 0.7  # likewise, for letters without any blur
_LOWER = 0.4  # share of a letter's contrast: a structure joined to it at that threshold continues
_GROWTH = 0.25  # maximum growth of a letter at the lower threshold, above or below, as a share of its height
_WINDOW = 0.5  # share of its height that is searched above and below
_ON_LINE = 0.08  # maximum deviation of a line's letters, as a share of the height
_LEAST_ALIGNED = 0.5  # minimum share of a line's letters that reach one line
_MOST_ALIGNED = 0.75  # likewise for many letters: three cables do so by chance, six do not
_EVEN_INK = 20.0  # of 255: maximum standard deviation of the brightness of a line's letters ...
_EVEN_CONTRAST = 0.15  # ... or of their contrast, as a share of it
_CORE = 80  # percentile of a letter's pixels: its ink, without the blurred edge
_EDGE = 75  # percentile of the gradient along its edge, which is small where strokes meet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Appearance:
    """The properties that distinguish a printed letter."""

    steepness: float  # of its edge, as a share of its contrast, per source pixel
    growth: float  # heights
    contrast: float
    ink: float


def is_printed(letters: Letters, members: Sequence[int], *, pixel: float) -> bool:
    """Return True if a row of letters, or one piece of touching letters, was printed on the image.

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
    if sure >= _MANY:  # on a changing background the contrast changes too
        return True
    if not _is_even(np.array([each.ink for each in seen]), np.array([each.contrast for each in seen])):
        return False
    aligned = _share_aligned(letters.boxes[members])
    crisp = int((steepness >= _CRISP).sum())  # sufficient alone: a narrow plate around letters hides their ends
    return bool(
        (sure >= _LETTERS and aligned.max() >= _LEAST_ALIGNED)
        or ((len(seen) >= _MANY or crisp >= _LETTERS) and aligned.max() >= _MOST_ALIGNED)
        or (steep.sum() >= _LETTERS and aligned.min() == 1.0)
    )


def _is_even(ink: Float[np.ndarray, " letters"], contrast: Float[np.ndarray, " letters"]) -> bool:
    return bool(ink.std() <= _EVEN_INK or contrast.std() <= _EVEN_CONTRAST * contrast.mean())


def _share_aligned(boxes: Float[np.ndarray, "letters 4"]) -> Float[np.ndarray, "2"]:
    """Return the shares of letters whose top reaches one line and whose bottom stands on one."""
    height = float(np.median(boxes[:, 2] - boxes[:, 0]))
    edges = boxes[:, [0, 2]]
    return np.asarray((np.abs(edges - np.median(edges, axis=0)) <= max(1.0, _ON_LINE * height)).mean(axis=0))


def _look(letters: Letters, place: int, pixel: float) -> _Appearance:
    top, left, bottom, right = (int(edge) for edge in letters.boxes[place])
    piece: Bool[np.ndarray, "height width"] = letters.pieces[top:bottom, left:right] == letters.numbers[place]
    contrast = max(1.0, float(np.percentile(letters.hat[top:bottom, left:right][piece], _CORE)))
    ink = float(np.percentile(letters.source[top:bottom, left:right][piece], _CORE))
    return _Appearance(
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
    """Return by how many heights a piece grows above or below at a threshold of ``least``, the larger of the two."""
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
