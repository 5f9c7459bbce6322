"""Draws parts of synthetic radiographs with letters, and with none, for the training of the letter network.

Nothing in them is taken from a film. Letters are printed or made of lead: several fonts, upright or tilted, mirrored,
in a circle or on a plate, bright or dark, of high contrast or barely visible, alone or in words.
"""

import io
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, rotate

from audit.phantom.chest_shapes import SIZE, Map
from audit.phantom.clutter import ZOOM, add_clutter, background, canvas
from pipelines.regions.letter_shapes import LETTER_PX, STRIDE, LetterShape

__all__ = ["Grey", "LetterImages", "make_letter_images"]

Grey = Float[np.ndarray, "_rows _columns"]

_FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSans-BoldOblique.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSansMono-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralBol.ttf",
    "cmss10.ttf",
    "cmtt10.ttf",
    "",  # of Pillow
    "",
)
_LETTERS = string.ascii_letters + string.digits
_OTHERS = [letter for letter in _LETTERS + "+*#?=%&" if letter not in "LRlIi1j|"]
_WORDS = ("MOBIL", "AP", "PA", "SUPINE", "ERECT", "PORTABLE", "LIEGEND", "STEHEND", "LD", "RL", "LAT", "SITTING")
_TILT = 22.0  # degrees: a letter tilted further is not read
_LEAST_CONTRAST, _LEAST_NOISES = 0.05, 2.0  # of a letter: share of the range, and standard deviations of the noise
_CORE, _RIM = 0.28, 0.75  # of a letter's half size: cells that are trained on the letter, and cells left out


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterImages:
    """Images, and for each cell of the network's answer the shape there and its borders."""

    images: UInt8[np.ndarray, "count 128 128"]
    shapes: Int[np.ndarray, "count 32 32"]  # of LetterShape; -1 where it is not trained
    borders: Float[np.ndarray, "count 4 32 32"]  # px to the top, left, bottom and right of the letter


def make_letter_images(count: int, *, chests: Sequence[Grey], seed: int) -> LetterImages:
    """Draw images with letters and without, on parts of ``chests`` and on smooth fields."""
    cells = SIZE // STRIDE
    images = np.empty((count, SIZE, SIZE), dtype=np.uint8)
    shapes = np.zeros((count, cells, cells), dtype=np.int64)
    borders = np.zeros((count, 4, cells, cells), dtype=np.float32)
    for index in range(count):
        drawing = _Drawing(np.random.default_rng([seed, index]), chests)
        images[index] = drawing.image
        shapes[index], borders[index] = drawing.targets()
    return LetterImages(images=images, shapes=shapes, borders=borders)


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if not name:
        return ImageFont.load_default(size=size)
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)


class _Drawing:
    """One image in the making, and the frames of its letters."""

    def __init__(self, rng: np.random.Generator, chests: Sequence[Grey]) -> None:
        self.rng = rng
        self.frames: list[tuple[LetterShape, float, float, float, float]] = []  # top, left, bottom, right
        source = chests[int(rng.integers(len(chests)))] if len(chests) and rng.random() < 0.6 else None
        self.values = add_clutter(background(source, rng), rng)
        noise = rng.uniform(0.0, 0.07) if rng.random() < 0.8 else 0.0
        first = rng.random() < 0.7  # text is burned in after the noise, lead lies under it
        self.noise_to_come = 0.0 if first else noise
        if first:
            self._add_noise(noise)
        for _ in range(rng.choice([0, 1, 2, 3], p=[0.3, 0.35, 0.25, 0.1])):
            word = rng.random() < 0.25
            self._write(_word(rng) if word else "")
        if not first:
            self._add_noise(noise)
        self.image = _compressed(np.round(255.0 * np.clip(self.values, 0.0, 1.0)).astype(np.uint8), rng)

    def _add_noise(self, spread: float) -> None:
        grain = gaussian_filter(self.rng.normal(0.0, 1.0, self.values.shape), self.rng.uniform(0.0, 0.8))
        self.values = np.clip(self.values + spread * grain / grain.std(), 0.0, 1.0).astype(np.float32)

    def _write(self, word: str) -> None:
        """Write a word, or one letter, at a free place if there is one."""
        rng = self.rng
        height = float(np.exp(rng.uniform(np.log(LETTER_PX[0]), np.log(LETTER_PX[1]))))
        stamp, parts = _word_stamp(word, height, rng) if word else _letter_stamp(height, rng)
        rows, columns = stamp.shape
        room = 2 if rng.random() < 0.8 else -round(0.15 * height)  # some are cut by the image's border
        free = [side - length - room for side, length in zip((SIZE, SIZE), stamp.shape, strict=True)]
        if min(free) <= room:
            return
        top, left = (int(rng.integers(room, most)) for most in free)
        margin = 0.6 * height
        if any(
            top - margin < bottom_ and first - margin < top + rows and left - margin < right and start < left + columns
            for _, first, start, bottom_, right in self.frames
        ):
            return
        ink = np.zeros((SIZE, SIZE), dtype=np.float32)
        rows_in, columns_in = slice(max(0, top), min(SIZE, top + rows)), slice(max(0, left), min(SIZE, left + columns))
        ink[rows_in, columns_in] = stamp[rows_in.start - top : rows_in.stop - top, columns_in.start - left :][
            :, : columns_in.stop - columns_in.start
        ]
        middle = (top + rows / 2.0, left + columns / 2.0)
        if rng.random() < 0.5:
            self._put_ground(middle, (rows, columns), height, in_circle=not word and rng.random() < 0.35)
        self._put_ink(ink)
        for shape, first, start, last, end in parts:
            self.frames.append((shape, top + first, left + start, top + last, left + end))

    def _put_ground(
        self, middle: tuple[float, float], size: tuple[int, int], height: float, *, in_circle: bool
    ) -> None:
        """Put a plate or a disc under a letter, with a rim, shadow lines, or neither."""
        rng, (y, x) = self.rng, (ZOOM * middle[0], ZOOM * middle[1])
        half_rows, half_columns = (ZOOM * (length / 2.0 + rng.uniform(0.2, 0.8) * height) for length in size)
        if in_circle:
            half_rows = half_columns = ZOOM * height * rng.uniform(0.8, 1.3)
        box = (x - half_columns, y - half_rows, x + half_columns, y + half_rows)
        masks = []
        for part in ("ground", "rim"):
            drawn, pen = canvas()
            settings = {"fill": 255} if part == "ground" else {"outline": 255, "width": int(rng.integers(2, 7))}
            if in_circle:
                pen.ellipse(box, **settings)
            elif part == "rim" and rng.random() < 0.7:  # only some sides of it show
                _some_sides(pen, box, rng)
            else:
                pen.rectangle(box, **settings)
            masks.append(np.asarray(drawn.reduce(ZOOM), dtype=np.float32) / 255.0)
        opaque = 1.0 if rng.random() < 0.4 else rng.uniform(0.3, 0.95)
        level = rng.choice([0.0, rng.uniform(0.0, 0.85)])
        self.values = self.values * (1.0 - opaque * masks[0]) + opaque * level * masks[0]
        if rng.random() < (0.9 if in_circle else 0.4):
            rim = rng.uniform(0.1, 1.0) * masks[1]
            self.values = self.values + rim * ((1.0 if level < 0.6 or rng.random() < 0.5 else 0.0) - self.values)

    def _put_ink(self, ink: Map) -> None:
        rng, inside = self.rng, ink > 0.5
        under = float(self.values[inside].mean()) if inside.any() else 0.5
        grain = (self.values - gaussian_filter(self.values, 1.0))[inside].std() if inside.any() else 0.0
        least = max(_LEAST_CONTRAST, _LEAST_NOISES * max(float(grain), self.noise_to_come))
        bright = under < 0.75 if rng.random() < 0.8 else under < 0.35
        room = 1.0 - under if bright else under
        contrast = 1.0 if rng.random() < 0.35 else rng.uniform(0.0, 1.0)
        opaque = min(1.0, max(least / max(room, 1e-3), contrast))
        if rng.random() < 0.1 and room > 0.3:  # an outline in the opposite tone
            shadow = np.roll(ink, (1, 1), (0, 1)) * (1.0 - ink)
            self.values = self.values + shadow * (float(not bright) - self.values)
        self.values = (self.values + opaque * ink * (float(bright) - self.values)).astype(np.float32)

    def targets(self) -> tuple[Int[np.ndarray, "32 32"], Float[np.ndarray, "4 32 32"]]:
        """Return the shape at each cell, and the distances from the cell's middle to its borders."""
        cells = SIZE // STRIDE
        shapes, borders = np.zeros((cells, cells), dtype=np.int64), np.zeros((4, cells, cells), dtype=np.float32)
        rows, columns = np.mgrid[:cells, :cells] * STRIDE + STRIDE / 2.0
        for shape, top, left, bottom, right in self.frames:
            row, column = (top + bottom) / 2.0, (left + right) / 2.0
            half = max(bottom - top, right - left, 6.0) / 2.0
            away = np.maximum(np.abs(rows - row) / half, np.abs(columns - column) / max(half * 0.8, 3.0))
            core = away <= max(_CORE, float(away.min()))
            shapes[(away <= _RIM) & (shapes == 0)] = -1
            shapes[core] = shape
            for place, values in enumerate((rows - top, columns - left, bottom - rows, right - columns)):
                borders[place][core] = values[core]
        return shapes, borders


def _some_sides(pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], rng: np.random.Generator) -> None:
    left, top, right, bottom = box
    sides = [(left, top, right, top), (left, bottom, right, bottom), (left, top, left, bottom)]
    sides.append((right, top, right, bottom))
    for place in rng.choice(4, int(rng.integers(1, 3)), replace=False):
        pen.line(sides[place], fill=255, width=ZOOM)


def _compressed(image: UInt8[np.ndarray, "128 128"], rng: np.random.Generator) -> UInt8[np.ndarray, "128 128"]:
    if rng.random() >= 0.3:
        return image
    buffer = io.BytesIO()
    Picture.fromarray(image).save(buffer, "JPEG", quality=int(rng.integers(40, 95)))
    with Picture.open(buffer) as opened:
        return np.asarray(opened)


def _word(rng: np.random.Generator) -> str:
    if rng.random() < 0.4:
        return str(rng.choice(_WORDS))
    letters = rng.choice(list(_LETTERS), int(rng.integers(2, 9)))
    return "".join(letters) if rng.random() < 0.5 else "".join(letters).upper()


def _word_stamp(
    word: str, height: float, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "rows columns"], list[tuple[LetterShape, float, float, float, float]]]:
    """Return the ink of a word, and the frames of its letters: parts of a word are never a side marker."""
    font = _sized(str(rng.choice(_FONTS)), height)
    left, top, right, bottom = font.getbbox(word)
    drawn = Picture.new("L", (int(right - left) + 2 * ZOOM, int(bottom - top) + 2 * ZOOM), 0)
    ImageDraw.Draw(drawn).text((ZOOM - left, ZOOM - top), word, fill=255, font=font)
    frames = []
    for place, letter in enumerate(word):
        start = font.getlength(word[:place])
        box = [edge / ZOOM for edge in font.getbbox(letter)]
        frames.append(
            (
                LetterShape.OTHER,
                box[1] - top / ZOOM + 1.0,
                box[0] + (start - left) / ZOOM + 1.0,
                box[3] - top / ZOOM + 1.0,
                box[2] + (start - left) / ZOOM + 1.0,
            )
        )
    return _reduced(drawn, rng), frames


def _letter_stamp(
    height: float, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "rows columns"], list[tuple[LetterShape, float, float, float, float]]]:
    """Return the ink of one letter, and its frame."""
    shape = LetterShape(int(rng.choice([1, 2, 3, 4, 5], p=[0.28, 0.28, 0.12, 0.12, 0.2])))
    letter = {LetterShape.L: "L", LetterShape.MIRRORED_L: "L", LetterShape.R: "R", LetterShape.MIRRORED_R: "R"}.get(
        shape
    )
    font = _sized(str(rng.choice(_FONTS)), height)
    drawn = _drawn_letter(letter or str(rng.choice(_OTHERS)), font)
    if letter == "L" and rng.random() < 0.3:
        drawn = _lead_l(height, rng)
    ink = np.asarray(drawn, dtype=np.float32)
    tilt = rng.normal(0.0, 7.0) if rng.random() < 0.5 else 0.0
    if shape == LetterShape.OTHER and rng.random() < 0.3:  # a letter on its side is not read
        ink = np.asarray(_drawn_letter(str(rng.choice(["L", "R"])), font), dtype=np.float32)
        tilt = float(rng.choice([-1.0, 1.0])) * rng.uniform(50.0, 180.0)
    if tilt:
        ink = rotate(ink, np.clip(tilt, -_TILT, _TILT) if shape != LetterShape.OTHER else tilt, order=1)
    if shape in (LetterShape.MIRRORED_L, LetterShape.MIRRORED_R):
        ink = ink[:, ::-1]
    rows, columns = (np.flatnonzero((ink > 100).any(axis)) for axis in (1, 0))
    ink = np.pad(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 2 * ZOOM)
    stamp = _reduced(Picture.fromarray(ink.clip(0, 255).astype(np.uint8)), rng)
    return stamp, [(shape, 2.0, 2.0, 2.0 + len(rows) / ZOOM, 2.0 + len(columns) / ZOOM)]


def _sized(name: str, height: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return a font whose capitals are ``height`` px high, at ``ZOOM`` times the size."""
    _, top, _, bottom = _font(name, 100).getbbox("L")
    return _font(name, max(8, round(100.0 * ZOOM * height / (bottom - top))))


def _drawn_letter(letter: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Picture.Image:
    left, top, right, bottom = font.getbbox(letter)
    drawn = Picture.new("L", (int(right - left) + 2, int(bottom - top) + 2), 0)
    ImageDraw.Draw(drawn).text((1 - left, 1 - top), letter, fill=255, font=font)
    return drawn


def _lead_l(height: float, rng: np.random.Generator) -> Picture.Image:
    """Two bars, of any width and proportion."""
    rows = round(ZOOM * height)
    columns, width = max(6, round(rows * rng.uniform(0.4, 0.85))), max(2, round(rows * rng.uniform(0.07, 0.28)))
    drawn = Picture.new("L", (columns, rows), 0)
    pen, foot = ImageDraw.Draw(drawn), max(2, round(width * rng.uniform(0.7, 1.2)))
    corner = rng.uniform(0.0, 0.5) * min(width, foot)
    pen.rounded_rectangle((0, 0, width, rows - 1), corner, fill=255)
    pen.rounded_rectangle((0, rows - 1 - foot, columns - 1, rows - 1), corner, fill=255)
    return drawn


def _reduced(drawn: Picture.Image, rng: np.random.Generator) -> Float[np.ndarray, "rows columns"]:
    """Average a drawing to its size, sharp or blurred."""
    stamp = np.asarray(drawn.reduce(ZOOM), dtype=np.float32) / 255.0
    if rng.random() < 0.4:
        stamp = gaussian_filter(stamp, rng.uniform(0.3, 1.2))
    elif rng.random() < 0.3:  # drawn without smooth edges
        stamp = (stamp > 0.5).astype(np.float32)
    return stamp
