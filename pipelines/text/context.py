"""Whether a sentence affirms, doubts or denies each finding that it mentions.

Trigger words with a scope, in the manner of NegEx and ConText: a trigger reaches forward or backward over the sentence
until a word that ends its clause. Denial wins over doubt where both reach a mention ("no opacity suspicious for
pneumonia" denies pneumonia); wordings that look like denial and are none ("cannot exclude", "no change in") are taken
out first.

Source: Chapman et al. 2001, "A simple algorithm for identifying negated findings"; Harkema et al. 2009, "ConText";
Irvin et al. 2019 (CheXpert) for "no definite" and its like. Unlike CheXpert's labeller there is no dependency parser:
the scopes below are words, so that a reader can predict them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from pipelines.findings import FindingMention
from pipelines.study import Context

__all__ = ["contexts_of"]


class _Reach(Enum):
    FORWARD = "forward"
    BACKWARD = "backward"


class _Meaning(Enum):
    NOTHING = "nothing"  # looks like a trigger and is none
    UNCERTAIN = "uncertain"
    ABSENT = "absent"
    HISTORY = "history"  # speaks of the patient's past, not of this image


_BE = r"(?:is|are|was|were|be|been)"
_SEEN = (
    r"(?:seen|identified|visuali[sz]ed|demonstrated|noted|appreciated|evident|apparent|present|detected|observed|found|"
    r"visible|suggested|shown)"
)
_DEGREE = (
    r"(?:significant|interval|appreciable|substantial|definite|real|acute|obvious|further|gross|radiographic|evident|"
    r"relevant|major|other|convincing|marked|discernible|detectable|short|term|or)"
)
_CHANGE = (
    r"(?:changed?|increase[ds]?|decrease[ds]?|progression|improve(?:ment|d)|worsen(?:ing|ed)|differen(?:t|ce)|growth)"
)
_ADVERBS = r"(?:\w+ ){0,2}"
_UNABLE = (
    r"(?:can ?not|can't|could not|couldn't|unable to|(?:difficult|hard|impossible|not possible) to|"
    r"(?:does|do|would) not|without)"
)
_DOUBTED = r"(?:possible|likely|suspected|question(?:ed|able)|favou?red|probable|possibility|consideration)"
_CLAUSE_END = r"(?= ?(?:[.,;)]|\Z)| (?:given|in|on|at|based|but|and|although|however|with)\b)"

# In this order; what one trigger has taken, the later ones do not see. A space is any white space.
_TRIGGERS: tuple[tuple[_Meaning, _Reach, tuple[str, ...]], ...] = (
    (_Meaning.HISTORY, _Reach.FORWARD, (r"(?:known |prior |previous |remote )?history of", r"h/o", r"hx of")),
    (
        _Meaning.UNCERTAIN,
        _Reach.BACKWARD,
        (
            rf"(?:can ?not|can't|could not|couldn't) {_ADVERBS}be {_ADVERBS}(?:excluded|ruled out|assessed|evaluated)",
            r"(?:difficult|hard) to (?:exclude|evaluate|assess)(?= ?(?:[.,;]|\Z))",
            rf"(?:{_BE} )?not (?:\w+ )?(?:excluded|ruled out)",
            rf"(?:{_BE} )?not (?:well|fully|clearly|adequately|optimally|definitely) (?:{_SEEN}|assessed|evaluated)",
        ),
    ),
    (
        _Meaning.UNCERTAIN,
        _Reach.FORWARD,
        (
            rf"{_UNABLE} {_ADVERBS}(?:exclud(?:e|ing)|rul(?:e|ing) out)",
            r"not (?:\w+ )?excluding",
            r"to (?:\w+ )?(?:exclude|rule out|(?:assess|evaluate) for)",
            r"rule out",
            r"r/o",
            rf"(?:no|without) (?:definite|definitive|convincing|clear[\s-]cut|unequivocal)(?! (?:\w+ )?{_CHANGE})",
        ),
    ),
    (
        _Meaning.NOTHING,
        _Reach.FORWARD,
        (
            rf"(?:no|not|without) (?:{_DEGREE} ){{0,3}}(?:{_CHANGE}|enlargement of)(?: (?:in|of|from|since|to)\b)?",
            r"not only",
            r"no doubt",
            r"with (?:or|and) without",
            r"not (?:\w+ )?(?:resolved|cleared)",
            r"(?:nearly|almost|part(?:ial)?ly|incompletely|largely|mostly) (?:completely )?(?:resolved|cleared)",
            r"(?:partial|incomplete|near[\s-](?:complete|total)) (?:interval )?(?:resolution|clearing)",
            r"(?:ensure|document|confirm|demonstrate|verify|until) (?:\w+ )?(?:resolution|clearing)",
            r"likely (?:unchanged|stable)",
        ),
    ),
    (
        _Meaning.ABSENT,
        _Reach.BACKWARD,
        (
            rf"(?:{_BE} |has |have )?(?:not|no longer|never) (?:{_BE} )?(?:\w+ly )?{_SEEN}",
            rf"{_BE} absent",
            r"(?:has|have|had) (?:now |since |also |completely |entirely )*(?:resolved|cleared|disappeared)",
            rf"{_BE} (?:now |since |completely )*(?:resolved|cleared|gone|removed|ruled out|excluded)",
            r"(?:has|have) been (?:\w+ )?(?:removed|ruled out|excluded|withdrawn|evacuated|drained)",
            rf"resolved{_CLAUSE_END}",
            rf"none(?: {_SEEN})?",
        ),
    ),
    (
        _Meaning.UNCERTAIN,
        _Reach.BACKWARD,
        (
            rf"(?:(?:{_BE}|seems?|remains?|felt to be|considered|thought to be) )*(?:un|less )likely{_CLAUSE_END}",
            rf"(?:{_BE}|seems?|remains?) (?:also |most |quite |a )*{_DOUBTED}{_CLAUSE_END}",
            r"(?:should|could|can) (?:also )?be considered",
            rf"{_BE} in the differential",
        ),
    ),
    (
        _Meaning.UNCERTAIN,
        _Reach.FORWARD,
        (
            r"possib(?:le|ly|ility(?: of)?)",
            r"probab(?:le|ly|ility)",
            r"(?:un|less |more |most )?likely",
            # "May" alone is also a month.
            rf"may {_ADVERBS}(?:be|represent|reflect|relate|indicate|suggest|have|correspond|account)\w*",
            r"might",
            r"could",
            r"can (?:represent|reflect|be seen)",
            r"suggest(?:s|ed|ing|ive)?(?: of)?",
            r"suspicious for",
            r"suspicion",
            r"suspect(?:s|ed)?",
            r"concern(?:ing|s|ed)? (?:for|of|about)",
            r"worrisome for",
            r"question(?:able|ed|s|ing)?(?: of)?",
            r"equivocal",
            r"presum(?:ed|ably|ptive)",
            r"differential",
            r"consider(?:ation (?:of|for))?",
            r"borderline",
            r"potential(?:ly)?",
            r"rather than",
            r"favou?r(?:ed|s|ing)?",
            r"(?:evaluat|assess|correlat|surveill)\w* (?:\w+ )?for",
            r"if there (?:is|are)",
        ),
    ),
    (
        _Meaning.ABSENT,
        _Reach.FORWARD,
        (
            r"(?:no|not|without|nor|neither|never|none of)",
            r"negative for",
            r"(?:absence|lack|free|devoid|clear|clearing|resolution) of",
            r"free from",
            r"resolved",
            r"(?:rules? out|excludes?)",
            r"removal of",
        ),
    ),
)


def _compiled(triggers: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(triggers)})(?!\w)".replace(" ", r"\s+").replace(r"\s+?", r"\s*"), re.IGNORECASE)


_PATTERNS = tuple((meaning, reach, _compiled(triggers)) for meaning, reach, triggers in _TRIGGERS)
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
    r"prominent|residual|again|status)\b)",
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
    meaning: _Meaning
    start: int
    end: int

    def covers(self, mention: FindingMention) -> bool:
        return mention.end > self.start and mention.start < self.end


def contexts_of(sentence: str, mentions: Sequence[FindingMention]) -> tuple[Context | None, ...]:
    """Say for each mention whether the sentence affirms, doubts or denies it.

    None: the mention speaks of the patient's history and makes no claim about the image.
    """
    scopes = list(_scopes(sentence, mentions))
    meanings = [{scope.meaning for scope in scopes if scope.covers(mention)} for mention in mentions]
    for index in range(len(mentions) - 1):
        between = sentence[mentions[index].end : mentions[index + 1].start]
        either = len(between) <= _EITHER_FAR and not _HARD_END.search(between) and _EITHER.match(between)
        if either and mentions[index].finding != mentions[index + 1].finding:
            meanings[index].add(_Meaning.UNCERTAIN)
            meanings[index + 1].add(_Meaning.UNCERTAIN)
    return tuple(_context(meaning) for meaning in meanings)


def _context(meanings: set[_Meaning]) -> Context | None:
    if _Meaning.ABSENT in meanings:
        return Context.ABSENT
    if _Meaning.HISTORY in meanings:
        return None
    return Context.UNCERTAIN if _Meaning.UNCERTAIN in meanings else Context.PRESENT


def _scopes(sentence: str, mentions: Sequence[FindingMention]) -> Iterator[_Scope]:
    taken = bytearray(len(sentence))
    for asked in _ASKED.finditer(sentence):
        yield _Scope(_Meaning.UNCERTAIN, asked.end(), _forward_end(sentence, asked.end(), mentions))
    for meaning, reach, pattern in _PATTERNS:
        for match in pattern.finditer(sentence):
            start, end = match.span()
            if any(taken[start:end]):
                continue
            taken[start:end] = b"\x01" * (end - start)
            if meaning is _Meaning.NOTHING:
                continue
            if reach is _Reach.FORWARD:
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
