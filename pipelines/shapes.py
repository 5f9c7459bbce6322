"""Outlines other than rectangles: polygons, ellipses and masks.

Coordinates are (x, y), edge-based as those of :class:`pipelines.study.Box`: (0, 0) is the outer corner of the top-left
pixel. A pixel belongs to a shape if its centre lies inside.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Float, Integer
from pydantic import Discriminator
from skimage.measure import approximate_polygon, find_contours

__all__ = ["Bounds", "Ellipse", "Point", "Polygons", "RunLengths", "Shape", "cropped_run_lengths"]

Point = tuple[float, float]
Bounds = tuple[float, float, float, float]
"""x, y, width, height."""

_EDGES_AT_ONCE = 256
_FAR = 2.0**40  # pixels
_CORNERS = 72  # of an ellipse's outline: off by a thousandth of its axes


@dataclass(frozen=True, slots=True, kw_only=True)
class Polygons:
    """The union of closed polygons."""

    rings: tuple[tuple[Point, ...], ...]  # the corners of each, in either direction; the first is not repeated
    kind: Literal["polygons"] = "polygons"

    def bounds(self) -> Bounds:
        """Return the bounding rectangle."""
        return _around(np.array([point for ring in self.rings for point in ring], dtype=float))

    def mapped(self, origin: Point, scale: Point) -> "Polygons":
        """Move ``origin`` to (0, 0), then scale both axes."""
        rings = tuple(tuple(_mapped(point, origin, scale) for point in ring) for ring in self.rings)
        return replace(self, rings=rings)

    def outline(self) -> tuple[tuple[Point, ...], ...]:
        """Return closed lines for drawing."""
        return self.rings

    def mask(self, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
        """Return the mask of covered pixels of a ``rows`` x ``columns`` image."""
        mask = np.zeros((rows, columns), dtype=bool)
        for ring in self.rings:
            corners = np.array(ring, dtype=float) - 0.5
            (left, top), (right, bottom) = (np.clip(end, 0, (columns, rows)) for end in _pixels_around(corners))
            if left < right and top < bottom:
                part = _covered(corners - (left, top), int(bottom - top), int(right - left))
                mask[top:bottom, left:right] |= part
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
        """Return the bounding rectangle."""
        half_width, half_height = (float(np.hypot(*pair)) for pair in zip(self.first, self.second, strict=True))
        return self.centre[0] - half_width, self.centre[1] - half_height, 2 * half_width, 2 * half_height

    def mapped(self, origin: Point, scale: Point) -> "Ellipse":
        """Move ``origin`` to (0, 0), then scale both axes."""
        first, second = (_mapped(axis, (0.0, 0.0), scale) for axis in (self.first, self.second))
        return replace(self, centre=_mapped(self.centre, origin, scale), first=first, second=second)

    def outline(self) -> tuple[tuple[Point, ...], ...]:
        """Return closed lines for drawing."""
        angles = np.linspace(0.0, 2 * np.pi, _CORNERS, endpoint=False)
        rim = np.outer(np.cos(angles), self.first) + np.outer(np.sin(angles), self.second) + self.centre
        return (tuple((float(x), float(y)) for x, y in rim),)

    def mask(self, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
        """Return the mask of covered pixels of a ``rows`` x ``columns`` image."""
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
        """Return the bounding rectangle."""
        return self.x, self.y, self.columns * self.cell_width, self.rows * self.cell_height

    def mapped(self, origin: Point, scale: Point) -> "RunLengths":
        """Move ``origin`` to (0, 0), then scale both axes."""
        x, y = _mapped((self.x, self.y), origin, scale)
        return replace(self, x=x, y=y, cell_width=self.cell_width * scale[0], cell_height=self.cell_height * scale[1])

    def outline(self) -> tuple[tuple[Point, ...], ...]:
        """Return closed lines around every part and every hole, for drawing; they cut the corners of cells."""
        lines = find_contours(np.pad(self.cells(), 1).astype(float), 0.5)  # type: ignore[no-untyped-call]
        return tuple(
            tuple((self.x + (x - 0.5) * self.cell_width, self.y + (y - 0.5) * self.cell_height) for y, x in line[:-1])
            for line in (approximate_polygon(line, 0.5).tolist() for line in lines)  # type: ignore[no-untyped-call]
        )

    def cells(self) -> Bool[np.ndarray, "rows columns"]:
        """Return for each cell whether it is inside."""
        inside = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        return inside.reshape(self.rows, self.columns, order="F")

    def mask(self, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
        """Return the mask of pixels of a ``rows`` x ``columns`` image whose centre lies in one of the cells."""
        mask = np.zeros((rows, columns), dtype=bool)
        row = np.floor((_centres(rows) - self.y) / self.cell_height).astype(int)
        column = np.floor((_centres(columns) - self.x) / self.cell_width).astype(int)
        on_rows, on_columns = (row >= 0) & (row < self.rows), (column >= 0) & (column < self.columns)
        mask[np.ix_(on_rows, on_columns)] = self.cells()[np.ix_(row[on_rows], column[on_columns])]
        return mask


Shape = Annotated[Polygons | Ellipse | RunLengths, Discriminator("kind")]


def cropped_run_lengths(counts: Integer[np.ndarray, " runs"], rows: int, columns: int) -> RunLengths:
    """Return run lengths of a mask of ``rows`` x ``columns`` pixels, cropped to the bounding box of its foreground.

    The mask is never expanded: the work grows with the number of runs, not with the number of pixels.

    Raises:
        ValueError: the mask is empty, or the runs do not add up to the number of pixels.
    """
    ends = np.cumsum(counts, dtype=np.int64)
    if not ends.size or int(ends[-1]) != rows * columns:
        raise ValueError(f"the runs are not those of {rows} x {columns} pixels")
    starts, ends = (ends - counts)[1::2], ends[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not starts.size:
        raise ValueError("the mask is empty")
    left, right = int(starts[0]) // rows, (int(ends[-1]) - 1) // rows + 1
    if ((ends - 1) // rows > starts // rows).any():  # a run around the end of a column touches both its ends
        top, height = 0, rows
    else:
        top = int((starts % rows).min())
        height = int(((ends - 1) % rows).max()) + 1 - top
    starts = starts // rows * height + starts % rows - top - left * height
    ends = (ends - 1) // rows * height + (ends - 1) % rows - top - left * height + 1
    apart = starts[1:] > ends[:-1]  # cut at the top and bottom, two runs may have come to lie end to end
    starts, ends = starts[np.concatenate([[True], apart])], ends[np.concatenate([apart, [True]])]
    edges = np.concatenate([[0], np.stack([starts, ends], axis=1).ravel(), [(right - left) * height]])
    runs = np.diff(edges)
    return RunLengths(
        x=float(left),
        y=float(top),
        cell_width=1.0,
        cell_height=1.0,
        rows=height,
        columns=right - left,
        counts=tuple(int(run) for run in (runs if runs[-1] else runs[:-1])),
    )


def _pixels_around(corners: Float[np.ndarray, "corners 2"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the first pixel (x, y) that a polygon may cover, and the one after its last."""
    low, high = (np.clip(end, -_FAR, _FAR) for end in (corners.min(0), corners.max(0)))
    return np.ceil(low).astype(int), np.floor(high).astype(int) + 1


def _covered(corners: Float[np.ndarray, "corners 2"], rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
    """Mark the pixels whose centre, at whole numbers, lies inside or on the rim of a polygon, by the even-odd rule.

    Each row is filled between the places where edges cross it: the work grows with the rows that edges cross, and not
    with corners times pixels.
    """
    toggles = np.zeros((rows, columns + 1), dtype=bool)
    rim = np.zeros((rows, columns), dtype=bool)
    closed = np.concatenate([corners, corners[:1]])
    with np.errstate(over="ignore", invalid="ignore"):
        _mark_corners(rim, corners)
        for start in range(0, len(corners), _EDGES_AT_ONCE):
            _mark_edges(toggles, rim, closed[start : start + _EDGES_AT_ONCE + 1])
    inside = np.logical_xor.accumulate(toggles, axis=1)[:, :columns]
    return inside | rim


def _mark_corners(rim: Bool[np.ndarray, "rows columns"], corners: Float[np.ndarray, "corners 2"]) -> None:
    x, y = corners.T
    at = (x == np.floor(x)) & (y == np.floor(y)) & (x >= 0) & (y >= 0) & (x < rim.shape[1]) & (y < rim.shape[0])
    rim[y[at].astype(int), x[at].astype(int)] = True


def _mark_edges(
    toggles: Bool[np.ndarray, "rows columns1"],
    rim: Bool[np.ndarray, "rows columns"],
    corners: Float[np.ndarray, "corners 2"],
) -> None:
    """Invert, in each row, the pixels right of each edge between two corners; record centres on the edge."""
    rows, columns = rim.shape
    (x0, y0), (x1, y1) = corners[:-1].T, corners[1:].T
    level = (y0 == y1) & (y0 == np.floor(y0)) & (y0 >= 0) & (y0 < rows)
    for row, one, other in zip(y0[level], x0[level], x1[level], strict=True):
        left, right = max(min(one, other), 0.0), min(max(one, other), columns - 1.0)
        rim[int(row), int(np.ceil(left)) : int(np.floor(right)) + 1] = True
    # An edge crosses the rows from its upper end, which counts, to its lower end, which is the next edge's.
    first = np.clip(np.ceil(np.minimum(y0, y1)), 0, rows).astype(int)
    last = np.clip(np.ceil(np.maximum(y0, y1)), 0, rows).astype(int)
    crossed = last - first
    edge = np.repeat(np.arange(len(crossed)), crossed)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed) + np.repeat(first, crossed)
    x = x0[edge] + (row - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    place = np.clip(np.ceil(x), 0, columns).astype(int)
    cells, counts = np.unique(row * (columns + 1) + place, return_counts=True)
    toggles.reshape(-1)[cells[counts % 2 == 1]] ^= True
    on = (x == place) & (place < columns)
    rim[row[on], place[on]] = True


def _mapped(point: Point, origin: Point, scale: Point) -> Point:
    return (point[0] - origin[0]) * scale[0], (point[1] - origin[1]) * scale[1]


def _around(points: Float[np.ndarray, "points 2"]) -> Bounds:
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return float(left), float(top), float(right - left), float(bottom - top)


def _centres(count: int) -> Float[np.ndarray, " count"]:
    return np.arange(count) + 0.5
