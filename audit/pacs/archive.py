"""The interface of an archive for pulling and pushing, independent of the protocol."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import TracebackType
from typing import Protocol, runtime_checkable

from pydicom.dataset import Dataset

from pipelines.dicom.source import text
from pipelines.errors import PacsError

__all__ = [
    "Archive",
    "FoundSeries",
    "Keep",
    "RefusedError",
    "UnansweredError",
    "Wanted",
    "find_series",
    "find_studies",
    "is_uid",
]


class RefusedError(PacsError):
    """The archive refuses this user: nothing else will succeed."""


class UnansweredError(PacsError):
    """The archive cannot be reached, broke off, or exceeded a time limit."""


_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_SR = "SR"
_OWN_SERIES = "m2ib-audit "  # prefix of the SeriesDescription of a result

Keep = Callable[[str, bytes], None]
"""Called with the SOP Instance UID and the file of an instance that has arrived."""


@runtime_checkable
class Archive(Protocol):
    """A PACS."""

    def query(self, level: str, keys: Mapping[str, str]) -> list[Dataset]:
        """Find matches at a level ("STUDY", "SERIES" or "IMAGE"); keys with the value "" are return keys.

        Raises:
            PacsError: the archive cannot be reached or refuses.
        """

    def fetch(self, series: "FoundSeries", uids: Sequence[str], keep: Keep) -> dict[str, str]:
        """Fetch instances of a series.

        Returns:
            By UID, the reason why an instance was not fetched.

        Raises:
            PacsError: the archive cannot be reached or refuses.
        """

    def store(self, objects: Sequence[Dataset]) -> dict[str, str]:
        """Store objects.

        Returns:
            By UID, the reason why the archive did not accept an object.

        Raises:
            PacsError: the archive cannot be reached or refuses.
        """

    def __enter__(self) -> "Archive":
        """Open long-lived connections."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The series to pull."""

    first: date
    last: date  # inclusive
    modalities: tuple[str, ...] = ("CR", "DX")
    body_parts: tuple[str, ...] = ()  # accepted body parts; empty: any
    unnamed_part: bool = True  # also accept series without a body part
    reports: bool = False  # also fetch structured reports of the studies


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSeries:
    """A series in the archive."""

    study_uid: str
    series_uid: str
    instances: Mapping[str, str]  # SOP Class UID by SOP Instance UID; "" if the archive does not state it


def is_uid(value: str) -> bool:
    """Return True for a UID, which has only digits and dots and is safe in a file name.

    Source: PS3.5 9.1.
    """
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def find_studies(archive: Archive, wanted: Wanted) -> list[str]:
    """Find the Study Instance UIDs of the studies that may contain wanted series.

    Keys that archives may ignore (modality of a study, body part) are checked in their answers, here and in
    :func:`find_series`.

    Raises:
        PacsError: the archive cannot be reached or refuses.
    """
    days = f"{wanted.first:%Y%m%d}-{wanted.last:%Y%m%d}" if wanted.first != wanted.last else f"{wanted.first:%Y%m%d}"
    found: dict[str, None] = {}
    for modality in wanted.modalities:
        keys = {"StudyDate": days, "ModalitiesInStudy": modality, "StudyInstanceUID": ""}
        for study in archive.query("STUDY", keys):
            day, uid = text(study, "StudyDate"), text(study, "StudyInstanceUID")
            outside = day != "" and not f"{wanted.first:%Y%m%d}" <= day <= f"{wanted.last:%Y%m%d}"
            if uid and not outside:
                found[uid] = None
    return list(found)


def find_series(archive: Archive, study_uid: str, wanted: Wanted) -> list[FoundSeries]:
    """Find the wanted series of a study.

    Raises:
        PacsError: the archive cannot be reached or refuses.
    """
    series = []
    for found in _series(archive, study_uid, wanted):
        series_uid = text(found, "SeriesInstanceUID")
        keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": "", "SOPClassUID": ""}
        images = archive.query("IMAGE", keys) if is_uid(series_uid) else []
        instances = {text(image, "SOPInstanceUID"): text(image, "SOPClassUID") for image in images}
        series.append(FoundSeries(study_uid=study_uid, series_uid=series_uid, instances=instances))
    return series


def _series(archive: Archive, study_uid: str, wanted: Wanted) -> Iterator[Dataset]:
    attributes = ("SeriesInstanceUID", "Modality", "BodyPartExamined", "SeriesDescription")
    for series in archive.query("SERIES", {"StudyInstanceUID": study_uid, **dict.fromkeys(attributes, "")}):
        modality = text(series, "Modality")
        if text(series, "SeriesDescription").startswith(_OWN_SERIES):
            continue
        image = modality in wanted.modalities and _is_part(text(series, "BodyPartExamined"), wanted)
        if image or (modality == _SR and wanted.reports):
            yield series


def _is_part(stated: str, wanted: Wanted) -> bool:
    """Return True if a body part contains one of the wanted words ("CHEST" is in "CHEST AP")."""
    if not wanted.body_parts:
        return True
    if not stated:
        return wanted.unnamed_part
    return any(part.upper() in stated.upper() for part in wanted.body_parts)
