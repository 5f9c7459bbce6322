"""Splits a sentence into clauses, so that a statement of one clause is not applied to the next.

A report's sentence is often a list of statements: "No pneumothorax, small left effusion, heart size normal". A
semicolon, "but" and similar words always start a clause. A comma or "and" starts one if the words after it cannot
continue the list: they have a subject and a verb of their own, or the finding has an adjective that is never denied
("small", "stable", "healed"). Clause starts are found by words, without a parser, so that a reader can predict them.

Source: the termination terms of Chapman et al. 2001 (NegEx) and Harkema et al. 2009 (ConText); Peng et al. 2018
(NegBio) for clauses that need a subject of their own.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from pipelines.findings import FindingMention
from pipelines.text.trigger_parts import Meaning

__all__ = [
    "ANSWER_PATTERNS",
    "BE",
    "FINITE_VERB",
    "HARD_END",
    "SEEN",
    "clause_starts",
    "ends_with_a_noun",
    "parentheses",
]

BE = r"(?:is|are|was|were|be|been)"
SEEN = (
    r"(?:seen|identified|visuali[sz]ed|demonstrated|noted|appreciated|evident|apparent|present|detected|observed|found|"
    r"visible|suggested|shown|recogni[sz]ed|discerned|discernible|detectable|delineated|depicted|encountered)"
)
HARD_END = re.compile(
    r"[;]|(?<!\b[lr]t)(?<!\b[lr])\.\s|\s-{1,2}\s|\s[–—]\s|\b(?:but|however|although|though|except|aside\s+from|"
    r"apart\s+from|other\s+than|otherwise|whereas|"
    r"while|whilst|besides|nevertheless|yet|beyond|only|merely|just)\b",
    re.IGNORECASE,
)
"""A clause ends here, whatever the context."""
FINITE_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|remains?|persists?|shows?|demonstrates?|appears?|there|projects?|"
    r"overl(?:y|ies)|"
    r"terminates?|measures?|extends?)\b",
    re.IGNORECASE,
)

_SENTENCES_KEPT = 64  # context and place of the same sentence are computed one after the other
_JOINT = re.compile(
    r",\s*(?:and\s+|with\s+(?!no\b|out\b|or\b))?|\band\s+|\s+"
    r"(?=no\b(?!\s+(?:longer|larger|bigger|smaller|worse|better|more|less|different)\b)|nil\b(?!\s*(?:[.,;)]|\Z))|without\b)",
    re.IGNORECASE,
)
# Words that start a statement of their own, even if the list continues with "or".
_OPENS = re.compile(
    r"(?:there|this|these|one|that\s+(?:on|in|at)|n(?:or|either)\s+(?:can|could|is|are)|(?:it|they|both)\s+(?:is|are|has|have|was|were|had)|the\s+(?:\w+\s+){1,4}?(?:is|are|has|have|remains?|appears?|shows?)|an?|(?:is|are|has|have|"
    r"remains?|now)|no|nil|without|query|\?(?=\s*\w)|stable|unchanged|persist\w*|small|mild\w*|moderate\w*|minimal\w*|"
    r"trace|tiny|"
    r"faint|known|similar|chronic|possib\w+|probab\w+|likely|questionable|suspected|old|heal\w+|subtle|slight\w*|"
    r"resolving|residual|present(?=\s+\w)|definite|unequivocal|again|redemonstrat\w+|status|scattered|cannot|can\s+not|underlying|borderline|mildly|unfolded|"
    r"(?:heart|cardiac)\s+(?:\w+\s+){0,2}?(?:enlarged|large|normal|prominent))(?:(?!\w)|(?<=\?))",
    re.IGNORECASE,
)
# Words that start a statement unless the list continues: a denied effusion may be large, new or on the left.
_MAY_OPEN = re.compile(
    r"(?:the|large|severe|marked\w*|new|increas\w+|worsen\w+|improv\w+|decreas\w+|prominent|dense|enlarged|extensive|"
    r"diffuse|patchy|multiple|multifocal|several|left|right|bilateral|bi(?:basilar|basal|apical)|l[lu]l|r[lmu]l|both|"
    r"heart|cardiac|lungs?|bones?|osseous|bony|mediastin\w+|aort\w+|calcified|dilated|tortuous|hyperinflated|"
    r"hyperexpanded|et|ett|ng|endotracheal|tracheostomy|pacemaker|degenerative|with|post\w*)(?!\w)",
    re.IGNORECASE,
)
_LIST_GOES_ON = re.compile(r"[^;:.]{0,90}?\b(?:or|nor)\b", re.IGNORECASE)
_BREAKS_LIST = re.compile(r"\b(?:is|are|has|have|there|which|may|might|could|with|remains?)\b", re.IGNORECASE)
# "Effusion is seen" ends a list of denied findings; "effusion has improved" is a statement.
_OWN_VERB = re.compile(
    rf"(?:\s+[\w-]+ly)?\s+(?:has|have|had|remains?|persists?|appears?|(?:continues?|increases?|improves?)|"
    rf"(?:essentially\s+|largely\s+)?unchanged|stable|similar|(?:consistent|compatible|in\s+keeping)\s+with|"
    rf"as\s+before|larger|smaller|increased|decreased|improved|"
    rf"worsened|enlarged|again|without|with\s+no|in\s+(?:situ|place|position)|tip|(?:is|are)(?!\s+(?:\w+ly\s+|also\s+|"
    rf"otherwise\s+)?{SEEN}))(?!\w)",
    re.IGNORECASE,
)
_IN_PLACE = re.compile(r"\s+(?:remains?\s+)?in\s+(?:situ|place|position)\b", re.IGNORECASE)
_IS_THERE = re.compile(
    r"\s+(?:(?:is|are)\s+)?(?:again\s+|also\s+)?(?:present|noted|evident)\b|"
    # "No effusion, fibrosis at the bases" states a location.
    r"\s+(?:at|in)\s+(?:the\s+|both\s+)?(?:(?:left|right|lung)\s+)*(?:bases?|apex|apices|lingula)\s*(?:[.,;]|\Z)",
    re.IGNORECASE,
)
_DENIES = re.compile(r"\b(?:no|not|nil|without|negative|free|clear|possib\w+|probab\w+)\b", re.IGNORECASE)
_BEFORE_NOUN = re.compile(
    r"(?:\A|\b(?:no|of|any|or|and|the|a|for|without|new|acute|active|focal|large|small|definite|significant|"
    r"obvious|gross|"
    r"discrete|confluent|lobar|segmental|patchy|suspicious|right|left|convincing|bilateral|displaced|visible|"
    r"sizeable|sizable|frank|overt|discernible|appreciable|evident|clear|superimposed|dense|airspace|pulmonary|pleural|"
    r"interstitial|alveolar|focally|hilar|mediastinal|parenchymal|upper|lower|mid|middle|apical|basal|basilar|"
    r"radiographic|consolidative|nodular|other|further|additional|recurrent|residual|increased|in|on|at|to|is|are|"
    r"seen|evidence|sign|signs))\s*\Z",
    re.IGNORECASE,
)
_DENIED_ADJECTIVES = re.compile(
    r"(?:(?:any|of|other|evidence|signs?|acute|active|focal|definite|significant|obvious|gross|discrete|"
    r"confluent|lobar|"
    r"segmental|suspicious|convincing|displaced|visible|sizeable|sizable|frank|overt|appreciable|superimposed|airspace|"
    r"pulmonary|pleural|interstitial|alveolar|hilar|mediastinal|parenchymal|radiographic|rib|lung|vascular|discernible|"
    r"measurable|air[\s-]space|hiatal|congestive|heart|cardiac|consolidative|infiltrative|pneumonic|infectious|"
    r"free)[\s-]+)*",
    re.IGNORECASE,
)
_REMOVES = re.compile(r"\b(?:removal|extraction)\s+of\b", re.IGNORECASE)
_HAS_VERB = re.compile(r"\s*(?:is|are|was|were|has|have)\b", re.IGNORECASE)
_MEANS = re.compile(r"\w\s+(?:consistent|compatible|in\s+keeping)\s+with\b", re.IGNORECASE)
_DESCRIBED = re.compile(
    r"(?:(?!(?:if|to|for|of|suggest\w*|suspicious|concerning|consistent|compatible|which|that|as|when|including|"
    r"such|like|"
    r"represent\w*|either|evidence|in|or|and|due|e\.?g|i\.?e)\b)[\w.-]+\s+){1,5}",
    re.IGNORECASE,
)
_STANDS_ALONE = re.compile(r"\b(?:nil|nothing)\s+(?:acute|new|significant|focal|active|else)\s*\Z", re.IGNORECASE)
# "Left and right effusions" is one place.
_SIDE_BEFORE = re.compile(r"(?<!\bthe\s)\b(?:left|right|upper|lower|middle|mid)\s*\Z", re.IGNORECASE)
_SIDE_AFTER = re.compile(r"(?:left|right|upper|lower|middle|mid)\b", re.IGNORECASE)
_LEADS_IN = re.compile(r"\s*(?:on|in|at|within|over|along)\s[^,;:]{1,60}", re.IGNORECASE)
_SAYS = re.compile(
    rf"{FINITE_VERB.pattern}|\b(?:clear|normal|unremarkable|intact|noted|seen|expanded)\b", re.IGNORECASE
)
_LAST_JOINT = re.compile(r"[\s,]*(?:\band\s*)?(?:\bwith\s*)?\Z", re.IGNORECASE)
_SAYS_BY_THE_WAY = re.compile(
    r",\s*(?:which|that|who|though|although|as (?:described|noted|seen|before|previously)|(?:(?:first|"
    r"previously|also|again|better|best|"
    r"newly)\s+)?(?:seen|noted|described|identified|present|visuali[sz]ed|demonstrated|reported|known)|"
    r"unchanged|stable)\b"
    r"(?P<inside>[^,;:]*),(?=\s*(?:is|are|was|were|has|have|had|appears?|remains?|shows?|persists?|"
    r"demonstrates?|can\s*not|"
    r"could|may|might|not|no\s+longer)\b)",
    re.IGNORECASE,
)
# "The effusion that was present last week is gone".
_SAYS_WHAT_WAS = re.compile(
    rf"\s(?:that|which)\s+(?:was|were)\s+(?:\w+ly\s+)?{SEEN}\b(?P<inside>[^,;:.]{{0,60}}?)(?=\s+(?:is|are|has|have|appears?|"
    r"remains?|persists?|can\s*not|could|may|might|no\s+longer)\b)",
    re.IGNORECASE,
)
_PARENTHESIS_SPEAKS = re.compile(
    r"\b(?:no|not|cannot|may|might|could|possibl[ey]|probabl[ey]|likely|questionabl[ey])\b", re.IGNORECASE
)


def parentheses(sentence: str) -> tuple[tuple[int, int], ...]:
    """Return the spans of clauses between a subject and its verb: "..., which was seen before, has resolved".

    The words inside apply neither to the subject nor to its verb. A clause that denies or doubts applies to the subject
    and is not such a span.
    """
    return tuple(
        match.span()
        for pattern in (_SAYS_BY_THE_WAY, _SAYS_WHAT_WAS)
        for match in pattern.finditer(sentence)
        if not _PARENTHESIS_SPEAKS.search(match["inside"])
    )


def ends_with_a_noun(sentence: str, start: int, end: int, mentions: Sequence[FindingMention]) -> bool:
    """Return True if ``sentence[start:end]`` is more than adjectives of the next words, so a list may end there."""
    if any(start < mention.end <= end for mention in mentions):
        return True
    words = _LAST_JOINT.sub("", sentence[start:end])
    return _BEFORE_NOUN.search(words) is None or _STANDS_ALONE.search(sentence, 0, start + len(words)) is not None


@lru_cache(maxsize=_SENTENCES_KEPT)
def clause_starts(sentence: str, mentions: tuple[FindingMention, ...]) -> tuple[int, ...]:
    """Return the positions at which the clauses of a sentence start, beginning with 0."""
    hard = [0, *(match.end() for match in HARD_END.finditer(sentence)), len(sentence)]
    starts: list[int] = []
    for begin, end in pairwise(hard):
        starts.append(begin)
        for joint in _JOINT.finditer(sentence, begin, end):
            before = sentence[starts[-1] : joint.start()]
            if not ends_with_a_noun(sentence, starts[-1], joint.start(), mentions):
                continue
            leads_in = _LEADS_IN.fullmatch(before) and not any(starts[-1] <= m.start < joint.start() for m in mentions)
            paired = _SIDE_BEFORE.search(before) and _SIDE_AFTER.match(sentence, joint.end())
            if paired or leads_in or any(m.start < joint.start() < m.end for m in mentions):
                continue
            if _stands_on_its_own(sentence, joint, end, before, mentions):
                starts.append(joint.end())
    return tuple(starts)


def _stands_on_its_own(
    sentence: str, joint: re.Match[str], end: int, before: str, mentions: Sequence[FindingMention]
) -> bool:
    position = joint.end()
    if _OPENS.match(sentence, position):
        return True
    own = next((mention for mention in mentions if mention.start >= position and mention.end <= end), None)
    if own is None:
        words = sentence[position:end].split(",", maxsplit=1)[0]
        return _MAY_OPEN.match(words) is not None and _SAYS.search(words) is not None
    named = any(joint.start() - len(before) <= mention.start < joint.start() for mention in mentions)
    if _continues_the_list(sentence[:end], joint, before, own, named=named):
        return False
    return _MAY_OPEN.match(sentence, position) is not None or _states_its_finding(sentence, joint, before, own)


def _continues_the_list(sentence: str, joint: re.Match[str], before: str, own: FindingMention, *, named: bool) -> bool:
    """Return True if "or" still follows, or "and" joins two names of one thing or two subjects of one verb."""
    goes_on = _LIST_GOES_ON.match(sentence, joint.end())
    if goes_on and not _BREAKS_LIST.search(goes_on.group()):
        return True
    if joint.group()[0] == ",":
        return False
    has_verb = FINITE_VERB.search(before) is not None
    if _REMOVES.search(before) or not (has_verb or named):
        return True
    return not (has_verb or _DENIES.search(before)) and _HAS_VERB.match(sentence, own.end) is not None


def _states_its_finding(sentence: str, joint: re.Match[str], before: str, own: FindingMention) -> bool:
    """Return True if the next finding is described as present, or has a verb of its own."""
    denies = _DENIES.search(before) is not None
    words = sentence[joint.end() : own.start]
    comma = joint.group()[0] == ","
    if comma and _MEANS.search(words):
        return True
    # Only adjectives that are commonly denied ("pleural", "focal") continue a list of denied findings.
    if comma and denies and _DESCRIBED.fullmatch(words) and not _DENIED_ADJECTIVES.fullmatch(words):
        return True
    if re.search(r",|\band\b", words):
        return False
    if comma and _IN_PLACE.match(sentence, own.end):
        return True
    if not (denies or FINITE_VERB.search(before)):
        return False
    return bool(_OWN_VERB.match(sentence, own.end) or (comma and _IS_THERE.match(sentence, own.end)))


# "PTX - absent", "Effusion: none", "Consolidation (no)", "Pneumothorax?": an answer to the words before, or a question.
_ANSWERS: tuple[tuple[Meaning, str], ...] = (
    (
        Meaning.ABSENT,
        (
            rf"no|none(?: {SEEN})?|nil|[-–]|neg(?:ative)?|absent|denied|not (?:{BE} )?{SEEN}|nothing {SEEN}|resolved|"
            rf"removed|(?:is |heart |size )*normal(?: size)?|unremarkable|clear"
        ),
    ),
    (
        Meaning.UNCERTAIN,
        (
            r"(?:un|less |more |very |most |highly )*(?:possibl[ey]|probabl[ey]|likely)|suspected|query|"
            r"questionable|equivocal|"
            r"doubtful|indeterminate|uncertain|not excluded|cannot exclude|cannot be excluded|maybe|perhaps"
        ),
    ),
)
_MARK = r"(?:\s*[:=?]|\s+-{1,2}|\s*[–—]|,?\s*\()\s*"
_ANSWER_END = r"(?=\s*(?:[.,;)]|\Z)|\s+[A-Z][\w ]{0,30}:)"


def _answer(words: str) -> re.Pattern[str]:
    return re.compile(rf"{_MARK}(?i:{words.replace(' ', '[ ]+')}){_ANSWER_END}")


ANSWER_PATTERNS = tuple((meaning, _answer(words)) for meaning, words in _ANSWERS)
"""Compiled answers with their meaning for the finding before. They are case-sensitive: a capital starts a heading."""
