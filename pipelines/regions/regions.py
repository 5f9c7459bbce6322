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

__all__ = ["ChestRegions", "Lungs", "Regions", "chest_of", "regions_of"]

Mask = Bool[np.ndarray, "grid_rows grid_columns"]

_PICTURE_SIDE = 1024  # px: enough for markers and lungs
_LONG_SIDE = 512  # maximum number of cells per side
_CHEST_LONG_SIDE = 384


@dataclass(frozen=True, slots=True, kw_only=True)
class ChestRegions:
    """The chest on an image of ``rows`` x ``columns`` source pixels; every mask is on the same coarse grid."""

    rows: int
    columns: int
    valid: Mask  # False behind collimators and shutters and in padding
    chest: Mask | None  # None if the lungs were not found
    lungs: Lungs | None

    @property
    def pixel(self) -> tuple[float, float]:
        """Height and width of a cell, in source pixels."""
        return self.rows / self.valid.shape[0], self.columns / self.valid.shape[1]

    def on_grid(self, values: Shaped[np.ndarray, "rows columns"]) -> Shaped[np.ndarray, "grid_rows grid_columns"]:
        """Sample values on source pixels at the centre of each cell."""
        sampled: Shaped[np.ndarray, "grid_rows grid_columns"] = values[_middles(values.shape, self.valid.shape)]
        return sampled


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions(ChestRegions):
    """All regions of an image, what its side marker says, and how it lies."""

    markers: Mask  # letters and marks on the image
    side_marker: SideMarker | None = None  # None if no letter was read that names a side
    orientation: Orientation | None = None  # None if it cannot be told


def _middles(shape: tuple[int, ...], grid: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = (
        ((np.arange(count) + 0.5) * length / count).astype(int) for length, count in zip(shape, grid, strict=True)
    )
    return np.ix_(rows, columns)  # type: ignore[return-value]


def chest_of(picture: bytes, valid: Bool[np.ndarray, "rows columns"]) -> ChestRegions:
    """Find the chest on a displayed radiograph, with the arguments of :func:`regions_of`."""
    return _Reduced.of(picture, valid).chest()


def regions_of(picture: bytes, valid: Bool[np.ndarray, "rows columns"], blanked: Sequence[Area] = ()) -> Regions:
    """Find the regions of a displayed radiograph.

    Args:
        picture: JPEG or PNG, grey, as on pages; evaluated with at most ``_PICTURE_SIDE`` px per side.
        valid: on source pixels; False behind collimators and shutters and in padding.
        blanked: areas of the picture that hide text which the model saw, in source pixels: its letters count as marks,
            but the margin around them does not.
    """
    reduced = _Reduced.of(picture, valid)
    values, found = reduced.values, reduced.chest()
    inside = None if found.lungs is None else _resample(found.lungs.at_left | found.lungs.at_right, values.shape)
    marks = find_marks(values, inside)
    marker = side_marker(marks, values.shape[1])
    letters = marker_mask(values, inside) | mark_mask(marks, values.shape)
    scale = values.shape[0] / valid.shape[0], values.shape[1] / valid.shape[1]
    for area in (each.letters or each for each in blanked):
        rows = slice(int(area.top * scale[0]), int(np.ceil(area.bottom * scale[0])))
        letters[rows, int(area.left * scale[1]) : int(np.ceil(area.right * scale[1]))] = True
    return Regions(
        rows=found.rows,
        columns=found.columns,
        valid=found.valid,
        chest=found.chest,
        lungs=found.lungs,
        markers=block_reduce(letters, reduced.factor, np.max).astype(bool),  # type: ignore[no-untyped-call]
        side_marker=marker,
        orientation=find_orientation(
            *reduced.coarse, lambda each: marker if each is Orientation.UPRIGHT else marker_when(values, each)
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reduced:
    """A picture at the scales on which regions are found."""

    shape: tuple[int, int]  # of the source
    values: UInt8[np.ndarray, "rows columns"]
    seen: Bool[np.ndarray, "rows columns"]
    factor: int  # pixels of ``values`` in a cell, per side
    coarse: tuple[UInt8[np.ndarray, "coarse_rows coarse_columns"], Bool[np.ndarray, "coarse_rows coarse_columns"]]

    @classmethod
    def of(cls, picture: bytes, valid: Bool[np.ndarray, "rows columns"]) -> "_Reduced":
        with Image.open(io.BytesIO(picture), formats=["JPEG", "PNG"]) as opened:
            opened.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE), Image.Resampling.LANCZOS)
            values = np.asarray(opened.convert("L"))
        seen = valid[_middles(valid.shape, values.shape)]
        return cls(
            shape=(valid.shape[0], valid.shape[1]),
            values=values,
            seen=seen,
            factor=max(1, -(-max(values.shape) // _LONG_SIDE)),
            coarse=_coarse(values, seen),
        )

    def chest(self) -> ChestRegions:
        """Find the lungs, and the chest around them."""
        lungs, grid = find_lungs(*self.coarse), tuple(-(-length // self.factor) for length in self.values.shape)
        if lungs is not None:
            lungs = replace(lungs, at_left=_resample(lungs.at_left, grid), at_right=_resample(lungs.at_right, grid))
        return ChestRegions(
            rows=self.shape[0],
            columns=self.shape[1],
            valid=block_reduce(self.seen, self.factor, np.min).astype(bool),  # type: ignore[no-untyped-call]
            chest=None if lungs is None else chest_mask(lungs),
            lungs=lungs,
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
