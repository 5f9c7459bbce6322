"""Detects letters and marks on a radiograph: thin strokes of uniform, extreme brightness with sharp edges.

It uses the white top-hat (Serra 1982), which keeps structures narrower than its window: letters stand out by nearly the
whole range, vessels and ribs only a little. Black strokes on white are detected on the negative. A network must also
hold it possible that a piece is a letter (``marks.py``, which finds faint letters, and reads), unless it is a bar.
"""

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import binary_dilation, distance_transform_edt, find_objects, label, maximum_filter, minimum_filter

from pipelines.regions.marks import letter_probability

__all__ = ["marker_mask"]

Mask = Bool[np.ndarray, "rows columns"]

_WINDOW = 0.035  # share of the width: narrower structures stand out, such as a letter's strokes
_CONTRAST = 70  # of 255: minimum contrast of a stroke
_BRIGHT = 170  # of 255: minimum brightness of a stroke's core
_HEIGHT = (0.012, 0.16)  # height of a letter, share of the width
_LONGEST = 0.3  # share of the width: letters that touch form one piece, a word
_STROKE = 0.03  # maximum width of a stroke, share of the width
_EVENNESS = 40.0  # of 255: maximum standard deviation of brightness in a stroke's core
_FREE = 50  # of 255: how much darker a letter's surroundings are
_GAP = 0.008  # share of the width: blur around a stroke
_GOES_ON = 0.1  # share of the ring around a letter that may be nearly as bright: other letters, a wire
_WIDER = 0.004  # share of the width: the blur of a stroke's edge belongs to it
_SMALLEST = 6  # pixels
_POSSIBLE = 0.03  # minimum probability of a letter
_BAR = 0.35  # maximum ratio of the sides of I, 1 and l, which look like many other things


def marker_mask(picture: UInt8[np.ndarray, "rows columns"], chest: Mask | None = None) -> Mask:
    """Mark letters and marks on a displayed radiograph.

    Args:
        picture: display values, white is dense.
        chest: region in which letters are rare but wires, leads and pacemakers are common: a piece there counts only
            next to another of the same height, as in a word.

    Returns:
        A mask of the letters, a little wider than their strokes.
    """
    found = _strokes(picture, chest) | _strokes(255 - picture, chest, negative=True)
    wider: Mask = binary_dilation(found, iterations=max(1, round(_WIDER * picture.shape[1])))
    return wider


def _strokes(values: UInt8[np.ndarray, "rows columns"], chest: Mask | None, *, negative: bool = False) -> Mask:
    width = values.shape[1]
    window = max(3, round(_WINDOW * width)) | 1
    opened = maximum_filter(minimum_filter(values, window), window)
    candidates = (values.astype(np.int16) - opened > _CONTRAST) & (values > _BRIGHT)
    if negative:  # dark letters need a bright background: dark on dark is anatomy
        candidates &= opened < 255 - _BRIGHT
    pieces, count = label(candidates, structure=np.ones((3, 3)))
    if count == 0:
        return np.zeros(values.shape, dtype=bool)
    kept = np.zeros(count + 1, dtype=bool)
    inside: list[tuple[int, int, float, float]] = []  # piece, height, row and column of its middle
    for index, place in enumerate(find_objects(pieces), start=1):
        piece = pieces[place] == index
        if not (_is_letter(piece, values[place], width) and _stands_free(pieces, index, place, values)):
            continue
        rows, columns = place
        frame = (rows.start, columns.start, rows.stop, columns.stop)
        if not _is_bar(piece) and letter_probability(values, frame) < _POSSIBLE:
            continue
        middle = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
        if chest is not None and chest[int(middle[0]), int(middle[1])]:
            inside.append((index, piece.shape[0], *middle))
        else:
            kept[index] = True
    for index in _in_words(inside):
        kept[index] = True
    return np.asarray(kept[pieces])


def _is_letter(piece: Mask, values: UInt8[np.ndarray, "height width"], width: int) -> bool:
    height, length = piece.shape
    low, high = (share * width for share in _HEIGHT)
    tall = max(height, 1)
    if piece.sum() < _SMALLEST or not low <= tall <= high or length > _LONGEST * width:
        return False
    padded = np.pad(piece, 1)
    depth: Float[np.ndarray, "rows columns"] = distance_transform_edt(padded)[1:-1, 1:-1]
    core = values[depth >= max(1.0, 0.6 * depth.max())]
    return bool(2.0 * depth.max() <= max(_STROKE * width, 3.0) and core.std() <= _EVENNESS and _fills(piece))


def _stands_free(
    pieces: Int[np.ndarray, "rows columns"],
    index: int,
    place: tuple[slice, ...],
    values: UInt8[np.ndarray, "rows columns"],
) -> bool:
    """Return True if a piece is surrounded by darkness; a part of a chest wall or a limb continues, less bright."""
    gap = max(2, round(_GAP * values.shape[1]))
    margin = gap + 2
    if any(side.start == 0 or side.stop == length for side, length in zip(place, values.shape, strict=True)):
        return False  # a collimator's edge; a letter cut by the border cannot be distinguished from it
    around = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in place)
    piece = pieces[around] == index
    ring = binary_dilation(piece, iterations=margin) & ~binary_dilation(piece, iterations=gap) & (pieces[around] == 0)
    core = np.median(values[around][piece])
    return bool(ring.any() and (values[around][ring] > core - _FREE).mean() <= _GOES_ON)


def _fills(piece: Mask) -> bool:
    """Return True if a piece fills its bounding box as a letter does, unlike a long thin line through it."""
    share = piece.mean()
    return bool(share >= (0.45 if _is_bar(piece) else 0.16))  # a bar fills its narrow box


def _is_bar(piece: Mask) -> bool:
    return bool(min(piece.shape) <= _BAR * max(piece.shape))


def _in_words(pieces: list[tuple[int, int, float, float]]) -> list[int]:
    """Return the pieces next to another of about the same height, on its line or directly below it."""
    words = []
    for index, height, row, column in pieces:
        for other, other_height, other_row, other_column in pieces:
            alike = max(height, other_height) <= 1.35 * min(height, other_height)
            near = abs(row - other_row) <= 0.3 * height and abs(column - other_column) <= 2.2 * height
            if other != index and alike and near:
                words.append(index)
                break
    return words
