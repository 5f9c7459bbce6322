"""Aligns one radiograph with another by an affine mapping of pixels, found from their grey values.

Source: Lucas and Kanade 1981, "An iterative image registration technique with an application to stereo vision";
Baker and Matthews 2004, "Lucas-Kanade 20 years on", section 2 (the forward additive algorithm). The brightness of the
moving image is fitted too, and the largest scale comes first.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

__all__ = ["Alignment", "align"]

Grey = Float[np.ndarray, "rows columns"]
Mask = Bool[np.ndarray, "rows columns"]

_LONG_SIDES = (20, 40)  # px, of the scales: landmarks as large as a lung decide
_SHORTEST_SIDE = 2  # px, at a scale: a narrower image has no gradient there, and the scale is left out
_STEPS = 12
_SMALLEST_STEP = 1e-3
_DAMPING = 1e-3  # of the normal equations' diagonal
_SEEN = 0.9  # share of a coarse pixel that must count


@dataclass(frozen=True, slots=True)
class Alignment:
    """An affine mapping from positions in the fixed image to positions in the moving one, about both centres, in px."""

    matrix: Float[np.ndarray, "2 2"]
    shift: Float[np.ndarray, " 2"]

    def warp(
        self, moving: Float[np.ndarray, "moving_rows moving_columns"], shape: tuple[int, int]
    ) -> tuple[Grey, Mask]:
        """Sample the moving image on the fixed image's pixels; the mask is False where it has no pixel."""
        centre = np.array([(length - 1) / 2 for length in shape])
        grid = np.moveaxis(np.mgrid[: shape[0], : shape[1]].astype(float), 0, -1) - centre
        middle = np.array([(length - 1) / 2 for length in moving.shape])
        places = np.moveaxis(grid @ self.matrix.T + self.shift + middle, -1, 0)
        inside = np.all([(p >= 0) & (p <= n - 1) for p, n in zip(places, moving.shape, strict=True)], axis=0)
        return map_coordinates(moving, places, order=1, mode="nearest"), inside


def align(moving: Float[np.ndarray, "moving_rows moving_columns"], fixed: Grey, counted: Mask) -> Alignment:
    """Find the mapping under which the moving image is most like the fixed one.

    Args:
        moving: the image to align.
        fixed: the image to align it with.
        counted: pixels of the fixed image that count; regions that will be replaced do not.
    """
    matrix, shift = np.eye(2), np.zeros(2)
    for side in _LONG_SIDES:
        factor = min(1.0, side / max(fixed.shape))
        coarse, target = (zoom(gaussian_filter(image, 0.5 / factor), factor, order=1) for image in (moving, fixed))
        if min(coarse.shape + target.shape) < _SHORTEST_SIDE:
            continue
        weights = zoom(counted.astype(float), factor, order=1) > _SEEN
        found = _refined(coarse, target, weights, Alignment(matrix, shift * factor))
        matrix, shift = found.matrix, found.shift / factor
    return Alignment(matrix, shift)


def _refined(
    moving: Float[np.ndarray, "moving_rows moving_columns"], fixed: Grey, counted: Mask, start: Alignment
) -> Alignment:
    """Improve a mapping by Gauss-Newton steps."""
    places = np.mgrid[: fixed.shape[0], : fixed.shape[1]].astype(float)
    down, across = (axis - (length - 1) / 2 for axis, length in zip(places, fixed.shape, strict=True))
    current = start
    for _ in range(_STEPS):
        warped, inside = current.warp(moving, fixed.shape)
        used = counted & inside
        vertical, horizontal = np.gradient(warped)
        columns = (
            vertical * down, vertical * across, vertical,
            horizontal * down, horizontal * across, horizontal,
            warped, np.ones_like(warped),
        )  # fmt: skip
        design = np.stack([column[used] for column in columns], -1)
        normal = design.T @ design
        normal[np.diag_indices(8)] += _DAMPING * normal.diagonal() + 1e-9
        step = np.linalg.solve(normal, design.T @ (fixed - warped)[used])
        current = Alignment(current.matrix + step[[[0, 1], [3, 4]]], current.shift + step[[2, 5]])
        if np.abs(step[:6]).max() < _SMALLEST_STEP:
            break
    return current
