"""Boxes of VinDr-CXR (Kaggle and PhysioNet): one row per box and reader, in the DICOM image's own pixels.

A reader who found nothing has one row with blank coordinates. The consensus of PhysioNet's test set names no reader.

Source: Nguyen et al. 2022, "VinDr-CXR: an open dataset of chest X-rays with radiologist's annotations".
"""

from collections.abc import Iterator

from pipelines.boxes.table import RawBox, extent
from pipelines.errors import BoxError
from pipelines.text.table import BadRow, Row, columns_of, parse_table, pick_column

__all__ = ["read_vindr_csv", "recognise_vindr_csv"]

_NEEDED = ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max")
_NOTHING_DRAWN = "no finding"


def recognise_vindr_csv(text: str) -> bool:
    """Return True if the header names an image, a class and the four edges of a box."""
    columns = columns_of(text)
    return all(pick_column(columns, (column,)) is not None for column in _NEEDED)


def read_vindr_csv(name: str, text: str) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per row; a blank row of "No finding" means that its reader drew nothing, and yields none."""
    table = parse_table(text)
    columns = {column: pick_column(table.columns, (column,)) for column in (*_NEEDED, "rad_id")}
    for row in table.rows:
        source = f"{name} row {row.number}"
        if isinstance(row, BadRow):
            yield BoxError(f"{source}: {row.reason}")
            continue
        raw = _raw_box(source, row, columns)
        if raw is not None:
            yield raw


def _raw_box(source: str, row: Row, columns: dict[str, str | None]) -> RawBox | None:
    cells = {key: "" if column is None else row.cells[column] for key, column in columns.items()}
    if cells["class_name"].casefold() == _NOTHING_DRAWN and not cells["x_min"]:
        return None
    return RawBox(
        source=source,
        image=cells["image_id"],
        label=cells["class_name"],
        x=cells["x_min"],
        y=cells["y_min"],
        width=extent(cells["x_min"], cells["x_max"]),
        height=extent(cells["y_min"], cells["y_max"]),
        reader=cells["rad_id"] or None,
        of_original=True,
    )
