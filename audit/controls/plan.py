"""Sentences that replace a phrase: nonsense, the other side, the finding denied."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from audit.attribution.engine import pair_seed
from pipelines.boxes.table import side_of_box, target_boxes
from pipelines.study import Case, Image, Phrase, Side, Study

__all__ = [
    "NO_PHRASE",
    "Control",
    "ControlPlan",
    "EveryPhrase",
    "PlannedPhrase",
    "asserted",
    "denied",
    "negated",
    "nonsense",
    "opposites",
    "patient_of",
    "side_swapped",
]

_THINGS = "bell boat cup drum fork hat jam key kite lamp leaf mat oar pan rug sock tea toy tub yarn"
_BETWEEN = "a as at by in of on to"
_MOST_WORDS = 6  # a small vocabulary spells words by letters, and contexts are short

_SWAPS = {
    "left": "right",
    "right": "left",
    "left-sided": "right-sided",
    "right-sided": "left-sided",
    "leftward": "rightward",
    "rightward": "leftward",
}
_SIDE = re.compile(r"\b(" + "|".join(sorted(_SWAPS, key=len, reverse=True)) + r")\b", re.IGNORECASE)


_OTHER = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}


def nonsense(text: str, generator: np.random.Generator) -> str:
    """Write a sentence that describes nothing on a radiograph, with as many words as ``text`` but at most six."""
    count = min(_MOST_WORDS, max(1, len(text.split())))
    things, between = _THINGS.split(), _BETWEEN.split()
    words = [str(generator.choice(things if (count - index) % 2 else between)) for index in range(count)]
    sentence = " ".join(words)
    return sentence[0].upper() + sentence[1:] + "."


def side_swapped(text: str) -> str | None:
    """Swap left and right; None if the sentence names no side, or both."""
    named = {match[0].lower().removesuffix("-sided").removesuffix("ward") for match in _SIDE.finditer(text)}
    if len(named) != 1:
        return None
    return _SIDE.sub(lambda match: _like(match[0], _SWAPS[match[0].lower()]), text)


def negated(phrase: Phrase) -> str | None:
    """Deny the phrase's finding in common words; None if the phrase names none."""
    return None if phrase.finding is None else f"No evidence of {phrase.finding}."


def asserted(finding: str) -> str:
    """Assert a finding, in a sentence that differs in one word from :func:`denied`."""
    return f"{finding[:1].upper()}{finding[1:]}."


def denied(finding: str) -> str:
    """Deny a finding in as few words as possible."""
    return f"No {finding}."


def opposites(case: Case, phrase: Phrase) -> tuple[str | None, str | None]:
    """Return the phrase's negation, and the phrase with its side swapped, where these are false of the image.

    The other side is None if the report or the boxes have the finding there as well.
    """
    swapped = side_swapped(phrase.text) if phrase.side in _OTHER else None
    if swapped is not None and phrase.side is not None:
        other = _OTHER[phrase.side]
        said = any(each.finding == phrase.finding and each.side in {other, Side.BILATERAL} for each in case.phrases)
        drawn = any(box.label == phrase.finding and side_of_box(box, case.image) is other for box in case.boxes)
        swapped = None if said or drawn else swapped
    return negated(phrase), swapped


def _like(original: str, word: str) -> str:
    if original.isupper():
        return word.upper()
    return word.capitalize() if original[0].isupper() else word


_FILLERS = (
    12  # images that erased regions are filled from: more of them fit better, and each is aligned with each image
)
_DRAWS = 64  # attempts to draw another patient's phrase about a finding that this patient does not have


class Control(StrEnum):
    """What is changed; everything else, including the method's noise, is kept."""

    SHUFFLED = "shuffled report"  # a phrase of another patient about a finding that this patient's report lacks
    NONSENSE = "nonsense"
    SIDE_SWAPPED = "side swapped"
    NEGATED = "negated"
    OTHER_WINDOW = "other window"
    SECOND_SEED = "second seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPhrase:
    """One phrase of a case with the sentences that replace it; controls that do not apply to it are missing."""

    index: int  # index in the case's phrases
    texts: Mapping[Control, str]
    donor: Path | None = None  # an image of the patient whose phrase is used in the shuffled report


@dataclass(frozen=True, slots=True)
class _Candidate:
    case: Case
    index: int
    order: tuple[bool, int]


@dataclass(frozen=True, slots=True)
class _Donor:
    patient: str
    finding: str | None
    text: str
    image: Path


class ControlPlan:
    """A seeded sample of a cohort's phrases; phrases with boxes come first, because only they can be hits."""

    def __init__(self, studies: Sequence[Study], *, sample: int, seed: int) -> None:
        """Draw the sample.

        Args:
            studies: the cohort.
            sample: maximum number of phrases; 0 for none.
            seed: seed of the draw; the same cohort and seed give the same sample, in any order of the studies.
        """
        self._planned: dict[tuple[str, int], PlannedPhrase] = {}
        self.fillers: tuple[Case, ...] = ()
        """Images of different patients, with few findings, that erased regions may be filled from"""
        if sample == 0:
            return
        self.fillers = _fillers(studies, seed)
        candidates = sorted(_candidates(studies, seed), key=lambda candidate: candidate.order)
        donors = sorted(_donors(studies), key=lambda donor: (donor.patient, donor.text))
        for candidate in candidates[:sample]:
            key = (candidate.case.image.instance, candidate.index)
            generator = np.random.default_rng(pair_seed(seed, "control", key[0], str(key[1])))
            donor = _shuffled(candidate.case, candidate.index, donors, generator)
            texts = _texts(candidate.case, candidate.index, donor, generator)
            image = None if donor is None else donor.image
            self._planned[key] = PlannedPhrase(index=candidate.index, texts=texts, donor=image)

    def __len__(self) -> int:
        """Return the number of phrases in the sample."""
        return len(self._planned)

    def of(self, case: Case) -> tuple[PlannedPhrase, ...]:
        """Return the sampled phrases of one case, in their order."""
        uid = case.image.instance
        keys = ((uid, index) for index in range(len(case.phrases)))
        return tuple(self._planned[key] for key in keys if key in self._planned)

    def indices(self, case: Case) -> tuple[int, ...]:
        """Return the indices of the sampled phrases of one case."""
        return tuple(planned.index for planned in self.of(case))


class EveryPhrase(ControlPlan):
    """Every phrase of every case, without sentences that replace it."""

    def __init__(self) -> None:
        super().__init__((), sample=0, seed=0)

    def of(self, case: Case) -> tuple[PlannedPhrase, ...]:
        """Return all phrases of one case."""
        return tuple(PlannedPhrase(index=index, texts={}) for index in range(len(case.phrases)))


NO_PHRASE = ControlPlan((), sample=0, seed=0)
"""The sample without a phrase."""


def patient_of(image: Image) -> str:
    """Return the patient of an image; without a number, each study counts as a patient of its own."""
    return image.patient_id or image.study_instance_uid


def _candidates(studies: Sequence[Study], seed: int) -> Iterator[_Candidate]:
    for study in studies:
        for case in study.cases:
            for index, phrase in enumerate(case.phrases):
                without_box = not target_boxes(case, phrase)
                order = pair_seed(seed, "sample", case.image.instance, str(index))
                yield _Candidate(case, index, (without_box, order))


def _donors(studies: Sequence[Study]) -> Iterator[_Donor]:
    for study in studies:
        for case in study.cases[:1]:  # all images of a study have its phrases
            for phrase in case.phrases:
                yield _Donor(patient_of(case.image), phrase.finding, phrase.text, case.image.path)


def _fillers(studies: Sequence[Study], seed: int) -> tuple[Case, ...]:
    """Choose frontal images of different patients, those with the fewest findings first, so that normal ones lead."""
    cases = [case for study in studies for case in study.cases if case.image.view.is_frontal]

    def order(case: Case) -> tuple[int, int]:
        findings = {phrase.finding for phrase in case.phrases} | {box.label for box in case.boxes}
        return len(findings), pair_seed(seed, "filler", case.image.instance)

    chosen: dict[str, Case] = {}
    for case in sorted(cases, key=order):
        chosen.setdefault(patient_of(case.image), case)
    return tuple(chosen.values())[:_FILLERS]


def _texts(case: Case, index: int, donor: _Donor | None, generator: np.random.Generator) -> Mapping[Control, str]:
    phrase = case.phrases[index]
    texts = {
        Control.SHUFFLED: None if donor is None else donor.text,
        Control.NONSENSE: nonsense(phrase.text, generator),
        Control.SIDE_SWAPPED: side_swapped(phrase.text),
        Control.NEGATED: negated(phrase),
    }
    return {control: text for control, text in texts.items() if text is not None and text != phrase.text}


def _shuffled(case: Case, index: int, donors: Sequence[_Donor], generator: np.random.Generator) -> _Donor | None:
    """Draw another patient's phrase; one about a finding of this patient is used only if there is no other."""
    patient, text = patient_of(case.image), case.phrases[index].text
    own = {phrase.finding for phrase in case.phrases} | {box.label for box in case.boxes}
    second_best: _Donor | None = None
    for place in generator.integers(len(donors), size=_DRAWS):
        donor = donors[int(place)]
        if donor.patient == patient or donor.text == text:
            continue
        if donor.finding not in own:
            return donor
        second_best = second_best or donor
    return second_best
