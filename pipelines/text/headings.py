"""Coded headings of report sections, as DICOM SR, HL7 and FHIR write them, and text put under them."""

from collections.abc import Iterable

from pipelines.text.sections import is_heading

__all__ = ["headed_text", "heading_of"]

# PS3.16 CID 7001 (Diagnostic Imaging Report Heading) and CID 7002 (its elements), in DICOM's and in LOINC's codes.
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
    """Name the section that a coded concept opens, or None where it opens none.

    ``meaning`` decides where the code is not known, if it is spelt as a heading of a report is ("Impression").
    """
    if code in _HEADING_OF_CODE:
        return _HEADING_OF_CODE[code]
    words = " ".join(meaning.split()).rstrip(":")
    return words.upper() if is_heading(words) else None


def headed_text(parts: Iterable[tuple[str | None, str]]) -> str:
    """Write (heading, text) parts as one report; a part without heading goes on where the one before it ended."""
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
