"""The words that reports of chest radiographs are made of: no other word of a report is shown.

``clinical.txt`` and ``report.txt`` were written by hand, ``common.txt`` and ``also_names.txt`` are made by
``.ci/vocabulary.py`` from public lists; README.md beside them has their sources, counts and licences.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files

from pipelines.findings import FINDINGS

__all__ = ["eponyms_in", "is_clinical", "is_common", "is_known", "is_report_word", "may_be_name"]

_SHORTEST_PLURAL_OF = 4  # letters: "gass" is no word
_SHORTEST_PREFIXED = 5
_NOUNS = "|".join(
    (
        *(
            "angles?",
            "bod(?:y|ies)",
            "catheters?",
            "clips?",
            "complex",
            "cyst",
            "deformit(?:y|ies)",
            "disease",
            "esophagus",
        ),
        *(
            "filter",
            "fissure",
            "focus",
            "foc[ai]",
            "fractures?",
            "fundoplication",
            "hernias?",
            "hump",
            "lesions?",
            "lines?",
        ),
        *(
            "lobe",
            "lymphoma",
            "nodes?",
            "ports?",
            "procedure",
            "repair",
            "rods?",
            "sarcoma",
            "shunt",
            "signs?",
            "syndrome",
        ),
        *("tubes?", "tumou?rs?", "wraps?", "diverticulum", "stripes?", "aneurysm"),
    )
)
_PREFIXES = (
    *("anti", "bi", "broncho", "cardio", "costo", "dis", "endo", "extra", "haemo", "hemo", "hydro", "hyper", "hypo"),
    *(
        "infra",
        "inter",
        "intra",
        "macro",
        "mal",
        "micro",
        "mid",
        "multi",
        "neo",
        "non",
        "over",
        "para",
        "peri",
        "pleuro",
    ),
    *("pneumo", "poly", "post", "pre", "re", "retro", "semi", "sub", "supra", "trans", "tri", "un", "under", "uni"),
)


def is_known(word: str) -> bool:
    """Whether a word, in small letters and without "'s", belongs to the vocabulary."""
    return is_report_word(word) or is_common(word)


@lru_cache(maxsize=1 << 16)
def is_report_word(word: str) -> bool:
    """Whether a word belongs to the vocabulary of radiology reports: "effusion", "unchanged", "hypoaerated"."""
    own = _list("clinical") | _list("report")
    if word in own or _singular(word) in own:
        return True
    rests = (word.removeprefix(prefix) for prefix in _PREFIXES if word.startswith(prefix))
    return any(len(rest) >= _SHORTEST_PREFIXED and (rest in own or _singular(rest) in own) for rest in rests)


def is_common(word: str) -> bool:
    """Whether a word is common English that names nobody."""
    return word in _list("common")


def is_clinical(word: str) -> bool:
    """Whether a word is one of findings, anatomy, sides, zones, negation, doubt or devices."""
    clinical = _clinical()
    return word in clinical or _singular(word) in clinical


def may_be_name(word: str) -> bool:
    """Whether a word of the vocabulary is a name of people or places too: "long", "white", "young"."""
    return word in _list("also_names")


def eponyms_in(text: str) -> Iterator[tuple[int, int]]:
    """Find the names that stand for a finding or a device: "Kerley B lines", "a hernia of Morgagni", "Swan-Ganz"."""
    for found in _eponyms().finditer(text):
        yield found.span()


@cache
def _eponyms() -> re.Pattern[str]:
    names = "|".join(map(re.escape, sorted(_list("eponyms"), key=len, reverse=True)))
    return re.compile(
        rf"\b(?:swan[ -]ganz|port[ -]a[ -]cath|(?:tetralogy|foramen|hernia|triangle) of (?:fallot|morgagni|bochdalek)|"
        rf"(?:{names})(?=[ -]+(?:[abc][ -]+|type[ ]+)?(?:{_NOUNS})\b))(?!\w)",
        re.IGNORECASE,
    )


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and len(word) > _SHORTEST_PLURAL_OF else ""


@cache
def _clinical() -> frozenset[str]:
    return _list("clinical") | {word for finding in FINDINGS for word in finding.split()}


@cache
def _list(name: str) -> frozenset[str]:
    text = files(__package__).joinpath(f"{name}.txt").read_text(encoding="ascii")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())
