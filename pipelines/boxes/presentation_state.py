"""Graphic annotations of DICOM presentation states.

What a graphic shows is said by the text beside it, else by its layer. Words that name no known finding are not kept:
they may name the patient.

Source: PS3.3 C.10.5 (graphic annotation), C.10.4 (displayed area), C.10.6 (spatial transformation), C.10.7 (layers).
"""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from pipelines.boxes.dicom_graphics import frame_numbers, graphic_shape
from pipelines.boxes.table import RawBox
from pipelines.dicom.source import items, numbers, text, texts
from pipelines.errors import BoxError
from pipelines.findings import canonical_finding
from pipelines.shapes import Point

__all__ = ["UNNAMED", "presentation_state_boxes"]

UNNAMED = "graphic without a known finding"


def presentation_state_boxes(name: str, state: Dataset) -> Iterator[RawBox | BoxError]:
    """Give one raw box for each graphic and each image that it lies on."""
    number = 0
    for annotation in items(state, "GraphicAnnotationSequence"):
        label = _label(annotation, state)
        for graphic in items(annotation, "GraphicObjectSequence"):
            number += 1
            for reference in items(annotation, "ReferencedImageSequence") or _all_images(state):
                yield _raw_box(f"{name} graphic {number}", graphic, state, reference=reference, label=label)


def _raw_box(source: str, graphic: Dataset, state: Dataset, *, reference: Dataset, label: str) -> RawBox | BoxError:
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
    """Whether two references may mean the same frame of an image; one without frames means all of them."""
    frames, of_other = frame_numbers(source, one), frame_numbers(source, other)
    shared = not frames or not of_other or bool({*frames} & {*of_other})
    return shared and text(one, "ReferencedSOPInstanceUID") == text(other, "ReferencedSOPInstanceUID")


def _all_images(state: Dataset) -> list[Dataset]:
    """Every image that the presentation state is made for: an annotation that names none lies on all."""
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
    """Bring shares of the displayed area into pixels of the image.

    The area is given by the pixels that are displayed at its top left and bottom right: a flip shows in their order,
    and a quarter turn exchanges the axes.

    Raises:
        BoxError: the file does not say which area is displayed.
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
        raise BoxError(f"{source} lies in shares of a displayed area that the file does not give: export it again")
    (left, right), (top, bottom) = _edges(corners[0], corners[2]), _edges(corners[1], corners[3])
    quarter_turned = "".join(texts(state, "ImageRotation")) in {"90", "270"}
    return [
        (left + (right - left) * across, top + (bottom - top) * down)
        for across, down in ((y, x) if quarter_turned else (x, y) for x, y in points)
    ]


def _edges(first: float, last: float) -> tuple[float, float]:
    """Give the outer edges of a row of pixels, which are counted from 1."""
    return (first - 1, last) if first <= last else (first, last - 1)
