"""Boxes and segmentations in COCO JSON, which MS-CXR also uses: three lists joined by ids.

Source: Lin et al. 2014, "Microsoft COCO", data format of object detection; ``label_text`` is MS-CXR's addition.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.boxes.outlines import coco_shape
from pipelines.boxes.table import RawBox, parsed_annotations
from pipelines.errors import BoxError
from pipelines.quoting import quoted
from pipelines.shapes import Polygons, RunLengths

__all__ = ["read_coco_json", "recognise_coco_json"]

_KEYS = ("images", "annotations", "categories")


def recognise_coco_json(text: str) -> bool:
    """Return True for a JSON object with images, annotations and categories."""
    return text.lstrip().startswith("{") and all(f'"{key}"' in text for key in _KEYS)


def read_coco_json(name: str, text: str) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per annotation.

    Raises:
        BoxError: the file is not valid JSON, exceeds the limits, or does not have COCO's structure.
    """
    content = parsed_annotations(name, text)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in _KEYS):
        raise BoxError(f"{name} is not COCO: it needs the lists {', '.join(_KEYS)}")
    images, categories = _by_id(content["images"]), _by_id(content["categories"])
    for number, annotation in enumerate(content["annotations"], start=1):
        yield _raw_box(f"{name} annotation {number}", annotation, images, categories)


_Things = Mapping[str, Mapping[str, Any]]


def _by_id(things: list[Any]) -> _Things:
    # Ids are numbers in some exports and strings in others, sometimes both in the same file.
    return {str(thing["id"]): thing for thing in things if isinstance(thing, dict) and "id" in thing}


def _raw_box(source: str, annotation: Any, images: _Things, categories: _Things) -> RawBox | BoxError:
    if not isinstance(annotation, dict):
        return BoxError(f"{source} is not an object: write image_id, category_id and bbox")
    image = images.get(str(annotation.get("image_id")))
    category = categories.get(str(annotation.get("category_id")))
    box = annotation.get("bbox")
    if image is None or category is None:
        key = "image" if image is None else "category"
        unknown = quoted(annotation.get(f"{key}_id"), most=40)
        return BoxError(f"{source} refers to {key} {unknown}, which the file does not list: add it")
    try:
        shape = coco_shape(source, annotation.get("segmentation"))
    except BoxError as error:
        return error
    size = (image.get("height"), image.get("width"))
    if isinstance(shape, RunLengths) and None not in size and annotation["segmentation"]["size"] != list(size):
        return BoxError(f"{source} has run lengths for another size than that of its image: use one size for both")
    if box is None and shape is not None:
        box = list(shape.bounds())
    if not isinstance(box, list) or len(box) != 4:
        return BoxError(f"{source} has no bbox of four numbers: write [x, y, width, height]")
    x, y, width, height = box
    return RawBox(
        source=source,
        image=str(image.get("path") or image.get("file_name") or ""),
        label=str(category.get("name") or ""),
        x=x,
        y=y,
        width=width,
        height=height,
        shape=None if shape is None or _is_its_box(shape, box) else shape,
        frame=None if None in size else size,
        reader=_optional_text(annotation.get("reader")),
        phrase=_optional_text(annotation.get("label_text") or annotation.get("phrase")),
    )


def _is_its_box(shape: Polygons | RunLengths, box: list[Any]) -> bool:
    """Return True if a segmentation only repeats the box, as some exporters of plain boxes write it."""
    return (
        isinstance(shape, Polygons)
        and len(shape.rings) == 1
        and all(type(number) in {int, float} for number in box)
        and {(x, y) for x in (box[0], box[0] + box[2]) for y in (box[1], box[1] + box[3])} == set(shape.rings[0])
    )


def _optional_text(value: Any) -> str | None:
    """Read the sentence: MS-CXR gives it as a string or, in some versions, as a list with one string."""
    if isinstance(value, list):
        return " ".join(str(part) for part in value) or None
    return None if value is None else str(value)
