"""Aggregation: the results of all studies of a run, and the conclusions about the cohort."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

import pandas as pd

from audit.controls.evidence import ControlRow, evidence_of, summarise_controls
from audit.controls.verdict import verdict_of
from audit.metrics.absence import Absence, StatedImage, absence_of
from audit.metrics.habit import HeatedImage, mean_heat_rows
from audit.metrics.recognition import EmbeddedImage, Recognition, recognise
from audit.metrics.reliance import ErasedPhrase, reliance_tests, reliance_values
from audit.metrics.statistics import INTERVAL
from audit.metrics.subgroups import ImageFacts, summarise_subgroups
from audit.metrics.summary import summarise
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.score_table import without_absent
from reports.run_record import (
    AbsenceTest,
    ControlSummary,
    CosineTest,
    EvidenceRecord,
    PhraseTest,
    ScoreSummary,
    SubgroupSummary,
    VerdictRecord,
)
from reports.score_catalogue import ABSENCE_PERCENTILE, BEATS_NEGATION, BEATS_OTHER_SIDE, PERCENTILE

__all__ = ["COMPARED_AT_MOST", "Conclusions", "Tally", "conclude", "sample_by_key"]

_Image = TypeVar("_Image", EmbeddedImage, HeatedImage, StatedImage)
COMPARED_AT_MOST = 2000  # images: the comparisons grow with their square, and the intervals hardly narrow


@dataclass(slots=True)
class Tally:
    """The results so far, apart from the table of scores."""

    audited: int = 0
    images: int = 0
    explained: int = 0  # images with a phrase
    phrases: int = 0
    turned: int = 0  # images that appear mirrored or rotated
    absent: int = 0
    normal: int = 0  # studies without a phrase that affirms or suspects a finding
    phantom_images: bool = True
    controls: list[ControlRow] = field(default_factory=list)
    facts: dict[str, ImageFacts] = field(default_factory=dict)  # of each image, by its key
    peaks: dict[str, list[float]] = field(default_factory=dict)  # of each heat, by method
    embedded: list[EmbeddedImage] = field(default_factory=list)
    stated: list[StatedImage] = field(default_factory=list)
    erased: list[ErasedPhrase] = field(default_factory=list)
    heated: list[HeatedImage] = field(default_factory=list)

    def add(self, study: FinishedStudy) -> None:
        """Count a study and store what the conclusions need of it."""
        if not study.images:
            return
        self.audited += 1
        self.images += study.images
        self.explained += study.explained
        self.phrases += study.phrases
        self.turned += study.turned
        self.absent += study.absent
        self.normal += not study.phrases
        self.phantom_images &= study.is_phantom
        self.controls.extend(study.controls)
        self.facts.update(study.facts)
        for method, peak in study.peaks:
            self.peaks.setdefault(method, []).append(peak)
        self.erased.extend(study.erased)
        self.embedded.extend(study.embedded)
        self.heated.extend(study.heated)
        self.stated.extend(study.stated)
        if len(self.stated) > 4 * COMPARED_AT_MOST:
            self.stated = _sampled_apart(self.stated)
        if len(self.embedded) > 2 * COMPARED_AT_MOST:
            self.embedded = sample_by_key(self.embedded)
        if len(self.heated) > 2 * COMPARED_AT_MOST:
            self.heated = sample_by_key(self.heated)

    @property
    def compared(self) -> int:
        """Return the number of images that are compared with each other and make the mean heat, at most 2,000.

        Images without a phrase are never compared; if all others are, all count.
        """
        return COMPARED_AT_MOST if self.explained > COMPARED_AT_MOST else self.images

    def habit_rows(self) -> Iterator[dict[str, object]]:
        """Yield the rows of the score table for each method's mean heat on other patients' images."""
        return mean_heat_rows(sample_by_key(self.heated))


def _sampled_apart(images: list[StatedImage]) -> list[StatedImage]:
    """Sample images with and without a finding apart: most of a hospital's images are normal."""
    return [
        *sample_by_key([image for image in images if image.has]),
        *sample_by_key([image for image in images if not image.has]),
    ]


def sample_by_key(images: list[_Image]) -> list[_Image]:
    """Return the images that are compared with each other: all, or a sample that depends on their keys alone."""
    if len(images) <= COMPARED_AT_MOST:
        return images
    return sorted(images, key=lambda image: sha256(image.key.encode()).digest())[:COMPARED_AT_MOST]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusions:
    """The statements of ``run.json`` about the whole cohort."""

    intervals: str = INTERVAL
    summaries: tuple[ScoreSummary, ...] = ()
    controls: tuple[ControlSummary, ...] = ()
    verdicts: tuple[VerdictRecord, ...] = ()
    evidence: tuple[EvidenceRecord, ...] = ()
    subgroups: tuple[SubgroupSummary, ...] = ()
    cosine_tests: tuple[CosineTest, ...] = ()
    cosine_sd: float | None = None
    recognised: Mapping[str, tuple[PhraseTest, ...]] = field(default_factory=dict)  # by key of the image
    absence: Mapping[str, Mapping[str, AbsenceTest]] = field(default_factory=dict)  # by key of the image, by finding
    phrases: tuple[tuple[str, int, Mapping[str, float]], ...] = ()  # key of the image, phrase, values by score


def conclude(scores: pd.DataFrame, outcome: Tally, methods: Sequence[tuple[str, str]]) -> Conclusions:
    """Summarise scores and controls, and decide on a verdict for each method.

    Args:
        scores: the run's score table.
        outcome: the collected results of the run.
        methods: name and heat unit of each.
    """
    stated = _sampled_apart(outcome.stated)
    absence = absence_of(stated)
    ranks = tuple(_absence_values(stated, absence))
    scores = without_absent(scores)
    if scores.empty:
        return Conclusions(cosine_tests=absence.tests, absence=absence.images, phrases=ranks)
    controls = summarise_controls(outcome.controls)
    recognition = recognise(sample_by_key(outcome.embedded))
    tests = (*recognition.tests, *reliance_tests(outcome.erased, recognition))
    is_constant = recognition.sd is None and any(phrase.images for phrase in recognition.phrases)
    return Conclusions(
        summaries=tuple(summarise(scores)),
        controls=controls,
        verdicts=tuple(
            verdict_of(scores, controls, tests, method=method, is_constant=is_constant) for method, _ in methods
        ),
        evidence=evidence_of(outcome.controls, outcome.peaks, dict(methods)),
        subgroups=summarise_subgroups(scores, outcome.facts, [method for method, _ in methods]),
        cosine_tests=(*tests, *absence.tests),
        cosine_sd=recognition.sd,
        recognised=_by_image(recognition),
        absence=absence.images,
        phrases=(*_phrase_values(recognition, outcome.erased), *ranks),
    )


def _absence_values(images: Sequence[StatedImage], absence: Absence) -> Iterator[tuple[str, int, Mapping[str, float]]]:
    """Yield the key of the image, the absent phrase and its percentile."""
    for image in images:
        for finding, test in absence.images.get(image.key, {}).items():
            if test.percentile is not None:
                yield image.key, image.denied[finding], {ABSENCE_PERCENTILE: test.percentile}


def _by_image(recognition: Recognition) -> dict[str, tuple[PhraseTest, ...]]:
    found: dict[str, dict[int, PhraseTest]] = {}
    for phrase in recognition.phrases:
        found.setdefault(phrase.image, {})[phrase.phrase] = PhraseTest(
            percentile=phrase.percentile,
            images=phrase.images,
            beats_negation=phrase.beats_negation,
            beats_other_side=phrase.beats_other_side,
        )
    return {
        image: tuple(by_place.get(place, PhraseTest()) for place in range(max(by_place) + 1))
        for image, by_place in sorted(found.items())
    }


def _phrase_values(
    recognition: Recognition, erased: Sequence[ErasedPhrase]
) -> Iterator[tuple[str, int, Mapping[str, float]]]:
    """Yield the key of the image, the phrase and its values of recognition and reliance, by score."""
    recognised = {(phrase.image, phrase.phrase): phrase for phrase in recognition.phrases}
    changed = {(phrase.image, phrase.phrase): phrase for phrase in erased}
    for place in sorted({**recognised, **changed}):
        found = recognised.get(place)
        values: dict[str, float | None] = {}
        if found is not None:
            values = {
                PERCENTILE: found.percentile,
                BEATS_NEGATION: found.beats_negation,
                BEATS_OTHER_SIDE: found.beats_other_side,
            }
        falls = reliance_values(changed.get(place), found, recognition.sd)
        yield *place, {name: value for name, value in {**values, **falls}.items() if value is not None}
