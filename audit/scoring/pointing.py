"""The pointing game: does the hottest pixel lie where the radiologist drew?

Heat on source pixels is float32 after interpolation, so what was one value on the model's grid differs in its last
bits: values within :func:`rounding` of each other count as equal here, or a flat map would point at its own noise.

Source: Zhang et al. 2018, "Top-down neural attention by excitation backprop", section 4.1.
"""

from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float
from skimage.measure import label

from audit.scoring.sampling import is_measurable

__all__ = ["Outcome", "centre_pixel", "distance_to", "hottest_point", "pointing_outcome", "rounding"]

_LARGEST_PLATEAU = 0.01  # share of the map's finite pixels
_LAST_BITS = 8  # units in the last place: a weighted sum of four values is off by less


class Outcome(StrEnum):
    """How one map fared against one target."""

    HIT = "hit"
    MISS = "miss"
    UNSCORED = "unscored"  # nobody drew a box: says nothing about the model


def rounding(values: Float[np.ndarray, "..."]) -> float:
    """How far apart two equal values may lie after interpolation, in their own unit; ``values`` are finite."""
    return _LAST_BITS * float(np.finfo(values.dtype).eps) * max(float(values.max()), -float(values.min()))


def hottest_point(heat: Float[np.ndarray, "height width"]) -> tuple[int, int] | None:
    """Find the hottest pixel's (row, column); None where the map points nowhere.

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
    hottest = finite & (heat >= values.max() - rounding(values))
    tied = int(np.count_nonzero(hottest))
    if tied == seen or (tied > 1 and tied >= _LARGEST_PLATEAU * seen):
        return None
    rows, columns = np.unravel_index(np.flatnonzero(hottest), heat.shape)
    top, left = int(rows.min()), int(columns.min())
    plateau = hottest[top : int(rows.max()) + 1, left : int(columns.max()) + 1]
    if tied > 1:
        _, regions = label(plateau, connectivity=2, return_num=True)  # type: ignore[no-untyped-call]
        if regions > 1:
            return None
    row, column = centre_pixel(plateau)
    return top + row, left + column


def centre_pixel(region: Bool[np.ndarray, "height width"]) -> tuple[int, int]:
    """Give the pixel of a region that lies nearest to the region's centroid; the first of equals in reading order."""
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
    tolerance_px: float = 0.0,
) -> Outcome:
    """Say whether the hottest pixel of ``heat`` lies within ``tolerance_px`` of ``target``; exactly at it is a hit.

    A map that points nowhere (see :func:`hottest_point`) is a MISS. A target that is empty, or of which the model saw
    nothing, leaves it UNSCORED.
    """
    if not is_measurable(heat, target):
        return Outcome.UNSCORED
    point = hottest_point(heat)
    if point is None:
        return Outcome.MISS
    return Outcome.HIT if distance_to(target, point) <= tolerance_px else Outcome.MISS
