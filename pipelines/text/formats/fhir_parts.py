"""Parts of FHIR resources, read from JSON that may hold anything anywhere.

Source: HL7 FHIR R4 (4.0.1), References, Attachment, Narrative.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from pipelines.limits import MAX_MARKUP_CHARACTERS
from pipelines.text_files import base64_text

__all__ = ["Resource", "Resources", "attachment_text", "codings", "div_text", "listed", "words"]

_READ_TYPES = {"text/plain": False, "text/html": True, "application/xhtml+xml": True}  # whether it is marked up
_NEW_LINE_TAGS = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol"})
# Each mark is read once, whatever is left open: html.parser looks for an end that is not there again and again.
_MARK = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?P<end>/)?(?P<tag>[a-z][a-z0-9]*)\b[^<>]*>|<[!?/][^<>]*>", re.IGNORECASE | re.DOTALL
)
_UNSEEN_TAGS = frozenset({"script", "style", "head", "title"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource, with the address that its Bundle gives it."""

    content: dict[str, Any]
    full_url: str = ""


@dataclass(slots=True)
class Resources:
    """The resources of one file, found by reference."""

    known: Iterable[Resource]
    _by_reference: dict[str, dict[str, Any]] = field(init=False, default_factory=dict)
    _contained: dict[int, dict[str, dict[str, Any]]] = field(init=False, default_factory=dict)  # of the last holder

    def __post_init__(self) -> None:
        for resource in self.known:
            kind, identifier = words(resource.content.get("resourceType")), words(resource.content.get("id"))
            for key in (resource.full_url, f"{kind}/{identifier}" if identifier else ""):
                if key:
                    self._by_reference.setdefault(key, resource.content)

    def find(self, reference: dict[str, Any], holder: dict[str, Any]) -> dict[str, Any] | None:
        """Look up what ``reference``, which stands in ``holder``, refers to; None where this file does not hold it."""
        target = words(reference.get("reference"))
        if target.startswith("#"):
            return self._contained_in(holder).get(target[1:])
        if target in self._by_reference:
            return self._by_reference[target]
        # Of an absolute and versioned address the type and the identifier are looked up.
        parts = target.split("/_history/", maxsplit=1)[0].rsplit("/", maxsplit=2)[-2:]
        return self._by_reference.get("/".join(parts))

    def _contained_in(self, holder: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Give what a resource holds within itself, by its identifiers; of two with the same one the first."""
        if id(holder) not in self._contained:
            inner = listed(holder.get("contained"))
            self._contained = {id(holder): {words(each.get("id")): each for each in reversed(inner)}}
        return self._contained[id(holder)]


def words(value: Any) -> str:
    """Give a string as it is, and "" for what is none."""
    return value.strip() if isinstance(value, str) else ""


def listed(value: Any) -> list[dict[str, Any]]:
    """Give the objects of a list, and nothing for what is none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def codings(concept: Any) -> Iterator[dict[str, Any]]:
    """Give the codings of a CodeableConcept, and nothing for what is none."""
    yield from listed(concept.get("coding") if isinstance(concept, dict) else None)


def attachment_text(attachment: dict[str, Any]) -> str:
    """The text of an attachment; "" where it is a picture or a PDF, or lies elsewhere: no address is followed."""
    kind = words(attachment.get("contentType")).split(";")[0].strip().casefold()
    if kind not in _READ_TYPES:
        return ""
    text = base64_text(words(attachment.get("data")))
    return _without_marks(text) if _READ_TYPES[kind] else text.strip()


def div_text(narrative: Any) -> str:
    """The words of a Narrative's XHTML."""
    return _without_marks(words(narrative.get("div"))) if isinstance(narrative, dict) else ""


def _without_marks(marked: str) -> str:
    """Give the words of a marked-up text; one that is too long stays as it is, and is then refused as a report."""
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
