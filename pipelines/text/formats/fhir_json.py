"""Reads FHIR DiagnosticReports from JSON that may be malformed in any place.

Source: HL7 FHIR R4 (4.0.1), References, Attachment, Narrative.

Source: HL7 FHIR R4 (4.0.1), DiagnosticReport, Bundle, ImagingStudy, Attachment; R5 where a name changed (``study``).
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape
from itertools import chain
from typing import Any

from pipelines.limits import MAX_LINES, MAX_MARKUP_CHARACTERS, MAX_REPORT_CHARACTERS, MAX_ROWS
from pipelines.study import Exclusion, Report, ReportStatus
from pipelines.text.formats.file import ReadReports, ReportFile, failed, issued_at, left_out_by_rule
from pipelines.text.sections import headed_text, heading_of
from pipelines.text_files import JsonLimitError, base64_text, parse_json

__all__ = [
    "Resource",
    "Resources",
    "attachment_text",
    "codings",
    "div_text",
    "listed",
    "read_fhir_reports",
    "recognise_fhir_reports",
    "words",
]

_READ_TYPES = {"text/plain": False, "text/html": True, "application/xhtml+xml": True}  # value: is it marked up
_NEW_LINE_TAGS = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol"})
# Each tag is read once, even if it is never closed: html.parser would search for the missing end again and again.
_MARK = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?P<end>/)?(?P<tag>[a-z][a-z0-9]*)\b[^<>]*>|<[!?/][^<>]*>", re.IGNORECASE | re.DOTALL
)
_UNSEEN_TAGS = frozenset({"script", "style", "head", "title"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource, with the address that its Bundle states."""

    content: dict[str, Any]
    full_url: str = ""


@dataclass(slots=True)
class Resources:
    """The resources of a file, found by reference."""

    known: Iterable[Resource]
    _by_reference: dict[str, dict[str, Any]] = field(init=False, default_factory=dict)
    _contained: dict[int, dict[str, dict[str, Any]]] = field(init=False, default_factory=dict)  # of the latest holder

    def __post_init__(self) -> None:
        for resource in self.known:
            kind, identifier = words(resource.content.get("resourceType")), words(resource.content.get("id"))
            for key in (resource.full_url, f"{kind}/{identifier}" if identifier else ""):
                if key:
                    self._by_reference.setdefault(key, resource.content)

    def find(self, reference: dict[str, Any], holder: dict[str, Any]) -> dict[str, Any] | None:
        """Resolve a ``reference`` of the resource ``holder``; None if the target is not in this file."""
        target = words(reference.get("reference"))
        if target.startswith("#"):
            return self._contained_in(holder).get(target[1:])
        if target in self._by_reference:
            return self._by_reference[target]
        # An absolute, versioned address is looked up by type and identifier.
        parts = target.split("/_history/", maxsplit=1)[0].rsplit("/", maxsplit=2)[-2:]
        return self._by_reference.get("/".join(parts))

    def _contained_in(self, holder: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return a resource's contained resources by identifier; the first, if two have the same one."""
        if id(holder) not in self._contained:
            inner = listed(holder.get("contained"))
            self._contained = {id(holder): {words(each.get("id")): each for each in reversed(inner)}}
        return self._contained[id(holder)]


def words(value: Any) -> str:
    """Return a string as it is, and "" for any other value."""
    return value.strip() if isinstance(value, str) else ""


def listed(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list, and an empty list for any other value."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def codings(concept: Any) -> Iterator[dict[str, Any]]:
    """Yield the codings of a CodeableConcept; nothing for any other value."""
    yield from listed(concept.get("coding") if isinstance(concept, dict) else None)


def attachment_text(attachment: dict[str, Any]) -> str:
    """Return an attachment's text; "" for an image, a PDF or external content, because no address is followed."""
    kind = words(attachment.get("contentType")).split(";")[0].strip().casefold()
    if kind not in _READ_TYPES:
        return ""
    text = base64_text(words(attachment.get("data")))
    return _without_marks(text) if _READ_TYPES[kind] else text.strip()


def div_text(narrative: Any) -> str:
    """Return the words of a Narrative's XHTML."""
    return _without_marks(words(narrative.get("div"))) if isinstance(narrative, dict) else ""


def _without_marks(marked: str) -> str:
    """Remove the tags from a text; a text that is too long is returned unchanged and is then refused as a report."""
    if len(marked) > MAX_MARKUP_CHARACTERS:
        return marked
    seen: list[str] = []
    unseen = start = 0
    for mark in _MARK.finditer(marked):
        if not unseen:
            seen.append(unescape(marked[start : mark.start()]))
        tag, start = (mark["tag"] or "").casefold(), mark.end()
        if tag in _UNSEEN_TAGS:
            unseen = max(0, unseen - 1) if mark["end"] else unseen + (not mark[0].endswith("/>"))
        if tag in _NEW_LINE_TAGS:
            seen.append("\n")
    if not unseen:
        seen.append(unescape(marked[start:]))
    lines = (" ".join(line.split()) for line in "".join(seen).split("\n"))
    return "\n".join(line for line in lines if line)


_JSON_START = re.compile(r"\s*(?:\[\s*)?\{\s*[\"}]")  # some de-identified texts start with "[**...**]"
_LINE = re.compile(r"[^\n]+")
_STATUS = {
    "registered": ReportStatus.PRELIMINARY,
    "partial": ReportStatus.PRELIMINARY,
    "preliminary": ReportStatus.PRELIMINARY,
    "final": ReportStatus.FINAL,
    "amended": ReportStatus.CORRECTED,
    "corrected": ReportStatus.CORRECTED,
    "appended": ReportStatus.CORRECTED,  # the resource holds the whole report, including the appended text
    "cancelled": ReportStatus.WITHDRAWN,
    "entered-in-error": ReportStatus.WITHDRAWN,
}
_OID = "urn:oid:"
_DEEPEST = 8  # levels of nested Bundles


def recognise_fhir_reports(file: ReportFile) -> bool:
    """Return True for JSON; its content is checked when it is read."""
    return _JSON_START.match(file.text) is not None


def read_fhir_reports(file: ReportFile) -> ReadReports:
    """Read every DiagnosticReport of the file; references are resolved only within the same file."""
    source, name = str(file.path), file.path.name
    try:
        found = [resource for value in _values(file.text) for resource in _resources(value, 0)]
    except JsonLimitError as error:
        return (), (failed(source, f"{name} cannot be read: {error}"),)
    except ValueError as error:
        reason = f"{name} is invalid JSON ({type(error).__name__}): copy or export it again"
        return (), (failed(source, reason),)
    resources = Resources(found)
    reports: list[Report] = []
    left_out: list[Exclusion] = []
    diagnostic = [resource for resource in found if resource.content.get("resourceType") == "DiagnosticReport"]
    if len(diagnostic) > MAX_ROWS:
        return (), (failed(source, f"{name} holds more than {MAX_ROWS:,} reports: split the file"),)
    for number, resource in enumerate(diagnostic, start=1):
        own = f"{source} report {number}" if len(diagnostic) > 1 else source
        report = _report(own, resource.content, resources)
        if not report.text and report.status is not ReportStatus.WITHDRAWN:
            reason = (
                f"report {number} of {name} holds no text (in presentedForm, as text or HTML within the file; in "
                "result; in conclusion; in text): export it with its text"
            )
            left_out.append(failed(own, reason))
        else:
            reports.append(report)
    if not diagnostic:
        reason = f"{name} is JSON without a FHIR DiagnosticReport: remove it from the folder"
        left_out.append(left_out_by_rule(source, reason))
    return tuple(reports), tuple(left_out)


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON values of a file: a single one, or one per line."""
    try:
        yield parse_json(text)
    except json.JSONDecodeError:
        if text.count("\n") > MAX_LINES:
            raise JsonLimitError(f"it has more than {MAX_LINES:,} lines: split the file") from None
        lines = filter(None, (line[0].strip() for line in _LINE.finditer(text)))
        first, second = next(lines, ""), next(lines, "")
        if not second:
            raise
        for line in chain((first, second), lines):
            yield parse_json(line)


def _resources(value: Any, depth: int) -> Iterator[Resource]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for item in value:
            yield from _resources(item, depth + 1)
    elif isinstance(value, dict) and value.get("resourceType") == "Bundle":
        for entry in listed(value.get("entry")):
            inner = entry.get("resource")
            if isinstance(inner, dict) and inner.get("resourceType") != "Bundle":
                yield Resource(content=inner, full_url=words(entry.get("fullUrl")))
            else:
                yield from _resources(inner, depth + 1)
    elif isinstance(value, dict):
        yield Resource(content=value)


def _report(source: str, content: dict[str, Any], resources: Resources) -> Report:
    accession, issuer = _accession(content, resources)
    meta = content.get("meta")
    changed = words(meta.get("lastUpdated")) if isinstance(meta, dict) else ""
    return Report(
        source=source,
        text=_text(content, resources),
        study_instance_uid=_study(content, resources),
        accession_number=accession or None,
        stem=words(content.get("id")) or None,
        accession_issuer=issuer or None,
        status=_STATUS.get(words(content.get("status"))),
        issued=issued_at(words(content.get("issued"))) or issued_at(changed),
    )


def _text(content: dict[str, Any], resources: Resources) -> str:
    """Return the report as it was presented, or else its results and conclusion, or else the narrative."""
    presented = next(filter(None, map(attachment_text, listed(content.get("presentedForm")))), "")
    if presented:
        return presented
    parts = list(_parts(content, resources))
    conclusion = words(content.get("conclusion"))
    coded = [_concept(code)[1] for code in listed(content.get("conclusionCode"))] if not conclusion else []
    parts += [("IMPRESSION", line) for line in (conclusion, *coded) if line]
    return headed_text(parts) or div_text(content.get("text"))


def _parts(content: dict[str, Any], resources: Resources) -> Iterator[tuple[str | None, str]]:
    """Yield the texts of the results, up to the length limit: many results may refer to one long text."""
    length = 0
    for result in listed(content.get("result")):
        for part in _result(resources.find(result, content)):
            length += len(part[1])
            yield part
        if length > MAX_REPORT_CHARACTERS:
            return


def _result(observation: dict[str, Any] | None) -> Iterator[tuple[str | None, str]]:
    if observation is None or observation.get("status") in {"cancelled", "entered-in-error"}:
        return
    code, meaning = _concept(observation.get("code"))
    concept = observation.get("valueCodeableConcept")
    value = words(observation.get("valueString")) or (_concept(concept)[1] if concept else "")
    heading = heading_of(code, meaning)
    if value:
        yield heading or "FINDINGS", value if heading or not meaning else f"{meaning}: {value}"
    for note in listed(observation.get("note")):
        yield heading or "FINDINGS", words(note.get("text"))


def _concept(value: Any) -> tuple[str, str]:
    """Return the first code, and its text: as written, or else as displayed."""
    if not isinstance(value, dict):
        return "", ""
    coded = list(codings(value))
    display = next((shown for coding in coded if (shown := words(coding.get("display")))), "")
    return (words(coded[0].get("code")) if coded else ""), words(value.get("text")) or display


def _study(content: dict[str, Any], resources: Resources) -> str | None:
    """Return the StudyInstanceUID if all imaging studies that the report names are the same."""
    found: set[str] = set()
    for reference in (*listed(content.get("imagingStudy")), *listed(content.get("study"))):
        own = reference.get("identifier")
        named = resources.find(reference, content) or {}
        for identifier in (*listed([own]), *listed(named.get("identifier"))):
            value = words(identifier.get("value"))
            if value.startswith(_OID) or words(identifier.get("system")) == "urn:dicom:uid":
                found.add(value.removeprefix(_OID))
        if words(named.get("uid")):  # the form in STU3 and earlier
            found.add(words(named["uid"]).removeprefix(_OID))
    return found.pop() if len(found) == 1 else None


def _accession(content: dict[str, Any], resources: Resources) -> tuple[str, str]:
    """Return the number of type ACSN and its issuer: from the report, its order, or its imaging study."""
    references = [
        *listed(content.get("basedOn")),
        *listed(content.get("imagingStudy")),
        *listed(content.get("study")),
    ]
    referred = [resources.find(reference, content) or {} for reference in references]
    candidates: Iterable[dict[str, Any]] = (
        *listed(content.get("identifier")),
        *listed([reference.get("identifier") for reference in references]),
        *(identifier for named in referred for identifier in listed(named.get("identifier"))),
        *(identifier for named in referred for identifier in listed([named.get("accession")])),
    )
    for identifier in candidates:
        if any(coding.get("code") == "ACSN" for coding in codings(identifier.get("type"))):
            return words(identifier.get("value")), _issuer(identifier)
    return "", ""


def _issuer(identifier: dict[str, Any]) -> str:
    """Return the issuer as in DICOM: an OID, or the assigner's name. Headers do not hold web addresses."""
    system = words(identifier.get("system"))
    if system.startswith(_OID):
        return system.removeprefix(_OID)
    assigner = identifier.get("assigner")
    return words(assigner.get("display")) if isinstance(assigner, dict) else ""
