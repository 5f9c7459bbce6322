"""Where in a sentence a name may stand: there words are masked that elsewhere are words of a report."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

from pipelines.privacy.vocabulary import is_clinical, is_common, is_known, is_report_word, may_be_name

__all__ = ["Word", "in_name_positions", "is_frequent", "words_in"]

_WORD = re.compile(r"\[[a-z-]+\]|[^\W\d_]+(?:'[^\W\d_]+)*|\d+")
_KINDS = {
    kind: frozenset(words.split())
    for kind, words in tomllib.loads(
        files("pipelines.privacy").joinpath("name_positions.toml").read_text("utf-8")
    ).items()
}
_NOBODY = _KINDS["roles"] | _KINDS["frequent"]
_SAME_NAME = re.compile(r"[ \t]+|-|'|\.[ \t]*")
_BEHIND_TITLE = re.compile(r"\.?[ \t]*(?:-[ \t]*)?")
_BEHIND_DEED = re.compile(r"[ \t]*[:,/]?[ \t]*")
_BEHIND_LABEL = re.compile(r"[ \t]*[:.,/]?[ \t]*")
_MOST_WORDS_OF_NAME = 5
_DEED_WORDS_AHEAD = 4  # "discussed in person with"
_CAPITALS = 0.6  # share of letters above which a text is taken to be written in capitals
_LETTERS_OF_LISTS = "ABCDEF"
_OF_NAMES = "defghjkmnopqw"  # letters that, alone behind a word, are an initial in small letters too
_SHORT = 3  # letters: a short word that is an abbreviation of ours in capitals is a name with one capital ("Ng", "Ma")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, or a mask that stands in it."""

    text: str
    start: int
    end: int
    opens: bool  # a sentence, a line or what stands behind a colon
    gap: str  # what stands between it and the word before
    after: str  # the character behind it

    @property
    def is_mask(self) -> bool:
        """Whether it masks something already."""
        return self.text.startswith("[")

    @property
    def is_number(self) -> bool:
        """Whether it is made of digits."""
        return self.text[0].isdigit()

    @property
    def is_capital(self) -> bool:
        """Whether it begins with a capital letter."""
        return self.text[0].isupper()

    @property
    def is_initial(self) -> bool:
        """Whether it is one capital letter."""
        return len(self.text) == 1 and self.is_capital

    @property
    def base(self) -> str:
        """The word in small letters, without "'s"."""
        return self.text.casefold().removesuffix("'s")

    @property
    def is_also_name(self) -> bool:
        """Whether it is a name too and no word of findings, anatomy, sides or devices."""
        return may_be_name(self.base) and not is_clinical(self.base)


@dataclass(frozen=True, slots=True)
class _Sentence:
    """The words of a text."""

    words: Sequence[Word]
    in_capitals: bool

    def at(self, index: int) -> Word | None:
        """Give the word at a place, or None outside the text."""
        return self.words[index] if 0 <= index < len(self.words) else None


def is_frequent(word: str) -> bool:
    """Whether a word is a name too and so frequent in sentences that it is none in small letters: "an", "he", "may"."""
    return word in _KINDS["frequent"]


def words_in(text: str) -> list[Word]:
    """Take a text apart into its words."""
    words: list[Word] = []
    end = 0
    for found in _WORD.finditer(text):
        gap = text[end : found.start()]
        opens = not words or any(mark in gap for mark in ".!?:;\n") or (words[-1].text.isdigit() and ")" in gap)
        words.append(Word(found[0], found.start(), found.end(), opens, gap, text[found.end() : found.end() + 1]))
        end = found.end()
    return words


def in_name_positions(text: str, spared: Sequence[Span] = ()) -> Iterator[Span]:
    """Find the words that stand where a name stands, of the vocabulary or not; ``spared`` are eponyms."""
    letters = [char for char in text if char.isalpha()]
    words = _Sentence(words_in(text), sum(map(str.isupper, letters)) > _CAPITALS * len(letters))
    for index, word in enumerate(words.words):
        if not any(start <= word.start < end for start, end in spared):
            for rule in _RULES:
                yield from rule(words, index)


def _name_from(text: _Sentence, index: int) -> Iterator[Span]:
    """Give the words of a name that begins at a place."""
    before: Word | None = None
    for word in text.words[index : index + _MOST_WORDS_OF_NAME]:
        if word.is_mask or word.is_number:
            return
        if before is not None:
            ends = "." in word.gap and not before.is_initial and before.base not in _KINDS["particles"]
            nobody = word.base in _KINDS["roles"] | _KINDS["titles"] | _KINDS["degrees"]
            if ends or nobody or not _SAME_NAME.fullmatch(word.gap):
                return
            if not word.is_capital and word.base not in _KINDS["particles"]:
                return
            if text.in_capitals and is_known(word.base) and not word.is_also_name and not word.is_initial:
                return
        yield word.start, word.end + (word.is_initial and word.after == ".")
        before = word


def _behind_title(text: _Sentence, index: int) -> Iterator[Span]:
    """After "Dr", "Mr." and "Frau"; "DR chest", "MR imaging" and "the nurse called" hold no name."""
    word, follows = text.words[index], text.at(index + 1)
    if word.base not in _KINDS["titles"] or follows is None or not _BEHIND_TITLE.fullmatch(follows.gap):
        return
    if follows.is_number or follows.base in _KINDS["titles"] | _KINDS["machine"] | _KINDS["roles"]:
        return
    dotted = "." in follows.gap
    spelt_out = word.base in _KINDS["spelt_titles"]
    if spelt_out and not dotted and not follows.is_also_name and (text.in_capitals or not follows.is_capital):
        return
    if word.text.isupper() and not dotted and is_report_word(follows.base) and not follows.is_also_name:
        return
    yield from _name_from(text, index + 1)


def _behind_deed(text: _Sentence, index: int) -> Iterator[Span]:
    """After "seen by", "discussed with", "told", "per", "Pt", "cc:" and "/s/"."""
    word, follows = text.words[index], text.at(index + 1)
    if follows is None or follows.is_mask or follows.is_number:
        return
    one_capital = follows.text.istitle() and not text.in_capitals
    is_name = one_capital and follows.base in _KINDS["never_capital"]
    if follows.base in _KINDS["roles"] | _KINDS["titles"] and not is_name:
        return
    ahead = text.words[max(0, index - _DEED_WORDS_AHEAD) : index]
    deed = word.base in _KINDS["told"] or word.base == "per"
    deed = deed or (word.base in _KINDS["by"] and any(each.base in _KINDS["done"] for each in ahead))
    signs = word.base == "s" and word.gap.endswith("/") and follows.gap.startswith("/")
    label = signs or word.base in _KINDS["labels"]
    if not (deed and _BEHIND_DEED.fullmatch(follows.gap)) and not (label and _BEHIND_LABEL.fullmatch(follows.gap)):
        return
    if "." in follows.gap and word.base not in {"pt", "cc", "attn"}:
        return
    # "Seen by Wall", a word of anatomy that nothing but a name gives a capital; not "per Lung-RADS".
    is_name = is_name or (
        one_capital and word.base != "per" and follows.after != "-" and _is_name_of_anatomy(follows, text.at(index + 2))
    )
    if (is_name and deed) or _may_be_person(follows, in_capitals=text.in_capitals, small=deed):
        yield from _name_from(text, index + 1)


def _is_name_of_anatomy(word: Word, behind: Word | None) -> bool:
    """Whether a word of findings or anatomy with a capital may be a name: not of a team or a scale ("Lung RADS")."""
    heads_term = behind is not None and behind.gap == " " and (behind.is_capital or behind.base in _KINDS["teams"])
    return may_be_name(word.base) and is_clinical(word.base) and not heads_term


def _may_be_person(word: Word, *, in_capitals: bool, small: bool) -> bool:
    """Whether a word behind a deed may be a name: one with a capital unless it is of reports, else what is one too."""
    if in_capitals or not word.is_capital:
        return (in_capitals and not is_known(word.base)) or (
            (small or in_capitals) and word.is_also_name and word.base not in _KINDS["frequent"]
        )
    if word.text.isupper() and len(word.text) > 1 and is_report_word(word.base) and not word.is_also_name:
        return False  # "ICU"
    return not is_clinical(word.base) and (may_be_name(word.base) or not is_report_word(word.base))


def _behind_initial(text: _Sentence, index: int) -> Iterator[Span]:
    """After "J."; a list's "A." and "B." are no initials."""
    word, follows = text.words[index], text.at(index + 1)
    if not word.is_initial or follows is None or not re.fullmatch(r"\.[ \t]*", follows.gap) or not follows.is_capital:
        return
    if word.opens and word.text in _LETTERS_OF_LISTS:
        return
    if follows.is_also_name and follows.base not in _KINDS["frequent"]:
        yield word.start, word.end + 1
        yield from _name_from(text, index + 1)


def _alone(text: _Sentence, index: int) -> Iterator[Span]:
    """A word with one capital in the middle of a sentence that is not written in capitals, and "Young's"."""
    word = text.words[index]
    if word.is_also_name and word.is_capital and word.text.endswith("'s") and word.base not in _NOBODY:
        yield word.start, word.end
    if text.in_capitals or word.opens or not word.is_capital or word.text.isupper() or word.base in _NOBODY:
        return
    if word.gap == "-" and not text.words[index - 1].is_mask:
        return
    is_rare = is_common(word.base) and not is_report_word(word.base)
    is_short = len(word.base) <= _SHORT and may_be_name(word.base) and _beside_mask(text, index)
    if word.is_also_name or is_rare or is_short:
        yield word.start, word.end


def _signed(text: _Sentence, index: int) -> Iterator[Span]:
    """A sentence that is a name alone, a name behind a dash at its end, "Young/White", and "white, j."."""
    word, follows = text.words[index], text.at(index + 1)
    if not word.is_also_name or word.base in _NOBODY or len(word.base) == 1:
        return
    is_last = all(each.is_mask or each.is_number for each in text.words[index + 1 :])
    is_last = is_last or (follows is not None and follows.opens)
    is_alone = is_last and word.after != ":" and (len(text.words) == 1 or (word.opens and word.is_capital))
    dash = re.fullmatch(r"(?:.*[\s.])?([-~_]+)[ \t]*", word.gap, re.DOTALL)
    is_behind_dash = dash is not None and word.is_capital and (is_last or len(dash[1]) > 1)
    if is_alone or is_behind_dash:
        yield word.start, word.end
    if follows is None:
        return
    if len(follows.text) == 1 and follows.gap in {", ", " "} and follows.text.lower() in _OF_NAMES:
        yield word.start, follows.end
    if re.fullmatch(r"[ ]?/[ ]?", follows.gap) and word.is_capital and follows.is_capital and follows.is_also_name:
        yield word.start, word.end
        yield follows.start, follows.end


def _before_deed(text: _Sentence, index: int) -> Iterator[Span]:
    """Before "was notified", "agrees" and "recommends"."""
    word = text.words[index]
    is_short = len(word.base) <= _SHORT and word.text.istitle() and may_be_name(word.base)
    if not (word.is_capital and (word.is_also_name or is_short)) or word.base in _KINDS["frequent"] - {
        "may",
        "will",
        "day",
    }:
        return
    behind = []
    for each in text.words[index + 1 : index + 4]:
        if each.opens or each.gap != " ":
            break
        behind.append(each.base)
    if not behind:
        return
    told = behind[0] in _KINDS["only_people"] or (
        behind[0] in _KINDS["said_of_people"] and not _KINDS["only_people"].isdisjoint(behind[1:])
    )
    if told or (behind[0] in _KINDS["people_do"] and word.base in _KINDS["adjectives"]):
        yield word.start, word.end


def _before_degree(text: _Sentence, index: int) -> Iterator[Span]:
    """Before ", MD" and "M.D."; "CHEST, PA AND LATERAL" has no degree."""
    word, before, follows = text.words[index], text.at(index - 1), text.at(index + 1)
    if before is None or not re.fullmatch(r",?[ \t]+|,", word.gap) or before.is_mask:
        return
    dotted = (
        word.is_initial and follows is not None and follows.gap == "." and f"{word.text}{follows.text}" in {"MD", "DO"}
    )
    if not dotted and not (word.text.isupper() and word.base in _KINDS["degrees"]):
        return
    is_other_word = word.base in _KINDS["other_degrees"]
    if is_other_word and (
        "," not in word.gap or is_clinical(before.base) or (follows and follows.base in _KINDS["views"])
    ):
        return
    for back in range(index - 1, max(-1, index - _MOST_WORDS_OF_NAME), -1):
        each = text.words[back]
        if (
            each.is_mask
            or not each.is_capital
            or is_clinical(each.base)
            or each.base in _KINDS["roles"] | _KINDS["titles"]
        ):
            return
        if text.in_capitals and is_known(each.base) and not may_be_name(each.base):
            return
        yield each.start, each.end
        if each.opens or not _SAME_NAME.fullmatch(each.gap):
            return


def _before_place(text: _Sentence, index: int) -> Iterator[Span]:
    """Before "Hospital" and "Clinic", and behind "Ward"."""
    word, follows = text.words[index], text.at(index + 1)
    if word.base not in _KINDS["places"] or not word.is_capital:
        return
    named = follows is not None and follows.gap == " " and follows.is_capital and follows.is_also_name
    if follows is not None and named and word.base in _KINDS["wards"]:
        yield follows.start, follows.end
    for back in range(index - 1, max(-1, index - _MOST_WORDS_OF_NAME), -1):
        each, behind = text.words[back], text.words[back + 1]
        if each.is_mask or not each.is_capital or behind.gap not in {" ", "-", ". "}:
            return
        if each.base in _KINDS["no_place"] | _KINDS["places"] or (
            is_clinical(each.base) and not may_be_name(each.base)
        ):
            return
        if not each.opens or may_be_name(each.base):
            yield each.start, each.end


def _beside_name(text: _Sentence, index: int) -> Iterator[Span]:
    """A word that is a name too, or an initial, beside a masked name: "Long [name]", "J. [name]", "Long and [name]"."""
    word, behind, second = text.words[index], text.at(index + 1), text.at(index + 2)
    if not word.is_capital or (word.text.isupper() and word.base in _KINDS["degrees"]):
        return
    is_listed = behind is not None and behind.base == "and" and second is not None and second.text == "[name]"
    if is_listed and word.is_also_name and word.base not in _NOBODY:
        yield word.start, word.end
    if not _beside_mask(text, index):
        return
    if word.is_initial:
        is_degree = word.after == "." and behind is not None and f"{word.text}{behind.text}" in {"MD", "DO"}
        if not is_degree and (word.base not in {"a", "i"} or word.after == "."):
            yield word.start, word.end + (word.after == ".")
    elif word.is_also_name or (not text.in_capitals and _is_name_here(word)):
        yield word.start, word.end


def _is_name_here(word: Word) -> bool:
    """Whether a word with a capital beside a name is part of it: a first name of anatomy, or no word of reports."""
    if word.base in _KINDS["first_names"]:
        return True
    is_rare = is_common(word.base) and not is_report_word(word.base)
    return not word.opens and (is_rare or (word.text.istitle() and word.base in _KINDS["never_capital"]))


def _beside_mask(text: _Sentence, index: int) -> bool:
    """Whether a name is masked straight before or behind; in a text in capitals any word that is not known."""
    masks = {"[name]", "[masked]"} if text.in_capitals else {"[name]"}
    word, before, behind = text.words[index], text.at(index - 1), text.at(index + 1)
    joins = re.compile(r"[ \t]+|-|'|,[ \t]+")
    if before is not None and before.text == "[masked]" and before.opens:
        masks = {*masks, "[masked]"}
    if before is not None and before.text in masks and joins.fullmatch(word.gap):
        return True
    if behind is None or behind.text not in {*masks, *({"[masked]"} if word.is_initial or word.opens else ())}:
        return False
    return joins.fullmatch(behind.gap) is not None or (
        word.is_initial and re.fullmatch(r"\.[ \t]*", behind.gap) is not None
    )


_RULES = (
    *(_behind_title, _behind_deed, _behind_initial, _alone, _signed),
    *(_before_deed, _before_degree, _before_place, _beside_name),
)
