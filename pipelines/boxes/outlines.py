"""Converts outlines from annotation files to shapes, and rejects malformed ones with a message."""

import math
from typing import Any

import numpy as np

from pipelines.errors import BoxError
from pipelines.limits import MAX_CORNERS, MAX_MASK_PIXELS, MAX_MASK_SIDE, MAX_RINGS
from pipelines.shapes import Ellipse, Point, Polygons, RunLengths, cropped_run_lengths

__all__ = ["coco_shape", "inscribed_ellipse", "points_of", "polygons_of", "unpacked_counts"]

_FEWEST_CORNERS = 3
_FARTHEST = 1e300  # a larger integer may exceed the range of a float


def polygons_of(source: str, rings: Any) -> Polygons:
    """Build a shape from lists of [x, y].

    Raises:
        BoxError: there is no ring; a ring has fewer than three corners, no area or an invalid number; or there are more
            corners than a person would draw.
    """
    if not isinstance(rings, list) or not rings:
        raise BoxError(f"{source} has no polygon: write a list of [x, y] corners")
    corners = sum(len(ring) for ring in rings if isinstance(ring, list))
    if len(rings) > MAX_RINGS or corners > MAX_CORNERS:
        raise BoxError(
            f"{source} has an outline of {corners:,} corners in {len(rings):,} polygons, more than {MAX_CORNERS:,} in "
            f"{MAX_RINGS:,}: draw it with fewer"
        )
    return Polygons(rings=tuple(_ring(source, ring) for ring in rings))


def points_of(source: str, points: Any) -> tuple[Point, ...]:
    """Read a list of [x, y].

    Raises:
        BoxError: it is not a list, or holds an invalid number.
    """
    if not isinstance(points, list) or not all(_is_point(point) for point in points):
        raise BoxError(f"{source} has a corner that is not two numbers: write [x, y] in pixels")
    return tuple((float(x), float(y)) for x, y in points)


def _ring(source: str, corners: Any) -> tuple[Point, ...]:
    points = points_of(source, corners)
    if len(points) > 1 and points[0] == points[-1]:
        points = points[:-1]
    if len(set(points)) < _FEWEST_CORNERS:
        raise BoxError(f"{source} has a polygon of {len(set(points))} corners: it needs three")
    x, y = np.array(points).T
    with np.errstate(over="ignore", invalid="ignore"):
        area = abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1)))
    if math.isinf(area) or math.isnan(area):
        raise BoxError(f"{source} has a polygon with corners too far apart: write them in pixels")
    if not area > 0:
        raise BoxError(f"{source} has a polygon with all corners on one line: it has no area")
    return points


def _is_point(point: Any) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(type(number) in {int, float} and abs(number) < _FARTHEST for number in point)  # also False for NaN
    )


def inscribed_ellipse(x: float, y: float, width: float, height: float) -> Ellipse:
    """Return the ellipse with the axes of a rectangle."""
    return Ellipse(centre=(x + width / 2, y + height / 2), first=(width / 2, 0.0), second=(0.0, height / 2))


def coco_shape(source: str, segmentation: Any) -> Polygons | RunLengths | None:
    """Read COCO's ``segmentation``: polygons, run lengths, or run lengths packed as text; None if no pixel is set.

    Raises:
        BoxError: it is none of these, or does not match its stated size.

    Source: Lin et al. 2014, "Microsoft COCO", data format and mask API.
    """
    if segmentation in (None, [], {}):
        return None
    if isinstance(segmentation, list):
        rings = [_pairs(source, ring) for ring in segmentation]
        return polygons_of(source, rings)
    if not isinstance(segmentation, dict) or "counts" not in segmentation:
        raise BoxError(f"{source} has a segmentation that is neither polygons nor run lengths: export it again")
    rows, columns = _size(source, segmentation.get("size"))
    counts = segmentation["counts"]
    if isinstance(counts, str):
        counts = unpacked_counts(source, counts)
    if not isinstance(counts, list) or not all(
        type(count) is int and 0 <= count <= MAX_MASK_PIXELS for count in counts
    ):
        raise BoxError(f"{source} has run lengths that are not whole numbers of pixels: export them again")
    if sum(counts) != rows * columns:
        raise BoxError(
            f"{source} has run lengths of {sum(counts)} px in total for {rows} x {columns} px: export it again"
        )
    return cropped_run_lengths(np.array(counts), rows, columns) if any(counts[1::2]) else None


def _pairs(source: str, ring: Any) -> list[list[Any]]:
    if not isinstance(ring, list) or len(ring) % 2:
        raise BoxError(f"{source} has a polygon that is not a list of x, y, x, y ...: export it again")
    return [list(pair) for pair in zip(ring[::2], ring[1::2], strict=True)]


def _size(source: str, size: Any) -> tuple[int, int]:
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise BoxError(f"{source} has run lengths without their image's size: write [rows, columns]")
    if size[0] * size[1] > MAX_MASK_PIXELS or max(size) > MAX_MASK_SIDE:
        raise BoxError(
            f"{source} has a mask of {size[0]} x {size[1]} px, more than any radiograph: write its true size"
        )
    return size[0], size[1]


def unpacked_counts(source: str, text: str) -> list[int]:
    """Unpack COCO's compressed run lengths.

    Each number is written in groups of five bits, lowest first, as characters starting at "0". The sixth bit says that
    more groups follow; the last group's fifth bit is the sign. From the fourth number on, each is the difference from
    the number two places before.

    Raises:
        BoxError: the text holds other characters or ends within a number.

    Source: cocoapi, mask API, "compressed RLE".
    """
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            raise BoxError(f"{source} has packed run lengths that are damaged: export them again")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value, shift = 0, 0
    if shift:
        raise BoxError(f"{source} has packed run lengths that are truncated: export them again")
    return counts
