"""Reports in HL7 version 2 result messages (ORU), one or many in a file.

The message is taken apart here and not by python-hl7: that library writes field contents, which may name a patient,
into the log, and repeats a spacing escape as often as the message asks.

Source: HL7 v2.5.1, chapter 2.7 (escapes), 2.5 (delimiters), 7.3 (ORU^R01), tables 0085 and 0123; IHE RAD TF-2 4.28 for
the OBX that names the study.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipelines.limits import MAX_HL7_CHARACTERS, MAX_HL7_SEGMENTS, MAX_LINES, MAX_REPORT_CHARACTERS, MAX_ROWS
from pipelines.study import LeftOut, Report, ReportStatus
from pipelines.text.formats.file import ReadReports, ReportFile, failed, issued_at, left_out_by_rule
from pipelines.text.formats.hl7_fields import Delimiters, Segment
from pipelines.text.sections import headed_text, heading_of
from pipelines.text.table import plain_stem
from pipelines.text_files import base64_text

__all__ = ["read_hl7_reports", "recognise_hl7_reports"]

_START = re.compile(r"[\s\x0b]*(?:MSH|FHS|BHS)[^\w\s]")
_LINE = re.compile(r"[^\n]+")
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}(?=[^\w\s]|\Z)")
_FRAMING = str.maketrans({"\x0b": None, "\x1c": None})  # of MLLP, kept by some who save what comes over the wire

# Table 0123. "A" is "some, but not all, results available", which reporting systems send with an addendum alone.
_STATUS = {
    "P": ReportStatus.PRELIMINARY,
    "R": ReportStatus.PRELIMINARY,
    "F": ReportStatus.FINAL,
    "C": ReportStatus.CORRECTED,
    "A": ReportStatus.ADDENDUM,
    "X": ReportStatus.WITHDRAWN,
}
_TAKEN_BACK = frozenset({"D", "W", "X"})  # table 0085: deleted, posted in error, not obtained
_SUFFIXES = {"GDT": "FINDINGS", "IMP": "IMPRESSION", "REC": "RECOMMENDATION", "ADT": "ADDENDUM"}  # chapter 7.1.4
_STUDY_CODES = frozenset({"113014", "110180"})  # DCM: Study, Study Instance UID
_WRITTEN_TEXT = frozenset({"TX", "FT", "ST", ""})


def recognise_hl7_reports(file: ReportFile) -> bool:
    """Say whether this starts with the header of a message, a batch or a file of HL7."""
    return _START.match(file.text) is not None


def read_hl7_reports(file: ReportFile) -> ReadReports:
    """Read one report for each order (OBR) of each message; orders of one accession number are one report."""
    reports: list[Report] = []
    left_out: list[LeftOut] = []
    stem = plain_stem(file.path.name)
    if len(file.text) > MAX_HL7_CHARACTERS or file.text.count("\n") > MAX_LINES:
        reason = f"more than {MAX_HL7_CHARACTERS:,} characters or {MAX_LINES:,} lines"
        return (), (failed(str(file.path), f"{file.path.name} has {reason}: split the file"),)
    for number, segments in enumerate(_messages(file.text), start=1):
        if number > MAX_ROWS:
            reason = (
                f"{file.path.name} holds more than {MAX_ROWS:,} messages, and the others are not read: split the file"
            )
            left_out.append(failed(str(file.path), reason))
            break
        source = f"{file.path} message {number}"
        if len(segments) > MAX_HL7_SEGMENTS:
            reason = f"message {number} of {file.path.name} has more than {MAX_HL7_SEGMENTS:,} segments: send it again"
            left_out.append(failed(source, reason))
            continue
        kind = segments[0].component(9)
        if kind != "ORU":
            reason = f"message {number} of {file.path.name} is no result message (ORU): nothing is to be done"
            left_out.append(left_out_by_rule(source, reason))
            continue
        orders = list(_orders(segments))
        own = [source if len(orders) == 1 else f"{source} order {place}" for place in range(1, len(orders) + 1)]
        read = (order.report(each, stem) for each, order in zip(own, orders, strict=True))
        found = [report for report in read if report is not None]
        reports += found
        if not found:
            reason = f"message {number} of {file.path.name} holds no report text in OBX-5: send it with its text"
            left_out.append(failed(source, reason))
    return tuple(reports), tuple(left_out)


def _messages(text: str) -> Iterator[list[Segment]]:
    """Give the segments of each message. A line that starts no segment goes on with the line before it.

    Of a message of more than ``MAX_HL7_SEGMENTS`` segments one more than that is given.
    """
    delimiters: Delimiters | None = None
    segments: list[list[str]] = []  # of a message, each as its lines
    for framed in _LINE.finditer(text):
        line = framed[0].translate(_FRAMING)
        if line.startswith("MSH") and len(line) > len("MSH"):
            if delimiters is not None:
                yield _segments(segments, delimiters)
            delimiters, segments = Delimiters.of(line), [[line]]
        elif delimiters is None or not line.strip():
            continue
        elif _SEGMENT.match(line) and line[3:4] in {delimiters.field, ""}:
            segments.append([line])
        else:
            segments[-1].append(line)
    if delimiters is not None:
        yield _segments(segments, delimiters)


def _segments(segments: list[list[str]], delimiters: Delimiters) -> list[Segment]:
    joined = (delimiters.line_break.join(lines) for lines in segments[: MAX_HL7_SEGMENTS + 1])
    return [Segment.of(segment, delimiters) for segment in joined]


@dataclass(slots=True)
class _Order:
    """One OBR with what stands around it."""

    header: Segment  # MSH
    request: Segment  # OBR
    common: Segment | None  # ORC
    procedure: Segment | None = None  # IPC
    results: list[Segment] = field(default_factory=list)  # OBX

    def report(self, source: str, stem: str) -> Report | None:
        """Make a report of this order's results; None where they hold no text."""
        parts = [part for result in self.results for part in _part_of(result)]
        # Where the order does not say how far it got, its results may.
        written = [self.request.component(25), *(result.component(11) for result in self.results)]
        status = _STATUS.get(next(filter(None, written), ""))
        text = headed_text(parts)
        if not text and status is not ReportStatus.WITHDRAWN:
            return None
        accession, issuer = self.accession()
        studies = {uid for result in self.results if (uid := _study_of(result))}
        issued = issued_at(self.request.component(22)) or issued_at(self.header.component(7))
        return Report(
            source=source,
            text=text,
            study_instance_uid=studies.pop() if len(studies) == 1 else None,
            accession_number=accession or None,
            stem=stem,
            accession_issuer=issuer or None,
            status=status,
            issued=issued,
        )

    def accession(self) -> tuple[str, str]:
        """Give the accession number and its issuer: from the imaging procedure, OBR-18, filler and placer number."""
        candidates = [
            (self.procedure, 1),
            (self.request, 18),
            (self.request, 3),
            (self.common, 3),
            (self.request, 2),
            (self.common, 2),
        ]
        for segment, position in candidates:
            if segment is not None and segment.component(position):
                issuers = (segment.component(position, 3), segment.component(position, 2))
                return segment.component(position), next(filter(None, issuers), "")
        return "", ""


def _orders(segments: Sequence[Segment]) -> Iterator[_Order]:
    """Give the orders of a message; those with the accession number of the one before add to it."""
    orders: list[_Order] = []
    common: Segment | None = None
    for segment in segments:
        if segment.name == "ORC":
            common = segment
        elif segment.name == "OBR":
            order = _Order(segments[0], segment, common)
            common = None
            same = bool(orders) and order.accession()[0] in {"", orders[-1].accession()[0]}
            if not same:
                orders.append(order)
        elif segment.name == "IPC" and orders:
            orders[-1].procedure = segment
        elif segment.name == "OBX":
            if not orders:
                orders.append(
                    _Order(segments[0], Segment(name="OBR", fields=(), delimiters=segment.delimiters), common)
                )
            orders[-1].results.append(segment)
    yield from orders


def _part_of(result: Segment) -> Iterator[tuple[str | None, str]]:
    if result.component(11) in _TAKEN_BACK or _study_of(result):
        return
    heading = _heading(result)
    kind = result.component(2)
    written = result.fields[4] if len(result.fields) > 4 else ""
    if kind != "ED" and len(written) > 10 * MAX_REPORT_CHARACTERS:
        lines = [written]  # too long for a report, whatever its escapes stand for
    elif kind in _WRITTEN_TEXT:
        # A formatted text has no components: what looks like their separator is part of the text.
        lines = [result.plain(repeat) for repeat in result.repeats(5)]
    elif kind in {"CE", "CWE", "CNE"}:
        lines = [result.part(repeat, 2) or result.part(repeat, 1) for repeat in result.repeats(5)]
    elif kind == "ED":
        lines = [_encapsulated(result, repeat) for repeat in result.repeats(5)]
    else:
        return
    yield heading, "\n".join(lines).replace("\r\n", "\n").replace("\r", "\n")  # as \\X0D\\ may have written


def _heading(result: Segment) -> str | None:
    code, suffix = result.component(3), result.component(3, 1, 2)
    return _SUFFIXES.get(suffix) or heading_of(code, result.component(3, 2))


def _study_of(result: Segment) -> str:
    return result.component(5) if result.component(3) in _STUDY_CODES else ""


def _encapsulated(result: Segment, repeat: str) -> str:
    """The text of an ED value; "" for a document that is no plain text (PDF, pictures)."""
    kind, subtype, encoding, data = (result.part(repeat, index) for index in (2, 3, 4, 5))
    if kind.casefold() not in {"text", "tx", "ft"} or subtype.casefold() not in {"", "plain"}:
        return ""
    return base64_text(data) if encoding.casefold() == "base64" else data
