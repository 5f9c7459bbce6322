"""Identifiers of results: UIDs, series, and references to the frame of a multi-frame original.

The same audit makes the same objects with the same UIDs, so that a PACS that receives them twice stores them once. The
UIDs also depend on the salt: without it nobody can link a UID to a study.
"""

import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, SecondaryCaptureImageStorage

from pipelines.dicom.headers import MULTI_FRAME_CLASSES, OWN_MANUFACTURER
from pipelines.dicom.source import items, text
from reports.results_folder import StudyFolder

__all__ = [
    "CREATOR",
    "Identity",
    "SeriesLabel",
    "as_single_frame",
    "derived_uid",
    "items_within",
    "plain_line",
    "refer_to_frame",
]


def as_single_frame(source: Dataset) -> Dataset:
    """Return the header of one frame as that of a single-frame image.

    For multi-frame classes highdicom requires functional groups, which secondary captures may lack.
    """
    if source.SOPClassUID not in MULTI_FRAME_CLASSES:
        return source
    single = Dataset()
    single.update(source)
    single.add_new("SOPClassUID", "UI", SecondaryCaptureImageStorage)  # a new element: the others are shared
    return single


def refer_to_frame(result: Dataset, source: Dataset, frame: int) -> None:
    """Make a result of :func:`as_single_frame` refer to one frame of the original.

    Args:
        result: changed in place.
        source: the header of the original.
        frame: number of the frame, from 1.

    Source: PS3.3 table 10-3 (Image SOP Instance Reference Macro), which image content items of structured reports also
    use (C.18.4); other references (table 10-11) have no frame.
    """
    for part in items_within(result):
        if text(part, "ReferencedSOPInstanceUID") == source.SOPInstanceUID:
            part.ReferencedSOPClassUID = source.SOPClassUID
        of_report = text(part, "ValueType") == "IMAGE"
        for keyword in ("ReferencedSOPSequence",) if of_report else ("ReferencedImageSequence", "SourceImageSequence"):
            for reference in items(part, keyword):
                reference.ReferencedFrameNumber = frame


def items_within(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a data set and every item of every sequence in it."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from items_within(item)


CREATOR = "m2ib-audit^software"  # in the form of a person's name, as ContentCreatorName requires

_SCORED = ("scores", "controls", "others", "target")  # fields of a phrase that a picture of its heat does not show
_DATE_AND_TIME = (
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("SeriesDate", "SeriesTime"),
    ("ContentDate", "ContentTime"),
    ("PresentationCreationDate", "PresentationCreationTime"),
    ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLabel:
    """Name, number and title of a series of results."""

    name: str  # part of its UID
    number: int  # SeriesNumber: high, so that viewers list results after the originals
    title: str


def derived_uid(secret: bytes, *parts: str) -> str:
    """Return a UID derived from a secret and ``parts``.

    Source: PS3.5 B.2 (UUID derived UIDs).
    """
    message = "\x1f".join(parts).encode()
    return f"2.25.{uuid.UUID(bytes=hmac.new(secret, message, 'sha256').digest()[:16], version=5).int}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Makes the identifiers of one study's results."""

    secret: bytes
    study: StudyFolder

    def uid(self, *parts: str, scored: bool = False) -> str:
        """Return a UID derived from the results and ``parts``; if ``scored``, also from scores and boxes."""
        return derived_uid(self.secret, _digest(self.study, scored=scored), *parts)

    def of_object(self, series: SeriesLabel, image: str, number: int, *, scored: bool = False) -> dict[str, Any]:
        """Return the arguments that every highdicom object takes."""
        record = self.study.record
        return {
            "series_instance_uid": UID(self.uid(series.name, scored=scored)),
            "series_number": series.number,
            "sop_instance_uid": UID(self.uid(series.name, image, str(number), scored=scored)),
            "instance_number": number,
            "manufacturer": OWN_MANUFACTURER,
            "manufacturer_model_name": plain_line(f"{record.method} of {record.model.name}"),
            "software_versions": plain_line(record.software.get("m2ib-audit", "unknown")),
            "device_serial_number": record.model.sha256[:16] or "0",
            "series_description": plain_line(f"m2ib-audit {series.title} (not for diagnosis)"),
            "content_qualification": "RESEARCH",
            "specific_character_set": "ISO_IR 192",
        }

    def finish(self, result: Dataset, source: Dataset, moment: datetime) -> None:
        """Set a result's dates to the moment when its content was made, and its remaining identifiers."""
        zone = text(source, "TimezoneOffsetFromUTC")
        made = moment.astimezone(_offset(zone))
        if zone:
            result.TimezoneOffsetFromUTC = zone
        result.SeriesDate, result.SeriesTime = "", ""
        uid = self.uid("dimensions", str(result.SOPInstanceUID))
        for part in items_within(result):
            for date, time in _DATE_AND_TIME:
                if date in part:
                    setattr(part, date, made.strftime("%Y%m%d"))
                    setattr(part, time, made.strftime("%H%M%S"))
            if "DimensionOrganizationUID" in part:
                part.DimensionOrganizationUID = uid
            if "ContributionDateTime" in part:
                part.ContributionDateTime = made.strftime("%Y%m%d%H%M%S")


def plain_line(words: str, length: int = 64) -> str:
    """Convert text to a valid LO or SH value: no backslash, no control character, at most ``length`` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in words.replace("\\", "/")).split())
    return line if len(line) <= length else line[: length - 3].rstrip() + "..."


def _digest(study: StudyFolder, *, scored: bool) -> str:
    """Stand for what a study's results show: its heat and its record, the scores only where they are shown."""
    content = study.record.model_dump(mode="json")
    if not scored:
        content.pop("report_joined_by")
        for image in content["images"]:
            image["boxes"] = image["path_key"] = None
            image.pop("own")
            for phrase in image["phrases"]:
                for name in _SCORED:
                    phrase.pop(name)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted({phrase.heat for image in study.record.images for phrase in image.phrases}):
        digest.update(study.heats[name].tobytes())
    return digest.hexdigest()


def _offset(zone: str) -> timezone | None:
    """Parse "+0100"; None (this machine's time zone) if the original has no time zone."""
    if len(zone) != 5 or zone[0] not in "+-" or not zone[1:].isdigit():
        return None
    return timezone((1 if zone[0] == "+" else -1) * timedelta(hours=int(zone[1:3]), minutes=int(zone[3:])))
