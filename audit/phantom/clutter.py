"""What lies on chest radiographs and looks a little like letters: lines, clips, sutures, springs, borders, bones.

It is drawn for the training of the letter network, which must not take it for writing.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from PIL import Image as Picture
from PIL import ImageDraw
from scipy.ndimage import gaussian_filter

from audit.phantom.chest_shapes import SIZE, Map, rounded

__all__ = ["ZOOM", "add_clutter", "background", "canvas"]

ZOOM = 3
"""Shapes are drawn at this multiple of the size and averaged."""

_SIDE = ZOOM * SIZE


def canvas() -> tuple[Picture.Image, ImageDraw.ImageDraw]:
    """Return an empty drawing at ``ZOOM`` times the size, and its pen."""
    drawn = Picture.new("L", (_SIDE, _SIDE), 0)
    return drawn, ImageDraw.Draw(drawn)


def background(source: Float[np.ndarray, "rows columns"] | None, rng: np.random.Generator) -> Map:
    """Return a part of a chest, or a smooth field, with contrast and brightness at random.

    Args:
        source: a chest; None for a smooth field.
        rng: source of randomness.
    """
    if source is None:
        cells = int(rng.integers(2, 7))
        coarse = Picture.fromarray(rng.random((cells, cells)).astype(np.float32))
        values = np.asarray(coarse.resize((SIZE, SIZE), Picture.Resampling.BICUBIC))
    else:
        rows, columns = source.shape
        side = int(rng.uniform(0.15, 0.6) * min(rows, columns))
        top, left = rng.integers(rows - side + 1), rng.integers(columns - side + 1)
        part = Picture.fromarray(source[top : top + side, left : left + side])
        values = np.asarray(part.resize((SIZE, SIZE), Picture.Resampling.BICUBIC))
    if rng.random() < 0.3:  # air, or a flat window
        values = rng.uniform(0.0, 0.8) + rng.uniform(0.0, 0.4) * (values - values.mean())
    if rng.random() < 0.3:
        values = np.clip(values, 0.0, 1.0) ** float(np.exp(rng.normal(0.0, 0.4)))
    return np.asarray(np.clip(values, 0.0, 1.0), dtype=np.float32)


def add_clutter(image: Map, rng: np.random.Generator) -> Map:
    """Return the image with some of the shapes, blurred as what lies in the beam is."""
    for _ in range(rng.poisson(1.6)):
        drawn, pen = canvas()
        _SHAPES[int(rng.integers(len(_SHAPES)))](pen, rng)
        blur = ZOOM * (rng.uniform(0.0, 1.2) if rng.random() < 0.85 else rng.uniform(1.0, 3.0))
        shape = gaussian_filter(np.asarray(drawn.reduce(ZOOM), dtype=np.float32) / 255.0, blur / ZOOM)
        image = image + rng.uniform(0.08, 0.9) * shape * (1.0 - image if rng.random() < 0.85 else -image)
    if rng.random() < 0.4:
        image = _with_border(image, rng)
    if rng.random() < 0.2:
        grain = gaussian_filter(rng.normal(0.0, 1.0, image.shape), rng.uniform(1.0, 4.0))
        image = image + rng.uniform(0.02, 0.15) * grain / grain.std()
    return np.asarray(np.clip(image, 0.0, 1.0), dtype=np.float32)


def _with_border(image: Map, rng: np.random.Generator) -> Map:
    """Cover what lies beyond a straight edge, or outside a corner: collimators, plates, padding."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - rng.uniform(0.15, 0.85, (2, 1, 1)) * SIZE
    tilt = rng.normal(0.0, 0.1) if rng.random() < 0.8 else rng.uniform(0.0, np.pi)
    across, down = np.cos(tilt) * columns + np.sin(tilt) * rows, np.cos(tilt) * rows - np.sin(tilt) * columns
    across, down = across * rng.choice([-1, 1]), down * rng.choice([-1, 1])
    beyond = (across > 0) | (down > 0) if rng.random() < 0.5 else across > 0
    soft = gaussian_filter(beyond.astype(np.float32), rng.uniform(0.0, 2.5))
    level = 0.0 if rng.random() < 0.5 else rng.uniform(0.0, 1.0)
    return np.asarray(image * (1.0 - soft) + (level + rng.uniform(0.0, 0.3) * image) * soft, dtype=np.float32)


def _at(rng: np.random.Generator) -> Float[np.ndarray, "2"]:
    return rng.uniform(0.0, _SIDE, 2)


def _placed(points: Float[np.ndarray, "points 2"], rng: np.random.Generator) -> list[float]:
    """Rotate points around the origin, and move them to a place at random; flat, as pens take them."""
    turn = rng.uniform(0.0, 2.0 * np.pi)
    cos, sin = np.cos(turn), np.sin(turn)
    turned = points @ np.array([[cos, sin], [-sin, cos]]) + _at(rng)
    flat: list[float] = turned.ravel().tolist()
    return flat


def _cables(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    curve = rounded((rng.uniform(-0.3, 1.3, (5, 2)) * _SIDE).tolist(), times=3)[: rng.integers(14, 38)]
    width, bright = int(rng.integers(2, 22)), int(rng.integers(120, 256))
    for shift in np.arange(rng.integers(1, 4)) * rng.uniform(8.0, 40.0):
        points = (curve + shift).ravel().tolist()
        pen.line(points, fill=bright, width=width, joint="curve")
        if rng.random() < 0.4:  # a hollow tube
            pen.line(points, fill=bright // 2, width=max(1, width // 2), joint="curve")


def _rings(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 5)):
        (x, y), (a, b) = _at(rng), rng.uniform(4.0, 60.0, 2)
        box, bright = (x - a, y - b, x + a, y + b), int(rng.integers(120, 256))
        if rng.random() < 0.3:
            pen.ellipse(box, fill=bright)
        else:
            pen.ellipse(box, outline=bright, width=int(rng.integers(2, 10)))


def _clips(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """An electrode's clip: short bars, some parallel, with a cable."""
    for _ in range(rng.integers(1, 4)):
        half, width = rng.uniform(8.0, 40.0), int(rng.integers(3, 12))
        turn, place = rng.uniform(0.0, 2.0 * np.pi), _at(rng)
        along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        for side in (-1.0, 0.0, 1.0)[: int(rng.integers(2, 4))]:
            start = place + side * rng.uniform(0.3, 0.7) * half * across
            end = start + rng.uniform(0.3, 1.6) * half * along
            pen.line([*start, *end], fill=int(rng.integers(150, 256)), width=width)
        pen.line([*(place - half * across), *(place + half * across)], fill=200, width=width)
        if rng.random() < 0.5:
            pen.line([*place, *(place - rng.uniform(2.0, 20.0) * half * along)], fill=180, width=width)
        x, y = place + rng.normal(0.0, half, 2)
        pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill=255)


def _springs(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """Zigzags and combs, as reinforced tubes, zips and screws show."""
    count, step, half = int(rng.integers(4, 24)), rng.uniform(5.0, 20.0), rng.uniform(4.0, 24.0)
    along = np.arange(2 * count) * step / 2.0
    across = half * np.tile([-1.0, 1.0], count)
    points = _placed(np.stack([along, across], axis=1), rng)
    width = int(rng.integers(2, 7))
    if rng.random() < 0.6:
        pen.line(points, fill=230, width=width)
    else:
        for place in range(0, len(points) - 3, 4):
            pen.line(points[place : place + 4], fill=230, width=width)


def _sutures(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """Wires along a line: crosses, bows and flat loops."""
    (x, y), gap = _at(rng), rng.uniform(30.0, 110.0)
    for place in range(int(rng.integers(1, 6))):
        points = rng.normal(0.0, 1.0, (int(rng.integers(3, 6)), 2)) * [rng.uniform(8, 36), rng.uniform(4, 14)]
        points += [x, y + place * gap]
        pen.line(points.ravel().tolist(), fill=int(rng.integers(140, 256)), width=int(rng.integers(2, 7)))


def _bones(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """Curved parallel bands that cross others."""
    for _ in range(rng.integers(1, 3)):
        curve = rounded((rng.uniform(-0.3, 1.3, (4, 2)) * _SIDE).tolist(), times=3)[:20]
        step = rng.uniform(30.0, 90.0, 2)
        for place in range(5):
            pen.line((curve + place * step).ravel().tolist(), fill=120, width=int(rng.integers(6, 30)), joint="curve")


def _spine(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """A row of rings and drops, as spinous processes and vertebral arches show."""
    (x, y), half, gap = _at(rng), rng.uniform(9.0, 36.0), rng.uniform(50.0, 150.0)
    for place in range(-3, 4):
        wide, tall = half * rng.uniform(0.6, 1.0), half * rng.uniform(0.9, 1.6)
        centre, bright, width = y + place * gap, int(rng.integers(130, 256)), int(rng.integers(5, 14))
        pen.ellipse((x - wide, centre - tall, x + wide, centre + tall), outline=bright, width=width)
        if rng.random() < 0.5:
            pen.line((x, centre - 1.6 * tall, x, centre), fill=bright, width=width)
        if rng.random() < 0.3:
            pen.line((x - 2.0 * wide, centre, x + 2.0 * wide, centre), fill=bright, width=width)


def _plates(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """Empty rectangles, and bent bars with long arms."""
    for _ in range(rng.integers(1, 3)):
        half, (x, y) = rng.uniform(10.0, 90.0, 2), _at(rng)
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
        points = _placed(corners, rng) if rng.random() < 0.5 else (corners + np.array([x, y])).ravel().tolist()
        if rng.random() < 0.5:
            pen.polygon(points, fill=int(rng.integers(60, 220)))
        else:
            ends = int(rng.integers(4, 9))
            pen.line(points[:ends] if ends % 2 == 0 else points, fill=220, width=int(rng.integers(2, 9)))


def _dots(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 8)):
        (x, y), half = _at(rng), rng.uniform(2.0, 20.0)
        pen.ellipse((x - half, y - half, x + half, y + half), fill=int(rng.integers(120, 256)))


_SHAPES: tuple[Callable[[ImageDraw.ImageDraw, np.random.Generator], None], ...] = (
    _cables,
    _cables,
    _rings,
    _clips,
    _clips,
    _springs,
    _sutures,
    _bones,
    _spine,
    _spine,
    _plates,
    _dots,
)
