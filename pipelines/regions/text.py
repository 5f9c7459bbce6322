"""Text that was burned into a picture: letters of one height and brightness, side by side on a line.

A letter is a piece of even, narrow strokes that stands out of what is around it (white top-hat, Serra 1982), bright on
dark or dark on bright, on two scales. Three letters in a row, or letters that touch, are text; one or two are a side
marker ("R", "PA") and are left alone. What the shape of a letter is plays no part: nothing is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image as Picture
from scipy.ndimage import find_objects, gaussian_filter, grey_opening, label, maximum_filter, mean

__all__ = ["Area", "find_text"]

Values = UInt8[np.ndarray, "rows columns"]
Boxes = Float[np.ndarray, "letters 4"]  # top, left, bottom, right
Frame = tuple[float, float, float, float]
Tones = Float[np.ndarray, "letters 2"]  # what a letter stands out by, and its brightness

_LONG_SIDES = (768, 2048)  # px of the finer scale: on less, ribs have the size of letters; text is legible in more
_SCALES = (1, 4)  # what the finer scale is reduced by
_WINDOW = 13  # px: strokes are narrower
_CONTRAST = (28.0, 60.0)  # of 255 that a stroke stands out by at least, on each scale: vertebrae are large and faint
_NOISES = 5.5  # standard deviations of the noise, that it stands out by
_BLOCK = 32  # px, that the noise is measured in
_BLUR = 0.8  # px: what a letter loses by it is less than noise does
_NOISE_LEFT = 0.35  # of the noise behind the blur: 1 / (2 sqrt(pi) _BLUR)
_OF_BEST = 0.5  # of the most that anything near stands out by: blurred edges would join letters
_NEAR = 25  # px
_HEIGHT = (6, 84)  # px, of a letter
_FILLED = (0.14, 0.95)  # share of its frame that a letter covers
_ALIKE = 0.35  # of what they stand out by, that the letters of a line differ by ...
_SAME_INK = 25.0  # ... or of 255, that their brightness differs by where what is behind them changes
_LETTERS = 3  # side by side, that make a text
_WIDEST = 14.0  # heights: letters that touch
_CROSSINGS = 4.0  # strokes that a line through letters that touch crosses
_MOST_PIECES = 6000  # more are a texture, of which the most contrasted count
_MARGIN = (0.4, 2.0)  # heights that an area is wider by, across the line and along it: letters that were missed
_ROOM = 2  # widths of an area, between two that are one text
_LEAST_SHARE_ALIGNED = 0.6  # of a line's letters, that stand on it


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of source pixels; the bottom and right edges are exclusive."""

    top: int
    left: int
    bottom: int
    right: int
    letters: "Area | None" = None  # found in it, without the room around them

    @property
    def edges(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right edge."""
        return self.top, self.left, self.bottom, self.right


def find_text(display: Float[np.ndarray, "rows columns"]) -> tuple[Area, ...]:
    """Find what looks like text of three letters or more, along rows or along columns.

    Args:
        display: [0, 1], as it is shown.

    Returns:
        Areas that hold the text with some room around it, none inside another, each with the place of its letters.

    Source: our own; the figures of benchmarks/bench_burned_in.py say how much of it is found.
    """
    fine, factor = _eight_bit(display)
    found: list[tuple[Frame, Frame]] = []
    for scale, least in zip(_SCALES, _CONTRAST, strict=True):
        values = fine if scale == 1 else np.asarray(Picture.fromarray(fine).reduce(scale))
        if min(values.shape) < 2 * _WINDOW:
            continue
        for shown in (values, 255 - values):
            letters, tones, crossings = _letters(shown, least)
            for boxes, turned in ((letters, False), (letters[:, [1, 0, 3, 2]], True)):
                lines = _lines(boxes, tones, None if turned else crossings)
                for whole, inner in lines:
                    unit = scale * factor
                    found.append((_as_given(whole, turned, unit), _as_given(inner, turned, unit)))
    return _merged(found, display.shape)


def _as_given(frame: Frame, turned: bool, unit: float) -> Frame:
    top, left, bottom, right = (edge * unit for edge in frame)
    return (left, top, right, bottom) if turned else (top, left, bottom, right)


def _eight_bit(
    display: Float[np.ndarray, "rows columns"],
) -> tuple[UInt8[np.ndarray, "fine_rows fine_columns"], float]:
    """Bring a picture to eight bits and a long side between ``_LONG_SIDES``; give what its pixels are larger by."""
    values = np.round(np.clip(display, 0.0, 1.0) * 255.0).astype(np.uint8)
    least, most = _LONG_SIDES
    long_side = max(values.shape)
    factor = long_side / min(max(long_side, least), most)
    if factor == 1.0:
        return values, 1.0
    size = (max(1, round(values.shape[1] / factor)), max(1, round(values.shape[0] / factor)))
    kernel = Picture.Resampling.BOX if factor > 1.0 else Picture.Resampling.BICUBIC
    return np.asarray(Picture.fromarray(values).resize(size, kernel)), factor


def _letters(values: Values, least: float) -> tuple[Boxes, Tones, Float[np.ndarray, " letters"]]:
    """Find pieces that may be letters, or letters that touch: their frames, tones and how many strokes cross."""
    noise = _noise(values)
    values = gaussian_filter(values, _BLUR)
    hat = values - grey_opening(values, (_WINDOW, _WINDOW))
    least = max(least, _NOISES * _NOISE_LEFT * noise)
    strokes = (hat > least) & (hat > _OF_BEST * maximum_filter(hat, _NEAR))
    pieces, count = label(strokes, structure=np.ones((3, 3)))
    if count == 0:
        return np.zeros((0, 4)), np.zeros((0, 2)), np.zeros(0)
    frames = np.array(
        [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in find_objects(pieces)], dtype=float
    )
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    height, width = frames[:, 2] - frames[:, 0], frames[:, 3] - frames[:, 1]
    low, high = _HEIGHT
    short, long = np.minimum(height, width), np.maximum(height, width)
    fits = (long >= low) & (short <= high) & (long <= _WIDEST * np.maximum(short, low / 2))
    fits &= (sizes >= _FILLED[0] * height * width) & (sizes >= low)
    fits &= (sizes <= _FILLED[1] * height * width) | (long > 2.2 * short)  # I, 1, -: bars
    chosen = np.flatnonzero(fits) + 1
    if len(chosen) > _MOST_PIECES:
        contrast = mean(hat, pieces, chosen)
        chosen = np.sort(chosen[np.argsort(contrast)[-_MOST_PIECES:]])
    if len(chosen) == 0:
        return np.zeros((0, 4)), np.zeros((0, 2)), np.zeros(0)
    tones = np.stack([mean(hat, pieces, chosen), mean(values, pieces, chosen)], axis=1).astype(float)
    crossings = np.array([_crossings(pieces, int(index), frames[index - 1]) for index in chosen])
    return frames[chosen - 1], tones, crossings


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


def _lines(
    boxes: Boxes, tones: Tones, crossings: Float[np.ndarray, " letters"] | None
) -> Iterator[tuple[Frame, Frame]]:
    """Give the frames of the lines that letters stand on, along rows, with room and without."""
    if crossings is not None:
        height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        for place in np.flatnonzero((width > 2.0 * height) & (crossings >= _CROSSINGS) & (height >= _HEIGHT[0])):
            yield _with_margin(boxes[place : place + 1])
    for members in _rows_of_letters(boxes, tones):
        chosen = boxes[members]
        if _is_text(chosen):
            yield _with_margin(boxes[_grown(members, boxes, tones)])


def _rows_of_letters(boxes: Boxes, tones: Tones) -> Iterator[list[int]]:
    """Join letters to their neighbours on a line."""
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    usable = np.flatnonzero((height >= _HEIGHT[0]) & (height <= _HEIGHT[1]) & (width <= 3.0 * height))
    order = usable[np.argsort(boxes[usable, 1])]
    top, left, bottom, right = boxes[order].T
    tall, tone = height[order], tones[order]
    parent = list(range(len(order)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for place in range(len(order)):
        reach = np.searchsorted(left, right[place] + 1.2 * _HEIGHT[1], side="right")
        others = slice(place + 1, int(reach))
        most = np.maximum(tall[others], tall[place])
        gap = left[others] - right[place]
        shared = np.minimum(bottom[others], bottom[place]) - np.maximum(top[others], top[place])
        on_line = shared >= 0.6 * np.minimum(tall[others], tall[place])
        alike = (most <= 1.9 * np.minimum(tall[others], tall[place])) & _alike(tone[others], tone[place])
        for other in np.flatnonzero(on_line & alike & (gap <= 0.9 * most) & (gap >= -0.3 * most)):
            parent[root(place + 1 + int(other))] = root(place)
    groups: dict[int, list[int]] = {}
    for place in range(len(order)):
        groups.setdefault(root(place), []).append(int(order[place]))
    yield from groups.values()


def _alike(tones: Tones, tone: Float[np.ndarray, "2"]) -> Bool[np.ndarray, " letters"]:
    """Whether letters stand out as much as another does, or are as bright."""
    contrast, ink = np.abs(tones - tone).T
    same: Bool[np.ndarray, " letters"] = (contrast <= _ALIKE * np.maximum(tones[:, 0], tone[0])) | (ink <= _SAME_INK)
    return same


def _grown(members: list[int], boxes: Boxes, tones: Tones) -> list[int]:
    """Add what stands on a text's line and near it: points, other words, letters that touch."""
    height = float(np.median(boxes[members, 2] - boxes[members, 0]))
    tone = np.median(tones[members], axis=0)
    top, bottom = np.median(boxes[members, 0]) - 0.4 * height, np.median(boxes[members, 2]) + 0.4 * height
    fits = (boxes[:, 0] >= top) & (boxes[:, 2] <= bottom) & _alike(tones, tone)
    taken = set(members)
    while True:
        left, right = boxes[list(taken), 1].min(), boxes[list(taken), 3].max()
        near = fits & (boxes[:, 3] >= left - 1.6 * height) & (boxes[:, 1] <= right + 1.6 * height)
        more = set(np.flatnonzero(near).tolist()) - taken
        if not more:
            return sorted(taken)
        taken |= more


def _is_text(letters: Boxes) -> bool:
    """Whether letters stand on one line, and are as many as make a text."""
    if len(letters) < _LETTERS:
        return False
    height = float(np.median(letters[:, 2] - letters[:, 0]))
    reach = max(1.5, 0.16 * height)
    on_base = (np.abs(letters[:, 2] - np.median(letters[:, 2])) <= reach).mean()
    on_top = (np.abs(letters[:, 0] - np.median(letters[:, 0])) <= reach).mean()
    length = letters[:, 3].max() - letters[:, 1].min()
    is_flat = letters[:, 2].max() - letters[:, 0].min() <= 2.2 * height
    return bool(max(on_base, on_top) >= _LEAST_SHARE_ALIGNED and length >= 1.2 * height and is_flat)


def _with_margin(letters: Boxes) -> tuple[Frame, Frame]:
    height = float(np.median(letters[:, 2] - letters[:, 0]))
    across, along = (share * height for share in _MARGIN)
    top, left = (float(edge) for edge in letters[:, :2].min(axis=0))
    bottom, right = (float(edge) for edge in letters[:, 2:].max(axis=0))
    return (top - across, left - along, bottom + across, right + along), (top, left, bottom, right)


def _merged(found: list[tuple[Frame, Frame]], shape: tuple[int, ...]) -> tuple[Area, ...]:
    """Clip areas to the picture and join those that overlap."""
    waiting = [replace(_clipped(whole, shape), letters=_clipped(inner, shape)) for whole, inner in found]
    done: list[Area] = []
    while waiting:
        area = waiting.pop()
        touching = next((each for each in done if _overlap(each, area)), None)
        if touching is None:
            done.append(area)
            continue
        done.remove(touching)
        waiting.append(_joined(touching, area))
    return tuple(sorted(done, key=lambda area: area.edges))


def _clipped(frame: Frame, shape: tuple[int, ...]) -> Area:
    (rows, columns), (top, left, bottom, right) = shape, frame
    return Area(max(0, int(top)), max(0, int(left)), min(rows, int(np.ceil(bottom))), min(columns, int(np.ceil(right))))


def _joined(one: Area, other: Area) -> Area:
    """Give the smallest area that holds two."""
    return Area(
        top=min(one.top, other.top),
        left=min(one.left, other.left),
        bottom=max(one.bottom, other.bottom),
        right=max(one.right, other.right),
        letters=_joined(one.letters, other.letters) if one.letters and other.letters else None,
    )


def _overlap(one: Area, other: Area) -> bool:
    """Whether areas overlap, or follow each other on one line with a word's room between them."""
    down, across = one.bottom - one.top, one.right - one.left
    room_down, room_across = (0, _ROOM * down) if across >= down else (_ROOM * across, 0)
    return (
        one.top < other.bottom + room_down
        and other.top < one.bottom + room_down
        and one.left < other.right + room_across
        and other.left < one.right + room_across
    )
