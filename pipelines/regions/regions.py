"""All regions of one displayed radiograph, on the coarse grid on which heat is evaluated."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image
from skimage.measure import block_reduce

from pipelines.regions.chest import Lungs, chest_mask, find_lungs
from pipelines.regions.markers import marker_mask
from pipelines.regions.marks import find_marks, mark_mask, side_marker
from pipelines.regions.orientation import find_orientation, marker_when
from pipelines.regions.text import Area
from pipelines.study import Orientation, SideMarker

__all__ = ["Lungs", "Regions", "regions_of"]

Mask = Bool[np.ndarray, "grid_rows grid_columns"]

_PICTURE_SIDE = 1024  # px: enough for markers and lungs
_LONG_SIDE = 512  # maximum number of cells per side
_CHEST_LONG_SIDE = 384


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """Regions of an image of ``rows`` x ``columns`` source pixels; every mask is on the same coarse grid."""

    rows: int
    columns: int
    markers: Mask  # letters and marks on the image
    valid: Mask  # False behind collimators and shutters and in padding
    chest: Mask | None  # None if the lungs were not found
    lungs: Lungs | None
    side_marker: SideMarker | None = None  # None if no letter was read that names a side
    orientation: Orientation | None = None  # None if it cannot be told

    @property
    def pixel(self) -> tuple[float, float]:
        """Height and width of a cell, in source pixels."""
        return self.rows / self.markers.shape[0], self.columns / self.markers.shape[1]

    def on_grid(self, values: Shaped[np.ndarray, "rows columns"]) -> Shaped[np.ndarray, "grid_rows grid_columns"]:
        """Sample values on source pixels at the centre of each cell."""
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
        picture: JPEG or PNG, grey, as on pages; evaluated with at most ``_PICTURE_SIDE`` px per side.
        valid: on source pixels; False behind collimators and shutters and in padding.
        blanked: areas of the picture that hide text which the model saw, in source pixels: its letters count as marks,
            but the margin around them does not.
    """
    with Image.open(io.BytesIO(picture), formats=["JPEG", "PNG"]) as opened:
        opened.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE), Image.Resampling.LANCZOS)
        values = np.asarray(opened.convert("L"))
    factor = max(1, -(-max(values.shape) // _LONG_SIDE))
    seen = valid[_middles(valid.shape, values.shape)]
    grid = tuple(-(-length // factor) for length in values.shape)
    coarse = _coarse(values, seen)
    lungs = find_lungs(*coarse)
    if lungs is not None:
        lungs = replace(lungs, at_left=_resample(lungs.at_left, grid), at_right=_resample(lungs.at_right, grid))
    inside = None if lungs is None else _resample(lungs.at_left | lungs.at_right, values.shape)
    marks = find_marks(values, inside)
    marker = side_marker(marks, values.shape[1])
    letters = marker_mask(values, inside) | mark_mask(marks, values.shape)
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
        side_marker=marker,
        orientation=find_orientation(
            *coarse, lambda each: marker if each is Orientation.UPRIGHT else marker_when(values, each)
        ),
    )


def _coarse(
    values: UInt8[np.ndarray, "rows columns"], seen: Bool[np.ndarray, "rows columns"]
) -> tuple[UInt8[np.ndarray, "coarse_rows coarse_columns"], Bool[np.ndarray, "coarse_rows coarse_columns"]]:
    """Reduce an image and what of it is valid: lungs and orientation are large, and show on a coarser grid."""
    factor = max(1, -(-max(values.shape) // _CHEST_LONG_SIDE))
    coarse = block_reduce(values, factor, np.mean).astype(np.uint8)  # type: ignore[no-untyped-call]
    return coarse, block_reduce(seen, factor, np.min).astype(bool)  # type: ignore[no-untyped-call]


def _resample(mask: Bool[np.ndarray, "rows columns"], shape: tuple[int, ...]) -> Mask:
    """Sample a mask at the cell centres of another grid."""
    taken: Mask = mask[_middles(mask.shape, shape)]
    return taken
