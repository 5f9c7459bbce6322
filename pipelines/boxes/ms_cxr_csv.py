"""Boxes of MS-CXR in its CSV: one row per box, with coordinates in the JPEG's pixels.

Source: Boecking et al. 2022, "Making the most of text semantics to improve biomedical vision-language processing", and
the data descriptor of MS-CXR 0.1 and 1.1.0 on PhysioNet.
"""

from collections.abc import Iterator

from pipelines.boxes.generic_csv import table_boxes
from pipelines.boxes.table import RawBox
from pipelines.errors import BoxError
from pipelines.text.table import columns_of, parse_table, pick_column

__all__ = ["read_ms_cxr_csv", "recognise_ms_cxr_csv"]

_COLUMNS = {
    "image": "dicom_id",
    "label": "category_name",
    "phrase": "label_text",
    "x": "x",
    "y": "y",
    "width": "w",
    "height": "h",
    "image_width": "image_width",
    "image_height": "image_height",
}


def recognise_ms_cxr_csv(text: str) -> bool:
    """Return True if the header names every column of MS-CXR."""
    columns = columns_of(text)
    return all(pick_column(columns, (column,)) is not None for column in _COLUMNS.values())


def read_ms_cxr_csv(name: str, text: str) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per row, with the annotated sentence and the image size that its coordinates refer to."""
    table = parse_table(text)
    columns = {key: pick_column(table.columns, (column,)) for key, column in _COLUMNS.items()}
    return table_boxes(name, table, {**columns, "reader": None, "frame": None})
