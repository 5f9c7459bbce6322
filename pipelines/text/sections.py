"""Extracts the sections of a report that describe the image: findings and impression.

History, indication, technique and comparison are excluded: what they mention is not a claim about this image.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Section", "headed_text", "heading_of", "is_heading", "sections_of", "without_letterhead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of a report that describes the image. ``name`` is "findings" or "impression"."""

    name: str
    text: str


_FINDINGS, _IMPRESSION, _OTHER = "findings", "impression", "other"

# Longer spellings come first, so that "findings and impression" is not read as "findings".
_SPELLINGS: dict[str, tuple[str, ...]] = {
    _FINDINGS: (
        r"(?:findings?|impressions?)\s*(?:and|/|&)\s*(?:findings?|impressions?|conclusions?|recommendations?)",
        r"(?:chest|radiograph(?:ic)?|x-?ray|imaging|additional|other|pertinent|relevant|detailed|main)\s+findings?",
        r"findings?",
        r"observations?",
        r"body\s+of\s+report",
        r"(?:radiology\s+|radiological\s+|chest\s+x-?ray\s+|final\s+)?report",
        r"addendum",
    ),
    _IMPRESSION: (
        r"(?:final\s+|preliminary\s+|radiological\s+|overall\s+)?impressions?",
        r"conclusions?",
        r"opinion",
        r"summary",
        r"interpretation",
        r"assessment",
    ),
    _OTHER: (
        r"(?:(?:clinical|brief|patient|relevant|past\s+medical|medical)\s+)?histor(?:y|ies)",
        r"clinical(?:\s+(?:information|indications?|details|data|statement|question|context|diagnosis))?",
        r"(?:reasons?|indications?)(?:\s+for\s+(?:the\s+)?(?:exam(?:ination)?|study|procedure|test))?",
        r"comparisons?(?:\s+(?:study|studies|exams?|films?))?",
        r"compared?\s+(?:to|with)",
        r"prior\s+(?:study|studies|exams?|films?)",
        r"techniques?",
        r"procedure(?:\s+comments)?",
        r"(?:type\s+of\s+)?(?:exam|examination|study)(?:\s+(?:type|date|performed))?",
        r"views?(?:\s+obtained)?",
        r"recommendations?(?:\s*\(s\))?",
        r"notifications?",
        r"communications?",
        r"(?:electronically\s+)?signed(?:\s+by)?",
        r"dictated\s+by",
        r"attestation",
        r"wet\s+read",
        r"date(?:\s+of\s+(?:exam|examination|study|service|birth))?",
        r"patient(?:\s+(?:name|id))?",
        r"name",
        r"mrn",
        r"accession(?:\s+number)?",
        r"(?:referring|ordering)\s+(?:physician|provider)",
    ),
}
_KIND_OF = tuple(
    (kind, re.compile(rf"(?:{spelling})\Z", re.IGNORECASE))
    for kind, spellings in _SPELLINGS.items()
    for spelling in spellings
)
_ANY_SPELLING = "|".join(spelling for spellings in _SPELLINGS.values() for spelling in spellings).replace(
    r"\s", r"[ \t]"
)
_HEADER = re.compile(
    # At the start of a line: "FINDINGS:", "  **Impression**:", "IMPRESSION - ", or alone on the line.
    rf"^[^\w\n]{{0,6}}(?:(?P<line>{_ANY_SPELLING})[ \t]*[*_]{{0,2}}:[*_]{{0,2}}"
    rf"|(?P<bare>{_ANY_SPELLING})(?:[ \t]*$|[ \t]+-[ \t]))"
    # Tables hold whole reports on one line: a header there follows the end of a sentence, or is in capitals.
    rf"|(?:(?<=[.!?:;\]_][ \t])|(?<=[ \t]{{2}}))(?P<inline>{_ANY_SPELLING})[ \t]?:"
    rf"|(?<=[ \t])(?P<capital>{_ANY_SPELLING})[ \t]?:",
    re.IGNORECASE | re.MULTILINE,
)
_TITLE_LINE = re.compile(
    r"^[ \t]*(?:(?:wet read|final|preliminary|provisional)\s+report|final addendum)[ \t:]*$",
    re.IGNORECASE | re.MULTILINE,
)
_ABOUT_PEOPLE = re.compile(
    r"patient(?:\s+(?:name|id))?$|name|mrn|accession|(?:referring|ordering)\b|(?:electronically\s+)?signed|dictated|"
    r"attestation|notification|communication|date",
    re.IGNORECASE,
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True, slots=True)
class _Part:
    kind: str | None  # None: text before the first header
    text: str


def sections_of(text: str) -> tuple[Section, ...]:
    """Split a report into its findings and impression, in text order.

    Text without a header counts as findings if the report has no findings header; a report without any header is all
    findings. "Findings and impression" under one header counts as findings.
    """
    parts = list(_parts(_TITLE_LINE.sub("\n", text)))
    has_findings = any(part.kind == _FINDINGS and part.text.strip() for part in parts)
    sections: list[Section] = []
    for part in parts:
        if part.kind in {_FINDINGS, _IMPRESSION}:
            sections.append(Section(name=part.kind, text=part.text))
        elif not has_findings:
            # No "FINDINGS" header: the body is before the first header, or after a blank line below another section.
            body = part.text if part.kind is None else _below_first_paragraph(part.text)
            sections.append(Section(name=_FINDINGS, text=body))
    return tuple(section for section in sections if section.text.strip())


def without_letterhead(text: str) -> str:
    """Remove text about people from a report: letterhead, patient data, signatures and who was informed.

    In a report with headings, the letterhead is the text before the first heading.
    """
    headers = list(_headers(text))
    if not headers:
        return text.strip()
    ends = [start for start, _, _ in headers[1:]] + [len(text)]
    kept = [
        text[start:end].strip()
        for (start, _, words), end in zip(headers, ends, strict=True)
        if not _ABOUT_PEOPLE.match(" ".join(words.split()))
    ]
    return "\n\n".join(part for part in kept if part)


def is_heading(words: str) -> bool:
    """Return True if these words alone are the heading of a report section."""
    return _kind_of(words) is not None


def _parts(text: str) -> Iterator[_Part]:
    kind: str | None = None
    begin = 0
    for start, end, header in _headers(text):
        yield _Part(kind, text[begin:start])
        kind, begin = _kind_of(header), end
    yield _Part(kind, text[begin:])


def _headers(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, words) of every header."""
    for match in _HEADER.finditer(text):
        bare, capital = match["bare"], match["capital"]
        # Without a colon, or within a line, a lower-case word is part of a sentence: "... no acute\nfindings".
        if (bare and not bare[0].isupper()) or (capital and not capital.isupper()):
            continue
        yield match.start(), match.end(), match["line"] or match["inline"] or bare or capital


def _kind_of(header: str) -> str | None:
    words = " ".join(header.split())
    return next((kind for kind, spelling in _KIND_OF if spelling.match(words)), None)


def _below_first_paragraph(text: str) -> str:
    paragraphs = _BLANK_LINE.split(text.lstrip("\n"), maxsplit=1)
    return paragraphs[1] if len(paragraphs) == 2 else ""


# PS3.16 CID 7001 (Diagnostic Imaging Report Heading) and CID 7002 (its elements), in DICOM and LOINC codes.
_CODED = {
    "FINDINGS": ("121070", "121071", "59776-5", "18782-3"),
    "IMPRESSION": ("121072", "121073", "19005-8", "121076", "121077", "55110-1", "121111", "55112-7"),
    "ADDENDUM": ("121078", "55107-7"),
    "HISTORY": ("121060", "11329-0", "121110", "55108-5"),
    "INDICATION": ("121109", "18785-6", "121062", "55115-0"),
    "TECHNIQUE": ("121064", "121065", "55111-9", "121113", "55109-3"),
    "COMPARISON": ("121066", "121068", "55114-3", "18834-2"),
    "RECOMMENDATION": ("121074", "121075", "18783-1"),
}
_HEADING_OF_CODE = {code: heading for heading, codes in _CODED.items() for code in codes}


def heading_of(code: str, meaning: str) -> str | None:
    """Return the name of the section that a coded concept starts, or None if it starts none.

    For an unknown code, ``meaning`` decides if it is spelt like the heading of a report ("Impression").
    """
    if code in _HEADING_OF_CODE:
        return _HEADING_OF_CODE[code]
    words = " ".join(meaning.split()).rstrip(":")
    return words.upper() if is_heading(words) else None


def headed_text(parts: Iterable[tuple[str | None, str]]) -> str:
    """Write (heading, text) parts as one report; a part without a heading continues the previous one."""
    written: list[str] = []
    current: str | None = None
    for heading, text in parts:
        body = text.strip("\n")
        if not body.strip():
            continue
        if heading is not None and heading != current:
            written.append(f"\n{heading}:\n{body}" if written else f"{heading}:\n{body}")
            current = heading
        else:
            written.append(body)
    return "\n".join(written)
