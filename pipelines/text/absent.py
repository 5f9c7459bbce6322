"""Finds what a report denies of the whole image: "no pleural effusion", "heart size is normal", "the lungs are clear".

A denial is left out if it is limited to a side or a zone ("no effusion on the left"), to a size or kind ("no large
effusion", "no displaced fracture") or to what is new ("no new consolidation"), and if the report names the finding
elsewhere as present, uncertain or historical. A sentence that calls a part of the chest normal denies only what that
word excludes: clear lungs have no opacity, a heart of normal size is not enlarged.

Source: Irvin et al. 2019, "CheXpert", section 3 (negation and "No Finding"); the wordings are those of the Open-i
reports.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from pipelines.findings import BROADER, findings_in, in_small_letters, known_findings, may_look_alike, side_of
from pipelines.study import Context, Phrase, Side
from pipelines.text.phrases import sentences_of
from pipelines.text.sections import sections_of

__all__ = ["ABNORMALITY", "ACUTE", "absent_phrases", "deniable_findings", "is_refuted_by"]

ABNORMALITY = "acute cardiopulmonary abnormality"
"""What "No acute cardiopulmonary process." and "Normal chest." deny; the name of no box."""

ACUTE = frozenset(
    {
        "atelectasis",
        "consolidation",
        "edema",
        "infiltration",
        "lung opacity",
        "pleural effusion",
        "pneumonia",
        "pneumothorax",
    }
)
"""Findings of which an image that has one has an :data:`ABNORMALITY`."""

_ONLY_ACUTE = frozenset({"consolidation", "edema", "pneumonia", "pneumothorax", ABNORMALITY})
"""Findings of which "no acute ..." denies every kind."""

_NEGATOR = re.compile(r"\b(?:no|not|nor|neither|without|free|negative|absence|absent|clear|lack|w/o)\b")
_PARTLY = re.compile(
    r"\b(?:new(?:ly)?|interval|additional|further|other|another|residual|recurrent|increas\w+|worsen\w*|progress\w+|"
    r"significant|substantial|large|larger|sizea?ble|moderate|massive|gross|big|major|overt|frank|dense|tension|complete|"
    r"displaced|compression|dominant|suspicious|discrete|measurable|loculated|layering|drainable|lobar|superimposed|"
    r"concerning|obvious|more|longer|change|(?:non[\s-]?)?calcified|cavitary|spiculated|ribs?|vertebral|clavic\w+|spinal)\b"
)
_PARTLY_ACUTE = re.compile(r"\b(?:acute(?:ly)?|active)\b")
_PARTLY_FOCAL = re.compile(r"\bfocal\b")
_OF_A_PART = re.compile(r"\s+(?:of|in|involving|about)\b")
_GONE = re.compile(r"\b(?:resol\w+|removed|removal|cleared|clearing|clearance|gone|disappear\w+|withdrawn|drained)\b")
_OF_KINDS = frozenset({"support devices", "calcification"})
"""Findings of which a sentence denies one kind or place: "no endotracheal tube", "a nodule without calcification" """

_BE = r"(?:(?:is|are|was|were|appears?|remains?|seems?|to|be|both|all|again|still|and|also|has|have|a|an|of|in) )*"
_HOW = r"(?:(?:grossly|essentially|completely|entirely|bilaterally|overall|generally|symmetrically) )*"
_NORMAL = (
    r"(?:normal(?! (?:aside|apart|except|variant))|unremarkable|not (?:enlarged|remarkable)|"
    r"within (?:the )?(?:normal limits?|normal range|limits of normal)|wnl)"
)
_ENDS = r"(?= ?(?:[.,;]|\Z|and\b|with(?:out)?\b))"
_SIZED = r"(?: (?:in|for) (?:size|appearance|contour|configuration|age))?"
_OF_HEART = r"(?:heart|cardiac|cardio[\s-]?pericardial)(?: (?:size|silhouette|contours?|shadow|outline|border)s?)*"
_OF_MEDIASTINUM = r"(?:mediastin(?:um|al)(?: (?:silhouette|contours?|structures?|width|shadow|borders?))*)"
_OF_BOTH = r"cardio[\s-]?mediastin(?:um|al)(?: (?:silhouette|contours?|structures?|size|borders?|shadow))*"
_OF_HILA = r"(?:hil(?:a|um|ar)(?: (?:contours?|structures?|shadows?|regions?|silhouettes?))*)"
_OTHER_PARTS = (
    r"(?:pulmonary (?:vascularity|vasculature|vessels|vascular markings?)|vascularity|vasculature|aorta|trachea|lungs?|"
    r"pleura|bon(?:es|y thorax)|osseous structures|soft tissues)"
)
_PART = rf"(?:{_OF_BOTH}|{_OF_HEART}|{_OF_MEDIASTINUM}|{_OF_HILA}|{_OTHER_PARTS})"
_LIST = rf"(?:(?:the )?{_PART}(?:, and |, | and |/| ))*"
_IS_NORMAL = re.compile(rf"\b(?P<parts>{_LIST}(?:the )?{_PART}):? {_BE}{_HOW}{_NORMAL}{_SIZED}{_ENDS}")
_NORMAL_PART = re.compile(
    rf"\b(?:normal|unremarkable) (?:(?:appearance of|size of|in size) )?(?P<parts>{_LIST}(?:the )?{_PART}){_ENDS}"
)
_PARTS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(rf"\b{_OF_BOTH}\b"), ("cardiomegaly", "enlarged cardiomediastinum")),
    (re.compile(rf"\b{_OF_HEART}\b"), ("cardiomegaly",)),
    (re.compile(rf"\b(?<!cardio)(?<!cardio-){_OF_MEDIASTINUM}\b"), ("enlarged cardiomediastinum",)),
    (re.compile(rf"\b{_OF_HILA}\b"), ("enlarged hilum",)),
)
_INFLATED = (
    r"(?:(?:well|symmetrically|normally|adequately)[\s-](?:expanded|inflated|aerated)|hypoinflated|low in volume|"
    r"grossly)"
)
_CLEAR_LUNGS = re.compile(
    rf"\Aclear lungs{_ENDS}|"
    rf"(?:\A|[.,;:] |\band |\bthe |\bboth )(?:heart and )?(?:lungs|lung fields)(?: bilaterally)?:? {_BE}"
    rf"(?:{_INFLATED},? (?:and |but )?(?:are )?)*clear(?: bilaterally)?{_ENDS}(?!,? (?:except|aside|apart))"
)
_CLEAR_PLEURA = re.compile(
    rf"\bpleural (?:spaces?|cavit(?:y|ies)) {_BE}{_HOW}(?:clear|normal|unremarkable)(?= ?(?:[.,;]|\Z))"
)
_PROCESS = r"(?:disease|process(?:es)?|abnormalit(?:y|ies)|findings?|patholog(?:y|ies)|changes?)"
_OF_CHEST = (
    r"(?:(?:cardio[\s-]?pulmonary|cardiac or pulmonary|cardio[\s-]?thoracic|intra[\s-]?thoracic|thoracic|chest|"
    r"cardiopulmonary or intrathoracic|cardio[\s-]?respiratory) )"
)
_NO_ACUTE = (
    r"no (?:(?:(?:radiographic )?evidence (?:of|for)|definite|convincing|significant) )*(?:an? )?"
    r"(?:acute(?:,? or active)?|active) "
)
_ELSEWHERE = r"(?! (?:of|in|within|involving|to|about) (?!the (?:chest|thorax|lungs)))"
_STATEMENT_ENDS = r"(?= ?(?:[.,;]|\Z))"
_NOTHING_ACUTE = re.compile(
    rf"\b{_NO_ACUTE}{_OF_CHEST}+{_PROCESS}{_ELSEWHERE}|"
    rf"\A(?:chest: )?{_NO_ACUTE}(?:radiographic )?{_PROCESS}{_ELSEWHERE}|"
    rf"\Ano (?:abnormal )?findings?{_STATEMENT_ENDS}|\bno {_OF_CHEST}+abnormalit(?:y|ies){_ELSEWHERE}|"
    rf"\A(?:normal|negative|unremarkable) (?:chest|examination|exam|study)"
    rf"(?: (?:x-?ray|radiographs?|film|exam(?:ination)?|study))?{_STATEMENT_ENDS}|"
    rf"\A(?:the )?chest {_BE}(?:normal|unremarkable){_STATEMENT_ENDS}"
)
_REMARK = re.compile(
    r"\b(?:otherwise|limited|suboptimal|except|aside from|apart from|other than|limits? of normal(?! limits))\b"
)
_UPPER_LIMITS = re.compile(r"\b(?:upper|top|high)(?: |-)?(?:limits?|normal|borderline)?\b|\bborderline\b")


def absent_phrases(text: str, phrases: Sequence[Phrase]) -> tuple[Phrase, ...]:
    """Return a phrase for each finding that a report denies without limits, in text order.

    Args:
        text: the report.
        phrases: all phrases of the report (:func:`pipelines.text.phrases.phrases_of`), whatever their context.
    """
    named = [phrase for phrase in phrases if phrase.context is not Context.ABSENT]
    found: dict[str, Phrase] = {}
    for phrase in (*_denied(phrases), *_normal(text)):
        finding = str(phrase.finding)
        if finding not in found and not any(_is_doubted(finding, each) for each in named):
            found[finding] = phrase
    return tuple(found.values())


def deniable_findings() -> tuple[str, ...]:
    """Return everything that a report may deny: every known finding, and any acute abnormality."""
    return (*known_findings(), ABNORMALITY)


def is_refuted_by(absent: str, finding: str) -> bool:
    """Return True if the denial of ``absent`` cannot hold for an image with ``finding``, the same or a narrower one."""
    is_narrower = BROADER.get(finding) == absent or (absent == "lung opacity" and may_look_alike(finding, absent))
    return absent in {ABNORMALITY, finding} or is_narrower


def _is_doubted(absent: str, named: Phrase) -> bool:
    is_past = absent == ABNORMALITY and named.context is Context.HISTORICAL
    return not is_past and is_refuted_by(absent, str(named.finding))


def _denied(phrases: Iterable[Phrase]) -> Iterator[Phrase]:
    for phrase in phrases:
        is_everywhere = phrase.side in {None, Side.BILATERAL} and phrase.zone is None
        if phrase.context is Context.ABSENT and is_everywhere and not _is_limited(phrase):
            yield phrase


def _is_limited(phrase: Phrase) -> bool:
    """Return True if a sentence denies only a part of what its finding may be."""
    finding = str(phrase.finding)
    if finding in _OF_KINDS or _GONE.search(phrase.text.lower()):
        return True
    lower = in_small_letters(phrase.text)
    for mention in findings_in(phrase.text):
        if mention.finding != finding:
            continue
        negators = [match.end() for match in _NEGATOR.finditer(lower, 0, mention.start)]
        words = lower[negators[-1] if negators else 0 : mention.end]
        if _PARTLY.search(words):
            return True
        if _PARTLY_ACUTE.search(words) and finding not in _ONLY_ACUTE:
            return True
        if finding == "lung opacity" and _PARTLY_FOCAL.search(words):
            return True
        if finding == "fracture" and _OF_A_PART.match(lower, mention.end):
            return True
    return False


def _normal(text: str) -> Iterator[Phrase]:
    for section in sections_of(text):
        for sentence in sentences_of(section.text):
            for finding in _denied_by_normal(sentence):
                yield Phrase(text=sentence, section=section.name, finding=finding, context=Context.ABSENT)


@lru_cache(maxsize=1 << 14)
def _denied_by_normal(sentence: str) -> tuple[str, ...]:
    """Return the findings that a sentence excludes by calling a part of the chest normal."""
    lower = in_small_letters(sentence)
    if _REMARK.search(lower) or _UPPER_LIMITS.search(lower):
        return ()
    found: list[str] = []
    for pattern in (_IS_NORMAL, _NORMAL_PART):
        for match in pattern.finditer(lower):
            parts = match["parts"]
            found += [finding for part, findings in _PARTS if part.search(parts) for finding in findings]
    if _CLEAR_LUNGS.search(lower) and side_of(sentence) in {None, Side.BILATERAL}:
        found.append("lung opacity")
    if _CLEAR_PLEURA.search(lower):
        found.append("pleural effusion")
    if _NOTHING_ACUTE.search(lower):
        found.append(ABNORMALITY)
    return tuple(dict.fromkeys(found))
