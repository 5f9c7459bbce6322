"""Heat and target at a bounded resolution: what a score over all pixels needs, at a price that does not grow.

A radiograph has up to 3,000 x 2,500 pixels and a report several phrases; ranking 7.5 million pixels for each costs
seconds and tells nothing more, since the heat was interpolated from a grid of some hundred cells. A cell of the samples
carries the heat at its centre and the share of its area that lies in the target, so that no box is lost between two
samples. An image whose long side is not above :data:`LONGEST_SIDE` is scored pixel by pixel.
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["LONGEST_SIDE", "Target", "is_measurable", "sampled", "visible_parts"]

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
    """Cut a side into cells of ``step`` px; what is left goes to both ends alike, and an odd pixel to the middle."""
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
    """Whether ``target`` has a pixel, and the model saw one of them.

    A map without any finite pixel is broken, not cropped: it stays measurable and loses.
    """
    inside = target > 0
    if not inside.any():
        return False
    return bool(np.isfinite(heat[inside]).any()) or not np.isfinite(heat).any()


def visible_parts(
    heat: Float[np.ndarray, "height width"], target: Target
) -> tuple[Float[np.ndarray, " pixels"], Float[np.ndarray, " pixels"]] | None:
    """Give the finite heat, in its own precision, and each such pixel's share inside the target; one-dimensional.

    Returns:
        None where the score cannot be measured; empty arrays for a map without any finite pixel.
    """
    if not is_measurable(heat, target):
        return None
    finite = np.isfinite(heat)
    return heat[finite], target[finite].astype(np.float64)
