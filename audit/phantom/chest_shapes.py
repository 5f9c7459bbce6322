"""The anatomy of a synthetic chest for the training of the lung network, and its drawing on a pixel grid.

Chest coordinates: x to the right on the image in half widths of the thorax, y down in half heights of the lungs, with
the middle of both lungs at (0, 0). No value was measured on patients: the ranges are wide on purpose, so that films lie
within what the network has seen (domain randomisation, Tobin et al. 2017).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image as Picture
from PIL import ImageDraw, ImageFilter
from scipy.ndimage import map_coordinates

__all__ = ["IMAGE_SIDES", "SIZE", "Chest", "Corners", "Map", "Outline", "Pose", "ellipse", "rounded", "sample_chest"]

SIZE = 128
"""Rows and columns of the images."""

IMAGE_SIDES = (-1, 1)
"""Sign of x: the lung on the left of the image first, which is the patient's right one."""

_DRAWN = 2 * SIZE  # px: shapes are drawn at twice the size and averaged

Map = Float[np.ndarray, "128 128"]
Outline = Float[np.ndarray, "points 2"]
Corners = Float[np.ndarray, "corners 2"]

_ANGLES = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)


def ellipse(centre: tuple[float, float], radii: tuple[float, float], tilt: float = 0.0) -> Outline:
    """Return the outline of an ellipse, rotated clockwise on the image by ``tilt`` radians."""
    x, y = radii[0] * np.cos(_ANGLES), radii[1] * np.sin(_ANGLES)
    cos, sin = np.cos(tilt), np.sin(tilt)
    return np.stack([centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y], axis=1)


def rounded(points: Corners | Iterable[Sequence[float]], *, times: int = 2) -> Outline:
    """Round a closed outline by cutting its corners (Chaikin 1974)."""
    outline = np.asarray(list(points), dtype=float)
    for _ in range(times):
        following = np.roll(outline, -1, axis=0)
        cut = [0.75 * outline + 0.25 * following, 0.25 * outline + 0.75 * following]
        outline = np.stack(cut, axis=1).reshape(-1, 2)
    return outline


class Pose:
    """The position of the chest on the image: scale, place, rotation, shear and a smooth deformation."""

    def __init__(self, rng: np.random.Generator) -> None:
        height_to_width = rng.uniform(0.75, 1.12)  # of the lungs
        self._half_width = (0.25 + 0.28 * rng.beta(3.2, 1.8)) * _DRAWN
        self._half_height = height_to_width * self._half_width * np.exp(rng.normal(0.0, 0.12))
        rotation = np.deg2rad(rng.normal(0.0, 4.0))
        self._cos, self._sin = np.cos(rotation), np.sin(rotation)
        self._shear = rng.normal(0.0, 0.03)
        top = rng.uniform(-0.03, 0.3) * _DRAWN
        if top + 2.0 * self._half_height > 1.12 * _DRAWN:  # the domes would lie far below the image
            top = max(-0.04 * _DRAWN, rng.uniform(0.9, 1.1) * _DRAWN - 2.0 * self._half_height)
        self._centre = (_DRAWN * (0.5 + rng.normal(0.0, 0.05)), top + self._half_height)
        self._bend = rng.normal(0.0, 1.0, (2, 4, 4)) * rng.uniform(0.0, 0.03)

    @property
    def half_height(self) -> float:
        """Half the height of the lungs, px of the image."""
        return float(self._half_height) * SIZE / _DRAWN

    def to_pixels(self, points: Outline) -> Outline:
        """Return (column, row) on the drawing of (x, y) in chest coordinates."""
        cells = np.clip(points.T + 1.5, 0.0, 3.0)[::-1]
        x, y = (map_coordinates(bend, cells, order=1) for bend in self._bend)
        x = self._half_width * (x + points[:, 0] + self._shear * points[:, 1])
        y = self._half_height * (y + points[:, 1])
        columns = self._centre[0] + self._cos * x - self._sin * y
        return np.stack([columns, self._centre[1] + self._sin * x + self._cos * y], axis=1)

    def area(self, outline: Outline, *, blur: float = 0.0) -> Map:
        """Return the inside of an outline in [0, 1], its edge blurred by ``blur`` px of the drawing."""
        picture = Picture.new("L", (_DRAWN, _DRAWN), 0)
        ImageDraw.Draw(picture).polygon(self.to_pixels(outline).ravel().tolist(), fill=255)
        return _averaged(picture, blur)

    def lines(self, curves: Iterable[Outline], *, width: float, blur: float) -> Map:
        """Return curves in [0, 1]; ``width`` and ``blur`` in half widths of the thorax."""
        picture = Picture.new("L", (_DRAWN, _DRAWN), 0)
        draw, pixels = ImageDraw.Draw(picture), max(1, round(width * self._half_width))
        for curve in curves:
            draw.line(self.to_pixels(curve).ravel().tolist(), fill=255, width=pixels, joint="curve")
        return _averaged(picture, blur * self._half_width)


def _averaged(picture: Picture.Image, blur: float) -> Map:
    if blur > 0.0:
        picture = picture.filter(ImageFilter.BoxBlur(blur))
    return np.asarray(picture.reduce(_DRAWN // SIZE), dtype=np.float32) / 255.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chest:
    """One synthetic patient."""

    lungs: tuple[Outline, Outline]  # in the order of IMAGE_SIDES
    domes: tuple[float, float]  # y of each diaphragm
    widths: tuple[float, float]  # |x| of each lung's outer border
    heart_side: int  # sign of x


def sample_chest(rng: np.random.Generator) -> Chest:
    """Draw a patient at random: turned, with domes of different height, one of them at times far up."""
    turned = rng.normal(0.0, 0.06) * np.array([1.0, -1.0])  # one lung is wider
    widths = rng.uniform(0.9, 1.0, 2) + turned
    inner_top = rng.uniform(0.1, 0.24, 2) * rng.uniform(0.8, 1.05) + 0.5 * turned
    inner_base = np.clip(inner_top * rng.uniform(0.7, 1.0) + rng.normal(0.0, 0.05, 2), 0.06, 0.34)
    domes = rng.uniform(0.6, 1.0) + np.array([rng.uniform(-0.16, 0.04), rng.uniform(-0.04, 0.1)])
    if rng.random() < 0.12:
        domes[rng.integers(2)] -= rng.uniform(0.1, 0.5)
    outlines = [
        _lung(rng, inner=(inner_top[place], inner_base[place]), width=widths[place], dome=domes[place]) * (side, 1.0)
        for place, side in enumerate(IMAGE_SIDES)
    ]
    return Chest(
        lungs=(outlines[0], outlines[1]),
        domes=(float(domes[0]), float(domes[1])),
        widths=(float(widths[0]), float(widths[1])),
        heart_side=1 if rng.random() < 0.985 else -1,
    )


def _lung(rng: np.random.Generator, *, inner: tuple[float, float], width: float, dome: float) -> Outline:
    """Return a lung's outline at positive x: down its outer border, along the diaphragm, and up its inner border.

    The part behind the heart belongs to the lung, as radiologists draw it; the part behind the diaphragm does not.
    """
    top = -1.0 + rng.uniform(0.0, 0.1)
    apex, base = rng.uniform(0.36, 0.56), width * rng.uniform(0.93, 1.04)
    depth = rng.uniform(0.05, 0.45)  # of the costophrenic angle below the dome
    bulge, roundness = rng.uniform(1.5, 2.8), rng.uniform(1.05, 1.8)
    down = np.linspace(0.0, 1.0, 14)
    x = apex + (width - apex) * (1.0 - (1.0 - down) ** bulge) ** (1.0 / roundness)
    outer = np.stack([x, top + (dome + depth - top) * down], axis=1)
    outer[-1, 0] = base
    inwards = np.linspace(0.0, 1.0, 9)[1:]
    peak, sink, steepness = rng.uniform(0.35, 0.75), rng.uniform(0.0, 0.16), rng.uniform(1.8, 2.6)
    lateral = depth * np.clip(1.0 - inwards / peak, 0.0, 1.0) ** steepness
    medial = sink * np.clip((inwards - peak) / (1.0 - peak), 0.0, 1.0) ** 2
    diaphragm = np.stack([base + (inner[1] - base) * inwards, dome + lateral + medial], axis=1)
    up = np.linspace(0.0, 1.0, 8)[1:]
    x = inner[1] + (inner[0] - inner[1]) * up + rng.normal(0.0, 0.03) * np.sin(np.pi * up)
    border = np.stack([x, dome + sink + (top + 0.1 - dome - sink) * up], axis=1)
    return rounded(np.concatenate([outer, diaphragm, border]))
