"""Regions of DICOM structured reports: measurement groups (TID 1410 in TID 1500) and CAD findings.

A region is a content item of spatial coordinates (SCOORD), on the image that it was selected from. What it shows is the
finding of its group, or the code that it hangs below.

Source: PS3.16 TID 1500 (Measurement Report), TID 1410 (Planar ROI Measurements); PS3.3 C.17.3 (content items), C.18.6.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from pipelines.boxes.dicom_graphics import frame_numbers, graphic_shape
from pipelines.boxes.table import RawBox
from pipelines.dicom.source import items, numbers, text
from pipelines.errors import BoxError

__all__ = ["structured_report_boxes"]

_FINDING = frozenset({"121071", "59776-5"})
_OBSERVER = "121008"
_DEEPEST = 30  # levels; reports have fewer than ten


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the walk through a report stands."""

    root: Dataset
    label: str = ""
    depth: int = 0


def structured_report_boxes(name: str, report: Dataset) -> Iterator[RawBox | BoxError]:
    """Give one raw box for each region, in the order of the document."""
    reader = next(
        (text(item, "PersonName") for item in items(report, "ContentSequence") if _code(item)[0] == _OBSERVER), None
    )
    for number, (place, item) in enumerate(_regions(report, _Place(root=report)), start=1):
        yield _raw_box(f"{name} region {number}", place, item, reader)


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


def _raw_box(source: str, place: _Place, item: Dataset, reader: str | None) -> RawBox | BoxError:
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
    """Give the reference to the image that a region was selected from, an empty one where none is named."""
    for child in items(region, "ContentSequence"):
        image = _referred(child, root)
        for reference in items(image, "ReferencedSOPSequence"):
            return reference
    return Dataset()


def _referred(item: Dataset, root: Dataset) -> Dataset:
    """Follow a by-reference relationship: the place of the content item meant, counted from the root as 1."""
    path = [int(number) for number in numbers(item, "ReferencedContentItemIdentifier")]
    found = root
    for number in path[1:]:
        children = items(found, "ContentSequence")
        if not 1 <= number <= len(children):
            return item
        found = children[number - 1]
    return found if path else item


def _code(item: Dataset, keyword: str = "ConceptNameCodeSequence") -> tuple[str, str]:
    """Give a code and its meaning, blank where there is none."""
    for code in items(item, keyword):
        return text(code, "CodeValue"), text(code, "CodeMeaning")
    return "", ""
