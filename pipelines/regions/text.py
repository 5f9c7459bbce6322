"""Detects burned-in text: letters of one height and brightness, next to each other on a line.

A letter is a piece of uniform, narrow strokes that stands out from its surroundings (white top-hat, Serra 1982), bright
on dark or dark on bright, on two scales. Three letters in a row, or touching letters, are text if they look printed
(``printed.py``) and one of them has the shape of a letter (``letter_evidence.py``); one or two are a side marker ("R",
"PA") and are ignored. Words are not read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image as Picture
from scipy.ndimage import uniform_filter1d

from pipelines.regions.letter_evidence import is_writing
from pipelines.regions.printed import HEIGHT_PX, WINDOW_PX, Boxes, Letters, Tones, find_letters, is_printed

__all__ = ["Area", "find_text"]

Frame = tuple[float, float, float, float]

_LONG_SIDES = (768, 2048)  # px of the finer scale: below, ribs have the size of letters; text stays legible up to this
_SCALES = (1, 4)  # reduction of the finer scale
_CONTRAST = (28.0, 60.0)  # of 255: minimum contrast of a stroke, on each scale: vertebrae are large and faint
_ALIKE = 0.35  # maximum difference of contrast between a line's letters, as a share of it ...
_SAME_INK = 25.0  # ... or of brightness, of 255, on a changing background
_STRONG = 60.0  # of 255: minimum contrast of a line that is followed into parts of lower contrast
_CORE = 80  # percentile of a line's strokes: its ink, without the blurred edges
_OF_INK = 0.35  # minimum share of the ink's contrast that thin strokes keep after the blur
_LEAST_INK = 0.12  # minimum share of a square of the line's height that strokes cover
_ROOM_IN_LINE = 2.2  # heights between the words of such a line
_WORD_ROOM = 1.6  # heights between the words of a line
_LETTERS = 3  # minimum number of letters of a text
_CROSSINGS = 4.0  # minimum number of strokes that a row through touching letters crosses
_MARGIN = (0.4, 2.0)  # heights by which an area is extended, across and along the line, for missed letters
_MOST_WASTE = 1.25  # maximum size of the area around two areas, as a multiple of their sizes
_LINES_DIFFER = 1.5  # maximum height of an area around two areas of one line, as a multiple of the higher one
_ROOM = 2  # maximum distance of two areas of one text, in widths of an area
_LEAST_SHARE_ALIGNED = 0.6  # minimum share of a line's letters that stand on it


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of source pixels; the bottom and right edges are exclusive."""

    top: int
    left: int
    bottom: int
    right: int
    letters: "Area | None" = None  # bounding area of its letters, without margin

    @property
    def edges(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right edge."""
        return self.top, self.left, self.bottom, self.right

    @property
    def is_wide(self) -> bool:
        """True if it is a line along rows."""
        return self.right - self.left >= self.bottom - self.top


def find_text(display: Float[np.ndarray, "rows columns"]) -> tuple[Area, ...]:
    """Find text of three letters or more, along rows or along columns.

    Args:
        display: the displayed image, [0, 1].

    Returns:
        Areas with the text and some margin, none inside another, each with the area of its letters.

    Source: our own method; benchmarks/bench_burned_in.py measures its recall.
    """
    fine, factor = _eight_bit(display)
    found: list[tuple[Frame, Frame]] = []
    for scale, least in zip(_SCALES, _CONTRAST, strict=True):
        values = fine if scale == 1 else np.asarray(Picture.fromarray(fine).reduce(scale))
        if min(values.shape) < 2 * WINDOW_PX:
            continue
        unit = scale * factor
        for shown in (values, 255 - values):
            letters = find_letters(shown, least)
            for turned, given in ((False, letters), (True, letters.turned())):
                for whole, inner in _lines(given, pixel=unit):
                    found.append((_as_given(whole, turned, unit), _as_given(inner, turned, unit)))
    return tuple(area for area in _merged(found, display.shape) if _is_writing(fine, area, factor))


def _is_writing(values: UInt8[np.ndarray, "rows columns"], area: Area, pixel: float) -> bool:
    top, left, bottom, right = (edge / pixel for edge in (area.letters or area).edges)
    return is_writing(values, (top, left, bottom, right))


def _as_given(frame: Frame, turned: bool, unit: float) -> Frame:
    top, left, bottom, right = (edge * unit for edge in frame)
    return (left, top, right, bottom) if turned else (top, left, bottom, right)


def _eight_bit(
    display: Float[np.ndarray, "rows columns"],
) -> tuple[UInt8[np.ndarray, "fine_rows fine_columns"], float]:
    """Convert an image to eight bits and a long side between ``_LONG_SIDES``; return it with its pixel size."""
    values = np.round(np.clip(display, 0.0, 1.0) * 255.0).astype(np.uint8)
    least, most = _LONG_SIDES
    long_side = max(values.shape)
    factor = long_side / min(max(long_side, least), most)
    if factor == 1.0:
        return values, 1.0
    size = (max(1, round(values.shape[1] / factor)), max(1, round(values.shape[0] / factor)))
    kernel = Picture.Resampling.BOX if factor > 1.0 else Picture.Resampling.BICUBIC
    return np.asarray(Picture.fromarray(values).resize(size, kernel)), factor


def _lines(letters: Letters, *, pixel: float) -> Iterator[tuple[Frame, Frame]]:
    """Return the frames of the lines of letters, along rows, with and without margin."""
    boxes = letters.boxes
    if letters.crossings is not None:
        height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        touching = (width > 2.0 * height) & (letters.crossings >= _CROSSINGS) & (height >= HEIGHT_PX[0])
        for place in np.flatnonzero(touching):
            if is_printed(letters, [int(place)], pixel=pixel):
                yield _with_margin(letters, [int(place)])
    for members in _rows_of_letters(boxes, letters.tones):
        if _is_text(boxes[members]) and is_printed(letters, members, pixel=pixel):
            yield _with_margin(letters, _grown(members, boxes, letters.tones))


def _rows_of_letters(boxes: Boxes, tones: Tones) -> Iterator[list[int]]:
    """Join letters to their neighbours on a line."""
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    usable = np.flatnonzero((height >= HEIGHT_PX[0]) & (height <= HEIGHT_PX[1]) & (width <= 3.0 * height))
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
        reach = np.searchsorted(left, right[place] + 1.2 * HEIGHT_PX[1], side="right")
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
    """Return for each letter whether it has the contrast or the brightness of another."""
    contrast, ink = np.abs(tones - tone).T
    same: Bool[np.ndarray, " letters"] = (contrast <= _ALIKE * np.maximum(tones[:, 0], tone[0])) | (ink <= _SAME_INK)
    return same


def _grown(members: list[int], boxes: Boxes, tones: Tones) -> list[int]:
    """Add everything on a text's line and near it: dots, other words, touching letters."""
    height = float(np.median(boxes[members, 2] - boxes[members, 0]))
    tone = np.median(tones[members], axis=0)
    top, bottom = np.median(boxes[members, 0]) - 0.4 * height, np.median(boxes[members, 2]) + 0.4 * height
    fits = (boxes[:, 0] >= top) & (boxes[:, 2] <= bottom) & _alike(tones, tone)
    taken = set(members)
    while True:
        left, right = boxes[list(taken), 1].min(), boxes[list(taken), 3].max()
        near = fits & (boxes[:, 3] >= left - _WORD_ROOM * height) & (boxes[:, 1] <= right + _WORD_ROOM * height)
        more = set(np.flatnonzero(near).tolist()) - taken
        if not more:
            return sorted(taken)
        taken |= more


def _is_text(letters: Boxes) -> bool:
    """Return True if letters stand on one line and are numerous enough for a text."""
    if len(letters) < _LETTERS:
        return False
    height = float(np.median(letters[:, 2] - letters[:, 0]))
    reach = max(1.5, 0.16 * height)
    on_base = (np.abs(letters[:, 2] - np.median(letters[:, 2])) <= reach).mean()
    on_top = (np.abs(letters[:, 0] - np.median(letters[:, 0])) <= reach).mean()
    length = letters[:, 3].max() - letters[:, 1].min()
    is_flat = letters[:, 2].max() - letters[:, 0].min() <= 2.2 * height
    return bool(max(on_base, on_top) >= _LEAST_SHARE_ALIGNED and length >= 1.2 * height and is_flat)


def _with_margin(letters: Letters, members: Sequence[int]) -> tuple[Frame, Frame]:
    """Return the frame of a line's letters, with and without margin."""
    boxes = letters.boxes[members]
    height = float(np.median(boxes[:, 2] - boxes[:, 0]))
    across, along = (share * height for share in _MARGIN)
    top, bottom = float(boxes[:, 0].min()), float(boxes[:, 2].max())
    left, right = _reach(letters, members)
    return (top - across, left - along, bottom + across, right + along), (top, left, bottom, right)


def _reach(letters: Letters, members: Sequence[int]) -> tuple[float, float]:
    """Follow a line to its left and right end, where its ink contrasts little with the background."""
    boxes = letters.boxes[members]
    top, bottom = (int(edge) for edge in np.median(boxes[:, [0, 2]], axis=0))
    left, right = float(boxes[:, 1].min()), float(boxes[:, 3].max())
    if np.median(letters.tones[members, 0]) < _STRONG:
        return left, right
    inside = np.s_[top:bottom, int(left) : int(right)]
    ink = np.percentile(letters.source[inside][np.isin(letters.pieces[inside], letters.numbers[members])], _CORE)
    hat = letters.hat[top:bottom].astype(float)
    behind = letters.values[top:bottom] - hat
    strokes = (hat > letters.faintest) & (hat >= _OF_INK * (ink - behind))
    height = bottom - top
    columns = np.flatnonzero(uniform_filter1d(strokes.mean(axis=0), height, mode="constant") >= _LEAST_INK).astype(
        float
    )
    room = _ROOM_IN_LINE * height
    return -_followed(-columns[::-1] - 1.0, -left, room), _followed(columns, right - 1.0, room) + 1.0


def _followed(columns: Float[np.ndarray, " columns"], start: float, room: float) -> float:
    """Continue from ``start`` through ascending columns as long as the next one is near."""
    further = columns[columns > start]
    steps = np.diff(further, prepend=start)
    far = np.flatnonzero(steps > room)
    last = far[0] if len(far) else len(further)
    return float(further[last - 1]) if last else start


def _merged(found: list[tuple[Frame, Frame]], shape: tuple[int, ...]) -> tuple[Area, ...]:
    """Clip areas to the image, and join areas of the same text."""
    waiting = [replace(_clipped(whole, shape), letters=_clipped(inner, shape)) for whole, inner in found]
    done: list[Area] = []
    while waiting:
        area = waiting.pop()
        touching = next((each for each in done if _are_one_text(each, area)), None)
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
    """Return the bounding area of two areas."""
    return Area(
        top=min(one.top, other.top),
        left=min(one.left, other.left),
        bottom=max(one.bottom, other.bottom),
        right=max(one.right, other.right),
        letters=_joined(one.letters, other.letters) if one.letters and other.letters else None,
    )


def _are_one_text(one: Area, other: Area) -> bool:
    """Return True if areas meet and their bounding area is one line, or contains little else.

    Lines that cross, or touch at a corner, stay separate: their bounding area would cover much of the image.
    """
    if not _overlap(one, other):
        return False
    whole = _joined(one, other)
    if _size(whole) <= _MOST_WASTE * (_size(one) + _size(other)):
        return True
    if one.is_wide and other.is_wide:
        return whole.bottom - whole.top <= _LINES_DIFFER * max(one.bottom - one.top, other.bottom - other.top)
    if not one.is_wide and not other.is_wide:
        return whole.right - whole.left <= _LINES_DIFFER * max(one.right - one.left, other.right - other.left)
    return False


def _size(area: Area) -> int:
    return (area.bottom - area.top) * (area.right - area.left)


def _overlap(one: Area, other: Area) -> bool:
    """Return True if areas overlap, or follow each other on one line with a word space between them."""
    down, across = one.bottom - one.top, one.right - one.left
    room_down, room_across = (0, _ROOM * down) if across >= down else (_ROOM * across, 0)
    return (
        one.top < other.bottom + room_down
        and other.top < one.bottom + room_down
        and one.left < other.right + room_across
        and other.left < one.right + room_across
    )
