"""What pulling and pushing need of an archive, whichever way it is reached."""

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
    """The archive does not let this user in: nothing else will succeed."""


class UnansweredError(PacsError):
    """The archive cannot be reached, broke off, or took longer than its limits."""


_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_SR = "SR"
_OWN_SERIES = "m2ib-audit "  # how the SeriesDescription of a result begins

Keep = Callable[[str, bytes], None]
"""Takes the SOP Instance UID and the file of an instance that has come."""


@runtime_checkable
class Archive(Protocol):
    """A PACS."""

    def query(self, level: str, keys: Mapping[str, str]) -> list[Dataset]:
        """Find what matches at a level ("STUDY", "SERIES" or "IMAGE"); keys with "" are asked for.

        Raises:
            PacsError: the archive cannot be reached or refuses.
        """

    def fetch(self, series: "FoundSeries", uids: Sequence[str], keep: Keep) -> dict[str, str]:
        """Fetch instances of a series.

        Returns:
            By UID, why an instance did not come.

        Raises:
            PacsError: the archive cannot be reached or refuses.
        """

    def store(self, objects: Sequence[Dataset]) -> dict[str, str]:
        """Store objects.

        Returns:
            By UID, why the archive did not take an object.

        Raises:
            PacsError: the archive cannot be reached or refuses.
        """

    def __enter__(self) -> "Archive":
        """Open what stays open."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which series are pulled."""

    first: date
    last: date  # inclusive
    modalities: tuple[str, ...] = ("CR", "DX")
    body_parts: tuple[str, ...] = ()  # any of them; none: whatever the part
    unnamed_part: bool = True  # take series whose body part is blank as well
    reports: bool = False  # structured reports of the studies too


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSeries:
    """A series of the archive."""

    study_uid: str
    series_uid: str
    instances: Mapping[str, str]  # SOP Class UID by SOP Instance UID; "" where the archive does not say


def is_uid(value: str) -> bool:
    """Whether a value may stand in a file's name: a UID has digits and dots alone.

    Source: PS3.5 9.1.
    """
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def find_studies(archive: Archive, wanted: Wanted) -> list[str]:
    """Find the Study Instance UIDs of the studies that may hold wanted series.

    What archives may ignore (modality of a study, body part) is held against their answers, here and in
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
    asked = ("SeriesInstanceUID", "Modality", "BodyPartExamined", "SeriesDescription")
    for series in archive.query("SERIES", {"StudyInstanceUID": study_uid, **dict.fromkeys(asked, "")}):
        modality = text(series, "Modality")
        if text(series, "SeriesDescription").startswith(_OWN_SERIES):
            continue
        image = modality in wanted.modalities and _is_part(text(series, "BodyPartExamined"), wanted)
        if image or (modality == _SR and wanted.reports):
            yield series


def _is_part(stated: str, wanted: Wanted) -> bool:
    """Whether a body part is wanted: it holds one of the wanted words ("CHEST" is in "CHEST AP")."""
    if not wanted.body_parts:
        return True
    if not stated:
        return wanted.unnamed_part
    return any(part.upper() in stated.upper() for part in wanted.body_parts)
