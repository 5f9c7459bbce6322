"""Content-blind references: maps that never look at the image. A method must beat them to show anything.

All are on a grid of 128 x 128 cells over the image, whatever its shape. *class-mean box* is the mean of the boxes of
the same finding in other patients; *words-only prior* narrows that to phrases with the same side and zone, and falls
back to the same side, then to the finding, if no other patient has them. The patient's own boxes are always excluded,
and boxes shared by several phrases of a patient count once. *random* is not a map: :func:`near_boxes` gives the exact
chance of a random point.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt
from skimage.measure import label

from audit.metrics.pointing import centre_pixel
from pipelines.shapes import Shape
from pipelines.study import Box

__all__ = [
    "GRID",
    "BlindCase",
    "BlindMaps",
    "RelativeShape",
    "blind_point",
    "cells_touched",
    "centre_map",
    "near_boxes",
    "rasterise",
    "relative_shape",
]

GRID = 128
_CENTRE_SIGMA = 1 / 6  # of each side
_FINER = 5  # cells to a cell's side where a shape is measured finer than the grid; odd, so that one lies at its centre

_Key = tuple[str | None, ...]
Rectangle = tuple[float, float, float, float]  # x0, y0, x1, y1 as shares of the image's width and height
RelativeShape = Rectangle | Shape
"""What was drawn, in shares of the image's width and height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindCase:
    """One phrase with the boxes of its finding, as far as a blind reference may know them."""

    patient: str
    finding: str
    side: str | None
    zone: str | None
    boxes: tuple[RelativeShape, ...]


def relative_shape(box: Box, *, rows: int, columns: int) -> RelativeShape:
    """Convert a box of an image of ``rows`` x ``columns`` px to shares of its size."""
    if box.shape is not None:
        return box.shape.mapped((0.0, 0.0), (1 / columns, 1 / rows))
    return box.x / columns, box.y / rows, (box.x + box.width) / columns, (box.y + box.height) / rows


def rasterise(boxes: Iterable[RelativeShape]) -> Bool[np.ndarray, "128 128"]:
    """Mark the cells whose centre lies in one of ``boxes``; a box thinner than a cell marks the cell at its centre.

    Parts outside the image are cut off.
    """
    mask = np.zeros((GRID, GRID), dtype=bool)
    for box in boxes:
        if isinstance(box, tuple):
            for x0, y0, x1, y1 in _on_image([box]):
                mask[_cells(y0, y1), _cells(x0, x1)] = True
        else:
            mask |= _shape_cells(box)
    return mask


def _shape_cells(shape: Shape) -> Bool[np.ndarray, "128 128"]:
    mask = _fine(shape, 1)
    if not mask.any():  # so thin that no centre lies in it, or outside the image
        x, y, width, height = shape.bounds()
        for x0, y0, x1, y1 in _on_image([(x, y, x + width, y + height)]):
            mask[int((y0 + y1) / 2 * GRID), int((x0 + x1) / 2 * GRID)] = True
    return mask


def _fine(shape: Shape, finer: int) -> Bool[np.ndarray, "fine fine"]:
    """Draw a shape on a grid with ``finer`` cells to a cell's side."""
    return shape.mapped((0.0, 0.0), (finer * GRID, finer * GRID)).mask(finer * GRID, finer * GRID)


def cells_touched(boxes: Iterable[RelativeShape]) -> Bool[np.ndarray, "128 128"]:
    """Mark every cell that one of ``boxes`` touches: the rule of published class-mean figures.

    It extends each box by up to a cell on every side, so that a point next to a box may count as a hit.
    """
    mask = np.zeros((GRID, GRID), dtype=bool)
    for box in boxes:
        if not isinstance(box, tuple):
            mask |= _fine(box, _FINER).reshape(GRID, _FINER, GRID, _FINER).any((1, 3))
            continue
        for x0, y0, x1, y1 in _on_image([box]):
            rows, columns = (
                slice(int(np.floor(start * GRID)), int(np.ceil(end * GRID))) for start, end in ((y0, y1), (x0, x1))
            )
            mask[rows, columns] = True
    return mask


def _on_image(boxes: Iterable[Rectangle]) -> Iterator[Rectangle]:
    """Clip boxes to the image and drop those outside."""
    for x0, y0, x1, y1 in boxes:
        part = max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0)
        if part[0] < part[2] and part[1] < part[3]:
            yield part


def _cells(start: float, end: float) -> slice:
    first, last = (int(np.ceil(edge * GRID - 0.5)) for edge in (start, end))
    if last > first:
        return slice(first, last)
    middle = int(0.5 * (start + end) * GRID)
    return slice(middle, middle + 1)


def centre_map() -> Float[np.ndarray, "128 128"]:
    """A Gaussian at the image's centre, one sixth of each side wide."""
    position = (np.arange(GRID) + 0.5) / GRID - 0.5
    profile = np.exp(-0.5 * (position / _CENTRE_SIGMA) ** 2)
    return np.outer(profile, profile).astype(np.float32)


def blind_point(blind: Float[np.ndarray, "128 128"]) -> tuple[float, float]:
    """Return the point of a blind map, as shares (row, column) of the image: the middle of its largest maximal plateau.

    Mean boxes have plateaus by construction; the tie rule of the pointing game would handicap them and is not applied.
    """
    regions, count = label(blind == blind.max(), connectivity=2, return_num=True)  # type: ignore[no-untyped-call]
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    row, column = centre_pixel(regions == 1 + int(sizes.argmax()))
    return (row + 0.5) / blind.shape[0], (column + 0.5) / blind.shape[1]


def near_boxes(
    boxes: Iterable[RelativeShape], extent: tuple[float, float], *, tolerance: float
) -> Bool[np.ndarray, "128 128"]:
    """Mark the cells whose centre lies in a box or within ``tolerance`` of its edge.

    ``extent`` is the image's height and width in the unit of the tolerance, source pixels or mm. Distances are to the
    rectangles themselves, so that the coarse grid does not affect a reference, and to other shapes on a grid five times
    as fine. The mean of the result is the probability that a uniformly random point hits, which is the expectation of
    the random pointing game.
    """
    height, width = extent
    boxes = tuple(boxes)
    near = rasterise(boxes)
    position = (np.arange(GRID) + 0.5) / GRID
    for shape in (box for box in boxes if not isinstance(box, tuple)):
        near |= _distance(shape, extent) <= tolerance
    for x0, y0, x1, y1 in _on_image(box for box in boxes if isinstance(box, tuple)):
        down = np.maximum(np.maximum(y0 - position, position - y1), 0.0) * height
        across = np.maximum(np.maximum(x0 - position, position - x1), 0.0) * width
        near |= np.hypot(down[:, None], across[None, :]) <= tolerance
    return near


def _distance(shape: Shape, extent: tuple[float, float]) -> Float[np.ndarray, "128 128"]:
    """Distance from each cell's centre to a shape, in the unit of the image's ``extent``."""
    fine = _fine(shape, _FINER)
    if not fine.any():
        return np.full((GRID, GRID), np.inf)
    height, width = (side / len(fine) for side in extent)
    distances: Float[np.ndarray, "fine fine"] = distance_transform_edt(~fine, sampling=(height, width))
    return distances[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER]


class BlindMaps:
    """Class-mean box and words-only prior of a cohort, each leaving one patient out.

    One sum per class is stored; a patient's own few boxes are rasterised again and subtracted, so that memory does not
    grow with the cohort.

    Args:
        cases: the cohort.
        mark: function that rasterises boxes.
    """

    def __init__(
        self,
        cases: Sequence[BlindCase],
        mark: Callable[[Iterable[RelativeShape]], Bool[np.ndarray, "128 128"]] = rasterise,
    ) -> None:
        self._mark = mark
        self._sums: defaultdict[_Key, Int[np.ndarray, "128 128"]] = defaultdict(_empty)
        self._counts: defaultdict[_Key, int] = defaultdict(int)
        self._own: defaultdict[tuple[str, _Key], set[tuple[RelativeShape, ...]]] = defaultdict(set)
        for case in cases:
            mask = mark(case.boxes)
            if not mask.any():
                continue
            for key in _keys(case):
                own = self._own[case.patient, key]
                if case.boxes not in own:
                    own.add(case.boxes)
                    self._sums[key] += mask
                    self._counts[key] += 1

    def class_mean_box(self, case: BlindCase) -> Float[np.ndarray, "128 128"] | None:
        """Mean of the boxes of the same finding in other patients; None where there are none."""
        return self._others(case.patient, _keys(case)[0])

    def words_only_prior(self, case: BlindCase) -> Float[np.ndarray, "128 128"] | None:
        """Mean box of what the phrase names: finding, side and zone, as far as other patients have them."""
        candidates = (self._others(case.patient, key) for key in reversed(_keys(case)))
        return next((found for found in candidates if found is not None), None)

    def _others(self, patient: str, key: _Key) -> Float[np.ndarray, "128 128"] | None:
        own = self._own.get((patient, key), set())
        count = self._counts.get(key, 0) - len(own)
        if count == 0:
            return None
        others = self._sums[key] - sum((self._mark(boxes).astype(np.int32) for boxes in own), start=_empty())
        mean: Float[np.ndarray, "128 128"] = (others / count).astype(np.float32)
        return mean


def _empty() -> Int[np.ndarray, "128 128"]:
    return np.zeros((GRID, GRID), dtype=np.int32)


def _keys(case: BlindCase) -> tuple[_Key, ...]:
    """The classes a case belongs to, from the widest to the narrowest."""
    return ((case.finding,), (case.finding, case.side), (case.finding, case.side, case.zone))
