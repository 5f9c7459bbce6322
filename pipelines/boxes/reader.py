"""Reads annotation files of any known format into one table of boxes.

To add a format, write one file with a recogniser and a reader, and add one line to :data:`FORMATS`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.boxes.chestx_det_json import read_chestx_det_json, recognise_chestx_det_json
from pipelines.boxes.chexlocalize_json import read_chexlocalize_json, recognise_chexlocalize_json
from pipelines.boxes.coco_json import read_coco_json, recognise_coco_json
from pipelines.boxes.dicom_annotations import read_dicom_annotations
from pipelines.boxes.generic_csv import COLUMNS, NEEDED, SIZES, read_generic_csv, recognise_generic_csv
from pipelines.boxes.ms_cxr_csv import read_ms_cxr_csv, recognise_ms_cxr_csv
from pipelines.boxes.nih_csv import read_nih_csv, recognise_nih_csv
from pipelines.boxes.padchest_gr_json import read_padchest_gr_json, recognise_padchest_gr_json
from pipelines.boxes.reflacx_csv import (
    ReflacxCase,
    read_reflacx_cases,
    read_reflacx_csv,
    recognise_reflacx_cases,
    recognise_reflacx_csv,
)
from pipelines.boxes.rsna_csv import read_rsna_csv, recognise_rsna_csv
from pipelines.boxes.siim_csv import read_siim_csv, recognise_siim_csv
from pipelines.boxes.table import BlankRowError, BoxRow, BoxTable, RawBox, box_row, unmapped_labels
from pipelines.boxes.vindr_csv import read_vindr_csv, recognise_vindr_csv
from pipelines.dicom.source import looks_like_dicom
from pipelines.errors import BoxError
from pipelines.input_folder import files_under, why_unreadable
from pipelines.limits import MAX_BOXES_IN_FILE
from pipelines.study import Exclusion
from pipelines.text.table import columns_of, describe_columns
from pipelines.text_files import read_packed_text

__all__ = ["FORMATS", "BoxFormat", "format_of", "read_boxes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxFormat:
    """An annotation format: ``recognise`` takes the text; ``read`` takes the file's name and the text."""

    recognise: Callable[[str], bool]
    read: Callable[[str, str], Iterator[RawBox | BoxError]]


# Tried in this order: the generic reader would accept MS-CXR's table; CheXlocalize's recogniser parses the whole file.
FORMATS: dict[str, BoxFormat] = {
    "MS-CXR CSV": BoxFormat(recognise=recognise_ms_cxr_csv, read=read_ms_cxr_csv),
    "NIH CSV": BoxFormat(recognise=recognise_nih_csv, read=read_nih_csv),
    "RSNA CSV": BoxFormat(recognise=recognise_rsna_csv, read=read_rsna_csv),
    "VinDr CSV": BoxFormat(recognise=recognise_vindr_csv, read=read_vindr_csv),
    "REFLACX CSV": BoxFormat(recognise=recognise_reflacx_csv, read=read_reflacx_csv),
    "SIIM CSV": BoxFormat(recognise=recognise_siim_csv, read=read_siim_csv),
    "generic CSV": BoxFormat(recognise=recognise_generic_csv, read=read_generic_csv),
    "COCO JSON": BoxFormat(recognise=recognise_coco_json, read=read_coco_json),
    "ChestX-Det JSON": BoxFormat(recognise=recognise_chestx_det_json, read=read_chestx_det_json),
    "PadChest-GR JSON": BoxFormat(recognise=recognise_padchest_gr_json, read=read_padchest_gr_json),
    "CheXlocalize JSON": BoxFormat(recognise=recognise_chexlocalize_json, read=read_chexlocalize_json),
}
"""The text formats; the DICOM formats are in :mod:`pipelines.boxes.dicom_annotations`."""


def format_of(path: Path, text: str, format_name: str | None = None) -> BoxFormat:
    """Determine the format of a file's text, or check that it has the stated format.

    Raises:
        BoxError: the text has no known format or not the stated one, or no format has this name.
    """
    if format_name is None:
        known = next((known for known in FORMATS.values() if known.recognise(text)), None)
        if known is None:
            raise BoxError(_unknown(path, text))
        return known
    named = {name.casefold(): known for name, known in FORMATS.items()}.get(format_name.strip().casefold())
    if named is None:
        raise BoxError(f'--boxes-format "{format_name}" is not a known format: give one of {", ".join(FORMATS)}')
    if not named.recognise(text):
        raise BoxError(f"{path} is not in the format {format_name}: omit --boxes-format to have it detected")
    return named


def _unknown(path: Path, text: str) -> str:
    if not text:
        return f"{path} is empty: give --boxes a file with annotations"
    needed, size = ", ".join(NEEDED), " and ".join(SIZES[0])
    optional = ", ".join(
        name for name in COLUMNS if name not in {*NEEDED, *(each for names in SIZES for each in names)}
    )
    found = columns_of(text)
    content = describe_columns(found) if len(found) > 1 else "it is not a table"
    return (
        f"{path} has none of the known formats ({', '.join(FORMATS)}): {content}; give a CSV with the columns "
        f"{needed}, {size} (or xmin, ymin, xmax and ymax instead of the last four); {optional} are optional"
    )


Frame = tuple[int, int] | None


@dataclass(slots=True, kw_only=True)
class _ReadState:
    """The results of reading so far."""

    rows: list[BoxRow] = field(default_factory=list)
    left_out: list[Exclusion] = field(default_factory=list)
    cases: dict[str, ReflacxCase] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)  # readers named in DICOM files, and their replacement names
    seen: set[tuple[object, ...]] = field(default_factory=set)  # boxes of earlier files
    repeated: int = 0  # boxes that an earlier file also has
    files: int = 0  # files with annotations, or with the assignment of annotations to images


class _NoAnnotationsError(BoxError):
    """The file has no annotations: an error if the file was given itself, but not if it is in a given folder."""


def read_boxes(paths: Path | Sequence[Path], *, format_name: str | None = None) -> BoxTable:
    """Read every box of annotation files, including gzip and zip archives, and of all files in folders.

    The format of each file is detected from its content, unless ``format_name`` names one of :data:`FORMATS`
    (case-insensitive). A row that cannot be used is excluded with a reason and does not affect the others. A row
    without coordinates is excluded by rule, and so are unrelated entries of a folder (other files, hidden files, links
    that lead out of it). A label that names no known finding is reported once, with the number of its boxes, which are
    kept. A box that an earlier file also has counts once. Readers named in DICOM files are numbered, so that their
    names are not passed on.

    Raises:
        BoxError: a file is missing; a file that was given itself is unreadable or has no known format; a folder has no
            annotations; or ``format_name`` is unknown.
    """
    given = (paths,) if isinstance(paths, Path) else tuple(paths)
    found = _ReadState()
    for path in given:
        before = len(found.rows)
        if path.is_dir():
            _read_folder(path, format_name, found)
        elif path.is_file():
            _read_file(path, path.name, format_name, found)
        else:
            what = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise BoxError(f"{path} {what}: give --boxes files of annotations, or folders of them")
        found.left_out += unmapped_labels(str(path), tuple(found.rows[before:]))
    if found.repeated:
        reason = f"{found.repeated:,} boxes occur in more than one file, and count once"
        found.left_out.append(_left_out(given[0], reason, failed=False))
    return BoxTable(rows=tuple(_with_images(found)), left_out=tuple(found.left_out))


def _read_folder(folder: Path, format_name: str | None, found: _ReadState) -> None:
    before, without = found.files, 0
    files, passed = files_under(folder, stage="boxes")
    found.left_out += passed
    for path in files:
        try:
            _read_file(path, path.relative_to(folder).as_posix(), format_name, found)
        except _NoAnnotationsError:
            without += 1
        except BoxError as error:
            found.left_out.append(_left_out(path, str(error), failed=True))
    if found.files == before:
        unread = sum(item.failed for item in passed)
        others = f" among what can be read, and {unread:,} of its entries cannot" if unread else ""
        known = ", ".join((*FORMATS, "DICOM SR", "DICOM GSPS"))
        raise BoxError(f"{folder} holds no annotations{others} ({known}): give their folder")
    if without:
        reason = f"{without:,} {'file holds' if without == 1 else 'files hold'} no annotations in a known format"
        found.left_out.append(_left_out(folder, reason, failed=False))


def _read_file(path: Path, name: str, format_name: str | None, found: _ReadState) -> None:
    """Read one file.

    Raises:
        _NoAnnotationsError: it has no known format.
        BoxError: it is damaged, or does not have the stated format.
    """
    raw: Iterable[RawBox | BoxError]
    try:
        is_dicom = looks_like_dicom(path)
    except OSError as error:
        raise BoxError(f"{name} {why_unreadable(error)}") from error
    if is_dicom:
        drawn = read_dicom_annotations(path, name)
        if drawn is None:
            raise _NoAnnotationsError(f"{path} is DICOM, but neither a structured report nor a presentation state")
        raw = [each if isinstance(each, BoxError) else _without_name(each, found) for each in drawn]
    else:
        raw = _read_text(path, name, format_name, found)
    found.files += 1
    rows = []
    for number, each in enumerate(raw, start=1):
        if number > MAX_BOXES_IN_FILE:
            reason = f"{name} holds more than {MAX_BOXES_IN_FILE:,} boxes, and the others are not read: split the file"
            found.left_out.append(_left_out(path, reason, failed=True))
            break
        try:
            rows.append(_checked(each, path))
        except BlankRowError as blank:
            found.left_out.append(_left_out(path, str(blank), failed=False))
        except BoxError as error:
            found.left_out.append(_left_out(path, str(error), failed=True))
    news = [row for row in rows if _identity(row) not in found.seen]
    found.repeated += len(rows) - len(news)
    found.seen |= {_identity(row) for row in news}
    found.rows += news


def _identity(row: BoxRow) -> tuple[object, ...]:
    """Return the values that identify a box."""
    return row.image, row.frames, row.frame, row.box


def _read_text(path: Path, name: str, format_name: str | None, found: _ReadState) -> Iterator[RawBox | BoxError]:
    decoded = read_packed_text(path)
    text = decoded.text.lstrip()
    if recognise_reflacx_cases(text):
        found.cases.update(read_reflacx_cases(text))
        return iter(())
    try:
        known = format_of(path, text, format_name)
    except BoxError as error:
        raise _NoAnnotationsError(str(error)) from error
    if decoded.doubt is not None:
        found.left_out.append(_left_out(path, f"{name}: {decoded.doubt}", failed=False))
    return known.read(name, decoded.text)


def _without_name(raw: RawBox, found: _ReadState) -> RawBox:
    """Replace the reader's name by a number, which is the same in every file."""
    if raw.reader is None:
        return raw
    return replace(raw, reader=found.people.setdefault(raw.reader, f"reader {len(found.people) + 1}"))


def _checked(raw: RawBox | BoxError, path: Path) -> BoxRow:
    if isinstance(raw, BoxError):
        raise raw
    return box_row(raw if raw.image is not None else replace(raw, image=path.parent.name))


def _with_images(found: _ReadState) -> Iterator[BoxRow]:
    """Assign REFLACX's boxes to the images of their cases."""
    for row in found.rows:
        case = found.cases.get(row.image)
        yield row if case is None else replace(row, image=case.image, frame=case.frame)


def _left_out(path: Path, reason: str, *, failed: bool) -> Exclusion:
    return Exclusion(source=str(path), stage="boxes", reason=reason, failed=failed)
