"""Reads reports from HL7 version 2 messages (ORU^R01).

python-hl7 is not used: it logs field contents, which may name a patient, and repeats a spacing escape as often as the
message asks.

Source: HL7 v2.5.1, chapter 2.5 (delimiters), 2.7 (escapes), 7.3 (ORU^R01), tables 0085 and 0123; IHE RAD TF-2 4.28 for
the OBX that names the study.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipelines.limits import (
    MAX_HL7_CHARACTERS,
    MAX_HL7_FIELDS,
    MAX_HL7_SEGMENTS,
    MAX_LINES,
    MAX_REPORT_CHARACTERS,
    MAX_ROWS,
)
from pipelines.study import Exclusion, Report, ReportStatus
from pipelines.text.formats.file import ReadReports, ReportFile, failed, issued_at, left_out_by_rule
from pipelines.text.sections import headed_text, heading_of
from pipelines.text.table import plain_stem
from pipelines.text_files import base64_text

__all__ = ["Delimiters", "Segment", "read_hl7_reports", "recognise_hl7_reports"]

_MOST_REPEATS = 10_000
_LINE_BREAKS = frozenset({".br", ".sp", ".ce", ".sk"})
_NO_DELIMITER = re.compile(r"[\w\s]")  # a letter as the escape would split words, in quadratic time
_COMMAND = r"[HNFSTREP]|[XCM](?:[0-9A-Fa-f]{2})+|Z\w*|\.[A-Za-z]{2} ?[+-]?\d*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delimiters:
    """The delimiters of a message, as its header defines them."""

    field: str = "|"
    component: str = "^"
    repeat: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @classmethod
    def of(cls, header: str) -> "Delimiters":
        """Read MSH-1 and MSH-2; missing characters take their usual values."""
        given = header[4:].split(header[3], maxsplit=1)[0]
        usual = "^~\\&"
        names = ("component", "repeat", "escape", "subcomponent")
        letters = [
            usual[place] if _NO_DELIMITER.match(letter) else letter for place, letter in enumerate(given[:4].ljust(4))
        ]
        return cls(field=header[3], **dict(zip(names, letters, strict=True)))

    @property
    def line_break(self) -> str:
        """The escape for a new line."""
        return f"{self.escape}.br{self.escape}"

    def unescape(self, text: str) -> str:
        r"""Replace escapes by letters and line breaks, in one pass, so that the text of ``\E\.br\E\`` is preserved.

        A spacing command becomes one line break, whatever number it asks for. Highlighting and local escapes are
        removed. Other sequences are unchanged: some systems send a backslash as the radiologist typed it, and two of
        them would otherwise remove the words in between.
        """
        if self.escape not in text:
            return text
        escape = re.escape(self.escape)
        return re.sub(f"{escape}({_COMMAND}){escape}", lambda match: self._escaped(match[1]), text)

    def _escaped(self, command: str) -> str:
        letters = {
            "F": self.field,
            "S": self.component,
            "T": self.subcomponent,
            "R": self.repeat,
            "E": self.escape,
        }
        if command in letters:
            return letters[command]
        if command[:3].casefold() in _LINE_BREAKS:
            return "\n"
        if command[:1] == "X":
            read = bytes.fromhex(command[1:])
            try:
                return read.decode("utf-8")
            except UnicodeDecodeError:
                return read.decode("latin-1")
        return " " if command.startswith(".") else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One line of a message. Fields are counted as in the standard: the first field of MSH is the separator itself."""

    name: str
    fields: tuple[str, ...]  # starting with field 1, still escaped
    delimiters: Delimiters

    @classmethod
    def of(cls, line: str, delimiters: Delimiters) -> "Segment":
        """Split a line into fields; text after ``MAX_HL7_FIELDS`` fields stays in the last one."""
        name, *fields = line.split(delimiters.field, maxsplit=MAX_HL7_FIELDS)
        own = (delimiters.field, *fields) if name == "MSH" else tuple(fields)
        return cls(name=name, fields=own, delimiters=delimiters)

    def repeats(self, position: int) -> tuple[str, ...]:
        """Return a field's repeats, still escaped; empty if absent. The last one holds those beyond the limit."""
        if position > len(self.fields):
            return ()
        return tuple(self.fields[position - 1].split(self.delimiters.repeat, maxsplit=_MOST_REPEATS))

    def component(self, position: int, component: int = 1, subcomponent: int = 1) -> str:
        """Return a part of a field's first repeat; "" if there is none."""
        if position > len(self.fields):
            return ""
        return self.part(
            self.fields[position - 1].split(self.delimiters.repeat, maxsplit=1)[0], component, subcomponent
        )

    def part(self, repeat: str, component: int, subcomponent: int = 1) -> str:
        """Return a part of a repeat; "" if there is none."""
        components = repeat.split(self.delimiters.component, maxsplit=component)
        if component > len(components):
            return ""
        parts = components[component - 1].split(self.delimiters.subcomponent, maxsplit=subcomponent)
        return self.plain(parts[subcomponent - 1]).strip() if subcomponent <= len(parts) else ""

    def plain(self, text: str) -> str:
        """Return text without escapes."""
        return self.delimiters.unescape(text)


_START = re.compile(r"[\s\x0b]*(?:MSH|FHS|BHS)[^\w\s]")
_LINE = re.compile(r"[^\n]+")
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}(?=[^\w\s]|\Z)")
_FRAMING = str.maketrans({"\x0b": None, "\x1c": None})  # MLLP framing, kept in some recordings of network traffic

# Table 0123. "A" is "some, but not all, results available"; reporting systems send it with an addendum only.
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
    """Return True if the text starts with the header of an HL7 message, batch or file."""
    return _START.match(file.text) is not None


def read_hl7_reports(file: ReportFile) -> ReadReports:
    """Read one report per order (OBR) of each message; orders with the same accession number are one report."""
    reports: list[Report] = []
    left_out: list[Exclusion] = []
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
            reason = f"message {number} of {file.path.name} is not a result message (ORU); skipped"
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
    """Yield the segments of each message. A line that does not start a segment continues the previous line.

    A message of more than ``MAX_HL7_SEGMENTS`` segments is cut off after one more than that.
    """
    delimiters: Delimiters | None = None
    segments: list[list[str]] = []  # segments of a message, each a list of its lines
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
    """An OBR and the segments around it."""

    header: Segment  # MSH
    request: Segment  # OBR
    common: Segment | None  # ORC
    procedure: Segment | None = None  # IPC
    results: list[Segment] = field(default_factory=list)  # OBX

    def report(self, source: str, stem: str) -> Report | None:
        """Convert this order's results to a report; None if they hold no text."""
        parts = [part for result in self.results for part in _part_of(result)]
        # If the order does not state its status, its results may.
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
        """Return the accession number and its issuer: from IPC, OBR-18, or the filler or placer number."""
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
    """Yield the orders of a message; one with the accession number of the previous order is merged into it."""
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
        lines = [written]  # too long for a report even after its escapes are replaced
    elif kind in _WRITTEN_TEXT:
        # Formatted text has no components: a component separator in it is part of the text.
        lines = [result.plain(repeat) for repeat in result.repeats(5)]
    elif kind in {"CE", "CWE", "CNE"}:
        lines = [result.part(repeat, 2) or result.part(repeat, 1) for repeat in result.repeats(5)]
    elif kind == "ED":
        lines = [_encapsulated(result, repeat) for repeat in result.repeats(5)]
    else:
        return
    yield heading, "\n".join(lines).replace("\r\n", "\n").replace("\r", "\n")  # \\X0D\\ results in such characters


def _heading(result: Segment) -> str | None:
    code, suffix = result.component(3), result.component(3, 1, 2)
    return _SUFFIXES.get(suffix) or heading_of(code, result.component(3, 2))


def _study_of(result: Segment) -> str:
    return result.component(5) if result.component(3) in _STUDY_CODES else ""


def _encapsulated(result: Segment, repeat: str) -> str:
    """Return the text of an ED value; "" for a document that is not plain text (PDF, images)."""
    kind, subtype, encoding, data = (result.part(repeat, index) for index in (2, 3, 4, 5))
    if kind.casefold() not in {"text", "tx", "ft"} or subtype.casefold() not in {"", "plain"}:
        return ""
    return base64_text(data) if encoding.casefold() == "base64" else data
