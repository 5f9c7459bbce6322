"""Positions of names in a sentence: there, words are masked that are shown elsewhere."""

import re
from collections.abc import Iterator, Sequence

from pipelines.privacy.name_words import KINDS, Word, Words, words_in
from pipelines.privacy.vocabulary import is_clinical, is_common, is_known, is_report_word, may_be_name

__all__ = ["in_name_positions"]

_NOBODY = KINDS["roles"] | KINDS["frequent"]
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


def in_name_positions(text: str, spared: Sequence[Span] = ()) -> Iterator[Span]:
    """Find words in the position of a name, in the vocabulary or not; ``spared`` are eponyms."""
    letters = [char for char in text if char.isalpha()]
    words = Words(words_in(text), sum(map(str.isupper, letters)) > _CAPITALS * len(letters))
    for index, word in enumerate(words.words):
        if not any(start <= word.start < end for start, end in spared):
            for rule in _RULES:
                yield from rule(words, index)


def _name_from(text: Words, index: int) -> Iterator[Span]:
    """Return the words of a name that starts at an index."""
    before: Word | None = None
    for word in text.words[index : index + _MOST_WORDS_OF_NAME]:
        if word.is_mask or word.is_number:
            return
        if before is not None:
            ends = "." in word.gap and not before.is_initial and before.base not in KINDS["particles"]
            nobody = word.base in KINDS["roles"] | KINDS["titles"] | KINDS["degrees"]
            if ends or nobody or not _SAME_NAME.fullmatch(word.gap):
                return
            if not word.is_capital and word.base not in KINDS["particles"]:
                return
            if text.in_capitals and is_known(word.base) and not word.is_also_name and not word.is_initial:
                return
        yield word.start, word.end + (word.is_initial and word.after == ".")
        before = word


def _behind_title(text: Words, index: int) -> Iterator[Span]:
    """After "Dr", "Mr." and "Frau"; "DR chest", "MR imaging" and "the nurse called" contain no name."""
    word, follows = text.words[index], text.at(index + 1)
    if word.base not in KINDS["titles"] or follows is None or not _BEHIND_TITLE.fullmatch(follows.gap):
        return
    if follows.is_number or follows.base in KINDS["titles"] | KINDS["machine"] | KINDS["roles"]:
        return
    dotted = "." in follows.gap
    spelt_out = word.base in KINDS["spelt_titles"]
    if spelt_out and not dotted and not follows.is_also_name and (text.in_capitals or not follows.is_capital):
        return
    if word.text.isupper() and not dotted and is_report_word(follows.base) and not follows.is_also_name:
        return
    yield from _name_from(text, index + 1)


def _behind_deed(text: Words, index: int) -> Iterator[Span]:
    """After "seen by", "discussed with", "told", "per", "Pt", "cc:" and "/s/"."""
    word, follows = text.words[index], text.at(index + 1)
    if follows is None or follows.is_mask or follows.is_number:
        return
    in_capitals = text.in_capitals and follows.text.isupper()  # not "Day" of a short line "PCP: Day"
    one_capital = follows.text.istitle() and not in_capitals
    is_name = one_capital and follows.base in KINDS["never_capital"]
    if follows.base in KINDS["roles"] | KINDS["titles"] and not is_name:
        return
    deed = _is_deed(text, index)
    signs = word.base == "s" and word.gap.endswith("/") and follows.gap.startswith("/")
    alone = _ends_phrase(text, index + 1)
    label = signs or word.base in KINDS["labels"]
    label = label or (word.base in KINDS["labels_with_colon"] and ":" in follows.gap and alone)
    if not (deed and _BEHIND_DEED.fullmatch(follows.gap)) and not (label and _BEHIND_LABEL.fullmatch(follows.gap)):
        return
    if "." in follows.gap and word.base not in {"pt", "cc", "attn"}:
        return
    # "Seen by Wall", a word of anatomy that nothing but a name gives a capital; not "per Lung-RADS".
    of_person = deed and word.base not in KINDS["told_of_things"] and not follows.opens
    is_alone_name = alone and (deed or follows.base in KINDS["names_of_anatomy"])
    is_anatomy = one_capital and follows.after != "-" and _is_name_of_anatomy(follows, text.at(index + 2))
    if (
        (is_name and deed)
        or (is_anatomy and (of_person or is_alone_name))
        or _may_be_person(follows, in_capitals=in_capitals, small=deed)
    ):
        yield from _name_from(text, index + 1)


def _is_deed(text: Words, index: int) -> bool:
    """Return True if a person is named after a word: "seen by", "d/w", "callback from"."""
    word, before = text.words[index], text.at(index - 1)
    ahead = {each.base for each in text.words[max(0, index - _DEED_WORDS_AHEAD) : index]}
    if word.base in KINDS["told"] or word.base == "per":
        return True
    if before is None:
        return False
    if word.base in KINDS["by"] or (word.base == "w" and word.after == "/"):
        is_next = before.base in {"up", "followup"} and (before.base == "followup" or "follow" in ahead)
        return is_next or not ahead.isdisjoint(KINDS["done"])
    if word.base == "w":
        return word.gap == "/" and before.base in {"d", "s", "r"}
    if word.base in {"from", "for"}:
        return before.base in KINDS["messages"]
    return (word.base, before.base) in {("of", "care"), ("and", "me"), ("and", "myself")}


def _ends_phrase(text: Words, index: int) -> bool:
    """Return True if a word ends its phrase and is not part of a term: "cc Stone", "per Stone, ...", "Stone agrees"."""
    behind = text.at(index + 1)
    if behind is None or behind.opens or behind.is_mask or behind.base in KINDS["behind_names"]:
        return True
    return behind.gap.strip(" \t") in {",", ")", "),", "("}


def _is_name_of_anatomy(word: Word, behind: Word | None) -> bool:
    """Return True if a capitalised word of findings or anatomy may be a name, unlike a team or scale ("Lung RADS")."""
    heads_term = behind is not None and behind.gap == " " and (behind.is_capital or behind.base in KINDS["teams"])
    may_be = may_be_name(word.base) and word.base not in KINDS["never_names"]
    return may_be and is_clinical(word.base) and not heads_term


def _may_be_person(word: Word, *, in_capitals: bool, small: bool) -> bool:
    """Return True if a word after such a word may be a name: capitalised and not of reports, or also a name."""
    if in_capitals or not word.is_capital:
        return (in_capitals and not is_known(word.base)) or (
            (small or in_capitals) and word.is_also_name and word.base not in KINDS["frequent"]
        )
    if word.text.isupper() and len(word.text) > 1 and is_report_word(word.base) and not word.is_also_name:
        return False  # "ICU"
    return not is_clinical(word.base) and (may_be_name(word.base) or not is_report_word(word.base))


def _behind_initial(text: Words, index: int) -> Iterator[Span]:
    """After "J."; the "A." and "B." of a list are not initials."""
    word, follows = text.words[index], text.at(index + 1)
    if not word.is_initial or follows is None or not re.fullmatch(r"\.[ \t]*", follows.gap) or not follows.is_capital:
        return
    if word.opens and word.text in _LETTERS_OF_LISTS:
        return
    if follows.is_also_name and follows.base not in KINDS["frequent"]:
        yield word.start, word.end + 1
        yield from _name_from(text, index + 1)


def _alone(text: Words, index: int) -> Iterator[Span]:
    """A word with one capital in the middle of a sentence that is not all capitals, and "Young's"."""
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


def _signed(text: Words, index: int) -> Iterator[Span]:
    """A sentence that is only a name, a name after a dash at its end, "Young/White", and "white, j."."""
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


def _before_deed(text: Words, index: int) -> Iterator[Span]:
    """Before "was notified", "agrees", "recommends" and "to follow up"."""
    word = text.words[index]
    behind = []
    for each in text.words[index + 1 : index + 4]:
        if each.opens or each.gap != " ":
            break
        behind.append(each.base)
    if not behind or not word.is_capital:
        return
    is_next = behind[0] == "to" and not KINDS["next_deeds"].isdisjoint(behind[1:2])
    of_person = is_next or _is_of_person(behind)
    if of_person and word.text.istitle() and (word.base in KINDS["surnames"] or _is_name_of_anatomy(word, None)):
        yield word.start, word.end
    is_short = len(word.base) <= _SHORT and word.text.istitle() and may_be_name(word.base)
    if not (word.is_also_name or is_short) or word.base in KINDS["frequent"] - {"may", "will", "day"}:
        return
    is_about_people = behind[0] in KINDS["only_people"] or (
        behind[0] in KINDS["said_of_people"] and not KINDS["only_people"].isdisjoint(behind[1:])
    )
    if is_about_people or is_next or (behind[0] in KINDS["people_do"] and word.base in KINDS["adjectives"]):
        yield word.start, word.end


def _is_of_person(behind: Sequence[str]) -> bool:
    """Return True if only people do or receive what follows a word: "notified", "was told"."""
    said_of = behind[1:] if behind[0] in KINDS["said_of_people"] else behind[:1]
    return not KINDS["persons_only"].isdisjoint(said_of)


def _in_parentheses(text: Words, index: int) -> Iterator[Span]:
    """A single name in parentheses: "no change (Stone)", "addendum (Small)"."""
    word, before, behind = text.words[index], text.at(index - 1), text.at(index + 1)
    is_closed = word.after == ")" and (behind is None or behind.gap.startswith(")"))
    if not (word.gap.endswith("(") and is_closed) or word.base in KINDS["never_names"] | KINDS["roles"]:
        return
    is_of_group = before is not None and before.base in KINDS["groups"]
    is_name = word.is_also_name and word.base not in KINDS["frequent"]
    if (may_be_name(word.base) and is_of_group) or (is_name and word.is_capital):
        yield word.start, word.end


def _before_role(text: Words, index: int) -> Iterator[Span]:
    """Before "/resident" and "/MD"."""
    word, follows = text.words[index], text.at(index + 1)
    if follows is None or follows.gap != "/" or follows.base not in KINDS["labels"] | KINDS["degrees"]:
        return
    if word.text.istitle() and may_be_name(word.base) and word.base not in KINDS["never_names"] | KINDS["roles"]:
        yield word.start, word.end


def _before_degree(text: Words, index: int) -> Iterator[Span]:
    """Before ", MD" and "M.D."; "CHEST, PA AND LATERAL" contains no degree."""
    word, before, follows = text.words[index], text.at(index - 1), text.at(index + 1)
    if before is None or not re.fullmatch(r",?[ \t]+|,", word.gap) or before.is_mask:
        return
    dotted = (
        word.is_initial and follows is not None and follows.gap == "." and f"{word.text}{follows.text}" in {"MD", "DO"}
    )
    if not dotted and not (word.text.isupper() and word.base in KINDS["degrees"]):
        return
    is_other_word = word.base in KINDS["other_degrees"]
    if is_other_word and (
        "," not in word.gap or is_clinical(before.base) or (follows and follows.base in KINDS["views"])
    ):
        return
    for back in range(index - 1, max(-1, index - _MOST_WORDS_OF_NAME), -1):
        each = text.words[back]
        if (
            each.is_mask
            or not each.is_capital
            or is_clinical(each.base)
            or each.base in KINDS["roles"] | KINDS["titles"]
        ):
            return
        if text.in_capitals and is_known(each.base) and not may_be_name(each.base):
            return
        yield each.start, each.end
        if each.opens or not _SAME_NAME.fullmatch(each.gap):
            return


def _before_place(text: Words, index: int) -> Iterator[Span]:
    """Before "Hospital" and "Clinic", and after "Ward"."""
    word, follows = text.words[index], text.at(index + 1)
    if word.base not in KINDS["places"] or not word.is_capital:
        return
    named = follows is not None and follows.gap == " " and follows.is_capital and follows.is_also_name
    if follows is not None and named and word.base in KINDS["wards"]:
        yield follows.start, follows.end
    for back in range(index - 1, max(-1, index - _MOST_WORDS_OF_NAME), -1):
        each, behind = text.words[back], text.words[back + 1]
        if each.is_mask or not each.is_capital or behind.gap not in {" ", "-", ". "}:
            return
        if each.base in KINDS["no_place"] | KINDS["places"] or (is_clinical(each.base) and not may_be_name(each.base)):
            return
        if not each.opens or may_be_name(each.base):
            yield each.start, each.end


def _beside_name(text: Words, index: int) -> Iterator[Span]:
    """A word that is also a name, or an initial, next to a masked name: "Long [name]", "J. [name]"."""
    word, behind, second = text.words[index], text.at(index + 1), text.at(index + 2)
    if not word.is_capital or (word.text.isupper() and word.base in KINDS["degrees"]):
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
    """Return True if a capitalised word next to a name belongs to it: a first name of anatomy, or not a report word."""
    if word.base in KINDS["first_names"]:
        return True
    is_rare = is_common(word.base) and not is_report_word(word.base)
    return not word.opens and (is_rare or (word.text.istitle() and word.base in KINDS["never_capital"]))


def _beside_mask(text: Words, index: int) -> bool:
    """Return True if a masked name is directly before or after; in all-capital text any unknown word counts."""
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
    *(_before_deed, _before_degree, _before_place, _beside_name, _in_parentheses, _before_role),
)
