"""The healthy phantom: the parameters of one patient's chest, and its shapes on a pixel grid.

Image coordinates: x to the right in [-1, 1], y down in [-aspect, aspect]; the unit is half the image's width. Patient
coordinates (u, v) are these, rotated, shifted and scaled; u > 0 is the patient's LEFT, which is on the right of the
image. No value was measured on people: shapes and ranges are chosen so that position alone gives little away.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["SIDE_SIGN", "Anatomy", "Grid", "LungShape", "sample_anatomy"]

Map = Float[np.ndarray, "rows columns"]

SIDE_SIGN = {"right": -1.0, "left": 1.0}  # sign of u


@dataclass(frozen=True, slots=True, kw_only=True)
class LungShape:
    """One lung field in patient coordinates."""

    centre: float  # u of the axis at the hilum, positive; mirrored for the right lung
    half_width: float
    apex: float  # v of the top
    hilum: float  # v of the widest part above the base
    base: float  # v of the diaphragm's dome
    angle_drop: float  # depth of the costophrenic angle below the dome


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """One synthetic patient, positioned in front of the detector."""

    aspect: float  # image height / width
    scale: float
    shift: tuple[float, float]  # (x, y), image units
    rotation: float  # radians, clockwise on the image
    right_lung: LungShape
    left_lung: LungShape
    heart_centre: tuple[float, float]  # (u, v)
    heart_radii: tuple[float, float]
    mediastinum: float  # half width
    rib_phase: float
    rib_spacing: float
    rib_contrast: float
    breast: float  # contrast of breast shadows, 0 for none
    nipples: float  # contrast of nipple shadows, 0 for none
    device: str  # "none", "leads", "pacemaker" or "tube"
    marker: str  # letter on the image: "L" or "R"
    exposure: float  # gamma of the display
    noise: float  # standard deviation of the grain
    texture_seed: int

    def lung(self, side: str) -> LungShape:
        """Return the lung of the patient's ``side`` ("left" or "right")."""
        return self.left_lung if side == "left" else self.right_lung


def _sample_lung(rng: np.random.Generator, raised: float) -> LungShape:
    base = rng.uniform(0.34, 0.58) - raised
    return LungShape(
        centre=rng.uniform(0.37, 0.43),
        half_width=rng.uniform(0.25, 0.32),
        apex=rng.uniform(-0.86, -0.72),
        hilum=rng.uniform(-0.3, -0.1),
        base=base,
        angle_drop=rng.uniform(0.1, 0.24),
    )


def sample_anatomy(rng: np.random.Generator, *, enlarged_heart: bool) -> Anatomy:
    """Draw a patient at random; an enlarged heart is wider than half of the chest, a normal one is not."""
    heart_width = rng.uniform(0.385, 0.48) if enlarged_heart else rng.uniform(0.22, 0.325)
    aspect = rng.uniform(1.0, 1.22)
    return Anatomy(
        aspect=aspect,
        scale=rng.uniform(0.78, 1.08),
        shift=(rng.uniform(-0.14, 0.14), rng.uniform(-0.14, 0.14)),
        rotation=float(np.deg2rad(rng.normal(0.0, 3.5))),
        right_lung=_sample_lung(rng, raised=0.05),
        left_lung=_sample_lung(rng, raised=0.0),
        heart_centre=(rng.uniform(0.06, 0.14), rng.uniform(0.2, 0.32)),
        heart_radii=(heart_width, rng.uniform(0.24, 0.32)),
        mediastinum=rng.uniform(0.1, 0.15),
        rib_phase=rng.uniform(0.0, 1.0),
        rib_spacing=rng.uniform(0.14, 0.18),
        rib_contrast=rng.uniform(0.04, 0.09),
        breast=rng.uniform(0.04, 0.1) if rng.random() < 0.4 else 0.0,
        nipples=rng.uniform(0.04, 0.09) if rng.random() < 0.25 else 0.0,
        device=str(rng.choice(["none", "leads", "pacemaker", "tube"], p=[0.64, 0.16, 0.1, 0.1])),
        marker=str(rng.choice(["L", "R"])),
        exposure=float(np.exp(rng.normal(0.0, 0.16))),
        noise=rng.uniform(0.012, 0.03),
        texture_seed=int(rng.integers(2**31)),
    )


class Grid:
    """The shapes of one anatomy on a grid of ``rows`` x ``columns`` pixels; every map is float32 [rows, columns]."""

    def __init__(self, anatomy: Anatomy, rows: int, columns: int) -> None:
        self.anatomy = anatomy
        self.rows, self.columns = rows, columns
        self.pixel = 2.0 / columns  # image units per pixel
        x = (np.arange(columns, dtype=np.float32) + 0.5) * self.pixel - 1.0
        y = (np.arange(rows, dtype=np.float32) + 0.5) * self.pixel - rows / columns
        x, y = x[None, :] - anatomy.shift[0], y[:, None] - anatomy.shift[1]
        cos, sin = np.cos(anatomy.rotation), np.sin(anatomy.rotation)
        self.u: Map = ((cos * x + sin * y) / anatomy.scale).astype(np.float32)
        self.v: Map = ((-sin * x + cos * y) / anatomy.scale).astype(np.float32)
        self.edge = max(0.012, 1.2 * self.pixel / anatomy.scale)  # width of soft edges, patient units
        depth = {side: self._lung_depth(side) for side in ("right", "left")}
        self.lungs: dict[str, Map] = {side: self.soft(depth[side]) for side in depth}
        self.lung_depth: dict[str, Map] = depth
        self.heart: Map = self.soft(self._heart_depth())

    def soft(self, depth: Map) -> Map:
        """Convert a signed depth (positive inside, patient units) to a soft-edged mask in [0, 1]."""
        return np.asarray(np.clip(0.5 + depth / (2.0 * self.edge), 0.0, 1.0), dtype=np.float32)

    def to_pixels(self, u: float, v: float) -> tuple[float, float]:
        """Return the edge-based (column, row) of a point in patient coordinates."""
        a = self.anatomy
        cos, sin = np.cos(a.rotation), np.sin(a.rotation)
        x = a.scale * (cos * u - sin * v) + a.shift[0]
        y = a.scale * (sin * u + cos * v) + a.shift[1]
        return float((x + 1.0) / self.pixel), float((y + self.rows / self.columns) / self.pixel)

    def diaphragm(self, side: str) -> Map:
        """Return v of the diaphragm's surface at each pixel's u."""
        lung = self.anatomy.lung(side)
        offset = (self.u * SIDE_SIGN[side] - lung.centre + 0.06) / lung.half_width
        return np.asarray(lung.base + lung.angle_drop * offset * np.abs(offset) * (offset > 0), dtype=np.float32)

    def _lung_depth(self, side: str) -> Map:
        lung = self.anatomy.lung(side)
        rise = np.clip((lung.hilum - self.v) / (lung.hilum - lung.apex), 0.0, 1.0)
        width = lung.half_width * np.where(
            self.v < lung.hilum, np.sqrt(1.0 - rise**2), 1.0 + 0.16 * (self.v - lung.hilum)
        )
        axis = lung.centre - 0.09 * rise
        across = width - np.abs(self.u * SIDE_SIGN[side] - axis)
        depth = np.minimum(np.minimum(across, self.diaphragm(side) - self.v), self.v - lung.apex)
        return np.asarray(depth, dtype=np.float32)

    def _heart_depth(self) -> Map:
        (cu, cv), (ru, rv) = self.anatomy.heart_centre, self.anatomy.heart_radii
        radius = np.sqrt(((self.u - cu) / ru) ** 2 + ((self.v - cv) / rv) ** 2)
        return ((1.0 - radius) * min(ru, rv)).astype(np.float32)
