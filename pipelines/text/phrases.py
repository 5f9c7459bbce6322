"""Detects whether a sentence compares a finding with an earlier examination: "unchanged", "new since", "removed".

The comparison is independent of the context: an unchanged effusion is present, a drained one is not, and both are
compared. A word of comparison applies to the findings of its own part of the sentence.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from pipelines.findings import FindingMention, findings_in
from pipelines.study import Context, Phrase, Side, Zone
from pipelines.text.context import contexts_of
from pipelines.text.places import Place, places_of
from pipelines.text.pronouns import from_sentence_before, with_pronouns
from pipelines.text.sections import sections_of
from pipelines.text.sentences import LONGEST_SENTENCE, sentences_of

__all__ = ["compared_with_prior", "phrases_in_sentence", "phrases_of"]

_EARLIER = (
    r"(?:the |an? |his |her |patient'?s? )*(?:most recent |last |outside )?(?:prior|previous|preceding|earlier|older|"
    r"old|last|remote|comparison)"
)
_NOT_A_DISEASE = r"(?! (?:granulom|infect|surg|disease|trauma|fractur|tubercul))"
_WORDS = (
    r"unchanged|(?:not|has|have) changed",
    r"(?:no|without) (?:\w+ ){0,3}changes?",
    r"stable|stably|stability",
    r"again(?! recommend)",
    r"redemonstrat\w+",
    r"persist\w*",
    r"continu(?:ed|es|ing)",
    r"remain(?:s|ed|ing)?",
    r"interval(?:ly)?(?! (?:follow|film|imag))",
    r"decreas(?:ed|es|ing)|diminish\w+",
    # "Increased markings" may mean more than normal; "has increased" and "is increasing" compare with before.
    r"increas(?:es|ing)",
    r"(?:is|are|has|have|been|appears?|slightly|mildly|since|interval) increased",
    r"increased? (?:in|since|from|size|compared|compatible)",
    r"worse(?:n(?:ed|ing|s)?)?|improv\w+|progress(?:ion|ed|ing|ive)",
    r"resol(?:ved|ving|ves|ution)|clear(?:ed|ing)",
    r"remov(?:ed|al)|placement of|withdrawn",
    r"(?<!no )new(?:ly)?|develop(?:ed|ing|ment|s)",
    r"enlarg(?:ing|es)|smaller|larger|no longer|less (?:distinct|prominent|conspicuous)|more (?:prominent|conspicuous)",
    r"similar (?:\w+ ){0,3}to|as before",
    r"(?:compared|comparison|relative) (?:to|with)",
    rf"(?:from|on|since|than|to|in) (?:on |in |at )?{_EARLIER}{_NOT_A_DISEASE}",
    r"since",
    r"previous(?:ly)? (?:seen|noted|described|identified|demonstrated|visualized|present|reported|questioned)",
    r"(?:seen|noted|present|visualized|identified|appreciated) (?:\w+ ){0,2}(?:previously|before)",
)
_COMPARES = re.compile(rf"\b(?:{'|'.join(_WORDS)})(?!\w)", re.IGNORECASE)
# The words after these are separate. "With no" and "without" deny; a comparison before them does not apply.
_PART_ENDS = re.compile(
    r"[;]|\.\s|\b(?:but(?!\s+(?:stable|unchanged))|however|although|though|otherwise|whereas|while|with(?:out)?)\b(?!\s+(?:the\s+)?(?:prior|previous|"
    r"comparison))|,\s*(?=no\b|there\b)",
    re.IGNORECASE,
)


def compared_with_prior(sentence: str, mentions: Sequence[FindingMention]) -> tuple[bool, ...]:
    """Return for each mention whether its part of the sentence compares it with an earlier examination."""
    cuts = [0, *(match.start() for match in _PART_ENDS.finditer(sentence)), len(sentence)]
    words = [match.span() for match in _COMPARES.finditer(sentence)]

    def part_of(position: int) -> int:
        return sum(cut <= position for cut in cuts)

    compared = {part_of(start) for start, _ in words}
    return tuple(part_of(mention.start) in compared for mention in mentions)


_STRONGEST_FIRST = (Context.PRESENT, Context.UNCERTAIN, Context.ABSENT, Context.HISTORICAL)
_HEADING = re.compile(r"(?:\(s\))?\s*:\s")
_NOT_LETTERS = re.compile(r"[\W_]+")
_SENTENCES_KEPT = 1 << 14


def phrases_of(text: str) -> tuple[Phrase, ...]:
    """Return every phrase of a report's findings and impression, in text order.

    A sentence with two findings results in two phrases with the same text. A finding that one sentence both affirms and
    denies ("no effusion on the right, small one on the left") is present, on the side where it is affirmed. A finding
    of the patient's past results in a phrase marked as such. Comparison with an earlier image is stored separately from
    the context, so that an unchanged effusion is present. A sentence that occurs in both findings and impression
    results in one phrase. Sentences without a known finding result in none, unless a pronoun refers to a finding of the
    previous sentence: "No left effusion. A small one on the right." results in a second phrase with both sentences as
    its text.
    """
    found: dict[tuple[str, str], Phrase] = {}
    for section in sections_of(text):
        before = ""
        for sentence in sentences_of(section.text):
            phrases = _continued(sentence, section.name, before) or phrases_in_sentence(sentence, section.name)
            for phrase in phrases:
                found.setdefault((_NOT_LETTERS.sub(" ", phrase.text).strip().casefold(), phrase.finding or ""), phrase)
            before = max((phrase.text for phrase in phrases), key=len, default=sentence)
    return tuple(found.values())


@lru_cache(maxsize=_SENTENCES_KEPT)
def phrases_in_sentence(sentence: str, section: str = "findings") -> tuple[Phrase, ...]:
    """Return one phrase per finding in a sentence. Reports repeat sentences, so results are cached."""
    return tuple(_phrases(sentence, section, with_pronouns(sentence, findings_in(sentence))))


def _continued(sentence: str, section: str, before: str) -> tuple[Phrase, ...]:
    """Return the phrases of a sentence with a pronoun for a finding of the previous sentence; empty if there is none.

    The phrase has the text of both sentences, because the model needs to know what "one" means.
    """
    text = f"{before} {sentence}"
    meant = from_sentence_before(sentence, before) if len(text) <= LONGEST_SENTENCE else None
    if meant is None:
        return ()
    phrases = _phrases(sentence, section, with_pronouns(sentence, (meant, *findings_in(sentence))))
    return tuple(replace(each, text=text) if each.finding == meant.finding else each for each in phrases)


def _phrases(sentence: str, section: str, mentions: Sequence[FindingMention]) -> Iterator[Phrase]:
    if not mentions:
        return
    contexts = contexts_of(sentence, mentions)
    compared = compared_with_prior(sentence, mentions)
    places = places_of(sentence, mentions)
    for finding in dict.fromkeys(mention.finding for mention in mentions):
        own = [index for index, mention in enumerate(mentions) if mention.finding == finding]
        # "Fractures: no acute fracture": the heading itself states nothing.
        own = [index for index in own if not _HEADING.match(sentence, mentions[index].end)] or own
        context = next(c for c in _STRONGEST_FIRST if any(contexts[index] is c for index in own))
        own = [index for index in own if contexts[index] is context]
        side, zone = _one_place([places[index] for index in own])
        yield Phrase(
            text=sentence,
            section=section,
            finding=finding,
            context=context,
            side=side,
            zone=zone,
            compared_with_prior=any(compared[index] for index in own),
        )


def _one_place(places: Sequence[Place]) -> tuple[Side | None, Zone | None]:
    """Return the place of a finding that is named more than once: two sides become both, two zones become none."""
    sides = {place.side for place in places} - {None}
    zones = {place.zone for place in places} - {None}
    side = Side.BILATERAL if len(sides) > 1 else next(iter(sides), None)
    return side, next(iter(zones)) if len(zones) == 1 else None
