"""Masks a report before it is shown: only the vocabulary of radiology reports is kept.

Patterns of identifiers always miss some, so the rule is reversed: a word is shown if it is in the vocabulary
(:mod:`pipelines.privacy.vocabulary`), a number if it is a measurement, a level or a count
(:mod:`pipelines.privacy.patterns`). Every other word is masked, in any script. In addition, text with the form of an
identifier (:mod:`pipelines.privacy.patterns`), words in the position of a name
(:mod:`pipelines.privacy.name_positions`) and words from the headers of the study's images
(:mod:`pipelines.privacy.header_words`) are masked.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipelines.findings import added_words
from pipelines.privacy.header_words import header_words_in
from pipelines.privacy.name_positions import in_name_positions
from pipelines.privacy.name_words import words_in
from pipelines.privacy.patterns import Masked, normal_form, number_mask, patterns_in
from pipelines.privacy.vocabulary import eponyms_in, is_known
from pipelines.study import Identifiers

__all__ = ["MaskedText", "mask_identifiers", "mask_report"]

MASKS = frozenset({"address", "age", "date", "e-mail", "link", "masked", "name", "number", "time"})
_OURS = rf"\[(?:{'|'.join(sorted(MASKS))})\]"
_TOKEN = re.compile(
    rf"(?P<mask>{_OURS})|(?P<run>[^\W_]*\d[^\W_]*(?:[-./:,'][^\W_]*\d[^\W_]*)*)|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)|(?P<sign>[^\w\s]|_)"
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_PLAIN_SIGNS = frozenset(
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u00b0\u00b1\u00d7\u00f7\u2022\u00b7\u2264\u2265\u2248\u2190\u2191\u2192\u2193\u00ab\u00bb\u201c\u201d\u201e\u00b2\u00b3\ufffd"
)
_JOINS = re.compile(r"[ \t]*[-']?[ \t]*")
_SPACED_LETTERS = re.compile(r"\b[A-Z](?:[ ][A-Z]){2,}\b")
_INITIALS = re.compile(r"\b(?:[A-Z]\.[ ]?){2,4}(?![\w])")
_NO_INITIALS = re.compile(r"pa|ap|[ap]m|i[vme]|md|sp|po|u[as]|lr|rl|do|eg|st")
_LONGEST_WORD = 64  # letters; longer words are masked without a check
_KEPT = 1 << 14
_MOST_ROUNDS = 12

# Identifiers do not cross line ends. Very long lines are cut at a space, so that hostile text does not take hours.
_PIECE = re.compile(r"[^\n]{1,600}(?:(?=[ \t\n])|\Z)|[^\n]{1,600}|\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedText:
    """A text as it is shown, with the masked parts."""

    text: str
    words: int  # number of words in the text
    masked_words: int
    spans: tuple[tuple[int, int, str], ...]  # in the normalised text: start, end, and the mask shown

    def mask_at(self, start: int, end: int) -> Masked | None:
        """Return the mask that overlaps a range of the normalised text; None if the range is shown."""
        return next((span for span in self.spans if span[0] < end and start < span[1]), None)


def mask_identifiers(text: str) -> str:
    """Replace every word that is not of radiology reports by its kind: "[name]", "[date]", "[masked]" ...

    Measurements, vertebrae and ribs are kept. Masking a masked text changes nothing. A name that is spelt like a word
    of reports and is not in the position of a name is not detected. A masked text is therefore safer to show, but is
    not de-identified.

    Source: HIPAA Safe Harbor, 45 CFR 164.514(b)(2), for what identifies.
    """
    return mask_report(text).text


def mask_report(text: str, known: Identifiers = Identifiers()) -> MaskedText:  # noqa: B008 - frozen
    """Mask a text, including every repetition of the values in its images' headers (``known``).

    An incomplete header could name anybody: then the whole text is masked.
    """
    return _mask_report(text, known, added_words())


@lru_cache(maxsize=_KEPT)
def _mask_report(text: str, known: Identifiers, _shown: frozenset[str]) -> MaskedText:
    plain = normal_form(text)
    if known.complete:
        spans = tuple(span for start, piece in _pieces(plain) for span in _masked(piece, start, known))
    else:
        spans = ((0, len(plain), "masked"),) if plain else ()
    words = [found.span() for found in _WORD.finditer(re.sub(_OURS, _blank, plain))]
    starts, ends = [span[0] for span in spans], [span[1] for span in spans]
    return MaskedText(
        text=_rendered(plain, spans),
        words=len(words),
        masked_words=sum(bisect_right(ends, word[0]) < bisect_left(starts, word[1]) for word in words),
        spans=spans,
    )


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    for found in _PIECE.finditer(text):
        if not found[0].isspace():
            yield found.start(), found[0]


def _masked(piece: str, offset: int, known: Identifiers) -> Iterator[Masked]:
    """Yield the masks of a piece, in rounds: the masks of one round give context for the next."""
    spans: tuple[Masked, ...] = ()
    for _ in range(_MOST_ROUNDS):
        shown = _MaskedPiece.of(piece, spans)
        found = [shown.back(span) for span in _one_round(shown.text, known)]
        joined = _joined(piece, [*spans, *found])
        if joined == spans:
            break
        spans = joined
    return ((start + offset, end + offset, mask) for start, end, mask in spans)


@dataclass(frozen=True, slots=True)
class _MaskedPiece:
    """A piece with its masks, and the origin of each of its characters."""

    text: str
    origins: Sequence[tuple[int, int]]

    @classmethod
    def of(cls, piece: str, spans: Iterable[Masked]) -> "_MaskedPiece":
        parts: list[str] = []
        origins: list[tuple[int, int]] = []
        at = 0
        for start, end, mask in spans:
            parts += [piece[at:start], f"[{mask}]"]
            origins += [(place, place + 1) for place in range(at, start)]
            origins += [(start, end)] * (len(mask) + 2)
            at = end
        origins += [(place, place + 1) for place in range(at, len(piece))]
        return cls("".join([*parts, piece[at:]]), origins)

    def back(self, span: Masked) -> Masked:
        """Map a range of the shown text to the piece."""
        start, end, mask = span
        return self.origins[start][0], self.origins[end - 1][1], mask


def _one_round(text: str, known: Identifiers) -> Iterator[Masked]:
    yield from patterns_in(text)
    yield from header_words_in(text, known)
    yield from ((found.start(), found.end(), "name") for found in _SPACED_LETTERS.finditer(text))
    for found in _INITIALS.finditer(text):
        if _NO_INITIALS.fullmatch(re.sub(r"\W", "", found[0]).casefold()) is None:
            yield found.start(), found.end(), "name"
    spared = list(eponyms_in(text))
    yield from _unknown(text, spared)
    for start, end in in_name_positions(text, spared):
        yield start, end, "name"


def _unknown(text: str, spared: Sequence[tuple[int, int]]) -> Iterator[Masked]:
    """Find words, numbers and characters that are not of reports; ``spared`` are eponyms."""
    middle = {word.start for word in words_in(text) if not word.opens and word.is_capital}
    for found in _TOKEN.finditer(text):
        if found["run"]:
            mask = number_mask(found)
            if mask is None and _beside_mask(text, found):
                mask = "number"
            if mask is not None:
                yield found.start(), found.end(), mask
        elif found["word"] and not _is_shown_word(found[0]) and not any(a <= found.start() < b for a, b in spared):
            yield found.start(), found.end(), "name" if found.start() in middle and not found[0].isupper() else "masked"
        elif (
            found["sign"]
            and found[0] not in _PLAIN_SIGNS
            and unicodedata.category(found[0]) not in {"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"}
        ):
            yield found.start(), found.end(), "masked"


_BEFORE_MASK = re.compile(r"[ \t]*[-./,]?[ \t]*\[(?:name|masked|date|number|address)\]")
_BEHIND_MASK = re.compile(r"\[(?:name|masked|date|number|address)\][ \t]*[-./,]?[ \t]*\Z")
_LIST_NUMBER = re.compile(r"(?:\A|[.!?:;)][ \t]+)[(]?\Z")


def _beside_mask(text: str, found: re.Match[str]) -> bool:
    """Return True if a number of one or two digits is next to a mask: "12 [masked] 2019", "[masked] 5"."""
    if not found[0].isdigit():
        return False
    before, behind = text[max(0, found.start() - 24) : found.start()], text[found.end() :][:24]
    if _LIST_NUMBER.search(before) and behind[:1] in {".", ")"}:
        return False
    follows = _BEFORE_MASK.match(behind)
    return follows is not None or (
        _BEHIND_MASK.search(before) is not None and not re.match(r"[ \t]*(?:[-x]|mm\b|cm\b|[a-z]{3})", behind)
    )


def _is_shown_word(word: str) -> bool:
    return _is_shown_beside(word, added_words())


@lru_cache(maxsize=_KEPT)
def _is_shown_beside(word: str, _shown: frozenset[str]) -> bool:
    if len(word) > _LONGEST_WORD or not word.isascii():
        return False
    folded = word.casefold()
    if len(folded) == 1:
        return True
    base = folded.removesuffix("'s").removesuffix("s'") if "'" in folded else folded
    return is_known(base) or is_known(folded)


def _joined(piece: str, spans: Iterable[Masked]) -> tuple[Masked, ...]:
    """Merge overlapping and adjacent masks; of two kinds, that of the longer one is used."""
    joined: list[Masked] = []
    for start, end, mask in sorted(spans, key=lambda span: (span[0], -span[1], span[2] == "masked")):
        if joined:
            begin, until, last = joined[-1]
            alike = last == mask or {last, mask} == {"name", "masked"}
            if start < until or (alike and _JOINS.fullmatch(piece, until, start)):
                longer = mask if end - start > until - begin else last
                kind = "name" if alike and last != mask else longer
                joined[-1] = begin, max(until, end), kind
                continue
        joined.append((start, end, mask))
    return tuple(joined)


def _rendered(text: str, spans: Iterable[Masked]) -> str:
    parts, at = [], 0
    for start, end, mask in spans:
        parts += [text[at:start], f"[{mask}]"]
        at = end
    return "".join([*parts, text[at:]])
