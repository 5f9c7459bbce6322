"""A file of annotations becomes boxes, its format recognised by what it holds.

To add a format: write one file with a recogniser and a reader, and add one line to :data:`FORMATS`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.boxes.chestx_det_json import read_chestx_det_json, recognise_chestx_det_json
from pipelines.boxes.coco_json import read_coco_json, recognise_coco_json
from pipelines.boxes.generic_csv import COLUMNS, read_generic_csv, recognise_generic_csv
from pipelines.boxes.ms_cxr_csv import read_ms_cxr_csv, recognise_ms_cxr_csv
from pipelines.boxes.nih_csv import read_nih_csv, recognise_nih_csv
from pipelines.boxes.packed import read_packed_text
from pipelines.boxes.rsna_csv import read_rsna_csv, recognise_rsna_csv
from pipelines.boxes.table import BlankRowError, BoxRow, BoxTable, RawBox, box_row, unmapped_labels
from pipelines.boxes.vindr_csv import read_vindr_csv, recognise_vindr_csv
from pipelines.errors import BoxError
from pipelines.study import LeftOut
from pipelines.text.table import parse_table, spoken_columns

__all__ = ["FORMATS", "BoxFormat", "read_boxes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxFormat:
    """One annotation format: ``recognise`` takes the text, ``read`` the file's name and the text."""

    recognise: Callable[[str], bool]
    read: Callable[[str, str], Iterator[RawBox | BoxError]]


# Tried in this order: MS-CXR's table would pass for a generic one.
FORMATS: dict[str, BoxFormat] = {
    "MS-CXR CSV": BoxFormat(recognise=recognise_ms_cxr_csv, read=read_ms_cxr_csv),
    "NIH CSV": BoxFormat(recognise=recognise_nih_csv, read=read_nih_csv),
    "RSNA CSV": BoxFormat(recognise=recognise_rsna_csv, read=read_rsna_csv),
    "VinDr CSV": BoxFormat(recognise=recognise_vindr_csv, read=read_vindr_csv),
    "generic CSV": BoxFormat(recognise=recognise_generic_csv, read=read_generic_csv),
    "COCO JSON": BoxFormat(recognise=recognise_coco_json, read=read_coco_json),
    "ChestX-Det JSON": BoxFormat(recognise=recognise_chestx_det_json, read=read_chestx_det_json),
}


def read_boxes(path: Path, *, format_name: str | None = None) -> BoxTable:
    """Read every box of one annotation file, which gzip or zip may have packed.

    The format is told by the content, unless ``format_name`` names one of :data:`FORMATS`, whatever its case. A row
    that cannot be used is left out with a sentence and stops nothing else; a row without coordinates is left out by
    rule, and a label that names no known finding is noted once while its boxes are kept.

    Raises:
        BoxError: the file is missing, unreadable, or of no known format, or ``format_name`` is none.
    """
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise BoxError(f"{path} {what}: give --boxes one file of annotations")
    decoded = read_packed_text(path)
    known = _format_of(path, decoded.text.lstrip(), format_name)
    rows: list[BoxRow] = []
    left_out: list[LeftOut] = []
    if decoded.doubt is not None:
        left_out.append(_left_out(path, f"{path.name}: {decoded.doubt}", failed=False))
    for raw in known.read(path.name, decoded.text):
        try:
            rows.append(_checked(raw))
        except BlankRowError as blank:
            left_out.append(_left_out(path, str(blank), failed=False))
        except BoxError as error:
            left_out.append(_left_out(path, str(error), failed=True))
    return BoxTable(rows=tuple(rows), left_out=(*left_out, *unmapped_labels(str(path), tuple(rows))))


def _format_of(path: Path, text: str, format_name: str | None) -> BoxFormat:
    if format_name is not None:
        named = {name.casefold(): known for name, known in FORMATS.items()}.get(format_name.strip().casefold())
        if named is None:
            raise BoxError(f'--format "{format_name}" is none that is known: give one of {", ".join(FORMATS)}')
        if not named.recognise(text):
            raise BoxError(f"{path} is no {format_name}: leave --format away to have its format told by what it holds")
        return named
    known = next((known for known in FORMATS.values() if known.recognise(text)), None)
    if known is None:
        raise BoxError(_unknown(path, text))
    return known


def _checked(raw: RawBox | BoxError) -> BoxRow:
    if isinstance(raw, BoxError):
        raise raw
    return box_row(raw)


def _left_out(path: Path, reason: str, *, failed: bool) -> LeftOut:
    return LeftOut(source=str(path), stage="boxes", reason=reason, failed=failed)


def _unknown(path: Path, text: str) -> str:
    if not text:
        return f"{path} is empty: give --boxes a file with annotations"
    wanted = ", ".join(name for name in COLUMNS if name not in {"image_height", "image_width"})
    found = parse_table(text.split("\n", maxsplit=1)[0]).columns
    its = spoken_columns(found) if len(found) > 1 else "it is no table"
    return (
        f"{path} is of no known format ({', '.join(FORMATS)}): {its}; give a CSV with the columns {wanted} "
        "(the last two may be missing)"
    )
