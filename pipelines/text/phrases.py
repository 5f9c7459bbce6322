"""A report's text becomes phrases: one for each sentence and finding, with what the sentence says about it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from pipelines.findings import MIDLINE_OR_DIFFUSE, FindingMention, findings_in, side_of, zone_of
from pipelines.study import Context, Phrase, Side, Zone
from pipelines.text.comparison import compared_with_prior
from pipelines.text.context import contexts_of
from pipelines.text.sections import sections_of
from pipelines.text.sentences import sentences_of

__all__ = ["phrases_in_sentence", "phrases_of"]

_STRONGEST_FIRST = (Context.PRESENT, Context.UNCERTAIN, Context.ABSENT, Context.HISTORICAL)
_CLAUSE_CUT = re.compile(r";|\b(?:but|however|although|while)\b", re.IGNORECASE)
_COMPANION_CUT = re.compile(r"\b(?:with|without|no)\b", re.IGNORECASE)
_LIST_CUT = re.compile(r",|\b(?:and|or|versus|vs|which)\b", re.IGNORECASE)
_PLACE = r"(?:left|right|upper|lower|mid|middle)"
_PAIRED_WORDS = re.compile(rf"\b{_PLACE}\s*(?:,|and|or|&)\s*(?:the\s+)?(?={_PLACE}\b)", re.IGNORECASE)
_Place = TypeVar("_Place", Side, Zone)
_NOT_LETTERS = re.compile(r"[\W_]+")
_SENTENCES_KEPT = 1 << 14


def phrases_of(text: str) -> tuple[Phrase, ...]:
    """Give every phrase of a report's findings and impression, in the order of the text.

    A sentence that names two findings gives two phrases of the same text. A finding that one sentence both affirms and
    denies ("no effusion on the right, small effusion on the left") is present, on the side where it is affirmed. A
    finding of the patient's past is a phrase that says so; whether a sentence compares with an earlier film stands
    beside its context, so that an unchanged effusion is present. The same sentence in findings and impression gives one
    phrase. Sentences without a known finding give none.
    """
    found: dict[tuple[str, str], Phrase] = {}
    for section in sections_of(text):
        for sentence in sentences_of(section.text):
            for phrase in phrases_in_sentence(sentence, section.name):
                found.setdefault((_NOT_LETTERS.sub(" ", sentence).strip().casefold(), phrase.finding or ""), phrase)
    return tuple(found.values())


@lru_cache(maxsize=_SENTENCES_KEPT)
def phrases_in_sentence(sentence: str, section: str = "findings") -> tuple[Phrase, ...]:
    """Give a phrase for each finding that one sentence names. Reports repeat sentences: each is taken apart once."""
    return tuple(_phrases(sentence, section))


def _phrases(sentence: str, section: str) -> Iterator[Phrase]:
    mentions = findings_in(sentence)
    contexts = contexts_of(sentence, mentions)
    compared = compared_with_prior(sentence, mentions)
    places = _places(sentence, mentions)
    for finding in dict.fromkeys(mention.finding for mention in mentions):
        own = [index for index, mention in enumerate(mentions) if mention.finding == finding]
        context = next(c for c in _STRONGEST_FIRST if any(contexts[index] is c for index in own))
        own = [index for index in own if contexts[index] is context]
        side, zone = _side_and_zone(finding, own, places)
        yield Phrase(
            text=sentence,
            section=section,
            finding=finding,
            context=context,
            side=side,
            zone=zone,
            compared_with_prior=any(compared[index] for index in own),
        )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The part of a sentence around one mention, with the place that its words name."""

    side: Side | None
    zone: Zone | None
    lends: bool  # a device's place says nothing about the findings beside it
    cut_before: re.Pattern[str] | None  # what parts it from the stretch before


def _places(sentence: str, mentions: Sequence[FindingMention]) -> list[_Stretch]:
    """Cut the sentence between its mentions, so that each keeps the words of place that belong to it."""
    starts, cuts = [0], list[re.Pattern[str] | None]([None])
    for before, after in pairwise(mentions):
        between = sentence[before.end : after.start]
        # "left and right" names one place: its "and" parts nothing.
        between = _PAIRED_WORDS.sub(lambda match: "_" * len(match.group()), between)
        cut = next((cut for cut in (_CLAUSE_CUT, _COMPANION_CUT, _LIST_CUT) if cut.search(between)), None)
        starts.append(before.end + ([*cut.finditer(between)][-1].start() if cut else 0))
        cuts.append(cut)
    parts = [sentence[start:end] for start, end in pairwise([*starts, len(sentence)])]
    return [
        _Stretch(side_of(part), zone_of(part), mention.finding != "support devices", cut)
        for part, mention, cut in zip(parts, mentions, cuts, strict=False)
    ]


def _side_and_zone(finding: str, own: Sequence[int], places: Sequence[_Stretch]) -> tuple[Side | None, Zone | None]:
    """The place that a finding's own words name, else the one that its neighbours in the sentence agree on."""
    sides = {places[index].side for index in own} - {None}
    zone = _only([places[index].zone for index in own])
    side = Side.BILATERAL if len(sides) > 1 else next(iter(sides), None)
    if finding in MIDLINE_OR_DIFFUSE:
        return side, zone
    neighbours = [places[index] for index in _lenders(own[0], places)]
    # With a side of its own the finding lies elsewhere than its neighbours, whatever their zone.
    borrowed = None if side is not None else _only([place.zone for place in neighbours])
    return side or _only([place.side for place in neighbours]), zone or borrowed


def _lenders(index: int, places: Sequence[_Stretch]) -> Iterator[int]:
    """The stretches whose place may hold for the one at ``index`` too.

    "Right effusion with atelectasis" lends forward, "pneumonia with right effusion" does not lend back, a list does
    both.
    """
    for earlier in range(index - 1, -1, -1):
        if places[earlier + 1].cut_before is _CLAUSE_CUT:
            break
        if places[earlier].lends:
            yield earlier
    for later in range(index + 1, len(places)):
        if places[later].cut_before in {_CLAUSE_CUT, _COMPANION_CUT}:
            break
        if places[later].lends:
            yield later


def _only(values: Sequence[_Place | None]) -> _Place | None:
    named = {value for value in values if value is not None}
    return named.pop() if len(named) == 1 else None
