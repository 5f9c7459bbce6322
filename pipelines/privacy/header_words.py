"""Finds the values of a study's image headers in its report, where they are masked.

A word that is not in the vocabulary of reports is masked anyway. The headers add words and numbers that are harmless in
other reports: a patient called Young, a clinic called North. Words of findings, anatomy, sides and devices are shown.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pipelines.privacy.name_words import Word, is_frequent, words_in
from pipelines.privacy.patterns import Masked, normal_form
from pipelines.privacy.vocabulary import is_clinical, is_known, is_report_word, may_be_name
from pipelines.study import Identifiers

__all__ = ["header_words_in"]

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_RUN = re.compile(r"[^\W_]*\d[^\W_]*(?:[-./][^\W_]*\d[^\W_]*)*")
_PART = re.compile(r"[^\W_]+")
_SHORTEST = 2  # letters or digits
_LONGEST_PHRASE = 32  # words of a value that are looked for as a whole
_KEPT = 256


@dataclass(frozen=True, slots=True)
class _Header:
    """The parts of the headers' values."""

    names: frozenset[str]
    words: frozenset[str]  # of places and other text that may be masked one by one
    numbers: frozenset[str]
    phrases: re.Pattern[str] | None  # of several words, as a whole


def header_words_in(text: str, known: Identifiers) -> Iterator[Masked]:
    """Find values of headers, complete or as single words, in any case."""
    if known == _NOTHING:
        return
    header = _taken_apart(known)
    if header.phrases is not None:
        for found in header.phrases.finditer(text):
            yield found.start(), found.end(), "name"
    for found in _RUN.finditer(text):
        if found[0].casefold() in header.numbers and not _is_measured_with(text, found.end()):
            yield found.start(), found.end(), "number"
    for word in words_in(text):
        if not word.is_mask and not word.is_number and _repeats(word, header):
            yield word.start, word.end, "name"


_NOTHING = Identifiers()
_UNIT_BEHIND = re.compile(
    r"[ -]*(?:mm|cm|ml|cc|l|kg|g|mg|hu|percent|degrees?|french|fr|x|ribs?|weeks?|days?|months?|years?|hours?|views?)\b",
    re.IGNORECASE,
)


def _is_measured_with(text: str, end: int) -> bool:
    return _UNIT_BEHIND.match(text, end) is not None


def _repeats(word: Word, header: _Header) -> bool:
    base = word.base
    if base in header.names:
        if is_clinical(base) or is_frequent(base):
            return word.is_capital and not word.opens and not word.text.isupper()
        return True
    return base in header.words and (not is_report_word(base) or (may_be_name(base) and word.is_capital))


@lru_cache(maxsize=_KEPT)
def _taken_apart(known: Identifiers) -> _Header:
    names = {word for value in known.names for word in _words(value)}
    values = [normal_form(value) for value in (*known.places, *known.others)]
    words = {word for value in values for word in _words(value) if not is_clinical(word) and not is_frequent(word)}
    numbers = {run.casefold() for value in values for run in _runs(value)}
    wholes = {*map(_spaced, (*known.names, *known.places)), *filter(_may_name, map(_spaced, known.others))}
    phrases = {phrase for phrase in wholes if len(phrase) > 1}
    longest_first = sorted(phrases, key=len, reverse=True)
    pattern = "|".join(r"[\W_]+".join(map(re.escape, phrase)) for phrase in longest_first)
    return _Header(
        names=frozenset(names),
        words=frozenset(words),
        numbers=frozenset(numbers),
        phrases=re.compile(rf"(?<![^\W_])(?:{pattern})(?![^\W_])", re.IGNORECASE) if pattern else None,
    )


def _may_name(phrase: tuple[str, ...]) -> bool:
    """Return True if several words together may identify: one is not of reports, or is also a name."""
    return any(
        not is_known(word.casefold())
        or not is_report_word(word.casefold())
        or (may_be_name(word.casefold()) and not is_clinical(word.casefold()) and not is_frequent(word.casefold()))
        for word in phrase
    )


def _words(value: str) -> Iterator[str]:
    for found in _WORD.finditer(normal_form(value)):
        if len(found[0]) >= _SHORTEST:
            yield found[0].casefold().removesuffix("'s")


def _runs(value: str) -> Iterator[str]:
    for found in _RUN.finditer(value):
        if len(found[0]) >= _SHORTEST:
            yield found[0]
            yield from (
                part for part in _PART.findall(found[0]) if len(part) > _SHORTEST and any(map(str.isdigit, part))
            )


def _spaced(value: str) -> tuple[str, ...]:
    return tuple(_PART.findall(normal_form(value)))[:_LONGEST_PHRASE]
