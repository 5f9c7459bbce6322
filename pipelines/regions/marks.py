"""Detects letters on a radiograph that are seen one by one: side markers, tags, the letters of words.

A network proposes letters on several scales of the image and looks at each again, centred and at its own scale: what
is no letter rarely looks like one every time. A letter that stands alone and is clearly an L or an R is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image as Picture
from scipy.ndimage import maximum_filter

from pipelines.regions.letter_shapes import LETTER_PX, STRIDE, LetterShape
from pipelines.study import SideMarker

__all__ = ["Mark", "find_marks", "letter_probability", "mark_mask", "side_marker"]

Frame = tuple[float, float, float, float]  # top, left, bottom, right

_LONG_SIDES = (1024, 448, 192)  # px: together they cover letters of 1 % to 14 % of the long side
_PROPOSED = 0.3  # minimum probability of a letter that is looked at again
_FOUND = 0.8  # minimum probability of a letter, mean of all looks
_FOUND_SIDE = 0.7  # likewise of an upright L or R
_IN_LUNGS = 0.9  # likewise inside the lungs, where letters are rare, but wires and clips are common
_READ, _READ_MIRRORED = 0.75, 0.9  # share of an L or R among the letters that a mark may be ...
_SURE, _SURE_MIRRORED = 0.8, 0.9  # ... and probability of a letter, from which on it is read
_OFF_MIDDLE = 0.1  # share of the width: minimum distance from the middle of a letter that names a side
_MOST = 80  # proposals that are looked at again
_LOOKS_PX = (14.0, 17.0, 21.0)  # height of a letter when it is looked at again
_WINDOW = 64  # px, likewise of its surroundings
_OVERLAP = 0.3  # of the smaller of two frames: they are one letter
_ALIKE, _NEAR = 1.6, 1.0  # ratio of the heights, and gap in heights, of neighbours in a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A letter on the image."""

    frame: Frame  # px
    letter: Literal["L", "R"] | None  # None: another one, part of a word, or not read for certain
    mirrored: bool = False
    probability: float

    @property
    def middle(self) -> tuple[float, float]:
        """Row and column."""
        return (self.frame[0] + self.frame[2]) / 2.0, (self.frame[1] + self.frame[3]) / 2.0


def find_marks(
    picture: UInt8[np.ndarray, "rows columns"], lungs: Bool[np.ndarray, "rows columns"] | None = None
) -> tuple[Mark, ...]:
    """Find the letters on a displayed radiograph, the most probable first.

    Args:
        picture: display values, white is dense.
        lungs: where letters are rare; None if unknown.
    """
    proposals = _separate(sorted(_proposals(picture), key=lambda one: -one[1]))[:_MOST]
    marks = []
    for frame, _ in proposals:
        looks = [_look(picture, frame, height) for height in _LOOKS_PX]
        shapes = np.mean([shape for shape, _ in looks], axis=0)
        probability = 1.0 - float(shapes[LetterShape.NONE])
        least = _FOUND_SIDE if max(shapes[LetterShape.L], shapes[LetterShape.R]) >= 0.5 * probability else _FOUND
        refined = _clipped(np.mean([found for _, found in looks], axis=0), picture.shape)
        row, column = int((refined[0] + refined[2]) / 2.0), int((refined[1] + refined[3]) / 2.0)
        if probability >= (_IN_LUNGS if lungs is not None and lungs[row, column] else least):
            letter, mirrored = _read(shapes)
            marks.append(Mark(frame=refined, letter=letter, mirrored=mirrored, probability=probability))
    return tuple(_alone(marks))


def letter_probability(picture: UInt8[np.ndarray, "rows columns"], frame: Frame) -> float:
    """Return how probable it is that a frame holds a letter."""
    return float(1.0 - np.mean([_look(picture, frame, height)[0][LetterShape.NONE] for height in _LOOKS_PX]))


def _proposals(picture: UInt8[np.ndarray, "rows columns"]) -> list[tuple[Frame, float]]:
    """Return frames that may hold a letter, with their probabilities, from all scales."""
    from pipelines.regions.letter_network import letter_answers  # noqa: PLC0415 - pages are rendered without torch

    found: list[tuple[Frame, float]] = []
    for scale in sorted({min(1.0, long_side / max(picture.shape)) for long_side in _LONG_SIDES}):
        if min(picture.shape) * scale < 2 * STRIDE:
            continue
        rows, columns = (max(1, round(length * scale)) for length in picture.shape)
        small = picture
        if scale < 1.0:
            small = np.asarray(Picture.fromarray(picture).resize((columns, rows), Picture.Resampling.BOX))
        shapes, borders = letter_answers(small)
        probability = 1.0 - shapes[LetterShape.NONE]
        peaks = (probability >= _PROPOSED) & (probability == maximum_filter(probability, 3))
        for row, column in np.argwhere(peaks):
            frame = _frame(borders, int(row), int(column))
            if 0.7 * LETTER_PX[0] <= frame[2] - frame[0] <= 1.3 * LETTER_PX[1]:
                found.append((_scaled(frame, 1.0 / scale), float(probability[row, column])))
    return found


def _frame(borders: Float[np.ndarray, "4 cell_rows cell_columns"], row: int, column: int) -> Frame:
    y, x = (STRIDE * (place + 0.5) for place in (row, column))
    up, left, down, right = (float(px) for px in borders[:, row, column])
    return y - up, x - left, y + max(down, 1.0 - up), x + max(right, 1.0 - left)


def _scaled(frame: Frame, factor: float) -> Frame:
    top, left, bottom, right = frame
    return top * factor, left * factor, bottom * factor, right * factor


def _look(
    picture: UInt8[np.ndarray, "rows columns"], frame: Frame, height: float
) -> tuple[Float[np.ndarray, " shapes"], Float[np.ndarray, "4"]]:
    """Look at a letter again in the middle of a window, ``height`` px high; return its shapes and its frame."""
    from pipelines.regions.letter_network import letter_answers  # noqa: PLC0415 - pages are rendered without torch

    row, column = (frame[0] + frame[2]) / 2.0, (frame[1] + frame[3]) / 2.0
    scale = height / (frame[2] - frame[0])
    half = _WINDOW / 2.0 / scale
    box = (column - half, row - half, column + half, row + half)
    shapes, borders = letter_answers(_window(picture, box))
    near = slice(_WINDOW // STRIDE // 2 - 2, _WINDOW // STRIDE // 2 + 2)
    place = np.unravel_index(int((1.0 - shapes[LetterShape.NONE, near, near]).argmax()), (4, 4))
    cell = int(place[0]) + near.start, int(place[1]) + near.start
    corner = np.array([row - half, column - half] * 2)
    return shapes[:, cell[0], cell[1]], corner + np.array(_scaled(_frame(borders, *cell), 1.0 / scale))


def _window(picture: UInt8[np.ndarray, "rows columns"], box: Frame) -> UInt8[np.ndarray, "64 64"]:
    """Resample a box (left, top, right, bottom) that may reach beyond the picture, whose border is repeated there."""
    left, top = (int(np.floor(edge)) for edge in box[:2])
    right, bottom = (int(np.ceil(edge)) for edge in box[2:])
    rows = np.clip(np.arange(top, bottom), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(left, right), 0, picture.shape[1] - 1)
    part = Picture.fromarray(picture[np.ix_(rows, columns)])
    inner = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    return np.asarray(part.resize((_WINDOW, _WINDOW), Picture.Resampling.BILINEAR, box=inner))


def _clipped(frame: Float[np.ndarray, "4"], shape: tuple[int, ...]) -> Frame:
    rows, columns = shape
    top, left = min(max(float(frame[0]), 0.0), rows - 1.0), min(max(float(frame[1]), 0.0), columns - 1.0)
    return top, left, min(max(float(frame[2]), top + 1.0), rows), min(max(float(frame[3]), left + 1.0), columns)


def _read(shapes: Float[np.ndarray, " shapes"]) -> tuple[Literal["L", "R"] | None, bool]:
    """Return the letter, if it is clearly an L or R, and whether it is mirrored."""
    probability = 1.0 - float(shapes[LetterShape.NONE])
    letters: tuple[tuple[LetterShape, Literal["L", "R"], bool], ...] = (
        (LetterShape.L, "L", False),
        (LetterShape.R, "R", False),
        (LetterShape.MIRRORED_L, "L", True),
        (LetterShape.MIRRORED_R, "R", True),
    )
    for shape, letter, mirrored in letters:
        share, sure = (_READ_MIRRORED, _SURE_MIRRORED) if mirrored else (_READ, _SURE)
        if probability >= sure and shapes[shape] >= share * probability:
            return letter, mirrored
    return None, False


def _separate(ranked: Sequence[tuple[Frame, float]]) -> list[tuple[Frame, float]]:
    """Drop each frame that overlaps one before it."""
    kept: list[tuple[Frame, float]] = []
    for frame, probability in ranked:
        if all(_overlap(frame, other) < _OVERLAP for other, _ in kept):
            kept.append((frame, probability))
    return kept


def _overlap(one: Frame, other: Frame) -> float:
    """Share of the smaller frame that lies in the other."""
    rows = min(one[2], other[2]) - max(one[0], other[0])
    columns = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((frame[2] - frame[0]) * (frame[3] - frame[1]) for frame in (one, other))
    return max(rows, 0.0) * max(columns, 0.0) / smaller


def _alone(marks: Sequence[Mark]) -> list[Mark]:
    """Take away the reading of letters that are part of a word; drop frames found twice."""
    ranked = sorted(marks, key=lambda mark: -mark.probability)
    kept: list[Mark] = []
    for mark in ranked:
        if all(_overlap(mark.frame, other.frame) < _OVERLAP for other in kept):
            kept.append(mark)
    return [
        Mark(frame=mark.frame, letter=None, probability=mark.probability)
        if any(other is not mark and _are_neighbours(mark.frame, other.frame) for other in kept)
        else mark
        for mark in kept
    ]


def _are_neighbours(one: Frame, other: Frame) -> bool:
    heights = sorted(frame[2] - frame[0] for frame in (one, other))
    shared = min(one[2], other[2]) - max(one[0], other[0])
    gap = max(one[1], other[1]) - min(one[3], other[3])
    return heights[1] <= _ALIKE * heights[0] and shared >= 0.5 * heights[0] and gap <= _NEAR * heights[1]


def mark_mask(marks: Sequence[Mark], shape: tuple[int, ...]) -> Bool[np.ndarray, "rows columns"]:
    """Mark the frames of letters on an image of ``shape``."""
    mask = np.zeros(shape, dtype=bool)
    for mark in marks:
        top, left, bottom, right = mark.frame
        mask[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
    return mask


def side_marker(marks: Sequence[Mark], columns: int) -> SideMarker | None:
    """Return the letter that names a side; None if none was read, or two name different sides.

    Args:
        marks: the letters of an image.
        columns: width of the image, px; a letter near the middle names no side.
    """
    named = [
        SideMarker(letter=mark.letter, at_left=mark.middle[1] < columns / 2.0, mirrored=mark.mirrored)
        for mark in sorted(marks, key=lambda mark: -mark.probability)
        if mark.letter is not None and abs(mark.middle[1] - columns / 2.0) >= _OFF_MIDDLE * columns
    ]
    return named[0] if len({marker.right_is_at_left for marker in named}) == 1 else None
