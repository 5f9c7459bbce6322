"""Finds pronouns for a finding named earlier: "no left effusion; small right *one*".

A pronoun is one more mention of the finding, with its own context and place. It refers to the last finding before it
that can be on one side only. If its own sentence names none before it, it refers to the only finding of the previous
sentence. It refers to nothing if another possible noun is named in between ("the left hilum is larger than the right
one") or if it means an earlier image ("smaller than on the previous one").
"""

import re
from collections.abc import Iterator, Sequence

from pipelines.findings import MIDLINE_OR_DIFFUSE, FindingMention, findings_in
from pipelines.text.clauses import SEEN
from pipelines.text.trigger_parts import ON_EARLIER_FILM

__all__ = ["from_sentence_before", "with_pronouns"]

_SIDE = r"(?:left|right|[lr]t|[LR])"
_POSITIONED = (
    rf"(?:medial|lateral|inferior|superior|anterior|posterior)\w*|remaining|persisting|measuring|extending|projecting|"
    rf"overlying|{SEEN}"
)
# "One" before another word is a number: "one rib", "one or two".
_PRONOUN = re.compile(
    r"\b(?P<word>ones?)\b(?=\s*(?:[.,;:)]|\Z)|\s+(?:in|on|at|over|along|near|within|behind|above|below|under|"
    r"of\s+(?:the\s+)?(?:left|right)|and|but|with|without|that|which|than|not|now|too|also|again|still|only|is|are|was|"
    r"were|has|have|had|can|cannot|could|may|might|must|remains?|persists?|appears?|measures|extends|projects|"
    rf"{_POSITIONED}|\w+(?:ed|ing|ly))\b)",
    re.IGNORECASE,
)
_SIZE = r"(?:small|tiny|trace|minimal|mild|moderate|large)"
# The noun is omitted: "trace on the right", "small right", "that on the right is small", "the right is small".
_WORDS_AHEAD = r"(?:(?:but|and|with|only|just|also|there\s+(?:is|are)|an?)\s+)*"
_WITHOUT_NOUN = (
    rf"{_WORDS_AHEAD}(?P<word>(?:{_SIZE}|some|little|that|those)(?=(?:\s+(?:amount|volume))?\s+(?:on|at|in)\s+(?:the\s+)?{_SIDE}\b|\s+{_SIDE}\s*(?:[.,;]|\Z))|"
    rf"the\s+(?:left|right)(?=\s+(?:is|remains|appears)\s+(?:\w+ly\s+)?(?:{_SIZE}|larger|smaller|bigger)\b))"
)
_NOUN_LEFT_OUT = re.compile(rf"(?:[,;]|\b(?:but|and|although|though|with))\s+{_WITHOUT_NOUN}", re.IGNORECASE)
_OPENS_WITHOUT_NOUN = re.compile(_WITHOUT_NOUN, re.IGNORECASE)
_SOMEBODY = re.compile(r"one\s+(?:can|cannot|could|may|might|must)\b", re.IGNORECASE)  # "One may ask"
_IS_A_NUMBER_OR_PERSON = re.compile(
    r"(?:\b(?:no|any|every|some|which|least|than|or|number|phase|stage|grade|type|level|day|view|image|figure|series|rib|"
    r"[tlc])\s+|[-/\d])\Z",
    re.IGNORECASE,
)
# "One of the left ribs" and "one healed rib", but "an old one of the left fifth rib" and "a small one suspected".
_COUNTS = re.compile(r"(?:\A|[,;:(]\s*|\b(?:and|but|is|are|only|with)\s+)\Z", re.IGNORECASE)
_COUNTED = re.compile(rf"\s+(?:of|(?!(?:{_POSITIONED})\b)\w+(?:ed|ing|ly))\b", re.IGNORECASE)
_EARLIER_FILM = re.compile(
    r"\b(?:on|in|from|since|to|with|than|at|as|unlike|versus|vs)\s+(?:(?:the|an?|his|her)\s+)?(?:most\s+)?(?:previous|prior|last|earlier|"
    r"older?|recent|preceding|first)\s+\Z",
    re.IGNORECASE,
)
_WAS = re.compile(r"\b(?:was|were|had)\b[^,;.]*\Z", re.IGNORECASE)
_THEN = re.compile(rf"[^,;.]*?\b{ON_EARLIER_FILM}(?!\w)".replace(" ", r"\s+"), re.IGNORECASE)
_THING = (
    r"(?:lung|hilum|(?:hemi)?diaphragm|lobe|clavicle|shoulder|breast|kidney|angle|sulcus|border|contour|side|volume|film|"
    r"view|image|study|examination|exam|radiograph)"
)
# "At the left base", "the right lung has a small one": these are places; the pronoun does not refer to them.
_NAMES_A_PLACE = re.compile(
    rf"\b(?:in|on|at|of|over|to|within|along|near|from)\s+(?:[\w-]+\s+){{0,4}}?{_THING}\b|"
    rf"\b{_THING}\s+(?:\w+\s+)?(?:has|had|shows?|contains?|demonstrates?)\b",
    re.IGNORECASE,
)
_OTHER_THING = re.compile(rf"\b{_THING}\b", re.IGNORECASE)
_NEVER_TWO = MIDLINE_OR_DIFFUSE - {"hernia"}


def with_pronouns(sentence: str, mentions: Sequence[FindingMention]) -> tuple[FindingMention, ...]:
    """Return the mentions together with those of pronouns, in text order."""
    added: list[FindingMention] = []
    for start, end in _pronouns(sentence):
        if any(mention.start < end and start < mention.end for mention in mentions):
            continue
        finding = _meant(sentence, mentions, start)
        if finding is not None:
            added.append(FindingMention(finding=finding, start=start, end=end))
    return tuple(sorted([*mentions, *added], key=lambda mention: mention.start))


def from_sentence_before(sentence: str, before: str) -> FindingMention | None:
    """Return the mention that a pronoun makes of the finding of the previous sentence.

    "No left effusion. A small right one." has a mention of an effusion in its second sentence.

    Returns:
        The mention, at its position in ``sentence``. None if the sentence has no pronoun or names a finding before it,
        or if ``before`` names no finding or several, because no rule says which of them is meant.
    """
    opening = _OPENS_WITHOUT_NOUN.match(sentence)
    places = [*([opening.span("word")] if opening else []), *_pronouns(sentence)]
    if not before or not places or _SOMEBODY.match(sentence):
        return None
    start, end = min(places)
    earlier = with_pronouns(before, findings_in(before))
    if len({mention.finding for mention in earlier}) != 1 or any(own.start < end for own in findings_in(sentence)):
        return None
    finding = _meant(f"{before} {sentence}", earlier, len(before) + 1 + start)
    return None if finding is None else FindingMention(finding=finding, start=start, end=end)


def _meant(text: str, mentions: Sequence[FindingMention], start: int) -> str | None:
    """Return the finding that a pronoun at ``start`` refers to; None if there is none or the reference is ambiguous."""
    earlier = [mention for mention in mentions if mention.end <= start and mention.finding not in _NEVER_TWO]
    if not earlier or _OTHER_THING.search(_NAMES_A_PLACE.sub(" ", text[earlier[-1].end : start])):
        return None
    return earlier[-1].finding


def _pronouns(sentence: str) -> Iterator[tuple[int, int]]:
    for match in _PRONOUN.finditer(sentence):
        before = sentence[: match.start()]
        past = _WAS.search(before) and _THEN.match(sentence, match.end())
        counts = _COUNTS.search(before) and _COUNTED.match(sentence, match.end())
        if not (past or counts or _IS_A_NUMBER_OR_PERSON.search(before) or _EARLIER_FILM.search(before)):
            yield match.span("word")
    for match in _NOUN_LEFT_OUT.finditer(sentence):
        yield match.span("word")
