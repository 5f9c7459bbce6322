"""Splits report text into sentences, without losing or adding a letter.

The comparison is independent of the context: an unchanged effusion is present, a drained one is not, and both are
compared. A word of comparison applies to the findings of its own part of the sentence.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from pipelines.findings import AddedFindings, FindingMention, added_findings, findings_in
from pipelines.study import Context, Phrase, Side, Zone
from pipelines.text.context import contexts_of
from pipelines.text.places import Place, places_of
from pipelines.text.pronouns import from_sentence_before, with_pronouns
from pipelines.text.sections import sections_of

__all__ = ["LONGEST_SENTENCE", "compared_with_prior", "phrases_in_sentence", "phrases_of", "sentences_of"]

LONGEST_SENTENCE = 1000  # characters; text without a full stop is cut here, at a space, so that the work is bounded

_BULLET = r"(?:[-*•–·]+|\(?\d{1,2}[.)](?!\d))"
_ITEM = re.compile(rf"\s*{_BULLET}\s+(?=\S)")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_TITLES = r"dr|drs|mr|mrs|ms|prof|st|vs|approx|e\.g|i\.e|cf|resp|fig|ref|inc|jr|sr|dept|ext|min|max|incl|lt|rt"
_ABBREVIATION = re.compile(rf"(?:\b(?:{_TITLES})|(?:^|[\s(])[A-Za-z])\.\Z", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"\s*\d{1,2}\.")  # starts an item; not a sentence
_LONGEST_ABBREVIATION = 12  # characters, with its context
_CLOCK = re.compile(r"\b[ap]\.m\.\Z", re.IGNORECASE)
# A question mark after a space belongs to the words after it ("? pneumonia"), so it does not end a sentence.
_STOP = re.compile(r"(?:(?<!\.)\.+|(?<=[^\s?!])[?!]+)[\"')\]]*(?=\s)|(?<=[a-z])\.(?=[A-Z][a-z])")
_ASKS = re.compile(r"\b(?:is|are|was|were|has|have|does|do|did|can|could|should)\b", re.IGNORECASE)
_ANSWER = re.compile(r"\s*(?:no|none|nil|yes|negative|absent)\b[ .;,]", re.IGNORECASE)  # "Effusion? No."
_ANSWERED = re.compile(r"[:=?–-]\s*no\.?\Z", re.IGNORECASE)  # a line that ends here although "no" often continues
_LABEL_LINE = re.compile(r"[A-Z][\w/&-]*(?: [\w/&-]+){0,3}:")
_OPEN_END = re.compile(
    r"(?:[,(/&-]|\b(?:a|an|and|as|at|be|by|dr|for|from|has|have|in|is|are|may|no|not|of|on|or|over|than|that|the|to|was|"
    r"were|with|without|left|right|which))\.?\Z",
    re.IGNORECASE,
)


def sentences_of(text: str) -> tuple[str, ...]:
    """Split text into sentences, each on one line with single spaces, without its bullet or number.

    Full stops of titles ("Dr."), initials, decimals and list numbers do not end a sentence. A blank line, a list item
    and a line that was ended early on purpose do.
    """
    sentences: list[str] = []
    for block in _PARAGRAPH.split(text):
        for chunk in _deliberate_lines(block):
            body = " ".join(_ITEM.sub("", chunk, count=1).split()) if _ITEM.match(chunk) else " ".join(chunk.split())
            for sentence in _split(body):
                sentences.extend(_bounded(sentence))
    return tuple(sentence for sentence in sentences if any(character.isalnum() for character in sentence))


def _deliberate_lines(block: str) -> Iterator[str]:
    """Join wrapped lines, and keep lines separate that end on purpose."""
    lines = [line.rstrip() for line in block.split("\n") if line.strip()]
    widest = max((len(line) for line in lines), default=0)
    pending: list[str] = []
    for line in lines:
        if pending and _ends_on_purpose(pending[-1], line, widest):
            yield " ".join(pending)
            pending = []
        pending.append(line)
    if pending:
        yield " ".join(pending)


def _ends_on_purpose(line: str, following: str, widest: int) -> bool:
    if _ITEM.match(following):
        return True
    words = following.split()
    open_end = _OPEN_END.search(line) is not None and not _ANSWERED.search(line)
    if _LABEL_LINE.match(following.strip()) and not open_end:
        return True
    # A wrapped line has no room for the next word; its author ended a shorter line before a capital letter.
    has_room = len(line) + 1 + len(words[0]) <= widest
    return (has_room or _ANSWERED.search(line) is not None) and words[0][0].isupper() and not open_end


def _split(body: str) -> Iterator[str]:
    begin = 0
    for stop in _STOP.finditer(body):
        before = body[max(begin, stop.end() - _LONGEST_ABBREVIATION) : stop.end()]
        following = body[stop.end() : stop.end() + 2].lstrip()[:1]
        if _ABBREVIATION.search(before) and "." in stop.group():
            continue
        if (
            "?" in stop.group()
            and _ANSWER.match(f"{body[stop.end() :]} ")
            and not _ASKS.search(body[begin : stop.end()])
        ):
            continue
        if _CLOCK.search(before) and not following.isupper():
            continue
        if _LIST_NUMBER.fullmatch(body, begin, stop.end()):
            begin = stop.end()
            continue
        yield body[begin : stop.end()].strip()
        begin = stop.end()
    if body[begin:].strip():
        yield body[begin:].strip()


def _bounded(sentence: str) -> Iterator[str]:
    while len(sentence) > LONGEST_SENTENCE:
        cut = sentence.rfind(" ", 1, LONGEST_SENTENCE)
        cut = cut if cut > 0 else LONGEST_SENTENCE
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    if sentence:
        yield sentence


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


def phrases_in_sentence(sentence: str, section: str = "findings") -> tuple[Phrase, ...]:
    """Return one phrase per finding in a sentence. Reports repeat sentences, so results are cached."""
    return _phrases_in(sentence, section, added_findings())


@lru_cache(maxsize=_SENTENCES_KEPT)
def _phrases_in(sentence: str, section: str, _added: AddedFindings) -> tuple[Phrase, ...]:
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
