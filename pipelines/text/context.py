"""Whether a sentence affirms, doubts or denies each finding that it mentions, or speaks of it as past.

Trigger words with a scope, in the manner of NegEx and ConText: a trigger reaches forward or backward over the sentence
until a word that ends its clause. Denial wins over doubt where both reach a mention ("no opacity suspicious for
pneumonia" denies pneumonia); wordings that look like denial and are none ("cannot exclude", "no change in") are taken
out first.

Source: Chapman et al. 2001, "A simple algorithm for identifying negated findings"; Harkema et al. 2009, "ConText";
Irvin et al. 2019 (CheXpert). Unlike CheXpert's labeller there is no dependency parser: the scopes below are words, so
that a reader can predict them. "No definite effusion" denies: whoever writes it has looked and seen none. How often all
this is right is measured on sentences labelled by hand (``benchmarks/bench_context.py``).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.findings import FindingMention
from pipelines.study import Context
from pipelines.text.triggers import PATTERNS, Meaning, Reach

__all__ = ["contexts_of"]


_NEAR = 60  # characters
_ASKED = re.compile(r"(?:(?<=\s)|\A)\?(?=\s*\w)")  # "? pneumonia"

# A clause ends here for every trigger.
_HARD_END = re.compile(
    r"[;]|\.\s|\s-{1,2}\s|\b(?:but|however|although|though|except|aside\s+from|apart\s+from|other\s+than|otherwise|whereas|while|"
    r"besides|nevertheless|yet|beyond)\b",
    re.IGNORECASE,
)
# A trigger that reaches forward ends here too: what follows stands on its own.
_FORWARD_END = re.compile(
    r":(?!\s*(?:no|none)\b)|\b(?:with(?!\s+(?:no|or)\b)|after|since|following|status\s+post|s/p|despite|in\s+spite\s+of|"
    r"which|where|in\s+this|in\s+(?:a\s+)?patient)\b",
    re.IGNORECASE,
)
# After the trigger's first finding: "may be due to edema" still doubts the edema, "no edema due to ..." says no more.
_RESTART = re.compile(
    r"\b(?:secondary|due|related)\s+to\b|\bbecause\b|(?:,\s*(?:and\s+)?|\band\s+)(?:there\s+(?:is|are|has|have)|the\s|a\s|an\s|(?:is|are|has|have|remains?)\s|(?:stable|"
    r"unchanged|persist\w*|small|large|mild\w*|moderate\w*|minimal\w*|trace|tiny|severe|marked|new|increas\w+|worsen\w+|"
    r"improv\w+|decreas\w+|similar|chronic|possib\w+|probab\w+|likely|questionable|suspected|old|heal\w+|subtle|slight\w*|"
    r"prominent|residual|again|status|dense|scattered)\b)",
    re.IGNORECASE,
)
_LIST_GOES_ON = re.compile(r"\b(?:or|nor)\b", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|remains?|persists?|shows?|demonstrates?|appears?|there)\b", re.IGNORECASE
)
_PART_OF_LIST = re.compile(r",|\band\b|\bwith\b", re.IGNORECASE)
_EITHER = re.compile(r"(?:(?!\bwith\b).)*\b(?:or|versus|vs)\b(?!.*\bwith\b)", re.IGNORECASE)
_EITHER_FAR = 60  # characters between two findings that "or" still joins


@dataclass(frozen=True, slots=True)
class _Scope:
    meaning: Meaning
    start: int
    end: int

    def covers(self, mention: FindingMention) -> bool:
        return mention.end > self.start and mention.start < self.end


def contexts_of(sentence: str, mentions: Sequence[FindingMention]) -> tuple[Context, ...]:
    """Say for each mention whether the sentence affirms, doubts or denies it, or speaks of it as past."""
    scopes = list(_scopes(sentence, mentions))
    meanings = [{scope.meaning for scope in scopes if scope.covers(mention)} for mention in mentions]
    for index in range(len(mentions) - 1):
        between = sentence[mentions[index].end : mentions[index + 1].start]
        either = len(between) <= _EITHER_FAR and not _HARD_END.search(between) and _EITHER.match(between)
        if either and mentions[index].finding != mentions[index + 1].finding:
            meanings[index].add(Meaning.UNCERTAIN)
            meanings[index + 1].add(Meaning.UNCERTAIN)
    return tuple(_context(meaning) for meaning in meanings)


def _context(meanings: set[Meaning]) -> Context:
    if Meaning.ABSENT in meanings:
        return Context.ABSENT
    if Meaning.HISTORY in meanings:
        return Context.HISTORICAL
    return Context.UNCERTAIN if Meaning.UNCERTAIN in meanings else Context.PRESENT


def _scopes(sentence: str, mentions: Sequence[FindingMention]) -> Iterator[_Scope]:
    taken = bytearray(len(sentence))
    for asked in _ASKED.finditer(sentence):
        yield _Scope(Meaning.UNCERTAIN, asked.end(), _forward_end(sentence, asked.end(), mentions))
    for meaning, reach, pattern in PATTERNS:
        for match in pattern.finditer(sentence):
            start, end = match.span()
            if any(taken[start:end]):
                continue
            taken[start:end] = b"\x01" * (end - start)
            if meaning is Meaning.NOTHING:
                continue
            if reach is Reach.NEAR:
                near = min(_forward_end(sentence, end, mentions), end + _NEAR)
                yield _Scope(meaning, end, near)
            elif reach is Reach.FORWARD:
                yield _Scope(meaning, end, _forward_end(sentence, end, mentions))
            else:
                yield _Scope(meaning, _backward_start(sentence, start), start)


def _forward_end(sentence: str, start: int, mentions: Sequence[FindingMention]) -> int:
    hard = _HARD_END.search(sentence, start)
    end = hard.start() if hard else len(sentence)
    first = next((mention for mention in mentions if mention.end > start), None)
    if first is None or first.start >= end:
        return end
    # The words between a trigger and its first finding ("no evidence of large, ...") end nothing yet.
    soft = _FORWARD_END.search(sentence, start, end)
    end = soft.start() if soft else end
    for restart in _RESTART.finditer(sentence, max(first.end, start), end):
        if not _LIST_GOES_ON.search(sentence, restart.end(), end):
            return restart.start()
    return end


def _backward_start(sentence: str, end: int) -> int:
    start = max((match.end() for match in _HARD_END.finditer(sentence, 0, end)), default=0)
    verb = max((match.end() for match in _VERB.finditer(sentence, start, end)), default=None)
    if verb is None:
        return start
    # An earlier clause has its own verb: only what follows the last comma or "and" belongs to this trigger.
    part = max((match.end() for match in _PART_OF_LIST.finditer(sentence, verb, end)), default=verb)
    return max(verb, part)
