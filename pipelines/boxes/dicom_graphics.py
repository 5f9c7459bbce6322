"""What DICOM's graphic types cover, in pixels of the image.

Source: PS3.3 C.18.6 (spatial coordinates of structured reports) and C.10.5 (graphic annotation): both count from the
outer corner of the top-left pixel.
"""

import math
from collections.abc import Sequence

from pydicom.dataset import Dataset

from pipelines.boxes.outlines import polygons_of
from pipelines.boxes.table import BlankRowError
from pipelines.dicom.source import element, numbers
from pipelines.errors import BoxError
from pipelines.shapes import Ellipse, Point, Shape

__all__ = ["frame_numbers", "graphic_shape"]

_NO_AREA = frozenset({"POINT", "MULTIPOINT"})
_POLYGONS = frozenset({"POLYLINE", "INTERPOLATED"})  # an interpolated curve runs through its points
_FEWEST_CORNERS = 3


def graphic_shape(source: str, graphic: str, points: Sequence[Point]) -> Shape:
    """Make a shape of a graphic type and its points.

    An open line of three points or more is taken for the outline that it nearly closes, as annotators leave it.

    Raises:
        BlankRowError: a point, or a line of two points, which cover nothing.
        BoxError: the points do not fit the type, or the type is not known.
    """
    if not all(math.isfinite(number) for point in points for number in point):
        raise BoxError(f"{source} has a coordinate that is no number: export it again")
    if graphic in _NO_AREA or (graphic in _POLYGONS and len(set(points)) < _FEWEST_CORNERS):
        raise BlankRowError(f"{source} is a point or a line, which covers no area: draw an outline to score against it")
    if graphic in _POLYGONS:
        return polygons_of(source, [[list(point) for point in points]])
    if graphic == "CIRCLE" and len(points) == 2:
        radius = math.dist(*points)
        return _with_area(source, Ellipse(centre=points[0], first=(radius, 0.0), second=(0.0, radius)))
    if graphic == "ELLIPSE" and len(points) == 4:
        (one, other), (third, fourth) = points[:2], points[2:]
        centre = (one[0] + other[0]) / 2, (one[1] + other[1]) / 2
        return _with_area(
            source,
            Ellipse(
                centre=centre,
                first=((other[0] - one[0]) / 2, (other[1] - one[1]) / 2),
                second=((fourth[0] - third[0]) / 2, (fourth[1] - third[1]) / 2),
            ),
        )
    raise BoxError(f"{source} is a {graphic[:20] or 'graphic of no type'} of {len(points)} points: export it again")


def frame_numbers(source: str, reference: Dataset) -> tuple[float, ...]:
    """Read which frames a reference to an image means, counted from 1; none where it means all of them.

    Raises:
        BoxError: it names some, in what are no numbers.

    Source: PS3.3 table 10-3 (Image SOP Instance Reference Macro).
    """
    found = numbers(reference, "ReferencedFrameNumber")
    if not found and "ReferencedFrameNumber" in reference:
        stated = element(reference, "ReferencedFrameNumber")
        if stated is None or not stated.is_empty:
            raise BoxError(f"{source} names frames of its image in what are no numbers: export it again")
    return found


def _with_area(source: str, ellipse: Ellipse) -> Ellipse:
    if ellipse.first[0] * ellipse.second[1] == ellipse.first[1] * ellipse.second[0]:
        raise BoxError(f"{source} is an ellipse that covers nothing: draw it again")
    return ellipse
