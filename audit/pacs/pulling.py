"""Pulls originals into a folder, instance by instance; complete instances are not fetched again."""

import csv
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from audit.pacs.archive import Archive, FoundSeries, RefusedError, Wanted, find_series, find_studies, is_uid
from pipelines.dicom.headers import is_own_result
from pipelines.dicom.source import read_elements, text, tolerant_reading
from pipelines.errors import DicomError, OutputError, PacsError
from pipelines.quoting import defused
from reports.writing import write_text_atomically

__all__ = ["FAILURES", "Pulled", "pull"]

FAILURES = "pull-failures.csv"
_PART = ".part"
_LONGEST_CELL = 500  # characters in the table of failures: an invalid UID may have any length
_MOST_LOST = 5  # consecutive studies or series: after that the archive is considered unavailable

Progress = Callable[[str, int, int], None]


@dataclass(slots=True, kw_only=True)
class Pulled:
    """The result of a pull."""

    fetched: int = 0  # instances that were fetched
    kept: int = 0  # instances that were already present
    own: int = 0  # results of this program, which are skipped
    failed: list[tuple[str, str, str, str]] = field(default_factory=list)  # study, series, instance, reason


def pull(
    archive: Archive, into: Path, wanted: Wanted, *, progress: Progress = lambda _stage, _done, _total: None
) -> Pulled:
    """Fetch the wanted instances into ``into/STUDY/SERIES/INSTANCE.dcm``.

    Each instance is written to a temporary file and renamed when it is complete, so that an interrupted pull can be
    continued. Failures are listed in ``pull-failures.csv``, which is removed when there are none.

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
    pulled = Pulled()
    try:
        studies = find_studies(archive, wanted)
        found = _find_all(archive, studies, wanted, pulled, progress)
        lost = 0
        for done, series in enumerate(found, start=1):
            try:
                _pull_series(archive, into, series, pulled)
            except RefusedError:
                raise
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


def _find_all(
    archive: Archive, studies: list[str], wanted: Wanted, pulled: Pulled, progress: Progress
) -> list[FoundSeries]:
    """Find the series of all studies; a study with unusable answers is listed and does not affect the others.

    Raises:
        PacsError: the archive refuses, or several studies in a row failed.
    """
    found: list[FoundSeries] = []
    lost = 0
    for done, study_uid in enumerate(studies, start=1):
        if not is_uid(study_uid):
            reason = "the archive sent an identifier that is not a UID: nothing of this study was fetched"
            pulled.failed.append((study_uid, "", "", reason))
            continue
        try:
            found += find_series(archive, study_uid, wanted)
        except RefusedError:
            raise
        except PacsError as error:
            lost += 1
            pulled.failed.append((study_uid, "", "", str(error)))
            if lost == _MOST_LOST or len(studies) == 1:
                raise
        else:
            lost = 0
        progress("Finding series", done, len(studies))
    return found


def _pull_series(archive: Archive, into: Path, series: FoundSeries, pulled: Pulled) -> None:
    def fail(uid: str, reason: str) -> None:
        pulled.failed.append((series.study_uid, series.series_uid, uid, reason))

    names = (series.study_uid, series.series_uid)
    if not all(map(is_uid, names)):
        fail("", "the archive sent identifiers that are not UIDs: nothing of this series was fetched")
        return
    folder = into.joinpath(*names)
    missing = []
    for uid in series.instances:
        if not is_uid(uid):
            fail(uid, "the archive sent an identifier that is not a UID")
        elif _is_whole(folder / f"{uid}.dcm", uid):
            pulled.kept += 1
        else:
            missing.append(uid)
    if not missing:
        return

    odd: dict[str, str] = {}

    def keep(uid: str, file: bytes) -> None:
        with _written(folder / f"{uid}.dcm", file) as part:
            reason = _odd(part, uid, series.study_uid)
            if reason is None:
                part.replace(folder / f"{uid}.dcm")
                pulled.fetched += 1
            elif reason == _OWN:
                pulled.own += 1
            else:
                odd[uid] = reason

    for uid, reason in {**archive.fetch(series, missing, keep), **odd}.items():
        fail(uid, reason)


_OWN = "a result of m2ib-audit"


def _odd(path: Path, uid: str, study_uid: str) -> str | None:
    """Return what is wrong with a file that was received; None if nothing is."""
    try:
        with tolerant_reading():
            header, _ = read_elements(path, ("SOPInstanceUID", "StudyInstanceUID", "Manufacturer"))
    except DicomError:
        return "the received file is not a DICOM object, or is truncated"
    if is_own_result(header):
        return _OWN
    same = (text(header, "SOPInstanceUID"), text(header, "StudyInstanceUID")) == (uid, study_uid)
    return None if same else "the archive sent another object than the requested one"


def _is_whole(path: Path, uid: str) -> bool:
    """Return True if an instance is present and complete."""
    if not path.is_file():
        return False
    try:
        with tolerant_reading():
            header, _ = read_elements(path, ("SOPInstanceUID",))
    except DicomError:
        return False
    return text(header, "SOPInstanceUID") == uid


@contextmanager
def _written(path: Path, content: bytes) -> Iterator[Path]:
    """Write a temporary file next to ``path``; it is removed unless it is renamed.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(f"{path.name}{_PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield part
    except OSError as error:
        raise OutputError(
            f"{path.parent} cannot be written ({error.strerror}): make room or give another folder; the same command "
            "then continues"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _list_failures(path: Path, pulled: Pulled) -> None:
    if not pulled.failed:
        path.unlink(missing_ok=True)
        return
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["study", "series", "instance", "reason"])
    writer.writerows([defused(cell[:_LONGEST_CELL]) for cell in row] for row in pulled.failed)
    write_text_atomically(path, table.getvalue())
