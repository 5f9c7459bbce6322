"""The human reference: one reader's boxes scored against another's, for the same finding on the same image.

It says what a score could be at best. A reader is harder on a reader than on the model: the model meets the union of
all readers' boxes, a reader those of one other.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Bool, Float

from audit.metrics.pointing import Tolerance, centre_pixel
from audit.metrics.scores import NO_SPACING
from pipelines.shapes import Bounds, Polygons, Shape
from pipelines.study import Box
from reports.record import Score
from reports.score_catalogue import HUMAN, SCORES, names_of

__all__ = ["ReaderPair", "centre_distance", "iou_between", "reader_pairs", "score_readers"]

_GRID = 512  # cells a side, over a shape or over all that two readers drew


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderPair:
    """The boxes of two readers for one finding on one image."""

    one: tuple[Box, ...]  # the reader who is scored
    other: tuple[Box, ...]  # the reader who is the target

    def scores(self, tolerances: Mapping[str, Tolerance | None]) -> dict[str, float | None]:
        """Return every score that a drawn box can have; a tolerance of None leaves its score unmeasured.

        A box has no shades: its IoU is the same at every threshold, it ranks no pixels and has no contrast.
        """
        pointing = {
            name: None if reach is None else float(centre_distance(self.one, self.other, reach.pixel) <= reach.reach)
            for name, reach in tolerances.items()
        }
        ious = [name for name in names_of("localisation") if SCORES[name].unit == "IoU"]
        return pointing | dict.fromkeys(ious, iou_between(self.one, self.other))


def reader_pairs(boxes: Iterable[Box]) -> Iterator[ReaderPair]:
    """Yield every ordered pair of readers among boxes of one finding on one image; boxes need a reader."""
    by_reader: dict[str, list[Box]] = defaultdict(list)
    for box in boxes:
        if box.reader is not None:
            by_reader[box.reader].append(box)
    for one, other in permutations(by_reader, 2):
        yield ReaderPair(one=tuple(by_reader[one]), other=tuple(by_reader[other]))


def score_readers(boxes: Iterable[Box], tolerances: Mapping[str, Tolerance | None]) -> tuple[Score, ...]:
    """Average each score over the ordered pairs of readers; none at all where fewer than two readers drew."""
    pairs = [pair.scores(tolerances) for pair in reader_pairs(boxes)]
    return (
        tuple(_mean_score(name, [pair.get(name) for pair in pairs]) for name in names_of("localisation"))
        if pairs
        else ()
    )


def _mean_score(name: str, values: Sequence[float | None]) -> Score:
    measured = [value for value in values if value is not None]
    if measured:
        return Score(method=HUMAN, score=name, value=sum(measured) / len(measured), outcome="scored")
    reason = NO_SPACING if SCORES[name].is_pointing else "a drawn box has no shades of heat"
    return Score(method=HUMAN, score=name, value=None, outcome="unscored", reason=reason)


def centre_distance(one: Sequence[Box], other: Sequence[Box], pixel: tuple[float, float] = (1.0, 1.0)) -> float:
    """Distance from the middle of the largest box of ``one`` to the nearest box of ``other``; 0 inside.

    One point per reader, as the pointing game has one per map: a rectangle's centre, or for another shape the point
    nearest to its centroid. ``pixel`` is the height and width of a source pixel, in the unit of the returned distance.
    Distances to rectangles are exact, those to other shapes are accurate to a 500th of their size.
    """
    point = _middle(max(one, key=lambda box: box.width * box.height))
    return min(_distance(point, box, pixel) for box in other)


def iou_between(one: Sequence[Box], other: Sequence[Box]) -> float:
    """Intersection over union of the areas of two readers' boxes, 0 to 1.

    It is exact for rectangles; other shapes are rasterised with ``_GRID`` cells per side.
    """
    if any(box.shape is not None for box in (*one, *other)):
        cells_one, cells_other = (_cells(boxes, _around((*one, *other))) for boxes in (one, other))
        return float((cells_one & cells_other).sum() / max(int((cells_one | cells_other).sum()), 1))
    edges_x = np.unique([edge for box in (*one, *other) for edge in (box.x, box.x + box.width)])
    edges_y = np.unique([edge for box in (*one, *other) for edge in (box.y, box.y + box.height)])
    area = np.diff(edges_y)[:, None] * np.diff(edges_x)[None, :]
    middle_x, middle_y = ((edges[:-1] + edges[1:]) / 2 for edges in (edges_x, edges_y))
    covered_one, covered_other = (_covered(boxes, middle_x, middle_y) for boxes in (one, other))
    return float(area[covered_one & covered_other].sum() / area[covered_one | covered_other].sum())


def _covered(
    boxes: Sequence[Box], x: Float[np.ndarray, " columns"], y: Float[np.ndarray, " rows"]
) -> Bool[np.ndarray, "rows columns"]:
    """Return for each point whether it lies in one of ``boxes``, all rectangles."""
    covered: Bool[np.ndarray, "rows columns"] = np.any(
        [
            ((y > box.y) & (y < box.y + box.height))[:, None] & ((x > box.x) & (x < box.x + box.width))[None, :]
            for box in boxes
        ],
        axis=0,
    )
    return covered


def _around(boxes: Sequence[Box]) -> Bounds:
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.x + box.width for box in boxes), max(box.y + box.height for box in boxes)
    return left, top, right - left, bottom - top


def _cells(boxes: Sequence[Box], bounds: Bounds) -> Bool[np.ndarray, "cells cells"]:
    """Rasterise boxes of any shape on a grid over ``bounds``."""
    x, y, width, height = bounds
    scale = _GRID / width, _GRID / height
    cells = np.zeros((_GRID, _GRID), dtype=bool)
    for box in boxes:
        if box.shape is None:
            corners = ((box.x, box.y), (box.x + box.width, box.y), (box.x + box.width, box.y + box.height))
            shape: Shape = Polygons(rings=((*corners, (box.x, box.y + box.height)),))
        else:
            shape = box.shape
        cells |= shape.mapped((x, y), scale).mask(_GRID, _GRID)
    return cells


def _middle(box: Box) -> tuple[float, float]:
    """Return the point (x, y) of a box that a reader would point at."""
    if box.shape is not None:
        bounds = box.x, box.y, box.width, box.height
        cells = _cells([box], bounds)
        if cells.any():
            row, column = centre_pixel(cells)
            return box.x + (column + 0.5) * box.width / _GRID, box.y + (row + 0.5) * box.height / _GRID
    return box.x + box.width / 2, box.y + box.height / 2


def _distance(point: tuple[float, float], box: Box, pixel: tuple[float, float]) -> float:
    x, y = point
    if box.shape is not None:
        cells = _cells([box], (box.x, box.y, box.width, box.height))
        if cells.any():
            rows, columns = np.nonzero(cells)
            # To the nearest edge of each cell, so that a point inside one has no distance.
            down = np.maximum(np.abs(box.y + (rows + 0.5) * box.height / _GRID - y) - box.height / _GRID / 2, 0.0)
            across = np.maximum(np.abs(box.x + (columns + 0.5) * box.width / _GRID - x) - box.width / _GRID / 2, 0.0)
            return float(np.hypot(down * pixel[0], across * pixel[1]).min())
    return float(
        np.hypot(
            max(box.y - y, 0.0, y - box.y - box.height) * pixel[0],
            max(box.x - x, 0.0, x - box.x - box.width) * pixel[1],
        )
    )
