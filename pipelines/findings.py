"""One vocabulary of findings: the CheXpert 14, the labels of public box sets, and radiologists' wordings of them.

It connects phrases and boxes: :func:`findings_in` returns what a sentence claims, :func:`canonical_finding` what a box
is labelled with, and both use the names in :data:`FINDINGS`.

Source: Irvin et al. 2019, "CheXpert", table 1; Wang et al. 2017 (NIH ChestX-ray14); Nguyen et al. 2022 (VinDr-CXR);
Lanfredi et al. 2022 (REFLACX); Lian et al. 2021 (ChestX-Det); Saporta et al. 2022 (CheXlocalize); Castro et
al. 2024 (PadChest-GR). Unlike CheXpert, nodule and mass stay separate if the wording distinguishes them, and
"infiltrate" keeps the name of the NIH boxes.
"""

import re
from dataclasses import dataclass, field

from pipelines.finding_patterns import LOOKALIKES, WORDINGS
from pipelines.study import Side, Zone

__all__ = [
    "BROADER",
    "FINDINGS",
    "MIDLINE_OR_DIFFUSE",
    "AddedFindings",
    "FindingMention",
    "added_findings",
    "added_words",
    "canonical_finding",
    "findings_in",
    "in_small_letters",
    "known_findings",
    "may_look_alike",
    "names_a_zone",
    "side_of",
    "spans_of_place",
    "use_findings",
    "zone_of",
]

BROADER = {"nodule": "lung lesion", "mass": "lung lesion"}
"""Findings that some box sets have only under one broader label (VinDr "Nodule/Mass", CheXpert "Lung Lesion")."""

_OPACITIES = frozenset(
    {"atelectasis", "consolidation", "edema", "infiltration", "lung lesion", "mass", "nodule", "pneumonia"}
)
"""Findings that may also be called "lung opacity" (Irvin et al. 2019, figure 1: the hierarchy of the labels)"""

MIDLINE_OR_DIFFUSE = frozenset(
    {
        "aortic enlargement",
        "cardiomegaly",
        "edema",
        "emphysema",
        "enlarged cardiomediastinum",
        "enlarged pulmonary artery",
        "hernia",
        "mediastinal shift",
    }
)
"""Findings that do not take their side from another finding in the same sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingMention:
    """A finding named in a sentence, at ``sentence[start:end]``."""

    finding: str
    start: int
    end: int


def may_look_alike(one: str, other: str) -> bool:
    """Return True if two findings are the same, or one is a broader name of the other."""
    return (
        one == other
        or BROADER.get(one) == other
        or BROADER.get(other) == one
        or (one == "lung opacity" and other in _OPACITIES)
        or (other == "lung opacity" and one in _OPACITIES)
    )


def in_small_letters(text: str) -> str:
    """Return the text in lower case, with every letter at its position.

    Searching with a case-insensitive pattern takes twice as long as searching lower-case text.
    """
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _compiled(wordings: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(wordings)})\b".replace(" ", r"\s+"))


_PATTERNS: tuple[tuple[str | None, re.Pattern[str]], ...] = (
    (None, _compiled(LOOKALIKES)),
    *((finding, _compiled(wordings)) for finding, wordings in WORDINGS.items()),
)

FINDINGS: tuple[str, ...] = tuple(sorted(WORDINGS))
"""Every canonical finding, lower case, in alphabetical order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedFindings:
    """Wordings that a user adds to the known ones: pairs of finding and wording, in lower case."""

    wordings: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _InUse:
    """What a process reads in addition to the known findings."""

    added: AddedFindings = field(default_factory=AddedFindings)
    patterns: tuple[tuple[str, re.Pattern[str]], ...] = ()
    words: frozenset[str] = frozenset()


_IN_USE = _InUse()


def use_findings(added: AddedFindings) -> None:
    """Read these wordings too, in this process, until other ones are given; they come before the known ones."""
    if added != _IN_USE.added:
        longest_first = sorted(added.wordings, key=lambda pair: len(pair[1]), reverse=True)
        _IN_USE.patterns = tuple((finding, _compiled((_escaped(wording),))) for finding, wording in longest_first)
        _IN_USE.words = frozenset(word for pair in added.wordings for text in pair for word in text.split())
        _IN_USE.added = added


def added_findings() -> AddedFindings:
    """Return the wordings that are read in addition to the known ones."""
    return _IN_USE.added


def added_words() -> frozenset[str]:
    """Return the words of added findings and wordings, which are shown wherever a report has them."""
    return _IN_USE.words


def known_findings() -> tuple[str, ...]:
    """Return every finding, known and added, in alphabetical order."""
    return tuple(sorted({*FINDINGS, *(finding for finding, _ in _IN_USE.added.wordings)}))


def _escaped(wording: str) -> str:
    return " ".join(map(re.escape, wording.split()))


# Labels of public box sets that are not worded as in a report, in lower case with single spaces.
_LABELS: dict[str, str | None] = {
    "no finding": None,
    "normal": None,
    "nodule/mass": "lung lesion",
    "lung nodule or mass": "lung lesion",
    "lung lesion": "lung lesion",
    "effusion": "pleural effusion",
    "infiltrate": "infiltration",
    "pleural abnormality": "pleural other",
    "ild": "interstitial lung disease",
    "groundglass opacity": "lung opacity",
    "enlarged pa": "enlarged pulmonary artery",
    "high lung volume / emphysema": "emphysema",
    "support device": "support devices",
    "diffuse nodule": "nodule",
    "lung cavity": "lung cavity",
    "airspace opacity": "lung opacity",  # CheXlocalize's name of CheXpert's "Lung Opacity"
    "alveolar pattern": "consolidation",
}

_NOT_A_SIDE = r"(?!\s+(?:heart|atri\w+|ventric\w+|cardiac|in\s+(?:place|situ))\b)"
# A single letter is a side before a word of the chest: "L pleural effusion", "R base", but not "L1" or "R/O".
_OF_CHEST = (
    r"(?:lungs?|lobes?|lower|upper|mid|middle|base|basal|basilar|bases|apex|apical|pleura\w*|hil\w+|perihilar|"
    r"hemithorax|"
    r"hemidiaphragm|sided|side|cp|costophrenic|chest|ribs?|clavicle|retrocardiac|effusions?|pneumothora\w+|ptx|"
    r"hydropneumothora\w+|ha?emothora\w+|consolidation|atelecta\w+|opacit\w+|infiltrates?|pneumonia|nodules?|"
    r"mass|collapse|"
    r"air|airspace|parenchymal|lateral|subclavian|sc|ij|internal|jugular|picc|arm|pigtail|intercostal|port|small|large|"
    r"moderate|tiny|trace|loculated|>|<|greater|worse|more)"
)


def _letter(capital: str, small: str) -> str:
    """Match a single letter: a capital before any word of the chest, a lower-case one before a part of the lung."""
    return (
        rf"(?-i:(?<![\w.'/]){capital})(?:\.|-)?\s*(?={_OF_CHEST}(?!\w)|[<>])|(?-i:(?<=[<>]\s){capital}|"
        rf"(?<=[<>]){capital})\b|"
        rf"(?<![\w.'/]){small}\.?\s+(?=(?:lung|lower|upper|mid|middle|base|basal|basilar|apex|apical|pleural|"
        rf"hilar|hilum)\b)"
    )


_LEFT = re.compile(
    rf"\b(?:left(?:-sided)?|lt)\b{_NOT_A_SIDE}|\b(?:lul|lll|luz|lmz|llz|lij|lingula|lingular)\b|{_letter('L', 'l')}",
    re.IGNORECASE,
)
_RIGHT = re.compile(
    rf"\b(?:right(?:-sided)?|rt)\b{_NOT_A_SIDE}|\b(?:rul|rml|rll|ruz|rmz|rlz|rij|middle\s+lobe)\b|{_letter('R', 'r')}",
    re.IGNORECASE,
)
_BILATERAL = re.compile(
    r"\bbilateral(?:ly)?\b|\bbi-?(?:basilar|basal|apical|hilar)\b|\bboth\s+(?:the\s+)?(?:lungs?|"
    r"(?:lung\s+)?bases|sides|"
    r"hemithora\w+|lower|upper|mid|costophrenic|apices|hemidiaphragms|pleural|lobes|hila)\b",
    re.IGNORECASE,
)
_PLURAL_PLACES = re.compile(
    r"\b(?:bases|apices|costophrenic\s+(?:angles|sulci)|(?:lower|upper)\s+lobes)\b", re.IGNORECASE
)

_THIRD = r"(?:lobes?|lungs?|zones?|fields?|thirds?|hemithora\w+|chest|thorax)"
_ZONES = {
    Zone.UPPER: re.compile(
        rf"(?<!cardiac\s)(?<!ventricular\s)\b(?:bi)?(?:apex|apical|apices|apicolateral)\b|"
        rf"\bupper[\s-]+(?:and\s+(?:(?:the|left|right)\s+)?\w+\s+)?{_THIRD}|"
        r"\bupper\s+(?:to|and)\s+mid|\bsuprahilar\b|\b(?:rul|lul|ruz|luz)\b|\binfraclavicular\b",
        re.IGNORECASE,
    ),
    Zone.MID: re.compile(
        (
            rf"\bmid(?:dle)?[\s-]*(?:to\s+\w+\s+|and\s+\w+\s+)?{_THIRD}|\b(?:parahilar|perihilar|lingula|lingular|"
            rf"rml|rmz|lmz)\b"
        ),
        re.IGNORECASE,
    ),
    Zone.LOWER: re.compile(
        rf"\blower[\s-]+(?:and\s+\w+\s+)?{_THIRD}|\b(?:bi|postero|antero|latero)?-?bas(?:al|ilar)\b|"
        r"\bbases?\b(?!\s+of\s+(?:the\s+)?(?:neck|skull|heart))|\b(?:retrocardiac|costophrenic|infrahilar|"
        r"subpulmonic|rll|lll|rlz|llz)\b",
        re.IGNORECASE,
    ),
}


def canonical_finding(label: str) -> str | None:
    """Return the finding that a box label means, or None if it means no known finding.

    ``label`` is an annotator's category such as "Lung Lesion", "Pleural_Effusion" or "Infiltrate". A label with two
    findings is known only if a box set uses it as one category ("Nodule/Mass").
    """
    words = " ".join(label.replace("_", " ").casefold().split())
    if words in _LABELS:
        return _LABELS[words]
    if words in known_findings():
        return words
    named = {mention.finding for mention in findings_in(words)}
    return named.pop() if len(named) == 1 else None


def findings_in(sentence: str) -> tuple[FindingMention, ...]:
    """Return the findings that a sentence mentions, in text order, whether affirmed or not.

    Spans do not overlap. :mod:`pipelines.text.context` decides whether a mention is affirmed.
    """
    lower = in_small_letters(sentence)
    taken = bytearray(len(sentence))
    mentions: list[FindingMention] = []
    for finding, pattern in (*_IN_USE.patterns, *_PATTERNS):
        for match in pattern.finditer(lower):
            start, end = match.span()
            if any(taken[start:end]):
                continue
            taken[start:end] = b"\x01" * (end - start)
            if finding is not None:
                mentions.append(FindingMention(finding=finding, start=start, end=end))
    return tuple(sorted(mentions, key=lambda mention: mention.start))


def side_of(sentence: str) -> Side | None:
    """Return the patient's side that a sentence (or part of one) names, or None if it names none.

    Left and right together are BILATERAL, and so are paired places ("the bases") without a side.
    """
    left, right = _LEFT.search(sentence) is not None, _RIGHT.search(sentence) is not None
    if _BILATERAL.search(sentence) or (left and right):
        return Side.BILATERAL
    if left or right:
        return Side.LEFT if left else Side.RIGHT
    return Side.BILATERAL if _PLURAL_PLACES.search(sentence) else None


def zone_of(sentence: str) -> Zone | None:
    """Return the third of the lung that a sentence (or part of one) names; None if it names none or several."""
    named = [zone for zone, pattern in _ZONES.items() if pattern.search(sentence)]
    return named[0] if len(named) == 1 else None


def spans_of_place(sentence: str) -> tuple[tuple[int, int], ...]:
    """Return start and end of every side and zone that a sentence names, in text order; spans may overlap."""
    patterns = (_LEFT, _RIGHT, _BILATERAL, _PLURAL_PLACES, *_ZONES.values())
    return tuple(sorted(match.span() for pattern in patterns for match in pattern.finditer(sentence)))


def names_a_zone(sentence: str) -> bool:
    """Return True if a sentence names one or more thirds of the lung."""
    return any(pattern.search(sentence) for pattern in _ZONES.values())
