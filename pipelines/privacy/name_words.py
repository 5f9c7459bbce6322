"""The words of a text with their context, and the word lists by which names are recognised."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from pipelines.privacy.vocabulary import is_clinical, may_be_name

__all__ = ["KINDS", "Word", "Words", "is_frequent", "words_in"]

_WORD = re.compile(r"\[[a-z-]+\]|[^\W\d_]+(?:'[^\W\d_]+)*|\d+")
KINDS = {
    kind: frozenset(words.split())
    for kind, words in tomllib.loads(
        files("pipelines.privacy").joinpath("name_positions.toml").read_text("utf-8")
    ).items()
}
"""The lists of ``name_positions.toml``, which says what each is for."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, or a mask in it."""

    text: str
    start: int
    end: int
    opens: bool  # a sentence, a line or what stands behind a colon
    gap: str  # what stands between it and the word before
    after: str  # the character behind it

    @property
    def is_mask(self) -> bool:
        """True if it is a mask."""
        return self.text.startswith("[")

    @property
    def is_number(self) -> bool:
        """True if it consists of digits."""
        return self.text[0].isdigit()

    @property
    def is_capital(self) -> bool:
        """True if it starts with a capital letter."""
        return self.text[0].isupper()

    @property
    def is_initial(self) -> bool:
        """True if it is a single capital letter."""
        return len(self.text) == 1 and self.is_capital

    @property
    def base(self) -> str:
        """The word in lower case, without "'s"."""
        return self.text.casefold().removesuffix("'s")

    @property
    def is_also_name(self) -> bool:
        """True if it is also a name, and not a word of findings, anatomy, sides or devices."""
        return may_be_name(self.base) and not is_clinical(self.base)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text."""

    words: Sequence[Word]
    in_capitals: bool

    def at(self, index: int) -> Word | None:
        """Return the word at an index, or None outside the text."""
        return self.words[index] if 0 <= index < len(self.words) else None


def is_frequent(word: str) -> bool:
    """Return True if a word is also a name, but so frequent that in lower case it is not one: "an", "he", "may"."""
    return word in KINDS["frequent"]


def words_in(text: str) -> list[Word]:
    """Split a text into its words."""
    words: list[Word] = []
    end = 0
    for found in _WORD.finditer(text):
        gap = text[end : found.start()]
        opens = not words or any(mark in gap for mark in ".!?:;\n") or (words[-1].text.isdigit() and ")" in gap)
        words.append(Word(found[0], found.start(), found.end(), opens, gap, text[found.end() : found.end() + 1]))
        end = found.end()
    return words
