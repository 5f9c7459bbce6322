"""Renders synthetic frontal chests for the training of the lung network, with the masks of both lungs.

They look less like films than the phantoms do, but vary far more: anatomy, posture, collimation, exposure, local
contrast, noise, disease, devices and text. Nothing in them is taken from a film.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import repeat
from multiprocessing import get_context
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, zoom

from audit.phantom.chest_shapes import IMAGE_SIDES, SIZE, Chest, Map, Outline, Pose, ellipse, rounded, sample_chest
from audit.phantom.chest_sides import SidedAnatomy
from pipelines.processes import end_with_parent
from pipelines.regions.orientation import turned, turned_back
from pipelines.study import Orientation

__all__ = ["LungImages", "Style", "make_lung_images"]

_CHUNK = 250

Style = Literal["lungs", "plain", "sided"]

_WRITING = ("L", "R", "PORTABLE", "AP ERECT", "SEMI 10:45", "Nr 12", "LD", "SUPINE")


@dataclass(frozen=True, slots=True, kw_only=True)
class LungImages:
    """Images and the masks of the lung on the left and on the right of each."""

    images: UInt8[np.ndarray, "count 128 128"]
    lungs: Bool[np.ndarray, "count 2 128 128"]


def make_lung_images(count: int, *, seed: int, processes: int, style: Style = "lungs") -> LungImages:
    """Render ``count`` synthetic chests in ``processes`` processes; the result does not depend on ``processes``.

    In the styles for the orientation network, writing is oriented at random: on a film it may have been added before or
    after the film was turned. "sided": every heart is on the patient's left, and what else tells the sides apart is
    drawn too (:mod:`audit.phantom.chest_sides`).
    """
    starts = range(0, count, _CHUNK)
    tasks = repeat(seed), starts, [min(_CHUNK, count - start) for start in starts], repeat(style)
    if processes == 1:
        chunks = list(map(_chunk, *tasks))
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=end_with_parent) as executor:
            chunks = list(executor.map(_chunk, *tasks))
    return LungImages(
        images=np.concatenate([images for images, _ in chunks]), lungs=np.concatenate([lungs for _, lungs in chunks])
    )


def _chunk(seed: int, start: int, count: int, style: Style) -> tuple[np.ndarray, np.ndarray]:
    rngs = (np.random.default_rng([seed, index]) for index in range(start, start + count))
    made = [_Radiograph(rng, style).made() for rng in rngs]
    return np.stack([image for image, _ in made]), np.stack([lungs for _, lungs in made])


@dataclass(slots=True)
class _Radiograph:
    """One image in the making: ``density`` grows layer by layer, and is then exposed and written on."""

    rng: np.random.Generator
    style: Style
    pose: Pose = field(init=False)
    chest: Chest = field(init=False)
    lungs: list[Map] = field(init=False)  # soft-edged, one for each of IMAGE_SIDES
    air: Map = field(init=False)  # of both lungs
    body: Map = field(init=False)
    hidden: Map = field(init=False)  # share of the air that heart and mediastinum hide
    contrast: float = field(init=False)  # between air and tissue
    density: Map = field(init=False)

    def made(self) -> tuple[UInt8[np.ndarray, "128 128"], Bool[np.ndarray, "2 128 128"]]:
        """Render the image, and the masks of its lungs."""
        self.pose, self.chest = Pose(self.rng), sample_chest(self.rng)
        if self.style == "sided":
            self.chest = replace(self.chest, heart_side=1)
        truth = np.stack([self.pose.area(outline) > 0.5 for outline in self.chest.lungs])
        self.contrast = self.rng.uniform(0.18, 0.5)
        self._add_body()
        self._add_mediastinum()
        self._add_abdomen()
        if self.style == "sided":
            self._add_sides()
        self._add_bones()
        self._add_breasts()
        self._add_vessels()
        self._add_disease(truth)
        image = self._written_on(self._exposed())
        return (255.0 * image).astype(np.uint8), truth

    def _add_body(self) -> None:
        rng, uniform = self.rng, self.rng.uniform
        self.lungs = [self.pose.area(outline, blur=uniform(0.5, 3.0)) for outline in self.chest.lungs]
        both = np.maximum(*self.lungs)
        self.air = both * (0.55 + 0.45 * gaussian_filter(both, SIZE * uniform(0.02, 0.06)))
        wall, neck, shoulder = uniform(1.06, 1.32), uniform(0.25, 0.5), uniform(-1.25, -0.85)
        arms = rng.random() < 0.75
        outer = wall + (uniform(0.3, 1.2) if arms else uniform(0.0, 0.1))
        half = [(neck, -2.4), (neck, -1.35), (neck + 0.25, shoulder - 0.12), (0.9 * outer, shoulder + 0.1)]
        half.append((outer, shoulder + 0.5))
        if arms:
            gap = uniform(0.0, 0.25)  # between arm and chest
            half += [(outer, 3.0), (wall + gap, 3.0), (wall + gap, 0.6), (wall + 0.3 * gap, -0.1), (wall, 0.6)]
        half += [(wall * uniform(0.9, 1.1), 1.6), (wall * uniform(0.9, 1.15), 3.2)]
        outline = rounded([*half, *[(-x, y) for x, y in half[::-1]]])
        self.body = self.pose.area(outline, blur=uniform(1.0, 5.0))
        thickness = 0.75 + 0.25 * gaussian_filter(self.body, SIZE * uniform(0.03, 0.1))
        self.density = uniform(0.5, 0.72) * self.body * thickness

    def _add_mediastinum(self) -> None:
        uniform, side = self.rng.uniform, self.chest.heart_side
        dome, width = float(np.mean(self.chest.domes)), uniform(0.09, 0.22)
        heart = self.pose.area(
            ellipse(
                (side * uniform(0.08, 0.28), dome - uniform(0.05, 0.45)),
                (uniform(0.28, 0.78), uniform(0.3, 0.6)),
                side * uniform(0.1, 0.7),
            ),
            blur=uniform(1.5, 9.0),
        )
        half = [(width, -1.5), (width * uniform(0.9, 1.5), -0.5), (width * uniform(1.0, 1.5), 1.6)]
        middle = self.pose.area(rounded([*half, *[(-x, y) for x, y in half[::-1]]]), blur=uniform(2.0, 6.0))
        aorta = self.pose.area(
            ellipse((side * uniform(0.16, 0.28), uniform(-0.55, -0.3)), (uniform(0.09, 0.17), uniform(0.09, 0.2))),
            blur=uniform(1.0, 4.0),
        )
        hila = sum(
            self.pose.area(
                ellipse((x * uniform(0.24, 0.36), uniform(-0.25, 0.1)), (uniform(0.07, 0.15), uniform(0.12, 0.26))),
                blur=uniform(5.0, 10.0),
            )
            for x in IMAGE_SIDES
        )
        hidden = heart * uniform(0.3, 1.0) + middle * uniform(0.5, 1.0)
        self.hidden = np.clip(hidden + aorta * uniform(0.3, 0.9) + hila * uniform(0.1, 0.5), 0.0, 1.0)
        self.density = self.density - self.contrast * self.air * (1.0 - self.hidden)
        self.density += (uniform(0.02, 0.14) * middle + uniform(0.0, 0.1) * heart) * self.body
        windpipe = [np.array([(0.0, -1.9), (0.0, -0.4)]) + self.rng.normal(0.0, 0.03, (2, 1))]
        windpipe += [np.array([(0.0, -0.42), (0.2 * x, -0.2)]) for x in IMAGE_SIDES]
        tube = self.pose.lines(windpipe, width=uniform(0.08, 0.15), blur=0.02)
        self.density -= uniform(0.0, 0.2) * tube * self.body

    def _add_abdomen(self) -> None:
        """Add what lies below the diaphragm, with gas in stomach and bowel, which is as dark as a lung."""
        rng, uniform, domes = self.rng, self.rng.uniform, self.chest.domes
        below = 1.0 - np.maximum(*self.lungs)
        top = [(-2.2, 1.1), (-1.0, domes[0] + 0.1), (0.0, float(np.mean(domes)) + 0.05), (1.0, domes[1] + 0.1)]
        abdomen = self.pose.area(np.array([*top, (2.2, 1.1), (2.2, 3.4), (-2.2, 3.4)]), blur=uniform(3.0, 14.0))
        self.density += uniform(-0.02, 0.22) * abdomen * self.body * below
        for _ in range(rng.poisson(1.6)):
            x = self.chest.heart_side * uniform(0.15, 0.85) if rng.random() < 0.75 else uniform(-0.8, 0.8)
            radii = (uniform(0.06, 0.34), uniform(0.04, 0.2))
            y = domes[1 if x > 0.0 else 0] + radii[1] + uniform(0.0, 0.5)
            bubble = ellipse((x, y), radii, uniform(-0.5, 0.5))
            gas = self.pose.area(bubble + rng.normal(0.0, 0.015, bubble.shape), blur=uniform(0.5, 4.0))
            self.density -= uniform(0.05, 0.4) * gas * below

    def _add_sides(self) -> None:
        """Add what tells the patient's left from the right."""
        anatomy = SidedAnatomy(self.pose, self.chest, self.rng)
        for share, shape in anatomy.shadows():
            hides = share * shape * (1.0 - self.hidden)
            self.density += self.contrast * self.air * hides
            self.hidden += hides
        self.density += anatomy.density_below() * self.body * (1.0 - np.maximum(*self.lungs))
        self.density += self.rng.uniform(0.05, 0.4) * anatomy.devices()

    def _add_bones(self) -> None:
        uniform, amount = self.rng.uniform, self.rng.uniform(0.4, 1.3)
        column = self.pose.area(np.array([(-0.1, -2.4), (0.1, -2.4), (0.13, 3.2), (-0.13, 3.2)]), blur=3.0)
        period = uniform(0.15, 0.22) * self.pose.half_height
        discs = 0.5 + 0.5 * np.sin(2.0 * np.pi * (np.arange(SIZE)[:, None] / period + uniform(0.0, 1.0)))
        bones = uniform(0.0, 0.12) * column * (0.7 + 0.3 * discs)
        ribs, inside, anterior = self._ribs()
        widths = self.chest.widths
        cage = [(-widths[0], -0.2), (0.0, -1.1), (widths[1], -0.2), (1.05 * widths[1], 1.5), (-1.05 * widths[0], 1.5)]
        within = np.maximum(np.maximum(*self.lungs), self.pose.area(np.array(cage), blur=2.0))
        bones += within * uniform(0.03, 0.11) * (ribs - uniform(0.1, 0.6) * inside)
        bones += within * uniform(0.01, 0.07) * anterior
        soft = gaussian_filter(np.maximum(*self.lungs), 1.6)
        bones += uniform(0.0, 0.08) * 4.0 * soft * (1.0 - soft)  # ribs seen along their surface, at the chest wall
        level, along = uniform(-0.98, -0.62), np.linspace(0.1, uniform(1.0, 1.3), 8)
        collar = [
            _curve(side * along, level - uniform(0.0, 0.4) * along + 0.05 * np.sin(7.0 * along)) for side in IMAGE_SIDES
        ]
        bones += uniform(0.03, 0.15) * self.pose.lines(collar, width=uniform(0.08, 0.13), blur=0.01)
        for side in IMAGE_SIDES:
            out = uniform(-0.15, 0.4)  # of the shoulder blade, with the arms
            blade = [(0.85, -0.95), (1.25, -0.75), (1.1, -0.3), (0.95, 0.35)]
            corners = np.array([(side * (x + out), y) for x, y in blade])
            bones += uniform(0.0, 0.1) * self.pose.area(rounded(corners), blur=2.0)
        upper_arms = [np.array([(x * uniform(1.3, 1.6), -0.8), (x * uniform(1.4, 2.0), 0.6)]) for x in IMAGE_SIDES]
        bones += uniform(0.0, 0.15) * self.pose.lines(upper_arms, width=uniform(0.16, 0.24), blur=0.01)
        self.density += amount * bones * self.body

    def _ribs(self) -> tuple[Map, Map, Map]:
        """Return the posterior ribs, their inside, and the anterior ribs."""
        uniform = self.rng.uniform
        spacing, phase, slope, bend = uniform(0.19, 0.27), uniform(0.0, 1.0), uniform(0.2, 0.7), uniform(0.2, 0.7)
        out, back = np.linspace(0.08, 1.0, 10), np.linspace(1.0, 0.35, 8)
        posterior, anterior = [], []
        for index in range(-1, 12):
            start = -1.0 + (index + phase) * spacing
            reach = float(np.clip(0.42 + 0.62 * (1.0 - max(0.0, 0.25 - start) ** 1.7 / 1.6), 0.35, 1.03))
            for side, width in zip(IMAGE_SIDES, self.chest.widths, strict=True):
                posterior.append(
                    _curve(side * out * reach * width, start + slope * out**1.6 - bend * out * (1.0 - out))
                )
                anterior.append(_curve(side * back * reach, start + slope + (1.0 - back) * uniform(0.35, 0.6)))
        width = uniform(0.055, 0.1)
        return (
            self.pose.lines(posterior, width=width, blur=0.008),
            self.pose.lines(posterior, width=0.6 * width, blur=0.008),
            self.pose.lines(anterior, width=width * uniform(0.9, 1.3), blur=0.01),
        )

    def _add_breasts(self) -> None:
        rng, uniform = self.rng, self.rng.uniform
        if rng.random() >= 0.45:
            return
        amount = uniform(0.03, 0.2)
        for side in IMAGE_SIDES:
            centre = (side * uniform(0.45, 0.75), float(np.mean(self.chest.domes)) - uniform(-0.05, 0.45))
            outline = ellipse(centre, (uniform(0.4, 0.62), uniform(0.3, 0.6)))
            outline[:, 1] -= 0.4 * np.clip(centre[1] - outline[:, 1], 0.0, None)
            breast = self.pose.area(outline, blur=uniform(1.0, 5.0))
            self.density += amount * breast * np.clip(1.5 * gaussian_filter(breast, 0.05 * SIZE), 0.0, 1.0)

    def _add_vessels(self) -> None:
        rng, uniform = self.rng, self.rng.uniform
        vessels = []
        for side in IMAGE_SIDES:
            for _ in range(rng.integers(5, 16)):
                heading = uniform(-1.4, 1.4) + np.cumsum(np.concatenate([[0.0], rng.normal(0.0, 0.3, 3)]))
                steps = uniform(0.08, 0.16, (4, 1)) * np.stack([side * np.cos(heading), np.sin(heading)], axis=1)
                start = np.array([[side * uniform(0.2, 0.34), uniform(-0.25, 0.25)]])
                vessels.append(np.concatenate([start, start + np.cumsum(steps, axis=0)]))
        self.density += (
            uniform(0.02, 0.13) * self.pose.lines(vessels, width=uniform(0.018, 0.04), blur=0.012) * self.air
        )

    def _add_disease(self, truth: Bool[np.ndarray, "2 128 128"]) -> None:
        """Add what hides a lung without changing where it is: opacities, haze, fluid, and a lung that is all white."""
        rng, uniform = self.rng, self.rng.uniform
        seen = self.contrast * (1.0 - self.hidden)
        rows, columns = np.mgrid[:SIZE, :SIZE]
        for _ in range(rng.integers(1, 6) if rng.random() < 0.6 else 0):
            place = rng.integers(2)
            inside = np.argwhere(truth[place])
            if len(inside) == 0:  # the lung lies outside the image
                continue
            (row, column), radius = inside[rng.integers(len(inside))], SIZE * uniform(0.03, 0.2)
            squares = ((columns - column) / radius) ** 2 + ((rows - row) / (radius * uniform(0.6, 1.6))) ** 2
            grain = gaussian_filter(rng.normal(0.0, 1.0, (SIZE, SIZE)), uniform(1.0, 4.0))
            patches = np.clip(1.0 + 4.0 * uniform(0.0, 1.2) * grain, 0.0, 2.0)
            self.density += uniform(0.3, 1.0) * seen * np.exp(-squares) * patches * self.lungs[place]
        if rng.random() < 0.25:
            self.density += uniform(0.1, 0.7) * seen * self.air * np.clip(1.0 + 0.5 * self._field(5), 0.0, 2.0)
        if rng.random() < 0.35:
            place = rng.integers(2)
            level = uniform(0.1, 0.95) * (self.chest.domes[place] + 1.0) - 1.0
            surface = [(-2.0, level - uniform(0.0, 0.25)), (0.0, level), (2.0, level - uniform(0.0, 0.25))]
            fluid = self.pose.area(np.array([*surface, (2.0, 3.0), (-2.0, 3.0)]), blur=uniform(2.0, 12.0))
            self.density += uniform(0.5, 1.05) * seen * self.lungs[place] * fluid
        if rng.random() < 0.04:
            self.density += uniform(0.6, 1.0) * seen * self.lungs[rng.integers(2)]

    def _field(self, cells: int) -> Map:
        """Return a smooth random field with standard deviation of about 1."""
        coarse = self.rng.normal(0.0, 1.0, (cells, cells)).astype(np.float32)
        return np.asarray(zoom(coarse, SIZE / cells, order=1)[:SIZE, :SIZE], dtype=np.float32)

    def _exposed(self) -> Map:
        """Return display values in [0, 1]: detector, window, local contrast, sharpening and gamma."""
        rng, uniform = self.rng, self.rng.uniform
        density = self.density * (1.0 + uniform(0.0, 0.12) * self._field(3))
        density += uniform(0.0, 0.05) * self._field(4) * self.body
        if rng.random() < 0.5:
            across = np.arange(SIZE) / SIZE - 0.5
            density += rng.normal(0.0, 0.12) * across + rng.normal(0.0, 0.12) * across[:, None]
        grain = gaussian_filter(rng.normal(0.0, 1.0, (SIZE, SIZE)), uniform(0.6, 1.8))
        density += uniform(0.0, 0.025) * grain / grain.std() * self.body
        if rng.random() < 0.85:
            low, high = np.quantile(density, [uniform(0.0, 0.06), uniform(0.93, 1.0)])
            density = (density - low) / max(high - low, 1e-3)
        image = np.clip(density, 0.0, 1.0)
        if rng.random() < 0.4:
            width, share = SIZE * uniform(0.04, 0.2), uniform(0.2, 0.9)
            mean = gaussian_filter(image, width)
            spread = np.sqrt(np.maximum(gaussian_filter(image * image, width) - mean * mean, 1e-4))
            local = np.clip(0.5 + (image - mean) / spread * uniform(0.12, 0.22), 0.0, 1.0)
            image = (1.0 - share) * image + share * local
        if rng.random() < 0.4:
            image = np.clip(image + uniform(0.3, 1.8) * (image - gaussian_filter(image, uniform(0.8, 3.0))), 0.0, 1.0)
        image = image ** np.exp(rng.normal(0.0, 0.3))
        if rng.random() < 0.3:  # a flat window
            image = uniform(0.0, 0.3) + image * uniform(0.35, 0.7)
        return np.asarray(image, dtype=np.float32)

    def _written_on(self, image: Map) -> Map:
        """Return the image with lines, tubes, a pacemaker, writing and a frame, and noise."""
        rng, uniform, size = self.rng, self.rng.uniform, 2 * SIZE
        devices = Picture.new("L", (size, size), 0)
        draw = ImageDraw.Draw(devices)
        for _ in range(rng.poisson(1.2)):
            curve = rounded(uniform(0.0, size, (5, 2)), times=3)[: rng.integers(12, 36)]
            brightness = int(uniform(90, 255))
            draw.line(curve.ravel().tolist(), fill=brightness, width=int(rng.integers(1, 7)), joint="curve")
            if rng.random() < 0.5:  # an electrode at its end
                _square(draw.ellipse, curve[0], uniform(3.0, 9.0), brightness)
        if rng.random() < 0.06:
            _square(draw.rectangle, uniform(0.1, 0.9, 2) * size, uniform(12.0, 26.0), 235)
        image = np.clip(image + np.asarray(devices.reduce(2), dtype=np.float32) / 255.0 * uniform(0.2, 0.7), 0.0, 1.0)
        if rng.random() < 0.75:
            reading = list(Orientation)[rng.integers(8)] if self.style != "lungs" else Orientation.UPRIGHT
            image = np.asarray(turned_back(self._with_writing(turned(image, reading)), reading))
        if rng.random() < 0.25:
            level = 0.0 if rng.random() < 0.75 else uniform(0.0, 1.0)
            edges = [int(SIZE * uniform(0.01, 0.12)) if rng.random() < 0.45 else 0 for _ in range(4)]
            inside = np.zeros((SIZE, SIZE), dtype=bool)
            inside[edges[0] : SIZE - edges[1], edges[2] : SIZE - edges[3]] = True
            image = np.where(inside, image, level)
        if rng.random() < 0.5:
            image = np.clip(image + rng.normal(0.0, uniform(0.0, 0.04), image.shape), 0.0, 1.0)
        return np.asarray(image, dtype=np.float32)

    def _with_writing(self, image: Map) -> Map:
        rng, uniform, size = self.rng, self.rng.uniform, 2 * SIZE
        picture = Picture.fromarray((255.0 * image).astype(np.uint8)).resize((size, size))
        draw = ImageDraw.Draw(picture)
        for _ in range(rng.integers(1, 4)):
            height = uniform(9.0, 34.0)
            x = size * (uniform(0.0, 0.2) if rng.random() < 0.5 else uniform(0.7, 0.95))
            y = size * uniform(0.0, 0.95)
            if rng.random() < 0.3:  # a lead letter on a plate
                draw.rectangle((x - 3, y - 2, x + height, y + 1.2 * height), fill=int(uniform(0, 255)))
            font = ImageFont.load_default(size=int(height))
            draw.text((x, y), str(rng.choice(_WRITING)), fill=int(uniform(200, 255)), font=font)
        return np.asarray(picture.reduce(2), dtype=np.float32) / 255.0


def _curve(x: np.ndarray, y: np.ndarray) -> Outline:
    return np.stack([x, y], axis=1)


def _square(draw: Callable[..., None], centre: np.ndarray, half: float, brightness: int) -> None:
    x, y = centre
    draw((x - half, y - half, x + half, y + half), fill=brightness)
