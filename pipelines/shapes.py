"""Outlines that annotators draw beyond rectangles: polygons, ellipses and masks.

Coordinates are (x, y), edge-based as those of :class:`pipelines.study.Box`: (0, 0) is the outer corner of the top-left
pixel. A pixel belongs to a shape if its centre lies inside.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from skimage.draw import polygon
from skimage.measure import approximate_polygon, find_contours

__all__ = ["Bounds", "Ellipse", "Point", "Polygons", "RunLengths", "Shape", "run_lengths_of"]

Point = tuple[float, float]
Bounds = tuple[float, float, float, float]
"""x, y, width, height."""

_CORNERS = 72  # of an ellipse's outline: off by a thousandth of its axes


@dataclass(frozen=True, slots=True, kw_only=True)
class Polygons:
    """The union of closed polygons."""

    rings: tuple[tuple[Point, ...], ...]  # the corners of each, in either direction; the first is not repeated
    kind: Literal["polygons"] = "polygons"

    def bounds(self) -> Bounds:
        """Give the rectangle around it."""
        return _around(np.array([point for ring in self.rings for point in ring], dtype=float))

    def mapped(self, origin: Point, scale: Point) -> "Polygons":
        """Move ``origin`` to (0, 0), then scale both axes."""
        rings = tuple(tuple(_mapped(point, origin, scale) for point in ring) for ring in self.rings)
        return replace(self, rings=rings)

    def outline(self) -> tuple[tuple[Point, ...], ...]:
        """Give closed lines to draw."""
        return self.rings

    def mask(self, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
        """Mark the pixels of a ``rows`` x ``columns`` image that it covers."""
        mask = np.zeros((rows, columns), dtype=bool)
        for ring in self.rings:
            x, y = np.array(ring, dtype=float).T - 0.5
            mask[polygon(y, x, (rows, columns))] = True  # type: ignore[no-untyped-call]
        return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Ellipse:
    """All points ``centre`` + s ``first`` + t ``second`` with s² + t² <= 1.

    ``first`` and ``second`` lead from the centre to the rim along conjugate diameters, which stay conjugate when the
    axes are scaled; for an ellipse as drawn they are its semi-axes.
    """

    centre: Point
    first: Point
    second: Point
    kind: Literal["ellipse"] = "ellipse"

    def bounds(self) -> Bounds:
        """Give the rectangle around it."""
        half_width, half_height = (float(np.hypot(*pair)) for pair in zip(self.first, self.second, strict=True))
        return self.centre[0] - half_width, self.centre[1] - half_height, 2 * half_width, 2 * half_height

    def mapped(self, origin: Point, scale: Point) -> "Ellipse":
        """Move ``origin`` to (0, 0), then scale both axes."""
        first, second = (_mapped(axis, (0.0, 0.0), scale) for axis in (self.first, self.second))
        return replace(self, centre=_mapped(self.centre, origin, scale), first=first, second=second)

    def outline(self) -> tuple[tuple[Point, ...], ...]:
        """Give a closed line to draw."""
        angles = np.linspace(0.0, 2 * np.pi, _CORNERS, endpoint=False)
        rim = np.outer(np.cos(angles), self.first) + np.outer(np.sin(angles), self.second) + self.centre
        return (tuple((float(x), float(y)) for x, y in rim),)

    def mask(self, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
        """Mark the pixels of a ``rows`` x ``columns`` image that it covers."""
        x, y = _centres(columns) - self.centre[0], (_centres(rows) - self.centre[1])[:, None]
        area = self.first[0] * self.second[1] - self.first[1] * self.second[0]
        s = (x * self.second[1] - y * self.second[0]) / area
        t = (y * self.first[0] - x * self.first[1]) / area
        inside: Bool[np.ndarray, "rows columns"] = s**2 + t**2 <= 1.0
        return inside


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLengths:
    """A mask of ``rows`` x ``columns`` cells of one size whose top-left corner lies at (``x``, ``y``).

    ``counts`` are the lengths of runs down the first column, the second and so on, of cells outside and inside in turn,
    outside first: COCO's uncompressed form.
    """

    x: float
    y: float
    cell_width: float
    cell_height: float
    rows: int
    columns: int
    counts: tuple[int, ...]
    kind: Literal["run lengths"] = "run lengths"

    def bounds(self) -> Bounds:
        """Give the rectangle around its cells."""
        return self.x, self.y, self.columns * self.cell_width, self.rows * self.cell_height

    def mapped(self, origin: Point, scale: Point) -> "RunLengths":
        """Move ``origin`` to (0, 0), then scale both axes."""
        x, y = _mapped((self.x, self.y), origin, scale)
        return replace(self, x=x, y=y, cell_width=self.cell_width * scale[0], cell_height=self.cell_height * scale[1])

    def outline(self) -> tuple[tuple[Point, ...], ...]:
        """Give closed lines to draw, around every part and every hole; they cut the corners of cells."""
        lines = find_contours(np.pad(self.cells(), 1).astype(float), 0.5)  # type: ignore[no-untyped-call]
        return tuple(
            tuple((self.x + (x - 0.5) * self.cell_width, self.y + (y - 0.5) * self.cell_height) for y, x in line[:-1])
            for line in (approximate_polygon(line, 0.5).tolist() for line in lines)  # type: ignore[no-untyped-call]
        )

    def cells(self) -> Bool[np.ndarray, "rows columns"]:
        """Say of each cell whether it is inside."""
        inside = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        return inside.reshape(self.rows, self.columns, order="F")

    def mask(self, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
        """Mark the pixels of a ``rows`` x ``columns`` image whose centre lies in one of its cells."""
        mask = np.zeros((rows, columns), dtype=bool)
        row = np.floor((_centres(rows) - self.y) / self.cell_height).astype(int)
        column = np.floor((_centres(columns) - self.x) / self.cell_width).astype(int)
        on_rows, on_columns = (row >= 0) & (row < self.rows), (column >= 0) & (column < self.columns)
        mask[np.ix_(on_rows, on_columns)] = self.cells()[np.ix_(row[on_rows], column[on_columns])]
        return mask


Shape = Polygons | Ellipse | RunLengths


def run_lengths_of(cells: Bool[np.ndarray, "rows columns"]) -> RunLengths:
    """Keep a mask of pixels as run lengths, cut to the rectangle around what is inside.

    Raises:
        ValueError: nothing is inside.
    """
    rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
    if not rows.size:
        raise ValueError("the mask is empty")
    part = cells[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    flat = part.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    counts = [int(count) for count in np.diff(edges)]
    return RunLengths(
        x=float(columns[0]),
        y=float(rows[0]),
        cell_width=1.0,
        cell_height=1.0,
        rows=part.shape[0],
        columns=part.shape[1],
        counts=tuple([0, *counts] if flat[0] else counts),
    )


def _mapped(point: Point, origin: Point, scale: Point) -> Point:
    return (point[0] - origin[0]) * scale[0], (point[1] - origin[1]) * scale[1]


def _around(points: Float[np.ndarray, "points 2"]) -> Bounds:
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return float(left), float(top), float(right - left), float(bottom - top)


def _centres(count: int) -> Float[np.ndarray, " count"]:
    return np.arange(count) + 0.5
