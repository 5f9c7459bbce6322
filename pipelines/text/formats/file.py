"""A file that may hold reports; its first bytes decide how much of it is read."""

import re
from codecs import BOM_UTF8
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from pipelines.dicom.source import looks_like_dicom
from pipelines.errors import ReportError
from pipelines.input_folder import why_unreadable
from pipelines.limits import MAX_XML_BYTES
from pipelines.study import Exclusion, Report
from pipelines.text_files import DecodedText, TextTooLargeError, decode, read_unpacked

__all__ = [
    "PARQUET_MAGIC",
    "ReadReports",
    "ReportFile",
    "failed",
    "issued_at",
    "left_out_by_rule",
    "open_report_file",
]

ReadReports = tuple[tuple[Report, ...], tuple[Exclusion, ...]]
"""The result of a reader: the reports of one file, and what was excluded from it."""

PARQUET_MAGIC = b"PAR1"
_PACKED_ENDINGS = frozenset({".gz", ".zip"})
_SNIFFED_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFile:
    """A file as the formats see it. The content of a DICOM file, which may be large, is left to its reader."""

    path: Path
    data: bytes | bytearray = b""  # the content of Parquet, and of files short enough to be XML
    decoded: DecodedText | None = None  # None if the file is not text
    is_dicom: bool = False

    @property
    def text(self) -> str:
        """The text of the file; "" if it is not text."""
        return "" if self.is_dicom or self.decoded is None else self.decoded.text

    @property
    def suffix(self) -> str:
        """The lower-case suffix, without that of an archive: "reports.CSV.gz" has ".csv"."""
        return _ending_of(self.path)


def _ending_of(path: Path) -> str:
    """Return a file's suffix in lower case, without that of gzip or zip if another precedes it."""
    endings = [suffix.casefold() for suffix in path.suffixes]
    if len(endings) > 1 and endings[-1] in _PACKED_ENDINGS:
        return endings[-2]
    return endings[-1] if endings else ""


def _any_file(_ending: str, _start: bytes) -> bool:
    return True


def open_report_file(path: Path, *, may_hold: Callable[[str, bytes], bool] = _any_file) -> ReportFile | None:
    """Read and unpack a file that may hold reports; DICOM files are not read.

    Args:
        path: the file.
        may_hold: decides from the lower-case suffix (see :attr:`ReportFile.suffix`) and the first bytes of the file,
            without byte order mark and leading white space, whether the file is read.

    Returns:
        The file, or None if ``may_hold`` refuses it.

    Raises:
        ReportError: the file cannot be opened or unpacked, or is too large.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(_SNIFFED_BYTES)
        if looks_like_dicom(path):
            return ReportFile(path=path, data=b"", is_dicom=True)
    except OSError as error:
        raise ReportError(f"{path} {why_unreadable(error)}") from error
    if not may_hold(_ending_of(path), start.removeprefix(BOM_UTF8).lstrip()):
        return None
    data = read_unpacked(path, failure=ReportError)
    if data.startswith(PARQUET_MAGIC):
        return ReportFile(path=path, data=data)
    decoded = _decoded(path, data)
    return ReportFile(path=path, data=data if len(data) <= MAX_XML_BYTES else b"", decoded=decoded)


def _decoded(path: Path, data: bytearray) -> DecodedText | None:
    """Decode a file's text; None if it contains zero bytes and is therefore not text.

    Raises:
        ReportError: the byte order mark contradicts the encoding, or the text is too large.
    """
    try:
        decoded = decode(data)
    except TextTooLargeError as error:
        raise ReportError(f"{path} holds text that would take too much memory: split the file") from error
    except ValueError as error:
        raise ReportError(f"{path} has a byte order mark that contradicts its encoding: save it as UTF-8") from error
    return None if "\x00" in decoded.text else decoded


def failed(source: str, reason: str) -> Exclusion:
    """Return an entry for content that should have been readable and was not."""
    return Exclusion(source=source, stage="report", reason=reason, failed=True)


def left_out_by_rule(source: str, reason: str) -> Exclusion:
    """Return an entry for content that is not a report to audit."""
    return Exclusion(source=source, stage="report", reason=reason, failed=False)


_TIME = re.compile(
    r"(?P<year>\d{4})-?(?P<month>\d\d)?-?(?P<day>\d\d)?"
    r"[T ]?(?P<hour>\d\d)?:?(?P<minute>\d\d)?:?(?P<second>\d\d)?(?:\.(?P<fraction>\d{1,6})\d*)?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?\Z"
)


def issued_at(written: str) -> datetime | None:
    """Read "20240131235959.5+0100" or "2024-01-31T23:59:59+01:00"; None if it is not a time.

    A time without a zone is read as UTC: times are compared only between versions of one report, which are written by
    one system.

    Source: HL7 v2.5.1, 2.A.22 (DTM); FHIR R4, dateTime; PS3.5 6.2 (DT).
    """
    match = _TIME.match(written.strip())
    if match is None:
        return None
    zone = match["zone"]
    offset = timedelta()
    if zone not in {None, "Z"}:
        digits = zone[1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (-1 if zone[0] == "-" else 1)
    try:
        return datetime(
            int(match["year"]),
            int(match["month"] or 1),
            int(match["day"] or 1),
            int(match["hour"] or 0),
            int(match["minute"] or 0),
            min(int(match["second"] or 0), 59),  # accept a leap second
            int((match["fraction"] or "0").ljust(6, "0")),
            tzinfo=timezone(offset),
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
