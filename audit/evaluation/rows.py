"""The file of measurements: a row a pair and method, written as soon as it is known, and read again to go on."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import get_type_hints

from pipelines.errors import OutputError
from pipelines.spreadsheet import defused
from reports.writing import write_text_atomically

__all__ = ["MEASURES", "Measurement", "append", "read_measurements", "rewrite"]

MEASURES = ("image_drop", "image_increase", "text_drop", "text_increase")
"""The scores that a heat's own values at random places have too, under the same name after ``shuffled_``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one method's heat of one pair is worth; None is not measured, and is an empty cell in the file.

    Drops are 100 max(0, o - s) and increases 100 or 0, so that their means are the published scores.
    """

    row: int  # of the pair in the table
    image: str  # path as the table gives it
    method: str
    cosine: float | None = None  # o, of the whole image and the whole caption, -1 to 1
    image_drop: float | None = None
    image_increase: float | None = None
    text_drop: float | None = None
    text_increase: float | None = None
    shuffled_image_drop: float | None = None
    shuffled_image_increase: float | None = None
    shuffled_text_drop: float | None = None
    shuffled_text_increase: float | None = None
    seconds: float | None = None  # of the attribution; those of a batch are shared out evenly
    error: str | None = None  # why nothing was measured
    note: str | None = None


_FIELDS = tuple(field.name for field in fields(Measurement))
_FLOATS = tuple(name for name, hint in get_type_hints(Measurement).items() if hint == float | None)


def append(path: Path, measurements: Sequence[Measurement]) -> None:
    """Add rows at the end of the file and close it, so that a killed run keeps them.

    Raises:
        OutputError: they cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(_cells(measurement) for measurement in measurements)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}): is the disk full, or the folder read-only?"
        ) from error


def rewrite(path: Path, measurements: Sequence[Measurement]) -> None:
    """Write the header and these rows in place of what the file held.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_FIELDS)
    writer.writerows(_cells(measurement) for measurement in measurements)
    write_text_atomically(path, text.getvalue())


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """Read the whole rows of a file; the last, where a killed run broke off in it, is left out.

    Raises:
        OutputError: the file cannot be read, or is none that an evaluation wrote.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{path} cannot be read: give --overwrite to begin again") from error
    lines = csv.reader(io.StringIO(text, newline=""))
    if tuple(next(lines, ())) != _FIELDS:
        raise OutputError(f"{path} is no file of an evaluation by this version: give --overwrite to begin again")
    rows = list(lines)
    if not text.endswith("\n"):
        rows.pop()
    try:
        return tuple(_measurement(cells) for cells in rows)
    except ValueError as error:
        raise OutputError(f"{path} was changed by hand ({error}): give --overwrite to begin again") from error


def _cells(measurement: Measurement) -> list[str]:
    return [_cell(value) for value in asdict(measurement).values()]


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return defused(str(value))


def _measurement(cells: Sequence[str]) -> Measurement:
    values = dict(zip(_FIELDS, cells, strict=True))
    return Measurement(
        row=int(values["row"]),
        image=values["image"],
        method=values["method"],
        error=values["error"] or None,
        note=values["note"] or None,
        **{name: float(values[name]) if values[name] else None for name in _FLOATS},
    )
