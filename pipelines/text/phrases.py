"""A report's text becomes phrases: one for each sentence and finding, with what the sentence says about it."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

from pipelines.findings import MIDLINE_OR_DIFFUSE, FindingMention, findings_in, side_of, zone_of
from pipelines.study import Context, Phrase, Side, Zone
from pipelines.text.context import contexts_of
from pipelines.text.sections import sections_of
from pipelines.text.sentences import sentences_of

__all__ = ["phrases_of"]

_STRONGEST_FIRST = (Context.PRESENT, Context.UNCERTAIN, Context.ABSENT)
_STRONG_CUT = re.compile(r";|\b(?:with|without|but|however|although|which|while|no)\b", re.IGNORECASE)
_PAIRED_WORDS = re.compile(
    r"\b(?:left|right|upper|lower|mid|middle)\s*(?:,|and|or|&)\s*(?:the\s+)?(?=(?:left|right|upper|lower|mid|middle)\b)",
    re.IGNORECASE,
)
_WEAK_CUT = re.compile(r",|\b(?:and|or|versus|vs)\b", re.IGNORECASE)
_Place = TypeVar("_Place", Side, Zone)
_NOT_LETTERS = re.compile(r"[\W_]+")


def phrases_of(text: str) -> tuple[Phrase, ...]:
    """Give every phrase of a report's findings and impression, in the order of the text.

    A sentence that names two findings gives two phrases of the same text. A finding that one sentence both affirms and
    denies ("no effusion on the right, small effusion on the left") is present, on the side where it is affirmed. The
    same sentence in findings and impression gives one phrase. Sentences without a known finding give none.
    """
    found: dict[tuple[str, str], Phrase] = {}
    for section in sections_of(text):
        for sentence in sentences_of(section.text):
            for phrase in _phrases_in(sentence, section.name):
                found.setdefault((_NOT_LETTERS.sub(" ", sentence).strip().casefold(), phrase.finding or ""), phrase)
    return tuple(found.values())


def _phrases_in(sentence: str, section: str) -> Iterator[Phrase]:
    mentions = findings_in(sentence)
    contexts = contexts_of(sentence, mentions)
    segments = _segments(sentence, mentions)
    sides = [side_of(segment) for segment in segments]
    zones = [zone_of(segment) for segment in segments]
    for finding in dict.fromkeys(mention.finding for mention in mentions):
        own = [index for index, mention in enumerate(mentions) if mention.finding == finding]
        context = next((c for c in _STRONGEST_FIRST if any(contexts[index] is c for index in own)), None)
        if context is None:
            continue
        own = [index for index in own if contexts[index] is context]
        lenders = [index for index, mention in enumerate(mentions) if mention.finding != "support devices"]
        yield Phrase(
            text=sentence,
            section=section,
            finding=finding,
            context=context,
            side=_one_side([sides[i] for i in own]) or _borrowed(finding, [sides[i] for i in lenders]),
            zone=_only([zones[i] for i in own]) or _borrowed(finding, [zones[i] for i in lenders]),
        )


def _segments(sentence: str, mentions: Sequence[FindingMention]) -> list[str]:
    """Cut the sentence between its mentions, so that each keeps the words of place that belong to it."""
    cuts = [0]
    for before, after in pairwise(mentions):
        between = sentence[before.end : after.start]
        # "left and right" names one place: its "and" parts nothing.
        between = _PAIRED_WORDS.sub(lambda match: "_" * len(match.group()), between)
        strong, weak = list(_STRONG_CUT.finditer(between)), list(_WEAK_CUT.finditer(between))
        last = strong or weak
        cuts.append(before.end + (last[-1].start() if last else 0))
    cuts.append(len(sentence))
    return [sentence[start:end] for start, end in pairwise(cuts)]


def _one_side(sides: Sequence[Side | None]) -> Side | None:
    named = {side for side in sides if side is not None}
    if not named:
        return None
    return named.pop() if len(named) == 1 else Side.BILATERAL


def _only(values: Sequence[_Place | None]) -> _Place | None:
    named = {value for value in values if value is not None}
    return named.pop() if len(named) == 1 else None


def _borrowed(finding: str, values: Sequence[_Place | None]) -> _Place | None:
    """The place that the rest of the sentence names, if it names one and the finding can lie on one side."""
    return None if finding in MIDLINE_OR_DIFFUSE else _only(values)
