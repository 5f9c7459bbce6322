"""Ellipses of REFLACX: one row per ellipse, given by its rectangle, with one column per label.

A file lies in the folder of its case and names no image. The metadata tables next to these folders state the image of
each case. The certainty is not used: an ellipse counts whatever certainty its reader stated.

Source: Lanfredi et al. 2022, "REFLACX, a dataset of reports and eye-tracking data for localization of abnormalities in
chest x-rays".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipelines.boxes.outlines import inscribed_ellipse
from pipelines.boxes.table import RawBox
from pipelines.errors import BoxError
from pipelines.text.table import BadRow, Row, columns_of, parse_table, pick_column

__all__ = [
    "ReflacxCase",
    "read_reflacx_cases",
    "read_reflacx_csv",
    "recognise_reflacx_cases",
    "recognise_reflacx_csv",
]

_EDGES = ("xmin", "ymin", "xmax", "ymax")
_CERTAINTY = "certainty"
_CASE_COLUMNS = ("id", "dicom_id", "image_size_x", "image_size_y")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflacxCase:
    """The image of a case."""

    image: str
    frame: tuple[int, int] | None  # (rows, columns)


def recognise_reflacx_csv(text: str) -> bool:
    """Return True if the header names the four edges of an ellipse and the reader's certainty."""
    columns = columns_of(text)
    return all(pick_column(columns, (column,)) is not None for column in (*_EDGES, _CERTAINTY))


def read_reflacx_csv(name: str, text: str) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per label that is set in a row."""
    table = parse_table(text)
    edges = [pick_column(table.columns, (column,)) or column for column in _EDGES]
    certainty = pick_column(table.columns, (_CERTAINTY,))
    labels = [column for column in table.columns if column and column not in {*edges, certainty}]
    for row in table.rows:
        source = f"{name} row {row.number}"
        if isinstance(row, BadRow):
            yield BoxError(f"{source}: {row.reason}")
            continue
        try:
            left, top, right, bottom = (float(row.cells[edge]) for edge in edges)
        except ValueError:
            yield BoxError(f"{source} has an edge that is not a number: write xmin, ymin, xmax and ymax in pixels")
            continue
        named = [label for label in labels if row.cells[label].strip().casefold() in {"true", "1", "1.0"}]
        for label in named or ("",):
            shape = inscribed_ellipse(left, top, right - left, bottom - top) if right > left and bottom > top else None
            yield RawBox(
                source=source,
                image=None,
                label=label,
                x=left,
                y=top,
                width=right - left,
                height=bottom - top,
                shape=shape,
            )


def recognise_reflacx_cases(text: str) -> bool:
    """Return True for REFLACX's table of cases, which names the image of each."""
    columns = columns_of(text)
    return all(pick_column(columns, (column,)) is not None for column in _CASE_COLUMNS)


def read_reflacx_cases(text: str) -> Mapping[str, ReflacxCase]:
    """Return the image of each case, by the case's name."""
    table = parse_table(text)
    case, image, *size = (pick_column(table.columns, (column,)) or column for column in _CASE_COLUMNS)
    rows = [row for row in table.rows if isinstance(row, Row) and row.cells[case] and row.cells[image]]
    return {
        row.cells[case]: ReflacxCase(image=row.cells[image], frame=_frame(row.cells[size[1]], row.cells[size[0]]))
        for row in rows
    }


def _frame(rows: str, columns: str) -> tuple[int, int] | None:
    """Return the image's size if the table has it; without it, coordinates refer to the image itself."""
    try:
        frame = int(float(rows)), int(float(columns))
    except (ValueError, OverflowError):
        return None
    return frame if min(frame) > 0 else None
