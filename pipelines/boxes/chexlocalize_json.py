"""Contours and masks of CheXlocalize: one JSON object, by image and then by finding.

A finding has either polygons (``gt_annotations``, with the image's size) or a mask as packed run lengths
(``gt_segmentations``). The points of its human benchmark have no area, so nothing can be scored against them.

Source: Saporta et al. 2022, "Benchmarking saliency methods for chest X-ray interpretation".
"""

from collections.abc import Iterator
from typing import Any

from pipelines.boxes.outlines import coco_shape, polygons_of
from pipelines.boxes.table import RawBox, parsed_annotations
from pipelines.errors import BoxError
from pipelines.text_files import JsonLimitError, parse_json

__all__ = ["read_chexlocalize_json", "recognise_chexlocalize_json"]

_SIZE = "img_size"


def recognise_chexlocalize_json(text: str) -> bool:
    """Return True for a JSON object of objects with contours, masks or points as values."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        content = parse_json(text)
    except JsonLimitError:
        return True  # the reader reports the error
    except ValueError:
        return False
    first = next(iter(content.values()), None)
    return isinstance(first, dict) and bool(first) and (_SIZE in first or all(map(_is_drawn, first.values())))


def _is_drawn(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, dict) and "counts" in value)


def read_chexlocalize_json(name: str, text: str) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per contour, or per mask that is not empty.

    Raises:
        BoxError: the file exceeds the limits.
    """
    for number, (image, findings) in enumerate(parsed_annotations(name, text).items(), start=1):
        source = f"{name} entry {number}"
        if not isinstance(findings, dict):
            yield BoxError(f"{source} is not an object of findings: export the annotations again")
            continue
        for finding, drawn in findings.items():
            if finding == _SIZE:
                continue
            try:
                yield from _raw_boxes(f"{source}, {finding}", finding, drawn, image=image, size=findings.get(_SIZE))
            except BoxError as error:
                yield error


def _raw_boxes(source: str, finding: str, drawn: Any, *, image: str, size: Any) -> Iterator[RawBox]:
    if isinstance(drawn, dict):
        shape = coco_shape(source, drawn)
        if shape is not None:
            rows, columns = drawn["size"]
            yield RawBox(source=source, image=image, label=finding, shape=shape, frame=(rows, columns))
        return
    if not isinstance(drawn, list):
        raise BoxError(f"{source} is neither contours nor a mask: export the annotations again")
    if drawn and all(isinstance(point, list) and not isinstance(point[0], list) for point in drawn if point):
        raise BoxError(f"{source} has points, which cover no area: give the contours (gt_annotations) or masks")
    frame = tuple(size) if isinstance(size, list) and len(size) == 2 else None
    for contour in drawn:
        yield RawBox(source=source, image=image, label=finding, shape=polygons_of(source, [contour]), frame=frame)
