"""Originals are pulled into a folder, instance by instance; what lies there whole is not fetched again."""

import csv
import io
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread

from audit.pacs.archive import Archive, FoundSeries, Wanted, find_series, is_uid
from pipelines.dicom.own_result import is_own_result
from pipelines.dicom.source import READ_ERRORS, read_elements, text, tolerant_reading
from pipelines.errors import DicomError, OutputError, PacsError
from pipelines.spreadsheet import defused
from reports.writing import write_text_atomically

__all__ = ["FAILURES", "Pulled", "pull"]

FAILURES = "pull-failures.csv"
_PART = ".part"
_MOST_LOST = 5  # series in a row: then the archive is taken for gone

Progress = Callable[[str, int, int], None]


@dataclass(slots=True, kw_only=True)
class Pulled:
    """What came of a pull."""

    fetched: int = 0  # instances that were brought
    kept: int = 0  # that were there already
    own: int = 0  # results of this program, left out
    failed: list[tuple[str, str, str, str]] = field(default_factory=list)  # study, series, instance, reason


def pull(
    archive: Archive, into: Path, wanted: Wanted, *, progress: Progress = lambda _stage, _done, _total: None
) -> Pulled:
    """Bring the instances that are wanted into ``into/STUDY/SERIES/INSTANCE.dcm``.

    Each is written beside its place and moved there when it is whole, so that a pull that was cut short goes on where
    it was. What failed stands in ``pull-failures.csv``, which goes away when nothing has failed.

    Raises:
        PacsError: the archive cannot be reached or refuses.
        OutputError: the folder cannot be written.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        for left in into.glob(f"*/*/*{_PART}"):
            left.unlink()
    except OSError as error:
        raise OutputError(
            f"{into} cannot be written ({error.strerror}): give a folder that you may write to"
        ) from error
    pulled, lost = Pulled(), 0
    found = list(find_series(archive, wanted))
    try:
        for done, series in enumerate(found, start=1):
            try:
                _pull_series(archive, into, series, pulled)
            except PacsError as error:
                lost += 1
                pulled.failed.append((series.study_uid, series.series_uid, "", str(error)))
                if lost == _MOST_LOST or len(found) == 1:
                    raise
            else:
                lost = 0
            progress("Pulling series", done, len(found))
    finally:
        _list_failures(into / FAILURES, pulled)
    return pulled


def _pull_series(archive: Archive, into: Path, series: FoundSeries, pulled: Pulled) -> None:
    def fail(uid: str, reason: str) -> None:
        pulled.failed.append((series.study_uid, series.series_uid, uid, reason))

    names = (series.study_uid, series.series_uid)
    if not all(map(is_uid, names)):
        fail("", "the archive gives identifiers that are no UIDs: nothing of this series was fetched")
        return
    folder = into.joinpath(*names)
    missing = []
    for uid in series.instances:
        if not is_uid(uid):
            fail(uid, "the archive gives an identifier that is no UID")
        elif _is_whole(folder / f"{uid}.dcm", uid):
            pulled.kept += 1
        else:
            missing.append(uid)
    if not missing:
        return

    odd: dict[str, str] = {}

    def keep(uid: str, file: bytes) -> None:
        reason = _odd(file, uid, series.study_uid)
        if reason == _OWN:
            pulled.own += 1
        elif reason is not None:
            odd[uid] = reason
        else:
            _write(folder / f"{uid}.dcm", file)
            pulled.fetched += 1

    for uid, reason in {**archive.fetch(series, missing, keep), **odd}.items():
        fail(uid, reason)


_OWN = "a result of m2ib-audit"


def _odd(file: bytes, uid: str, study_uid: str) -> str | None:
    """Say what is wrong with a file that has come; None where nothing is."""
    try:
        with tolerant_reading():
            header = dcmread(io.BytesIO(file), specific_tags=["SOPInstanceUID", "StudyInstanceUID", "Manufacturer"])
            if is_own_result(header):
                return _OWN
            same = (text(header, "SOPInstanceUID"), text(header, "StudyInstanceUID")) == (uid, study_uid)
    except READ_ERRORS:
        return "what came is no DICOM object"
    return None if same else "the archive sent another object than was asked for"


def _is_whole(path: Path, uid: str) -> bool:
    """Whether an instance lies there, to its last byte."""
    if not path.is_file():
        return False
    try:
        with tolerant_reading():
            header, _ = read_elements(path, ("SOPInstanceUID",))
    except DicomError:
        return False
    return text(header, "SOPInstanceUID") == uid


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}{_PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(
            f"{path.parent} cannot be written ({error.strerror}): make room or give another folder; the same command "
            "goes on where it was"
        ) from error


def _list_failures(path: Path, pulled: Pulled) -> None:
    if not pulled.failed:
        path.unlink(missing_ok=True)
        return
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["study", "series", "instance", "reason"])
    writer.writerows([defused(cell) for cell in row] for row in pulled.failed)
    write_text_atomically(path, table.getvalue())
