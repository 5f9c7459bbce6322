"""Boxes in a plain table: image, label, x, y, width, height; optionally reader, phrase, image size and frame.

Two opposite corners (x_min, y_min, x_max, y_max, in any spelling) are accepted instead of a corner, width and height.
"""

from collections.abc import Iterator

from pipelines.boxes.table import RawBox, extent
from pipelines.errors import BoxError
from pipelines.text.table import BadRow, Table, columns_of, parse_table, pick_column

__all__ = ["COLUMNS", "NEEDED", "SIZES", "read_generic_csv", "recognise_generic_csv", "table_boxes"]

# In order of preference; case, spaces and underscores are ignored.
COLUMNS: dict[str, tuple[str, ...]] = {
    "image": (
        "image",
        "sop_instance_uid",
        "image_id",
        "dicom_id",
        "filename",
        "file_name",
        "file",
        "path",
        "image_path",
    ),
    "label": ("label", "finding", "category", "category_name", "class", "class_name"),
    "x": ("x", "left", "x_min", "xmin", "x1"),
    "y": ("y", "top", "y_min", "ymin", "y1"),
    "width": ("width", "w"),
    "height": ("height", "h"),
    "right": ("x_max", "xmax", "x2", "right"),
    "bottom": ("y_max", "ymax", "y2", "bottom"),
    "reader": ("reader", "rad_id", "annotator", "reader_id"),
    "phrase": ("phrase", "label_text", "sentence"),
    "image_height": ("image_height", "image_rows"),
    "image_width": ("image_width", "image_columns"),
    "frame": ("frame", "frame_number"),
}
NEEDED = ("image", "label", "x", "y")
SIZES = (("width", "height"), ("right", "bottom"))
"""The columns for the size of a box: either pair is sufficient."""


def recognise_generic_csv(text: str) -> bool:
    """Return True if the header names an image, a label and the four numbers of a box."""
    columns = _columns(columns_of(text))
    return all(columns[name] is not None for name in NEEDED) and _sizes(columns) is not None


def read_generic_csv(name: str, text: str) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per row."""
    table = parse_table(text)
    return table_boxes(name, table, _columns(table.columns))


def table_boxes(name: str, table: Table, columns: dict[str, str | None]) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per row of a table with known columns."""
    by_edges = _sizes(columns) == SIZES[1]
    for row in table.rows:
        source = f"{name} row {row.number}"
        if isinstance(row, BadRow):
            yield BoxError(f"{source}: {row.reason}")
            continue
        cells = {key: None if column is None else row.cells[column] for key, column in columns.items()}
        size = (cells["image_height"], cells["image_width"])
        yield RawBox(
            source=source,
            image=cells["image"] or "",
            label=cells["label"] or "",
            x=cells["x"],
            y=cells["y"],
            width=extent(cells["x"], cells["right"]) if by_edges else cells["width"],
            height=extent(cells["y"], cells["bottom"]) if by_edges else cells["height"],
            frame=size if all(size) else None,
            reader=cells["reader"],
            phrase=cells["phrase"],
            frames=(cells["frame"],),
        )


def _sizes(columns: dict[str, str | None]) -> tuple[str, str] | None:
    """Return the two columns that define the size of a box."""
    return next((names for names in SIZES if all(columns.get(name) is not None for name in names)), None)


def _columns(columns: tuple[str, ...]) -> dict[str, str | None]:
    return {key: pick_column(columns, names) for key, names in COLUMNS.items()}
