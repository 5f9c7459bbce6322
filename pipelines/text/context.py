"""Decides whether a sentence affirms, doubts or denies each finding that it mentions, or reports it as past.

The method is trigger words with a scope, as in NegEx and ConText: a trigger applies forward or backward within its
clause (:mod:`pipelines.text.clauses`). If both denial and doubt apply to a mention, denial wins ("no opacity suspicious
for pneumonia" denies pneumonia). Phrases that only look like denial ("cannot exclude", "no change in") are removed
first.

Source: Chapman et al. 2001, "A simple algorithm for identifying negated findings"; Harkema et al. 2009, "ConText";
Irvin et al. 2019 (CheXpert). Unlike CheXpert's labeller there is no dependency parser: the scopes below are words, so
that a reader can predict them. "No definite effusion" denies: the radiologist has looked and seen none. The accuracy is
measured on sentences labelled by hand (``benchmarks/bench_context.py``).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.findings import FindingMention, in_small_letters
from pipelines.study import Context
from pipelines.text.clauses import (
    ANSWER_PATTERNS,
    BE,
    FINITE_VERB,
    HARD_END,
    clause_starts,
    ends_with_a_noun,
    parentheses,
)
from pipelines.text.trigger_parts import Meaning, Reach
from pipelines.text.triggers import PATTERNS

__all__ = ["contexts_of"]

_NEAR = 60  # characters
_ASKED = re.compile(r"(?:(?<=[\s(/,])|\A)\?(?=\s*\w)")  # "? pneumonia"
# A forward trigger also ends here: the words after it are not its object.
_FORWARD_END = re.compile(
    r":(?!\s*(?:no|none)\b)|\b(?:(?<!compatible\s)(?<!consistent\s)(?<!keeping\s)with(?!\s+(?:no|or)\b)|after|since|following|status\s+post|"
    r"post(?!\s+\w+(?:ive|al|ic|ary)\b)(?=\s)|s/p|despite|"
    r"in\s+spite\s+of|"
    r"which|where|explains?|accounts?\s+for|in\s+this|in\s+(?:a\s+)?patient|(?:secondary|due|related)\s+to|because)\b",
    re.IGNORECASE,
)
_WITHIN = re.compile(
    r"\b(?:within|inside|in|around|surrounding|adjacent\s+to|near|overlying|behind|from)\s+(?:the|this|these|known)\s+"
    r"(?:(?!and\b|or\b|nor\b)[\w-]+\s+){0,5}\Z",
    re.IGNORECASE,
)
_OF_THE = re.compile(r"\bof\s+(?:the|this|these)\s+(?:(?!and\b|or\b|nor\b)[\w-]+\s+){0,3}\Z", re.IGNORECASE)
_NOT_BESIDE = re.compile(r"\b(?:for|represent\w*|may|could|likely|suggest\w*|which|due|reflect\w*)\b", re.IGNORECASE)
_CAUSE = re.compile(r"(?:secondary|due|related|because|post)", re.IGNORECASE)
# The trigger's own verb, not one of an earlier clause: "is [hard to exclude]".
_PREDICATE = re.compile(
    (
        rf"\b(?:{BE}|seems?|remains?|appears?|(?:has|have|had)(?:\s+been)?)(?:\s+(?:\w+ly|also|now|very|quite|still|not|felt|"
        rf"thought))*\s*\Z"
    ),
    re.IGNORECASE,
)
# A subject that refers to the finding named before: "there was an effusion, but it has resolved".
_PRONOUN = re.compile(
    r"\s*(?:this|it|(?P<several>these|they|both|all))\s*(?:(?:has|have|is|are|was|were|can|could)\s*)?", re.IGNORECASE
)
_NONE = re.compile(r"(?:none|neither)\b", re.IGNORECASE)
_BARE_PREDICATE = re.compile(
    r"\s+(?:(?:much|slightly|now|\w+ly)\s+)*(?:smaller|larger|bigger|better|worse|improved|worsened|increased|decreased|"
    r"unchanged|stable|persisting|present|noted)\s*,",
    re.IGNORECASE,
)
_PART_OF_LIST = re.compile(r",|\band\b|\bwith\b", re.IGNORECASE)
_ANSWERED_BEFORE = re.compile(r"(?::|\s-{1,2}|\()[^,;]*,")
_EITHER = re.compile(
    r"(?:(?!\b(?:with|for|represent\w*|may|could|likely|suggest\w*|which|due|reflect\w*)\b).)*\b(?:or|versus|vs)\b"
    r"(?!.*\b(?:with|explains?|accounts?\s+for)\b)",
    re.IGNORECASE,
)
_AFTER_HEADING = re.compile(r"(?:\(s\))?\s*:\s+(?:(?:an?|the)\s+)?")
# "No consolidation except at the left base": some is present.
_EXCEPT_SOME = re.compile(
    r"(?:except|other\s+than|aside\s+from|apart\s+from|beyond)(?:\s+for)?\s+(?:(?:at|in|on|over|along)\b|"
    r"(?:an?\s+|the\s+)?(?:trace|(?:tiny|minimal|small)\s+(?:amount|one|at|on|in)\b)|"
    r"(?:that|those|the\s+(?:known|ones?|previously|described))\b)",
    re.IGNORECASE,
)
_EITHER_FAR = 60  # maximum number of characters between two findings joined by "or"


@dataclass(frozen=True, slots=True)
class _Scope:
    meaning: Meaning
    start: int
    end: int

    def covers(self, mention: FindingMention) -> bool:
        return mention.end > self.start and mention.start < self.end


def contexts_of(sentence: str, mentions: Sequence[FindingMention]) -> tuple[Context, ...]:
    """Return for each mention whether the sentence affirms, doubts or denies it, or reports it as past."""
    meanings: list[set[Meaning]] = [set() for _ in mentions]
    for part in _read_apart(sentence):
        own = [index for index, mention in enumerate(mentions) if part[mention.start] != " "]
        if not own:
            continue
        scopes = list(_scopes(part, [mentions[index] for index in own]))
        for index in own:
            meanings[index] |= {scope.meaning for scope in scopes if scope.covers(mentions[index])}
    starts = clause_starts(sentence, tuple(mentions)) if len(mentions) > 1 else ()
    for index in range(len(mentions) - 1):
        between = sentence[mentions[index].end : mentions[index + 1].start]
        apart = any(mentions[index].end <= start <= mentions[index + 1].start for start in starts)
        either = len(between) <= _EITHER_FAR and not apart and _EITHER.match(between)
        # "No change in the edema or effusions" applies to both.
        both = Meaning.NOTHING in meanings[index] & meanings[index + 1]
        if either and not both and mentions[index].finding != mentions[index + 1].finding:
            meanings[index].add(Meaning.UNCERTAIN)
            meanings[index + 1].add(Meaning.UNCERTAIN)
    return tuple(_context(meaning) for meaning in meanings)


def _read_apart(sentence: str) -> Iterator[str]:
    """Yield the sentence without its parentheses, then each parenthesis alone, at its position in the sentence."""
    outer = sentence
    for start, end in parentheses(sentence):
        yield " " * start + sentence[start:end] + " " * (len(sentence) - end)
        outer = outer[:start] + " " * (end - start) + outer[end:]
    yield outer


def _context(meanings: set[Meaning]) -> Context:
    if Meaning.ABSENT in meanings:
        return Context.ABSENT
    if Meaning.HISTORY in meanings:
        return Context.HISTORICAL
    return Context.UNCERTAIN if Meaning.UNCERTAIN in meanings else Context.PRESENT


def _triggers(sentence: str) -> Iterator[tuple[Meaning, Reach, int, int]]:
    """Yield every trigger with its position, in the order in which they are tried."""
    for answer, pattern in ANSWER_PATTERNS:
        for match in pattern.finditer(sentence):
            yield answer, Reach.ANSWER, *match.span()
    lower = in_small_letters(sentence)
    for meaning, direction, pattern in PATTERNS:
        for match in pattern.finditer(lower):
            yield meaning, direction, *match.span()


def _scopes(sentence: str, mentions: Sequence[FindingMention]) -> Iterator[_Scope]:
    questions = [match.end() for match in _ASKED.finditer(sentence)] if "?" in sentence else []
    triggers = list(_triggers(sentence))
    if not (questions or triggers):
        return
    reach = _Reaches(sentence, mentions)
    taken = bytearray(len(sentence))
    for end in questions:
        yield _Scope(Meaning.UNCERTAIN, end, reach.forward_end(end))
    for meaning, direction, start, end in triggers:
        if any(taken[start:end]):
            continue
        # "Heart size is not increased" denies one finding; it does not mean a finding without change.
        if meaning is Meaning.NOTHING and any(m.start < start < m.end for m in mentions):
            continue
        if direction is not Reach.EARLIER:  # its "may" also applies to a finding after it
            taken[start:end] = b"\x01" * (end - start)
        yield from _reached(meaning, direction, (start, end), reach)


def _reached(meaning: Meaning, direction: Reach, trigger: tuple[int, int], reach: "_Reaches") -> Iterator[_Scope]:
    """Yield the words to which a trigger applies."""
    start, end = trigger
    if direction in {Reach.FORWARD, Reach.AROUND}:
        yield _Scope(meaning, end, reach.denied_end(end) if meaning is Meaning.ABSENT else reach.forward_end(end))
    if direction is Reach.FORWARD and meaning is Meaning.UNCERTAIN and reach.answers_a_heading(start, end):
        yield _Scope(meaning, reach.question_start(start), start)
    if direction is Reach.INSIDE:
        yield _Scope(meaning, start, end)
    if direction is Reach.NEAR:
        yield _Scope(meaning, end, reach.near_end(end))
    if direction is Reach.BACKWARD:
        yield _Scope(meaning, reach.backward_start(start), start)
    if direction is Reach.EARLIER:
        yield _Scope(meaning, reach.earlier_start(start, end), start)
    if direction is Reach.ANSWER:
        yield _Scope(meaning, reach.question_start(start), start)
    if direction in {Reach.LAST, Reach.AROUND}:
        yield _Scope(meaning, reach.last_start(start), start)


class _Reaches:
    """The range to which a trigger at a position of one sentence applies."""

    def __init__(self, sentence: str, mentions: Sequence[FindingMention]) -> None:
        self._sentence = sentence
        self._mentions = mentions
        self._starts = clause_starts(sentence, tuple(mentions))

    def forward_end(self, start: int) -> int:
        """Return the end of the clause; words between a trigger and its first noun ("no large, ...") do not end it."""
        hard = HARD_END.search(self._sentence, start)
        end = hard.start() if hard else len(self._sentence)
        for cut in self._starts:
            if start < cut < end and ends_with_a_noun(self._sentence, start, cut, self._mentions):
                end = cut
                break
        for mention in self._mentions:
            # "No cavity within the mass" affirms the mass.
            place = _WITHIN.search(self._sentence, start, mention.start)
            if place is None and self._names(start, mention.start):
                # "No cavitation of the mass" affirms the mass, "no trace of the mass" does not.
                place = _OF_THE.search(self._sentence, start, mention.start)
            if mention.end <= end and place and ends_with_a_noun(self._sentence, start, place.start(), self._mentions):
                end = place.start()
                break
        for soft in _FORWARD_END.finditer(self._sentence, start, end):
            # "May be due to edema" still doubts the edema, but "no edema due to ..." says nothing more. A "with" that
            # follows directly ("possibly with an effusion") does not end anything.
            if self._names(start, soft.start()) or not (
                _CAUSE.match(soft.group()) or self._sentence[start : soft.end()].split() == ["with"]
            ):
                return soft.start()
        return end

    def _names(self, start: int, end: int) -> bool:
        return any(start < mention.end <= end for mention in self._mentions)

    def denied_end(self, start: int) -> int:
        """Return the end of a denial: before the last finding if part of it is excepted ("except at the left base")."""
        end = self.forward_end(start)
        if not (some := _EXCEPT_SOME.match(self._sentence, end)):
            return end
        hard = HARD_END.search(self._sentence, some.end())
        until = hard.start() if hard else len(self._sentence)
        if any(some.end() <= mention.start < until for mention in self._mentions):
            return end
        return max((mention.start for mention in self._mentions if start <= mention.start < end), default=end)

    def near_end(self, start: int) -> int:
        """Return the end of one finding's words: "previous pneumonia has left a scar" affirms the scar."""
        verb = FINITE_VERB.search(self._sentence, start)
        return min(self.forward_end(start), start + _NEAR, verb.start() if verb else len(self._sentence))

    def answers_a_heading(self, start: int, end: int) -> bool:
        """Return True if a doubt answers a heading: "Effusion: possible trace on the left"."""
        named = self._names(start, self.forward_end(end))
        return not named and any(_AFTER_HEADING.fullmatch(self._sentence, m.end, start) for m in self._mentions)

    def clause_start(self, end: int) -> int:
        return max(start for start in self._starts if start <= end)

    def backward_start(self, end: int) -> int:
        start = self.clause_start(end)
        own = _PREDICATE.search(self._sentence, start, end)
        subject_end = own.start() if own else end
        if start == subject_end or not self._sentence[start:subject_end].strip():
            # "Fracture is suspected; none is seen" denies the fracture.
            return self._meant_start(start, several=True) if _NONE.match(self._sentence, end) else start
        if pronoun := _PRONOUN.fullmatch(self._sentence, start, subject_end):
            return self._meant_start(start, several=pronoun["several"] is not None)
        verbs = [match.end() for match in FINITE_VERB.finditer(self._sentence, start, subject_end)]
        # "Effusion smaller, pneumothorax gone": the earlier finding has its own predicate, without a verb.
        verbs += [
            predicate.end() - 1
            for mention in self._mentions
            if start <= mention.start and (predicate := _BARE_PREDICATE.match(self._sentence, mention.end, subject_end))
        ]
        if not verbs:
            return start
        verbs.sort()
        # An earlier clause has its own verb: only words after the last comma or "and" belong to this trigger.
        parts = [match.end() for match in _PART_OF_LIST.finditer(self._sentence, verbs[-1], subject_end)]
        return max([verbs[-1], *parts])

    def _meant_start(self, end: int, *, several: bool) -> int:
        """Return the start of the findings that a pronoun at ``end`` means: the last, or all of the last clause."""
        earlier = [mention.start for mention in self._mentions if mention.end <= end]
        if not earlier:
            return end
        return min(start for start in earlier if start >= self.clause_start(earlier[-1])) if several else earlier[-1]

    def question_start(self, end: int) -> int:
        """Return the start of the words that an answer ("PTX: none") refers to."""
        start = self.clause_start(end)
        return max((match.end() for match in _ANSWERED_BEFORE.finditer(self._sentence, start, end)), default=start)

    def earlier_start(self, start: int, end: int) -> int:
        """Return the start of the last mention before a trigger without a finding: "nodule, may be a rib end"."""
        after = self.forward_end(end)
        if any(end <= mention.start < after for mention in self._mentions):
            return start
        return max((mention.start for mention in self._mentions if mention.end <= start), default=start)

    def last_start(self, end: int) -> int:
        """Return the start of the last mention before ``end`` with no comma in between."""
        start = self.clause_start(end)
        last = max((m for m in self._mentions if start <= m.start < end), key=lambda m: m.start, default=None)
        between = "," if last is None else self._sentence[last.end : end].rstrip(" ,")
        return end if last is None or "," in between or _NOT_BESIDE.search(between) else last.start
