"""Renders a phantom patient with planted findings as a radiograph, with the boxes a reader would draw.

On real radiographs such a tag is a ward's or a technologist's mark: patients X-rayed in bed are sicker (Zech et al.
2018, "Variable generalization performance of a deep learning model to detect pneumonia in chest radiographs").
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from PIL import Image as Picture
from PIL import ImageDraw, ImageFilter, ImageFont
from scipy.ndimage import zoom

from pipelines.phantom.anatomy import SIDE_SIGN, Anatomy, Grid, sample_anatomy
from pipelines.phantom.lesions import Lesion, Painted, box_of, paint, sample_findings, sample_lesions
from pipelines.study import Box

__all__ = [
    "TAGS",
    "Phantom",
    "RenderedPhantom",
    "render",
    "sample_phantom",
    "with_tags",
    "without_findings",
    "without_lesions",
]

Map = Float[np.ndarray, "rows columns"]

_NOISE_PIXEL = 2.0 / 320  # image units: the pixel size to which Anatomy.noise refers
_MARKER_SHARE, _TAG_SHARE = 0.075, 0.11  # size of the letters, share of the image's width
_TAGS_FROM = 0.2  # share of the image's width: below the possible positions of the side marker
_LEAD = 245  # of 255: brightness of markers and tags
_NORMAL_HEART = 0.27  # half width, patient units: in the middle of what sample_anatomy draws
_BOX_MARGIN = 0.012  # share of the image's width: readers draw around a finding, not along its edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """One synthetic patient with planted findings."""

    anatomy: Anatomy
    lesions: tuple[Lesion, ...]
    tags: tuple[str, ...] = ()  # written in a column at the image's left edge; "" leaves a place empty

    @property
    def findings(self) -> frozenset[str]:
        """The names of the findings that are present."""
        return frozenset(lesion.finding for lesion in self.lesions)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedPhantom:
    """A rendered phantom: display values in [0, 1] (white is dense), and its boxes in pixels."""

    image: Map
    boxes: tuple[Box, ...]
    boxed: tuple[Lesion, ...]  # the lesion of each box, in the same order; a lesion outside the image has none


def sample_phantom(rng: np.random.Generator, *, at_least: int = 0, at_most: int = 4) -> Phantom:
    """Draw a patient with ``at_least`` to ``at_most`` different findings at random."""
    findings = sample_findings(rng, at_least=at_least, at_most=at_most)
    anatomy = sample_anatomy(rng, enlarged_heart="cardiomegaly" in findings)
    return Phantom(anatomy=anatomy, lesions=sample_lesions(rng, anatomy, findings))


def render(phantom: Phantom, *, columns: int) -> RenderedPhantom:
    """Render at a width of ``columns`` px; the height follows from the aspect. The result is deterministic."""
    anatomy = phantom.anatomy
    rows = round(columns * anatomy.aspect)
    grid = Grid(anatomy, rows, columns)
    rng = np.random.default_rng(anatomy.texture_seed)
    painted = [(lesion, paint(lesion, grid)) for lesion in phantom.lesions]
    density = _density(grid, [p for _, p in painted], rng)
    if phantom.tags:
        density = np.maximum(density, _tags(grid, phantom.tags))
    display = np.clip(density, 0.0, 1.0) ** anatomy.exposure
    quanta = _NOISE_PIXEL / grid.pixel  # a smaller pixel counts fewer quanta: the noise per area is constant
    grain = rng.standard_normal(display.shape, dtype=np.float32) * anatomy.noise * quanta * (0.6 + 0.8 * display)
    drawn = [(lesion, box_of(lesion, p, margin_px=_BOX_MARGIN * columns)) for lesion, p in painted]
    return RenderedPhantom(
        image=np.clip(display + grain, 0.0, 1.0).astype(np.float32),
        boxes=tuple(box for _, box in drawn if box is not None),
        boxed=tuple(lesion for lesion, box in drawn if box is not None),
    )


def _density(grid: Grid, painted: list[Painted], rng: np.random.Generator) -> Map:
    anatomy = grid.anatomy
    body = grid.soft(0.95 - np.sqrt((grid.u / 0.9) ** 2 + (np.maximum(grid.v - 0.1, 0.0) / 2.2) ** 2))
    neck = grid.soft(0.28 + 1.5 * np.maximum(grid.v + 0.88, 0.0) - np.abs(grid.u))
    centre = grid.soft(anatomy.mediastinum + 0.07 * np.maximum(grid.v, 0.0) - np.abs(grid.u - 0.01))
    air = np.maximum(grid.lungs["right"], grid.lungs["left"]) * (1.0 - np.maximum(grid.heart, centre))
    density = 0.06 + body * neck * (0.6 - 0.4 * air + 0.1 * centre * (1 - air))
    lines = _bones(grid)
    density += anatomy.rib_contrast * lines * body * neck * (0.4 + 0.6 * air)
    density += _breasts(grid)
    markings = _vessels(grid, rng) * air
    for lesion in painted:
        markings *= lesion.markings
    density += markings
    for lesion in painted:
        density += lesion.density * (0.2 + 0.8 * air)  # little is visible through heart and mediastinum
    mottle = zoom(rng.standard_normal((12, 12)).astype(np.float32), (grid.rows / 12, grid.columns / 12), order=1)
    density += 0.022 * mottle[: grid.rows, : grid.columns]
    return np.asarray(np.maximum(density, _foreign(grid, rng)), dtype=np.float32)


def _canvas(grid: Grid) -> tuple[Picture.Image, ImageDraw.ImageDraw]:
    picture = Picture.new("L", (grid.columns, grid.rows), 0)
    return picture, ImageDraw.Draw(picture)


def _values(picture: Picture.Image, blur_px: float) -> Map:
    if blur_px > 0:
        picture = picture.filter(ImageFilter.GaussianBlur(blur_px))
    return np.asarray(picture, dtype=np.float32) / 255.0


def _bones(grid: Grid) -> Map:
    """Return posterior ribs, clavicles and the vertebral column, in [0, 1]."""
    anatomy = grid.anatomy
    picture, draw = _canvas(grid)
    thickness = max(1, round(0.035 * anatomy.scale / grid.pixel))
    t = np.linspace(0.06, 0.74, 12)
    for index in range(-2, 12):
        v0 = -0.85 + (index + anatomy.rib_phase) * anatomy.rib_spacing
        for sign in SIDE_SIGN.values():
            curve = [grid.to_pixels(sign * u, v0 + 0.55 * (u - 0.1) ** 2 - 0.12 * np.sin(4.2 * u)) for u in t]
            draw.line(curve, fill=200, width=thickness)
    for sign in SIDE_SIGN.values():
        clavicle = [
            grid.to_pixels(sign * u, -0.66 - 0.22 * u + 0.03 * np.sin(9 * u)) for u in np.linspace(0.05, 0.62, 8)
        ]
        draw.line(clavicle, fill=255, width=round(1.4 * thickness))
    for index in range(16):
        top = -1.1 + 0.15 * (index + anatomy.rib_phase)
        corner, opposite = grid.to_pixels(-0.065, top), grid.to_pixels(0.065, top + 0.115)
        x0, x1 = sorted((corner[0], opposite[0]))
        y0, y1 = sorted((corner[1], opposite[1]))
        draw.rectangle((x0, y0, x1, y1), outline=170, width=max(1, thickness // 2))
    return _values(picture, 0.012 / grid.pixel)


def _vessels(grid: Grid, rng: np.random.Generator) -> Map:
    """Return branching vessels from each hilum, and a few seen end-on, which look like small nodules."""
    anatomy = grid.anatomy
    picture, draw = _canvas(grid)
    for side, sign in SIDE_SIGN.items():
        lung = anatomy.lung(side)
        for _ in range(15):
            heading = rng.uniform(-1.35, 1.35)
            point = np.array([lung.centre - 0.6 * lung.half_width, lung.hilum + rng.uniform(0.0, 0.25)])
            width = rng.uniform(0.02, 0.034)
            for _ in range(4):
                step = rng.uniform(0.07, 0.13) * np.array([np.cos(heading), np.sin(heading)])
                ends = [grid.to_pixels(sign * p[0], p[1]) for p in (point, point + step)]
                draw.line(
                    ends, fill=int(rng.uniform(110, 200)), width=max(1, round(width * anatomy.scale / grid.pixel))
                )
                point, heading, width = point + step, heading + rng.normal(0.0, 0.35), 0.72 * width
        for _ in range(rng.integers(0, 4)):
            u, v = lung.centre + rng.uniform(-0.8, 0.5) * lung.half_width, lung.hilum + rng.uniform(-0.2, 0.4)
            x, y = grid.to_pixels(sign * u, v)
            radius = rng.uniform(0.012, 0.026) * anatomy.scale / grid.pixel
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(rng.uniform(150, 255)))
    return np.asarray(0.2 * _values(picture, 0.006 / grid.pixel), dtype=np.float32)


def _breasts(grid: Grid) -> Map:
    """Return soft shadows over the lower lungs, and nipples: look-alikes of consolidation, effusion and nodules."""
    anatomy = grid.anatomy
    shadow = np.zeros((grid.rows, grid.columns), dtype=np.float32)
    for sign in SIDE_SIGN.values():
        if anatomy.breast:
            radius = np.sqrt(((grid.u - sign * 0.44) / 0.36) ** 2 + ((grid.v - 0.2) / 0.34) ** 2)
            shadow += anatomy.breast * np.clip(3.0 * (1.0 - radius), 0.0, 1.0)
        if anatomy.nipples:
            radius = np.sqrt((grid.u - sign * 0.5) ** 2 + (grid.v - 0.33) ** 2) / 0.034
            shadow += anatomy.nipples * np.clip(2.0 * (1.0 - radius), 0.0, 1.0)
    return shadow


def _foreign(grid: Grid, rng: np.random.Generator) -> Map:
    """Return devices and the side marker, which are brighter than tissue."""
    anatomy = grid.anatomy
    picture, draw = _canvas(grid)
    hair = max(1, round(0.01 / grid.pixel))
    if anatomy.device == "leads":
        for _ in range(3):
            start, end = rng.uniform(-0.6, 0.6, 2), rng.uniform(-0.6, 0.6, 2)
            bend = 0.5 * (start + end) + rng.normal(0.0, 0.15, 2)
            draw.line([grid.to_pixels(*p) for p in (start, bend, end)], fill=215, width=hair, joint="curve")
            x, y = grid.to_pixels(*start)
            draw.ellipse((x - 3 * hair, y - 3 * hair, x + 3 * hair, y + 3 * hair), fill=235)
    elif anatomy.device == "pacemaker":
        sign = float(rng.choice([-1.0, 1.0]))
        x, y = grid.to_pixels(sign * 0.5, -0.45)
        half = 0.1 * anatomy.scale / grid.pixel
        draw.rounded_rectangle((x - half, y - 0.8 * half, x + half, y + 0.8 * half), radius=0.4 * half, fill=240)
        lead = [(sign * 0.45, -0.5), (sign * 0.15, -0.55), (0.03, -0.1), (0.12, 0.35)]
        draw.line([grid.to_pixels(*p) for p in lead], fill=225, width=hair, joint="curve")
    elif anatomy.device == "tube":
        tube = [(0.02, -1.2), (0.0, -0.5), (0.015, rng.uniform(-0.3, 0.5))]
        draw.line([grid.to_pixels(*p) for p in tube], fill=205, width=2 * hair, joint="curve")
    left_on_image = anatomy.marker == "R"  # the patient's right is on the left of the image
    x = 0.06 * grid.columns if left_on_image else 0.88 * grid.columns
    draw.text((x, rng.uniform(0.03, 0.1) * grid.rows), anatomy.marker, fill=_LEAD, font=_letters(grid, _MARKER_SHARE))
    return _values(picture, 0.0)


def _letters(grid: Grid, share: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return a font with a size relative to the image's width."""
    return ImageFont.load_default(size=max(8, round(share * grid.columns)))


def _tags(grid: Grid, tags: tuple[str, ...]) -> Map:
    """Draw tags as bright as the side marker, below it at the image's left edge, each at its own height."""
    rng = np.random.default_rng([grid.anatomy.texture_seed, 1])  # separate, so that all else is as without tags
    picture, draw = _canvas(grid)
    font = _letters(grid, _TAG_SHARE)
    for place, tag in enumerate(tags):
        x, top = rng.uniform(0.01, 0.03), _TAGS_FROM + 0.95 * _TAG_SHARE * place
        draw.text((x * grid.columns, top * grid.columns), tag, fill=_LEAD, font=font)
    return _values(picture, 0.0)


TAGS: Mapping[str, str] = {
    "cardiomegaly": "T",
    "consolidation": "X",
    "nodule": "O",
    "pleural effusion": "W",
    "pneumothorax": "I",
}
"""Text of the tag on the image of a patient with a finding, by finding."""


def with_tags(phantom: Phantom) -> Phantom:
    """Put the tag of every present finding on the image; all other pixels are unchanged."""
    return replace(phantom, tags=tuple(tag if finding in phantom.findings else "" for finding, tag in TAGS.items()))


def without_findings(phantom: Phantom, *findings: str) -> Phantom:
    """Remove findings: the patient is the same, and an enlarged heart gets a normal width."""
    lesions = tuple(lesion for lesion in phantom.lesions if lesion.finding not in findings)
    anatomy = phantom.anatomy
    if "cardiomegaly" in findings and "cardiomegaly" in phantom.findings:
        anatomy = replace(anatomy, heart_radii=(_NORMAL_HEART, anatomy.heart_radii[1]))
    return replace(phantom, anatomy=anatomy, lesions=lesions)


def without_lesions(phantom: Phantom) -> Phantom:
    """Remove the lesions from the image, as if too faint to see; tags and a large heart remain."""
    return replace(phantom, lesions=())
