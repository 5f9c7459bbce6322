"""All regions of one displayed radiograph, on one coarse grid that heat is brought to."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image
from skimage.measure import block_reduce

from pipelines.regions.chest import Lungs, chest_mask, find_lungs
from pipelines.regions.markers import marker_mask
from pipelines.regions.text import Area

__all__ = ["Lungs", "Regions", "regions_of"]

Mask = Bool[np.ndarray, "grid_rows grid_columns"]

_PICTURE_SIDE = 1024  # px: markers and lungs are larger than what more would show
_LONG_SIDE = 512  # cells of the grid at most
_LUNGS_LONG_SIDE = 384


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """Regions of an image of ``rows`` x ``columns`` source pixels; every mask is on the same coarse grid."""

    rows: int
    columns: int
    markers: Mask  # letters and marks on the film
    valid: Mask  # False behind collimators and shutters and in padding
    chest: Mask | None  # None where the lungs were not found
    lungs: Lungs | None

    @property
    def pixel(self) -> tuple[float, float]:
        """Height and width of a cell, in source pixels."""
        return self.rows / self.markers.shape[0], self.columns / self.markers.shape[1]

    def on_grid(self, values: Shaped[np.ndarray, "rows columns"]) -> Shaped[np.ndarray, "grid_rows grid_columns"]:
        """Take what is given on source pixels at the middle of each cell."""
        sampled: Shaped[np.ndarray, "grid_rows grid_columns"] = values[_middles(values.shape, self.markers.shape)]
        return sampled


def _middles(shape: tuple[int, ...], grid: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = (
        ((np.arange(count) + 0.5) * length / count).astype(int) for length, count in zip(shape, grid, strict=True)
    )
    return np.ix_(rows, columns)  # type: ignore[return-value]


def regions_of(picture: bytes, valid: Bool[np.ndarray, "rows columns"], blanked: Sequence[Area] = ()) -> Regions:
    """Find the regions of a displayed radiograph.

    Args:
        picture: JPEG or PNG, grey, as pages show it; looked at with at most ``_PICTURE_SIDE`` px a side.
        valid: on source pixels; False behind collimators and shutters and in padding.
        blanked: where the picture hides text that the model saw, in source pixels: its letters are marks on the film,
            like any other, and the room around them is not.
    """
    with Image.open(io.BytesIO(picture), formats=["JPEG", "PNG"]) as opened:
        opened.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE), Image.Resampling.LANCZOS)
        values = np.asarray(opened.convert("L"))
    factor = max(1, -(-max(values.shape) // _LONG_SIDE))
    seen = valid[_middles(valid.shape, values.shape)]
    grid = tuple(-(-length // factor) for length in values.shape)
    lungs = _lungs(values, seen)
    if lungs is not None:
        lungs = Lungs(at_left=_resample(lungs.at_left, grid), at_right=_resample(lungs.at_right, grid))
    inside = None if lungs is None else _resample(lungs.at_left | lungs.at_right, values.shape)
    letters = marker_mask(values, inside)
    scale = values.shape[0] / valid.shape[0], values.shape[1] / valid.shape[1]
    for area in (each.letters or each for each in blanked):
        rows = slice(int(area.top * scale[0]), int(np.ceil(area.bottom * scale[0])))
        letters[rows, int(area.left * scale[1]) : int(np.ceil(area.right * scale[1]))] = True
    return Regions(
        rows=valid.shape[0],
        columns=valid.shape[1],
        markers=block_reduce(letters, factor, np.max).astype(bool),  # type: ignore[no-untyped-call]
        valid=block_reduce(seen, factor, np.min).astype(bool),  # type: ignore[no-untyped-call]
        chest=None if lungs is None else chest_mask(lungs),
        lungs=lungs,
    )


def _lungs(values: UInt8[np.ndarray, "rows columns"], seen: Mask) -> Lungs | None:
    """Find the lungs on a coarser grid still: they are large."""
    factor = max(1, -(-max(values.shape) // _LUNGS_LONG_SIDE))
    coarse = block_reduce(values, factor, np.mean).astype(np.uint8)  # type: ignore[no-untyped-call]
    return find_lungs(coarse, block_reduce(seen, factor, np.min).astype(bool))  # type: ignore[no-untyped-call]


def _resample(mask: Bool[np.ndarray, "rows columns"], shape: tuple[int, ...]) -> Mask:
    """Take a mask's values at the middles of another grid's cells."""
    taken: Mask = mask[_middles(mask.shape, shape)]
    return taken
