"""Boxes of DICOM presentation states and structured reports.

Source: PS3.3 C.18.6 (spatial coordinates of structured reports) and C.10.5 (graphic annotation): both measure from the
outer corner of the top-left pixel.

Presentation states: a graphic is labelled by its annotation's text, or else by its layer. Text that names no known
finding is discarded, because it may name the patient.

Source: PS3.3 C.10.5 (graphic annotation), C.10.4 (displayed area), C.10.6 (spatial transformation), C.10.7 (layers).

Structured reports: a region is a content item of spatial coordinates (SCOORD) on the image that it was selected from.
It is labelled by the finding of its group, or by the code of its parent item.

Source: PS3.16 TID 1500 (Measurement Report), TID 1410 (Planar ROI Measurements); PS3.3 C.17.3 (content items), C.18.6.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset

from pipelines.boxes.outlines import polygons_of
from pipelines.boxes.table import BlankRowError, RawBox
from pipelines.dicom.headers import LEFT_OUT_REASON, is_own_result
from pipelines.dicom.source import READ_ERRORS, element, items, numbers, read_elements, text, texts, tolerant_reading
from pipelines.errors import BoxError, DicomError
from pipelines.findings import canonical_finding
from pipelines.shapes import Ellipse, Point, Shape

__all__ = [
    "UNNAMED",
    "frame_numbers",
    "graphic_shape",
    "presentation_state_boxes",
    "read_dicom_annotations",
    "structured_report_boxes",
]

_NO_AREA = frozenset({"POINT", "MULTIPOINT"})
_POLYGONS = frozenset({"POLYLINE", "INTERPOLATED"})  # an interpolated curve passes through its points
_FEWEST_CORNERS = 3


def graphic_shape(source: str, graphic: str, points: Sequence[Point]) -> Shape:
    """Convert a graphic type and its points to a shape.

    An open line of three points or more is closed, because annotators often leave an outline almost closed.

    Raises:
        BlankRowError: a point, or a line of two points; neither has an area.
        BoxError: the points do not fit the type, or the type is unknown.
    """
    if not all(math.isfinite(number) for point in points for number in point):
        raise BoxError(f"{source} has a coordinate that is not a number: export it again")
    if graphic in _NO_AREA or (graphic in _POLYGONS and len(set(points)) < _FEWEST_CORNERS):
        raise BlankRowError(f"{source} is a point or a line without an area: draw an outline to score against it")
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
    """Read the frames that an image reference names, counted from 1; empty if it means all frames.

    Raises:
        BoxError: the frame numbers are not numbers.

    Source: PS3.3 table 10-3 (Image SOP Instance Reference Macro).
    """
    found = numbers(reference, "ReferencedFrameNumber")
    if not found and "ReferencedFrameNumber" in reference:
        stated = element(reference, "ReferencedFrameNumber")
        if stated is None or not stated.is_empty:
            raise BoxError(f"{source} has invalid frame numbers: export it again")
    return found


def _with_area(source: str, ellipse: Ellipse) -> Ellipse:
    if ellipse.first[0] * ellipse.second[1] == ellipse.first[1] * ellipse.second[0]:
        raise BoxError(f"{source} is an ellipse without an area: draw it again")
    return ellipse


UNNAMED = "graphic without a known finding"


def presentation_state_boxes(name: str, state: Dataset) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per graphic and image on which it is drawn."""
    number = 0
    for annotation in items(state, "GraphicAnnotationSequence"):
        label = _label(annotation, state)
        for graphic in items(annotation, "GraphicObjectSequence"):
            number += 1
            for reference in items(annotation, "ReferencedImageSequence") or _all_images(state):
                yield _box_of_graphic(f"{name} graphic {number}", graphic, state, reference=reference, label=label)


def _box_of_graphic(
    source: str, graphic: Dataset, state: Dataset, *, reference: Dataset, label: str
) -> RawBox | BoxError:
    image = text(reference, "ReferencedSOPInstanceUID")
    coordinates = numbers(graphic, "GraphicData")
    points: list[Point] = list(zip(coordinates[::2], coordinates[1::2], strict=False))
    try:
        frames = frame_numbers(source, reference)
        if text(graphic, "GraphicAnnotationUnits") == "DISPLAY":
            points = _on_image(source, points, state, reference)
        shape = graphic_shape(source, text(graphic, "GraphicType"), points)
    except BoxError as error:
        return error
    reader = text(state, "ContentCreatorName") or None
    return RawBox(source=source, image=image, frames=frames, label=label, shape=shape, reader=reader)


def _is_of(source: str, one: Dataset, other: Dataset) -> bool:
    """Return True if two references may mean the same frame of an image; without frame numbers all are meant."""
    frames, of_other = frame_numbers(source, one), frame_numbers(source, other)
    shared = not frames or not of_other or bool({*frames} & {*of_other})
    return shared and text(one, "ReferencedSOPInstanceUID") == text(other, "ReferencedSOPInstanceUID")


def _all_images(state: Dataset) -> list[Dataset]:
    """Return every image of the presentation state: an annotation that names no image applies to all."""
    return [
        reference
        for series in items(state, "ReferencedSeriesSequence")
        for reference in items(series, "ReferencedImageSequence")
    ]


def _label(annotation: Dataset, state: Dataset) -> str:
    layer = text(annotation, "GraphicLayer")
    described = (
        text(each, "GraphicLayerDescription")
        for each in items(state, "GraphicLayerSequence")
        if text(each, "GraphicLayer") == layer
    )
    beside = (text(item, "UnformattedTextValue") for item in items(annotation, "TextObjectSequence"))
    return next((words for words in (*beside, *described, layer) if canonical_finding(words)), UNNAMED)


def _on_image(source: str, points: list[Point], state: Dataset, reference: Dataset) -> list[Point]:
    """Convert fractions of the displayed area to pixels of the image.

    The area is given by its top-left and bottom-right pixels. A flip reverses their order, and a quarter turn swaps the
    axes.

    Raises:
        BoxError: the file does not state the displayed area.
    """
    areas = [
        area
        for area in items(state, "DisplayedAreaSelectionSequence")
        if any(_is_of(source, each, reference) for each in items(area, "ReferencedImageSequence") or [reference])
    ]
    corners = [
        pair
        for keyword in ("DisplayedAreaTopLeftHandCorner", "DisplayedAreaBottomRightHandCorner")
        for pair in (numbers(areas[0], keyword) if areas else ())
    ]
    if len(corners) != 4:
        raise BoxError(f"{source} is relative to a displayed area that the file does not state: export it again")
    (left, right), (top, bottom) = _edges(corners[0], corners[2]), _edges(corners[1], corners[3])
    quarter_turned = "".join(texts(state, "ImageRotation")) in {"90", "270"}
    return [
        (left + (right - left) * across, top + (bottom - top) * down)
        for across, down in ((y, x) if quarter_turned else (x, y) for x, y in points)
    ]


def _edges(first: float, last: float) -> tuple[float, float]:
    """Return the outer edges of a row of pixels, which are counted from 1."""
    return (first - 1, last) if first <= last else (first, last - 1)


_FINDING = frozenset({"121071", "59776-5"})
_OBSERVER = "121008"
_DEEPEST = 30  # levels; reports have fewer than ten


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The current state of the walk through a report."""

    root: Dataset
    label: str = ""
    depth: int = 0


def structured_report_boxes(name: str, report: Dataset) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per region, in document order."""
    reader = next(
        (text(item, "PersonName") for item in items(report, "ContentSequence") if _code(item)[0] == _OBSERVER), None
    )
    for number, (place, item) in enumerate(_regions(report, _Place(root=report)), start=1):
        yield _box_of_region(f"{name} region {number}", place, item, reader)


def _regions(parent: Dataset, place: _Place) -> Iterator[tuple[_Place, Dataset]]:
    if place.depth > _DEEPEST:
        return
    children = items(parent, "ContentSequence")
    findings = [_code(child, "ConceptCodeSequence")[1] for child in children if _code(child)[0] in _FINDING]
    below = replace(place, label=findings[0] if findings else place.label, depth=place.depth + 1)
    for child in children:
        kind = text(child, "ValueType")
        if kind == "SCOORD":
            yield below, child
        named = _code(child, "ConceptCodeSequence")[1] if kind == "CODE" else ""
        yield from _regions(child, replace(below, label=named or below.label))


def _box_of_region(source: str, place: _Place, item: Dataset, reader: str | None) -> RawBox | BoxError:
    coordinates = numbers(item, "GraphicData")
    points = list(zip(coordinates[::2], coordinates[1::2], strict=False))
    try:
        shape = graphic_shape(source, text(item, "GraphicType"), points)
        reference = _image(item, place.root)
        frames = frame_numbers(source, reference)
    except BoxError as error:
        return error
    image = text(reference, "ReferencedSOPInstanceUID")
    return RawBox(
        source=source,
        image=image,
        frames=frames,
        label=place.label,
        shape=shape,
        reader=reader,
    )


def _image(region: Dataset, root: Dataset) -> Dataset:
    """Return the reference to the image that a region was selected from; empty if none is named."""
    for child in items(region, "ContentSequence"):
        image = _referred(child, root)
        for reference in items(image, "ReferencedSOPSequence"):
            return reference
    return Dataset()


def _referred(item: Dataset, root: Dataset) -> Dataset:
    """Resolve a by-reference relationship: the position of the target item, counted from the root as 1."""
    path = [int(number) for number in numbers(item, "ReferencedContentItemIdentifier")]
    found = root
    for number in path[1:]:
        children = items(found, "ContentSequence")
        if not 1 <= number <= len(children):
            return item
        found = children[number - 1]
    return found if path else item


def _code(item: Dataset, keyword: str = "ConceptNameCodeSequence") -> tuple[str, str]:
    """Return a code and its meaning, blank if there is none."""
    for code in items(item, keyword):
        return text(code, "CodeValue"), text(code, "CodeMeaning")
    return "", ""


_STRUCTURED_REPORTS = "1.2.840.10008.5.1.4.1.1.88."  # PS3.4 B.5
_PRESENTATION_STATES = "1.2.840.10008.5.1.4.1.1.11."
_KEYWORDS = (
    "SpecificCharacterSet",
    "ContentCreatorName",
    "ContentSequence",
    "DisplayedAreaSelectionSequence",
    "GraphicAnnotationSequence",
    "GraphicLayerSequence",
    "ImageRotation",
    "ReferencedSeriesSequence",
)


def read_dicom_annotations(path: Path, name: str) -> list[RawBox | BoxError] | None:
    """Read the annotations of a DICOM object, readers included by name; None for another class of object.

    Raises:
        BoxError: the object is damaged.
    """
    with tolerant_reading():
        try:
            kind, _ = read_elements(path, ("SOPClassUID", "Manufacturer"))
            sop_class = text(kind, "SOPClassUID")
            if not sop_class.startswith((_STRUCTURED_REPORTS, _PRESENTATION_STATES)):
                return None
            if is_own_result(kind):
                return [BlankRowError(LEFT_OUT_REASON)]  # a model's region is not a radiologist's box
            dataset, _ = read_elements(path, _KEYWORDS)
            return list(_boxes(sop_class, dataset, name))
        except (DicomError, *READ_ERRORS) as error:
            raise BoxError(f"{name} is a DICOM object that is cut short or damaged: export it again") from error


def _boxes(sop_class: str, dataset: Dataset, name: str) -> Iterator[RawBox | BoxError]:
    structured = sop_class.startswith(_STRUCTURED_REPORTS)
    return structured_report_boxes(name, dataset) if structured else presentation_state_boxes(name, dataset)
