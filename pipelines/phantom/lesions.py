"""Findings planted into a phantom: their positions, their effect on the image, and the box a reader would draw."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import zoom

from pipelines.phantom.anatomy import SIDE_SIGN, Anatomy, Grid
from pipelines.study import Box, Zone

__all__ = ["PHANTOM_FINDINGS", "Lesion", "Painted", "box_of", "paint", "sample_findings", "sample_lesions"]

Map = Float[np.ndarray, "rows columns"]

PHANTOM_FINDINGS = ("consolidation", "nodule", "pleural effusion", "pneumothorax", "cardiomegaly")
_WEIGHTS = np.array([1.1, 1.2, 1.0, 1.0, 0.5])  # an enlarged heart always has the same position: make it rarer
_BILATERAL_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One planted finding on one side, in patient coordinates (see :mod:`pipelines.phantom.anatomy`)."""

    finding: str  # one of PHANTOM_FINDINGS
    side: str | None  # "left", "right"; None for the heart
    zone: Zone | None  # None if a reader would name no zone
    centre: tuple[float, float]  # (u, v); for fluid and air, their reference point
    size: tuple[float, float]  # half extents, or depth and width of fluid and air
    contrast: float
    texture_seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Painted:
    """The effect of one lesion on the image."""

    density: Map  # added to the density
    markings: Map  # factor for vessels, 1 if unchanged
    extent: Map  # in [0, 1]; values above one half are boxed


def sample_lesions(rng: np.random.Generator, anatomy: Anatomy, findings: tuple[str, ...]) -> tuple[Lesion, ...]:
    """Place each of ``findings`` on one side or, in three cases of ten, on both."""
    lesions = []
    for finding in findings:
        if finding == "cardiomegaly":
            lesions.append(_enlarged_heart(anatomy))
            continue
        both = rng.random() < _BILATERAL_SHARE
        sides = ("right", "left") if both else (str(rng.choice(["right", "left"])),)
        lesions.extend(_SAMPLERS[finding](rng, anatomy, side) for side in sides)
    return tuple(lesions)


def sample_findings(rng: np.random.Generator, *, at_least: int = 0, at_most: int = 4) -> tuple[str, ...]:
    """Draw ``at_least`` to ``at_most`` different findings, in the order of PHANTOM_FINDINGS."""
    weights = np.array([0.14, 0.24, 0.28, 0.22, 0.12])[at_least : at_most + 1]
    count = int(rng.choice(np.arange(at_least, at_most + 1), p=weights / weights.sum()))
    chosen = rng.choice(len(PHANTOM_FINDINGS), size=count, replace=False, p=_WEIGHTS / _WEIGHTS.sum())
    return tuple(PHANTOM_FINDINGS[index] for index in sorted(chosen))


def _enlarged_heart(anatomy: Anatomy) -> Lesion:
    return Lesion(
        finding="cardiomegaly",
        side=None,
        zone=None,
        centre=anatomy.heart_centre,
        size=anatomy.heart_radii,
        contrast=0.0,
        texture_seed=0,
    )


def _place_in_lung(
    rng: np.random.Generator, anatomy: Anatomy, side: str, margin: float
) -> tuple[tuple[float, float], Zone]:
    """Draw a point inside the lung field, outside the heart's shadow, and name its third."""
    lung = anatomy.lung(side)
    while True:
        v = rng.uniform(lung.apex + 0.08, lung.base + 0.4 * lung.angle_drop)
        rise = np.clip((lung.hilum - v) / (lung.hilum - lung.apex), 0.0, 1.0)
        width = lung.half_width * np.sqrt(1.0 - rise**2) - margin
        u = lung.centre - 0.09 * rise + rng.uniform(-1.0, 1.0) * max(width, 0.0)
        (cu, cv), (ru, rv) = anatomy.heart_centre, anatomy.heart_radii
        signed = u * SIDE_SIGN[side]
        in_heart = ((signed - cu) / ru) ** 2 + ((v - cv) / rv) ** 2 < 1.1
        above_dome = v < lung.base - 0.3 * margin
        if width > 0 and not in_heart and above_dome and u > anatomy.mediastinum + 0.3 * margin:
            break
    third = (v - lung.apex) / (lung.base - lung.apex)
    zone = Zone.UPPER if third < 1 / 3 else Zone.MID if third < 2 / 3 else Zone.LOWER
    return (float(signed), float(v)), zone


def _consolidation(rng: np.random.Generator, anatomy: Anatomy, side: str) -> Lesion:
    size = rng.uniform(0.09, 0.19)
    centre, zone = _place_in_lung(rng, anatomy, side, margin=0.5 * size)
    return Lesion(
        finding="consolidation",
        side=side,
        zone=zone,
        centre=centre,
        size=(size, size * rng.uniform(0.7, 1.3)),
        contrast=rng.uniform(0.13, 0.26),
        texture_seed=int(rng.integers(2**31)),
    )


def _nodule(rng: np.random.Generator, anatomy: Anatomy, side: str) -> Lesion:
    size = rng.uniform(0.05, 0.095)
    centre, zone = _place_in_lung(rng, anatomy, side, margin=size)
    return Lesion(
        finding="nodule",
        side=side,
        zone=zone,
        centre=centre,
        size=(size, size * rng.uniform(0.85, 1.15)),
        contrast=rng.uniform(0.13, 0.24),
        texture_seed=int(rng.integers(2**31)),
    )


def _effusion(rng: np.random.Generator, anatomy: Anatomy, side: str) -> Lesion:
    lung = anatomy.lung(side)
    depth = float(np.exp(rng.uniform(np.log(0.05), np.log(0.42))))  # fluid above the dome, patient units
    return Lesion(
        finding="pleural effusion",
        side=side,
        zone=None,
        centre=(SIDE_SIGN[side] * lung.centre, lung.base - depth),
        size=(depth, rng.uniform(0.1, 0.3)),  # second value: rise of the meniscus at the chest wall
        contrast=rng.uniform(0.2, 0.34),
        texture_seed=int(rng.integers(2**31)),
    )


def _pneumothorax(rng: np.random.Generator, anatomy: Anatomy, side: str) -> Lesion:
    lung = anatomy.lung(side)
    kind = str(rng.choice(["apical", "lateral", "basal"], p=[0.45, 0.3, 0.25]))
    span = lung.base - lung.apex
    reach = {"apical": rng.uniform(0.2, 0.42), "lateral": rng.uniform(0.3, 0.55), "basal": rng.uniform(0.22, 0.4)}[kind]
    start = {
        "apical": lung.apex,
        "lateral": lung.apex + rng.uniform(0.15, 0.35) * span,
        "basal": lung.base + 0.7 * lung.angle_drop - reach * span,
    }[kind]
    return Lesion(
        finding="pneumothorax",
        side=side,
        zone={"apical": Zone.UPPER, "lateral": None, "basal": Zone.LOWER}[kind],
        centre=(SIDE_SIGN[side] * lung.centre, start + 0.5 * reach * span),
        size=(rng.uniform(0.08, 0.17), 0.5 * reach * span),  # maximum width of the air, half of its height
        contrast=rng.uniform(0.06, 0.12),
        texture_seed=int(rng.integers(2**31)),
    )


_SAMPLERS = {
    "consolidation": _consolidation,
    "nodule": _nodule,
    "pleural effusion": _effusion,
    "pneumothorax": _pneumothorax,
}


def paint(lesion: Lesion, grid: Grid) -> Painted:
    """Compute the effect of one lesion on a grid."""
    return _PAINTERS[lesion.finding](lesion, grid)


def box_of(lesion: Lesion, painted: Painted, *, margin_px: float) -> Box | None:
    """Return the box a reader would draw: the visible extent with a margin, clipped; None if outside the image."""
    rows, columns = np.nonzero(painted.extent > 0.5)
    if rows.size == 0:
        return None
    height, width = painted.extent.shape
    x0, y0 = max(columns.min() - margin_px, 0.0), max(rows.min() - margin_px, 0.0)
    x1, y1 = min(columns.max() + 1.0 + margin_px, float(width)), min(rows.max() + 1.0 + margin_px, float(height))
    return Box(
        x=float(x0), y=float(y0), width=float(x1 - x0), height=float(y1 - y0), label=lesion.finding, reader="phantom"
    )


def _smooth_noise(shape: tuple[int, int], cells: int, seed: int) -> Map:
    """Smooth random texture in [0, 1] with about ``cells`` bumps along each side."""
    coarse = np.random.default_rng(seed).random((cells, cells), dtype=np.float32)
    fine = zoom(coarse, (shape[0] / cells, shape[1] / cells), order=1, mode="nearest", grid_mode=True)
    return np.asarray(fine[: shape[0], : shape[1]], dtype=np.float32)


def _paint_consolidation(lesion: Lesion, grid: Grid) -> Painted:
    (cu, cv), (ru, rv) = lesion.centre, lesion.size
    radius = np.sqrt(((grid.u - cu) / ru) ** 2 + ((grid.v - cv) / rv) ** 2)
    rough = _smooth_noise(radius.shape, max(6, int(5.0 / ru)), lesion.texture_seed)
    cloud = np.clip(1.6 - 1.25 * radius + 0.9 * (rough - 0.5), 0.0, 1.0) * (radius < 1.7)
    extent = (cloud * grid.lungs[str(lesion.side)]).astype(np.float32)
    return Painted(
        density=lesion.contrast * extent * (0.75 + 0.5 * rough),
        markings=1.0 - 0.8 * extent,
        extent=extent * (radius < 1.15),
    )


def _paint_nodule(lesion: Lesion, grid: Grid) -> Painted:
    (cu, cv), (ru, rv) = lesion.centre, lesion.size
    radius = np.sqrt(((grid.u - cu) / ru) ** 2 + ((grid.v - cv) / rv) ** 2)
    disc = grid.soft((1.0 - radius) * min(ru, rv)).astype(np.float32)
    profile = disc * np.sqrt(np.clip(1.15 - radius**2, 0.0, 1.0))  # a ball is thinner near its rim
    return Painted(density=lesion.contrast * profile, markings=np.ones_like(disc), extent=disc)


def _paint_effusion(lesion: Lesion, grid: Grid) -> Painted:
    side = str(lesion.side)
    lung = grid.anatomy.lung(side)
    lateral = np.clip((grid.u * SIDE_SIGN[side] - lung.centre) / lung.half_width + 0.35, 0.0, 1.35)
    surface = lesion.centre[1] - lesion.size[1] * lateral**2 * 0.6 + 0.12 * (1.0 - np.clip(lateral, 0.0, 1.0))
    fluid = (grid.soft(0.5 * (grid.v - surface)) * grid.lungs[side]).astype(np.float32)
    return Painted(density=lesion.contrast * fluid, markings=1.0 - fluid, extent=fluid * (1.0 - 0.6 * grid.heart))


def _paint_pneumothorax(lesion: Lesion, grid: Grid) -> Painted:
    side = str(lesion.side)
    (_, cv), (width, half_height) = lesion.centre, lesion.size
    along = np.clip(1.0 - ((grid.v - cv) / half_height) ** 2, 0.0, 1.0)
    outer = grid.u * SIDE_SIGN[side] > grid.anatomy.lung(side).centre - 0.12
    gap = width * np.sqrt(along) - grid.lung_depth[side]  # positive between pleural line and chest wall
    air = (grid.soft(gap) * grid.lungs[side] * outer * (along > 0)).astype(np.float32)
    line = np.exp(-((gap / (0.9 * grid.edge)) ** 2)) * grid.lungs[side] * outer * (along > 0)
    return Painted(
        density=(0.07 * line - lesion.contrast * air).astype(np.float32),
        markings=(1.0 - air).astype(np.float32),
        extent=air,
    )


def _paint_heart(lesion: Lesion, grid: Grid) -> Painted:  # noqa: ARG001 - same signature as its siblings
    nothing = np.zeros_like(grid.heart)
    return Painted(density=nothing, markings=nothing + 1.0, extent=grid.heart)


_PAINTERS = {
    "consolidation": _paint_consolidation,
    "nodule": _paint_nodule,
    "pleural effusion": _paint_effusion,
    "pneumothorax": _paint_pneumothorax,
    "cardiomegaly": _paint_heart,
}
