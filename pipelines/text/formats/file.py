"""A file that may hold reports: what it starts with decides how much of it is read."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from pipelines.dicom.source import looks_like_dicom
from pipelines.errors import ReportError
from pipelines.input_folder import why_unreadable
from pipelines.limits import MAX_XML_BYTES
from pipelines.study import LeftOut, Report
from pipelines.text_files import DecodedText, TextTooLargeError, decode, read_unpacked

__all__ = [
    "ENDINGS",
    "PARQUET_MAGIC",
    "ReadReports",
    "ReportFile",
    "failed",
    "issued_at",
    "left_out_by_rule",
    "open_report_file",
]

ReadReports = tuple[tuple[Report, ...], tuple[LeftOut, ...]]
"""What a reader gives: the reports of one file, and what of it was left out."""

ENDINGS = frozenset(
    {".txt", ".text", ".rpt", ".csv", ".tsv", ".tab", ".parquet", ".pq", ".xml", ".json", ".ndjson", ".jsonl", ".hl7"}
)
PARQUET_MAGIC = b"PAR1"
_PACKED_ENDINGS = frozenset({".gz", ".zip"})
_SNIFFED_BYTES = 256
# Formats that name themselves are read whatever the file is called: HL7's first segments, XML, FHIR's JSON, Parquet.
_SELF_NAMED = re.compile(rb'(?:\xef\xbb\xbf)?[\s\x0b]*(?:(?:MSH|FHS|BHS)[^\w\s]|<\?xml|<eCitation|[\[{]\s*["{]|PAR1)')


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFile:
    """One file as the formats see it. Of a DICOM file, which may be large, nothing is held: its reader opens it."""

    path: Path
    data: bytes | bytearray = b""  # of Parquet, and of what is short enough to be XML
    decoded: DecodedText | None = None  # None where the file holds no text
    is_dicom: bool = False

    @property
    def text(self) -> str:
        """The text of the file; "" where it holds none."""
        return "" if self.is_dicom or self.decoded is None else self.decoded.text

    @property
    def suffix(self) -> str:
        """The file's ending without what packed it, in lower case: "reports.CSV.gz" is ".csv"."""
        return _ending_of(self.path)


def _ending_of(path: Path) -> str:
    """Give a file's ending in lower case, without that of gzip or zip where there is another before it."""
    endings = [suffix.casefold() for suffix in path.suffixes]
    if len(endings) > 1 and endings[-1] in _PACKED_ENDINGS:
        return endings[-2]
    return endings[-1] if endings else ""


def open_report_file(path: Path) -> ReportFile | None:
    """Read a file that may hold reports, unpacked; None where neither its name nor its first bytes say so.

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
    if _ending_of(path) not in ENDINGS and not _SELF_NAMED.match(start):
        return None
    data = read_unpacked(path, failure=ReportError)
    if data.startswith(PARQUET_MAGIC):
        return ReportFile(path=path, data=data)
    decoded = _decoded(path, data)
    return ReportFile(path=path, data=data if len(data) <= MAX_XML_BYTES else b"", decoded=decoded)


def _decoded(path: Path, data: bytearray) -> DecodedText | None:
    """Decode a file's text; None where it holds zero bytes and so is none.

    Raises:
        ReportError: a byte order mark promises an encoding that the bytes do not hold, or the text is too large.
    """
    try:
        decoded = decode(data)
    except TextTooLargeError as error:
        raise ReportError(f"{path} holds text that would take too much memory: split the file") from error
    except ValueError as error:
        raise ReportError(f"{path} starts with a byte order mark and is not encoded so: save it as UTF-8") from error
    return None if "\x00" in decoded.text else decoded


def failed(source: str, reason: str) -> LeftOut:
    """What should have been read and could not."""
    return LeftOut(source=source, stage="report", reason=reason, failed=True)


def left_out_by_rule(source: str, reason: str) -> LeftOut:
    """What is no report to audit."""
    return LeftOut(source=source, stage="report", reason=reason, failed=False)


_TIME = re.compile(
    r"(?P<year>\d{4})-?(?P<month>\d\d)?-?(?P<day>\d\d)?"
    r"[T ]?(?P<hour>\d\d)?:?(?P<minute>\d\d)?:?(?P<second>\d\d)?(?:\.(?P<fraction>\d{1,6})\d*)?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?\Z"
)


def issued_at(written: str) -> datetime | None:
    """Read "20240131235959.5+0100" or "2024-01-31T23:59:59+01:00"; None where it is no time.

    A time without zone is taken as UTC: times are only compared among the versions of one report, which one system
    wrote.

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
            min(int(match["second"] or 0), 59),  # a leap second is a time too
            int((match["fraction"] or "0").ljust(6, "0")),
            tzinfo=timezone(offset),
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
