"""The pointing game: does the peak of the heat lie in a box?

A radiograph has up to 3,000 x 2,500 pixels and a report several phrases; ranking 7.5 million pixels for each takes
seconds and adds nothing, because the heat was interpolated from a grid of some hundred cells. A cell of the samples has
the heat at its centre and the share of its area inside the target, so that no box is lost between two samples. An image
whose long side is not above :data:`LONGEST_SIDE` is scored pixel by pixel.

Heat on source pixels is float32 after interpolation, so that equal values on the model's grid differ in their last
bits: values within :func:`rounding` of each other count as equal here; otherwise a flat map would point at its own
noise.

Source: Zhang et al. 2018, "Top-down neural attention by excitation backprop", section 4.1.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int
from skimage.measure import label

__all__ = [
    "LONGEST_SIDE",
    "Outcome",
    "Target",
    "Tolerance",
    "centre_pixel",
    "distance_to",
    "find_peak",
    "is_measurable",
    "outcome_at",
    "pointing_outcome",
    "rounding",
    "sampled",
    "visible_parts",
]

LONGEST_SIDE = 512  # samples: a 3,000 px film is read every 6 px, a third of the 14 px that one cell of 224 / 16 has

Target: TypeAlias = Bool[np.ndarray, "height width"] | Float[np.ndarray, "height width"]
"""What the radiologist drew: the share of each pixel's area inside it, 0 to 1; a mask is the case of whole pixels."""


def sampled(
    heat: Float[np.ndarray, "rows columns"],
    target: Bool[np.ndarray, "rows columns"],
    *,
    longest_side: int = LONGEST_SIDE,
) -> tuple[Float[np.ndarray, "height width"], Target]:
    """Reduce a map and its target to at most ``longest_side`` cells a side; what is small already comes back as it is.

    The cells lie symmetrically, so that flipping map and target flips the samples.

    Returns:
        The heat at each cell's centre, NaN where that is not finite, and the share of the cell inside the target.
    """
    rows, columns = heat.shape
    step = -(-max(rows, columns) // longest_side)
    if step <= 1:
        return heat, target
    down, across = (_edges(side, step) for side in (rows, columns))
    covered = np.add.reduceat(target.view(np.uint8), down[:-1], axis=0, dtype=np.uint16)
    area = np.diff(down)[:, None] * np.diff(across)[None, :]
    share = np.add.reduceat(covered, across[:-1], axis=1, dtype=np.float64) / area
    return _at_centres(heat, down, across), share


def _edges(side: int, step: int) -> Int[np.ndarray, " edges"]:
    """Divide a side into cells of ``step`` px; both ends share the remainder, an odd pixel is in the middle."""
    cells = max(1, side // step)
    if cells % 2 == 0 and (side - cells * step) % 2 == 1:
        cells -= 1
    spare = side - cells * step
    widths = np.full(cells, step)
    widths[0] += spare // 2
    widths[-1] += spare // 2
    widths[cells // 2] += spare % 2
    return np.concatenate([[0], widths.cumsum()])


def _at_centres(
    heat: Float[np.ndarray, "rows columns"], down: Int[np.ndarray, " edges"], across: Int[np.ndarray, " others"]
) -> Float[np.ndarray, "height width"]:
    """Read the heat at the cells' centres: the mean of the two middle pixels along a side of even length."""
    top, bottom = (down[:-1] + down[1:] - 1) // 2, (down[:-1] + down[1:]) // 2
    left, right = (across[:-1] + across[1:] - 1) // 2, (across[:-1] + across[1:]) // 2
    upper, lower = (heat[rows][:, left] + heat[rows][:, right] for rows in (top, bottom))
    centres: Float[np.ndarray, "height width"] = (upper + lower) / 4
    return centres


def is_measurable(heat: Float[np.ndarray, "height width"], target: Target) -> bool:
    """Return True if ``target`` has a pixel and the model saw one of them.

    A map without any finite pixel is broken, not cropped: it stays measurable and misses.
    """
    inside = target > 0
    if not inside.any():
        return False
    return bool(np.isfinite(heat[inside]).any()) or not np.isfinite(heat).any()


def visible_parts(
    heat: Float[np.ndarray, "height width"], target: Target
) -> tuple[Float[np.ndarray, " pixels"], Float[np.ndarray, " pixels"]] | None:
    """Return the finite heat, in its own precision, and each such pixel's share inside the target; one-dimensional.

    Returns:
        None if the score cannot be measured; empty arrays for a map without any finite pixel.
    """
    if not is_measurable(heat, target):
        return None
    finite = np.isfinite(heat)
    return heat[finite], target[finite].astype(np.float64)


_LARGEST_PLATEAU = 0.01  # share of the map's finite pixels
_LAST_BITS = 8  # units in the last place: a weighted sum of four values is off by less


class Outcome(StrEnum):
    """The result of one map against one target."""

    HIT = "hit"
    MISS = "miss"
    UNSCORED = "unscored"  # nobody drew a box: says nothing about the model

    @property
    def is_hit(self) -> bool | None:
        """True for a hit, False for a miss, None if unscored."""
        return None if self is Outcome.UNSCORED else self is Outcome.HIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """The distance from the target at which a point still hits."""

    reach: float
    pixel: tuple[float, float] = (1.0, 1.0)  # height and width of a source pixel, in the unit of ``reach``

    @classmethod
    def at_model(cls, tau_px: float, model_px: tuple[float, float]) -> "Tolerance":
        """Return a tolerance in pixels of the model's input, whose height and width in source pixels are ``model_px``.

        On the source it is a circle if these are equal, and an ellipse if the image was stretched. The unit is the
        height of a source pixel: distances on square model pixels then have no rounding error, and a point at exactly
        ``tau_px`` is a hit.
        """
        height, width = model_px
        return cls(reach=tau_px * height, pixel=(1.0, height / width))


_EXACT = Tolerance(reach=0.0)


def rounding(values: Float[np.ndarray, "..."]) -> float:
    """Maximum difference of two equal values after interpolation, in their own unit; ``values`` are finite."""
    return _LAST_BITS * float(np.finfo(values.dtype).eps) * max(float(values.max()), -float(values.min()))


def find_peak(heat: Float[np.ndarray, "height width"]) -> tuple[int, int] | None:
    """Return the (row, column) of the heat's maximum; None if the map points nowhere.

    Pixels that are not finite (outside the model's input, behind a collimator) do not count. A flat map, a map without
    a finite pixel, and a map with two separate maxima point nowhere.

    Departure from "a tie is a miss": heat comes from a coarse grid, and clamped interpolation makes the peak of a
    border patch a small plateau of equal pixels. One connected plateau (8 neighbours) of less than 1 % of the finite
    map counts as one point: its pixel nearest to its centroid.
    """
    finite = np.isfinite(heat)
    seen = int(np.count_nonzero(finite))
    if seen == 0:
        return None
    values = heat if seen == heat.size else heat[finite]
    at_peak = finite & (heat >= values.max() - rounding(values))
    tied = int(np.count_nonzero(at_peak))
    if tied == seen or (tied > 1 and tied >= _LARGEST_PLATEAU * seen):
        return None
    rows, columns = np.unravel_index(np.flatnonzero(at_peak), heat.shape)
    top, left = int(rows.min()), int(columns.min())
    plateau = at_peak[top : int(rows.max()) + 1, left : int(columns.max()) + 1]
    if tied > 1:
        _, regions = label(plateau, connectivity=2, return_num=True)  # type: ignore[no-untyped-call]
        if regions > 1:
            return None
    row, column = centre_pixel(plateau)
    return top + row, left + column


def centre_pixel(region: Bool[np.ndarray, "height width"]) -> tuple[int, int]:
    """Return the pixel of a region nearest to the region's centroid; of equals the first in reading order."""
    pixels = np.argwhere(region)
    nearest = np.square(pixels - pixels.mean(0)).sum(1).argmin()
    return int(pixels[nearest, 0]), int(pixels[nearest, 1])


def distance_to(
    target: Bool[np.ndarray, "height width"], point: tuple[int, int], *, spacing: tuple[float, float] = (1.0, 1.0)
) -> float:
    """Distance, centre to centre, from ``point`` (row, column) to the nearest pixel of ``target``.

    It is in the unit of ``spacing``, the distance (between rows, between columns) of neighbouring pixels: in pixels
    where none is given, in mm with a header's spacing.
    """
    if target[point]:
        return 0.0
    rows, columns = np.unravel_index(np.flatnonzero(_rim(target)), target.shape)
    down, across = (rows - point[0]) * spacing[0], (columns - point[1]) * spacing[1]
    return float(np.sqrt((down**2 + across**2).min()))


def _rim(target: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Keep the pixels of a target that have a neighbour outside it, and those at the image's edge.

    The nearest pixel to a point outside is always one of them, and they are few.
    """
    rim = target.copy()
    rim[1:-1, 1:-1] &= ~(target[:-2, 1:-1] & target[2:, 1:-1] & target[1:-1, :-2] & target[1:-1, 2:])
    return rim


def pointing_outcome(
    heat: Float[np.ndarray, "height width"],
    target: Bool[np.ndarray, "height width"],
    *,
    tolerance: Tolerance = _EXACT,
) -> Outcome:
    """Return whether the peak of ``heat`` lies within a tolerance of ``target``.

    It is UNSCORED if the target is empty or the model saw nothing of it.
    """
    return outcome_at(find_peak(heat), target, tolerance) if is_measurable(heat, target) else Outcome.UNSCORED


def outcome_at(
    point: tuple[int, int] | None, target: Bool[np.ndarray, "height width"], tolerance: Tolerance = _EXACT
) -> Outcome:
    """Return whether a map's peak lies within a tolerance of a non-empty target; exactly at the tolerance is a hit.

    A map that points nowhere (``point`` is None, see :func:`find_peak`) is a MISS.
    """
    if point is None:
        return Outcome.MISS
    return Outcome.HIT if distance_to(target, point, spacing=tolerance.pixel) <= tolerance.reach else Outcome.MISS
