"""Boxes and polygons of ChestX-Det: one object per image with parallel lists, in the image's own pixels.

An image without findings has empty lists and therefore no boxes.

Source: Lian et al. 2021, "A structure-aware relation network for thoracic diseases detection and segmentation".
"""

from collections.abc import Iterator
from typing import Any

from pipelines.boxes.outlines import polygons_of
from pipelines.boxes.table import RawBox, parsed_annotations
from pipelines.errors import BoxError

__all__ = ["read_chestx_det_json", "recognise_chestx_det_json"]

_KEYS = ("file_name", "syms", "boxes")


def recognise_chestx_det_json(text: str) -> bool:
    """Return True for a JSON list with file names, findings ("syms") and boxes."""
    return text.lstrip().startswith("[") and all(f'"{key}"' in text for key in _KEYS)


def read_chestx_det_json(name: str, text: str) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per pair of a finding and a box.

    Raises:
        BoxError: the file is not valid JSON, or exceeds the limits.
    """
    entries = parsed_annotations(name, text)
    for number, entry in enumerate(entries, start=1):
        yield from _raw_boxes(f"{name} entry {number}", entry)


def _raw_boxes(source: str, entry: Any) -> Iterator[RawBox | BoxError]:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), list) for key in ("syms", "boxes")):
        yield BoxError(f"{source} is not ChestX-Det: write file_name and the lists syms and boxes")
        return
    labels, boxes, polygons = entry["syms"], entry["boxes"], entry.get("polygons")
    if len(labels) != len(boxes):
        # It is unknown which label belongs to which box, so none is guessed.
        yield BoxError(f"{source} has {len(labels)} syms and {len(boxes)} boxes: give one of syms for each box")
        return
    image = str(entry.get("file_name") or "")
    if isinstance(polygons, list) and len(polygons) == len(labels):
        for number, (label, corners) in enumerate(zip(labels, polygons, strict=True), start=1):
            yield _polygon(f"{source} polygon {number}", image, str(label), corners)
        return
    for number, (label, box) in enumerate(zip(labels, boxes, strict=True), start=1):
        yield _raw_box(f"{source} box {number}", image, str(label), box)


def _polygon(source: str, image: str, label: str, corners: Any) -> RawBox | BoxError:
    try:
        return RawBox(source=source, image=image, label=label, shape=polygons_of(source, [corners]))
    except BoxError as error:
        return error


def _raw_box(source: str, image: str, label: str, box: Any) -> RawBox | BoxError:
    if not isinstance(box, list) or len(box) != 4 or not all(type(edge) in {int, float} for edge in box):
        return BoxError(f"{source} is not four numbers: write [left, top, right, bottom] in pixels")
    left, top, right, bottom = box
    return RawBox(source=source, image=image, label=label, x=left, y=top, width=right - left, height=bottom - top)
