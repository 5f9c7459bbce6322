"""Finds the side and zone of each finding in a sentence, from the words of place in its own clause.

A clause is split into pieces at commas, "and", "with" and similar words. A finding takes the place that its own piece
names. Otherwise it takes the place of an associated piece without a finding ("opacity, in the left base"; "at the right
base, there is ..."), or else the one on which its neighbours in the clause agree. Statements about a clear lung and
comparisons ("compared to the left") are not places of a finding.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipelines.findings import MIDLINE_OR_DIFFUSE, FindingMention, names_a_zone, side_of, zone_of
from pipelines.study import Side, Zone
from pipelines.text.clauses import clause_starts

__all__ = ["Place", "places_of"]

_SIDE = r"(?:left|right|l|r|lt|rt)"
_PLACE = (
    r"(?:left|right|l|r|lt|rt|upper|lower|mid|middle|lung|lungs|lobes?|zones?|fields?|bases?|basal|basilar|apex|apices|"
    r"apical|hila|hilum|hilar|perihilar|sides?|sided|hemithorax|hemithoraces|costophrenic|angles?|lingula|"
    r"ll[lz]|lu[lz]|lmz|"
    r"rl[lz]|ru[lz]|rm[lz]|bilateral|bilaterally|both|periphery|retrocardiac|region|area)"
)
# "Left and right", "left upper and right lower lobes" are one place: their "and" does not split a clause.
_PAIRED = re.compile(
    (
        rf"\b(?:{_PLACE}[\s-]+)*{_PLACE}\s*(?:,\s*and|,\s*or|,|and|or|&|/|to|than)\s*(?:(?:on|in|at|of|the|"
        rf"also)\s+)*(?={_PLACE}\b)"
    ),
    re.IGNORECASE,
)
_COMPARED = re.compile(
    r"\b(?:(?:as\s+)?compared|comparison|relative|in\s+contrast|contrast(?:ed|ing)?|as\s+opposed|unlike|opposed|"
    r"contralateral)\b"
    rf"(?:\s+(?:to|with))?\s*(?:(?:that\s+)?(?:on|of|in)\s+)?(?:the\s+)?(?:normal\s+|clear\s+|"
    rf"opposite\s+)?{_SIDE}\b(?:[\s-]+{_PLACE}\b)*",
    re.IGNORECASE,
)
_NORMAL = (
    r"(?:clear|normal|unremarkable|well[\s-]+(?:aerated|expanded|inflated|ventilated)|spared|intact|free|sharp|"
    r"preserved)"
)
_ANATOMY = rf"(?:{_PLACE}|hemidiaphragms?|diaphragm|sulcus|sulci|heart|border|pleura\w*|chest|ribs?|parenchyma|side)"
_CLEAR_PLACE = re.compile(
    rf"\b(?:the\s+)?{_SIDE}(?:[\s-]+{_ANATOMY}\b){{1,4}}\s+(?:(?:is|are|remains?|appears?|stays?|was|were|being|"
    rf"grossly|otherwise|"
    rf"still|again|relatively|essentially|now|well)\s+)*{_NORMAL}\b|"
    rf"\b{_NORMAL}\s+(?:the\s+)?{_SIDE}(?:[\s-]+{_ANATOMY}\b)+|"
    rf"\bsparing\s+(?:of\s+)?(?:the\s+)?{_SIDE}(?:[\s-]+{_ANATOMY}\b)*|"
    rf"\b(?:but\s+)?not\s+(?:on|in|at)\s+the\s+{_SIDE}(?:[\s-]+{_ANATOMY}\b)*",
    re.IGNORECASE,
)
_COMPANION = re.compile(r"\b(?:with|without|no|plus)\b|\+", re.IGNORECASE)
_CUT = re.compile(
    r"[,()]|/(?=\s*[a-z]{4})|\b(?:and|or|versus|vs|which|as well as|with|without|no|plus)\b|\+", re.IGNORECASE
)
_ONLY_PLACE = re.compile(
    r"(?:[\s(,-]*(?:yes|on|in|at|of|over|within|along|to|the|also|and|mainly|mostly|more|most|worse|greater|larger|"
    r"smaller|less|"
    rf"small|large|mild|moderate|than|predominantly|especially|particularly|seen|noted|present|located|is|"
    rf"{_PLACE})\b[\s,.)]*)+\Z",
    re.IGNORECASE,
)
_GOES_WITH = re.compile(
    r"\s*(?:on|in|at|over\w*|within|along|involving|extending|projecting|seen|noted|located|which|that|more|most\w*|"
    r"greater|larger|worse|predominantly|predominately|especially|particularly|mainly|best|again|unchanged|left|"
    r"right|l|r)\b",
    re.IGNORECASE,
)
_LEADS_IN = re.compile(r"\s*(?:on|in|at|within|over\w*|along|involving|throughout)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The location of a finding, as far as the sentence states it."""

    side: Side | None
    zone: Zone | None


@dataclass(frozen=True, slots=True)
class _Piece:
    clause: int
    text: str
    mentions: tuple[int, ...]
    companion: bool  # starts with "with", "without" or "no"
    comma: bool  # starts a clause after a comma or "and", so that a list may continue across it
    lends: bool  # False for a device: its place does not apply to adjacent findings


def places_of(sentence: str, mentions: Sequence[FindingMention]) -> tuple[Place, ...]:
    """Return the side and zone of each mention, in the order of the mentions."""
    if side_of(sentence) is None and not names_a_zone(sentence):
        return (Place(side=None, zone=None),) * len(mentions)
    pieces = list(_pieces(sentence, mentions))
    return tuple(
        _place(number, mention.finding, pieces, _narrow(sentence, mentions, number))
        for number, mention in enumerate(mentions)
    )


def _readable(sentence: str) -> str:
    """Blank out words that are not the place of a finding, and the words that join two places."""
    for pattern in (_COMPARED, _CLEAR_PLACE):
        sentence = pattern.sub(lambda match: " " * len(match.group()), sentence)
    return sentence


def _pieces(sentence: str, mentions: Sequence[FindingMention]) -> Iterator[_Piece]:
    readable = _readable(sentence)
    joined = _PAIRED.sub(lambda match: "_" * len(match.group()), readable)
    for mention in mentions:
        joined = joined[: mention.start] + "_" * (mention.end - mention.start) + joined[mention.end :]
    starts = clause_starts(sentence, tuple(mentions))
    for clause, (begin, end) in enumerate(pairwise([*starts, len(sentence)])):
        cuts = sorted({begin, *(match.start() for match in _CUT.finditer(joined, begin, end)), end})
        for start, stop in pairwise(cuts):
            own = tuple(number for number, mention in enumerate(mentions) if start <= mention.start < stop)
            if not own and not sentence[start:stop].strip(" ,()."):
                continue
            yield _Piece(
                clause,
                readable[start:stop],
                own,
                _COMPANION.match(sentence[start:stop].lstrip(" ,")) is not None,
                sentence[:begin].rstrip().endswith((",", "and")),
                any(mentions[number].finding != "support devices" for number in own),
            )


def _narrow(sentence: str, mentions: Sequence[FindingMention], number: int) -> str:
    """Return the words between the previous mention and the next one."""
    start = mentions[number - 1].end if number else 0
    end = mentions[number + 1].start if number + 1 < len(mentions) else len(sentence)
    return sentence[start:end]


def _place(number: int, finding: str, pieces: Sequence[_Piece], narrow: str) -> Place:
    at = next(index for index, piece in enumerate(pieces) if number in piece.mentions)
    own = pieces[at].text
    alone = finding in MIDLINE_OR_DIFFUSE
    if alone and len(pieces[at].mentions) > 1:
        own = narrow
    text = own + "".join(_attached(at, pieces))
    side, zone = side_of(text), zone_of(text)
    if side is None or zone is None:
        near = [] if alone and pieces[at].companion else [piece.text for piece in _going_with(at, pieces)]
        if side is None:
            side = side_of(" ".join(near))
        zone = zone if zone is not None else zone_of(" ".join(near))
    if alone:
        return Place(side=side, zone=zone)
    lenders = [Place(side=side_of(piece.text), zone=zone_of(piece.text)) for piece in _lenders(at, pieces)]
    # A finding with a side of its own is not where its neighbours are, whatever their zone.
    zones = {place.zone for place in lenders if place.zone is not None} if side is None else set()
    sides = {place.side for place in lenders if place.side is not None}
    return Place(
        side=side or (sides.pop() if len(sides) == 1 else None),
        zone=zone or (zones.pop() if len(zones) == 1 else None),
    )


def _attached(at: int, pieces: Sequence[_Piece]) -> Iterator[str]:
    """Yield the following pieces that hold only words of place: "on the left [and on the right]"."""
    for piece in pieces[at + 1 :]:
        if piece.mentions or piece.companion or not _ONLY_PLACE.match(piece.text):
            return
        yield piece.text


def _going_with(at: int, pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    """Yield the pieces of its clause that hold no other finding and state where it is."""
    for piece in pieces[at + 1 :]:
        words = piece.text.lstrip(" ,()")
        if piece.mentions or piece.companion or piece.clause != pieces[at].clause:
            break
        if _GOES_WITH.match(words) or words.startswith("and "):
            yield piece
    for piece in reversed(pieces[:at]):
        if piece.mentions or piece.clause != pieces[at].clause:
            break
        if pieces[at].companion or _LEADS_IN.match(piece.text.lstrip(" ,")):
            yield piece


def _lenders(at: int, pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    """Yield the pieces with a place that may also apply to the piece at ``at``.

    The place of "right effusion with atelectasis" applies forward; that of "pneumonia with right effusion" does not
    apply backward; a list applies in both directions.
    """
    for earlier in range(at - 1, -1, -1):
        if pieces[earlier + 1].clause != pieces[earlier].clause and not pieces[earlier + 1].comma:
            break
        if pieces[earlier].mentions and pieces[earlier].lends:
            yield pieces[earlier]
    for later in range(at + 1, len(pieces)):
        if pieces[later].companion or (pieces[later].clause != pieces[later - 1].clause and not pieces[later].comma):
            break
        if pieces[later].mentions and pieces[later].lends:
            yield pieces[later]
