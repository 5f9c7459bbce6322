"""Pieces of a picture that may be letters: even, narrow strokes that stand out of what is around them.

A stroke is what the white top-hat transform leaves (Serra 1982). What the shape of a letter is plays no part.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import find_objects, gaussian_filter, grey_opening, label, maximum_filter, mean

__all__ = ["HEIGHT_PX", "WINDOW_PX", "Boxes", "Letters", "Tones", "Values", "find_letters"]

Values = UInt8[np.ndarray, "rows columns"]
Boxes = Float[np.ndarray, "letters 4"]  # top, left, bottom, right
Tones = Float[np.ndarray, "letters 2"]  # what a letter stands out by, and its brightness

HEIGHT_PX = (6, 84)  # of a letter
WINDOW_PX = 13  # strokes are narrower
_NOISES = 5.5  # standard deviations of the noise, that it stands out by
_BLOCK = 32  # px, that the noise is measured in
_BLUR = 0.8  # px: what a letter loses by it is less than noise does
_NOISE_LEFT = 0.35  # of the noise behind the blur: 1 / (2 sqrt(pi) _BLUR)
_OF_BEST = 0.5  # of the most that anything near stands out by: blurred edges would join letters
_NEAR = 25  # px
_FAINTEST = 8.0  # of 255 that a stroke stands out by at least, where a line is known to be
_FAINT_NOISES = 4.0  # standard deviations, likewise; noise alone stands out by 2.6 on average
_FILLED = (0.14, 0.95)  # share of its frame that a letter covers
_WIDEST = 14.0  # heights: letters that touch
_MOST_PIECES = 6000  # more are a texture, of which the most contrasted count


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Letters:
    """Pieces that may be letters, or letters that touch, and what they were found in."""

    boxes: Boxes
    tones: Tones
    crossings: Float[np.ndarray, " letters"] | None  # strokes that the rows of a piece cross on average
    hat: Values  # what each pixel stands out by
    values: Values  # blurred
    source: Values  # not blurred
    pieces: Int[np.ndarray, "rows columns"]  # number of the piece that each pixel belongs to; 0 is none
    numbers: Int[np.ndarray, " letters"]  # of the letters' pieces
    faintest: float  # that a stroke stands out by at least, where a line is known to be

    def turned(self) -> "Letters":
        """Give them with rows and columns exchanged; the strokes that rows cross are not known then."""
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
    """Find pieces that are brighter than what is around them, of the size and density of letters.

    Args:
        values: a picture; for dark letters its negative.
        least: of 255 that a letter stands out by.
    """
    noise = _NOISE_LEFT * _noise(values)
    source, values = values, gaussian_filter(values, _BLUR)
    hat = values - grey_opening(values, (WINDOW_PX, WINDOW_PX))
    strokes = (hat > max(least, _NOISES * noise)) & (hat > _OF_BEST * maximum_filter(hat, _NEAR))
    pieces, count = label(strokes, structure=np.ones((3, 3)))
    chosen, frames = _of_letters(pieces, count)
    if len(chosen) > _MOST_PIECES:
        contrast = mean(hat, pieces, chosen)
        chosen = np.sort(chosen[np.argsort(contrast)[-_MOST_PIECES:]])
    tones, crossings = np.zeros((0, 2)), np.zeros(0)
    if len(chosen) > 0:
        tones = np.stack([mean(hat, pieces, chosen), mean(values, pieces, chosen)], axis=1).astype(float)
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


def _of_letters(
    pieces: Int[np.ndarray, "rows columns"], count: int
) -> tuple[Int[np.ndarray, " letters"], Float[np.ndarray, "pieces 4"]]:
    """Choose pieces of the size and density of letters, by number; give the frames of all pieces."""
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
    """How many strokes the rows of a piece cross on average."""
    top, left, bottom, right = frame.astype(int)
    piece: Bool[np.ndarray, "rows columns"] = pieces[top:bottom, left:right] == index
    starts = piece.copy()
    starts[:, 1:] &= ~piece[:, :-1]
    return float(starts.sum(axis=1).mean())
