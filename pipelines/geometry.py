"""Placement: where a source pixel lies in the model's square input, and back.

Coordinates are edge-based: (0, 0) is the outer corner of the top-left pixel, so pixel ``i`` covers ``[i, i + 1)`` and
its centre lies at ``i + 0.5``. Source coordinates are pixels of the DICOM image as stored, model coordinates are pixels
of the model's input.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from pipelines.study import Box

__all__ = ["Fit", "Placement"]

_POINTS = 256

Coordinate = TypeVar("Coordinate", float, np.ndarray)


class Fit(StrEnum):
    """How an image is fitted to the model's square input."""

    LETTERBOX = "letterbox"  # the longest side fits, the rest is padded: nothing is hidden
    CROP = "crop"  # the shortest side fits, the centre is kept: the model does not see the rim
    STRETCH = "stretch"  # both sides fit, the shape is lost: nothing is hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The mapping between one source image and the model's square input.

    The image is resized to ``resized_rows`` x ``resized_columns`` and laid with its corner at (``top``, ``left``) of
    the square; negative offsets mean that this much is cut off.
    """

    rows: int  # of the source
    columns: int
    size: int  # side of the model's input, px
    fit: Fit
    resized_rows: int
    resized_columns: int
    top: int  # model row of the resized image's first row
    left: int

    @classmethod
    def of(cls, rows: int, columns: int, *, size: int, fit: Fit) -> "Placement":
        """Place an image of ``rows`` x ``columns`` px in a square of ``size`` px, centred.

        Raises:
            ValueError: a side is not positive.
        """
        if min(rows, columns, size) < 1:
            raise ValueError(f"rows, columns and size must be positive, got {rows}, {columns}, {size}")
        height, width = _filling(rows, columns, fit)
        resized_rows, resized_columns = max(1, round(rows * size / height)), max(1, round(columns * size / width))
        return cls(
            rows=rows,
            columns=columns,
            size=size,
            fit=fit,
            resized_rows=resized_rows,
            resized_columns=resized_columns,
            top=(size - resized_rows) // 2,
            left=(size - resized_columns) // 2,
        )

    @property
    def model_px(self) -> tuple[float, float]:
        """Height and width of a pixel of the model's input, in source pixels.

        Equal where letterboxed or cropped: that the resized sides are whole numbers of pixels is disregarded.
        """
        height, width = _filling(self.rows, self.columns, self.fit)
        return height / self.size, width / self.size

    def to_model(self, row: Coordinate, column: Coordinate) -> tuple[Coordinate, Coordinate]:
        """Map an edge-based (row, column) of the source to the model's input."""
        return (
            row * self.resized_rows / self.rows + self.top,
            column * self.resized_columns / self.columns + self.left,
        )

    def to_source(self, row: Coordinate, column: Coordinate) -> tuple[Coordinate, Coordinate]:
        """Map an edge-based (row, column) of the model's input to the source."""
        return (
            (row - self.top) * self.rows / self.resized_rows,
            (column - self.left) * self.columns / self.resized_columns,
        )

    def heat_to_source(self, heat: Float[np.ndarray, "grid_rows grid_columns"]) -> Float[np.ndarray, "rows columns"]:
        """Interpolate heat on the model's grid (bilinear, clamped at the border) at every source pixel's centre.

        Returns:
            float32 [rows, columns] in the unit of ``heat``; NaN where the model did not see the pixel.
        """
        row_weights = self._weights(heat.shape[0], self.rows, self.resized_rows, self.top)
        column_weights = self._weights(heat.shape[1], self.columns, self.resized_columns, self.left)
        source: Float[np.ndarray, "rows columns"] = row_weights @ heat.astype(np.float32) @ column_weights.T
        return source

    def visible(self) -> Bool[np.ndarray, "rows columns"]:
        """Return for every source pixel whether its centre lies inside the model's input."""
        rows = self._model_centres(self.rows, self.resized_rows, self.top)
        columns = self._model_centres(self.columns, self.resized_columns, self.left)
        inside_rows = (rows >= 0) & (rows < self.size)
        inside_columns = (columns >= 0) & (columns < self.size)
        return inside_rows[:, None] & inside_columns[None, :]

    def visible_fraction(self, box: Box) -> float:
        """Share of a box's area, clipped to the image, that lies inside the model's input; 0 for a box outside it.

        Of a shape, the share of the points of a grid over it, ``_POINTS`` a side.
        """
        x0, x1 = max(box.x, 0.0), min(box.x + box.width, float(self.columns))
        y0, y1 = max(box.y, 0.0), min(box.y + box.height, float(self.rows))
        area = max(x1 - x0, 0.0) * max(y1 - y0, 0.0)
        if area == 0.0:
            return 0.0
        top, left = self.to_source(0.0, 0.0)
        bottom, right = self.to_source(float(self.size), float(self.size))
        if box.shape is not None:
            scale = _POINTS / (x1 - x0), _POINTS / (y1 - y0)
            x, y = (np.arange(_POINTS) + 0.5) / scale[0] + x0, (np.arange(_POINTS) + 0.5) / scale[1] + y0
            points = box.shape.mapped((x0, y0), scale).mask(_POINTS, _POINTS)
            within = points[np.ix_((y >= top) & (y < bottom), (x >= left) & (x < right))]
            return float(within.sum() / max(int(points.sum()), 1))
        seen = max(min(x1, right) - max(x0, left), 0.0) * max(min(y1, bottom) - max(y0, top), 0.0)
        return seen / area

    def _model_centres(self, count: int, resized: int, offset: int) -> Float[np.ndarray, " count"]:
        return (np.arange(count) + 0.5) * resized / count + offset

    def _weights(self, grid: int, count: int, resized: int, offset: int) -> Float[np.ndarray, "count grid"]:
        """Bilinear weights of each grid cell for each source pixel along one axis; a NaN row where unseen."""
        centres = self._model_centres(count, resized, offset)
        position = np.clip(centres * grid / self.size - 0.5, 0.0, grid - 1.0)
        lower = np.minimum(np.floor(position).astype(int), max(grid - 2, 0))
        fraction = position - lower
        weights = np.zeros((count, grid), dtype=np.float32)
        index = np.arange(count)
        weights[index, lower] = 1.0 - fraction
        if grid > 1:
            weights[index, lower + 1] = fraction
        weights[(centres < 0) | (centres >= self.size)] = np.nan
        return weights


def _filling(rows: int, columns: int, fit: Fit) -> tuple[int, int]:
    """Return the height and width, in source pixels, that fill the model's square."""
    if fit is Fit.STRETCH:
        return rows, columns
    side = max(rows, columns) if fit is Fit.LETTERBOX else min(rows, columns)
    return side, side
