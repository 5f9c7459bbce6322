"""Aggregation: the part of each study's record that the tables and conclusions of a run need, and the conclusions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import pandas as pd

from audit.controls.evidence import ControlRow, evidence_of, summarise_controls
from audit.controls.verdict import verdict_of
from audit.metrics.habit import HeatedImage, heated_images, mean_heat_rows
from audit.metrics.recognition import EmbeddedImage, EmbeddedPhrase, Recognition, recognise
from audit.metrics.reliance import ErasedPhrase, reliance_tests, reliance_values
from audit.metrics.statistics import INTERVAL
from audit.metrics.subgroups import NOT_KNOWN, ImageFacts, summarise_subgroups
from audit.metrics.summary import summarise
from audit.pipeline.score_table import score_rows
from pipelines.findings import BROADER
from pipelines.study import Context, Exclusion
from reports.reading import embedding_names
from reports.record import ScoredImage, ScoredPhrase, StudyRecord
from reports.run_record import (
    ControlSummary,
    CosineTest,
    EvidenceRecord,
    PhraseTest,
    ScoreSummary,
    SubgroupSummary,
    VerdictRecord,
)
from reports.score_catalogue import BEATS_NEGATION, BEATS_OTHER_SIDE, PERCENTILE, POINTING

__all__ = ["Conclusions", "FinishedStudy", "Tally", "conclude"]

_Image = TypeVar("_Image", EmbeddedImage, HeatedImage)
_COMPARED_AT_MOST = 2000  # images: the comparisons grow with their square, and the intervals hardly narrow


def _control_rows(record: StudyRecord) -> Iterator[ControlRow]:
    """Yield one row per control, with the same phrase's result in the report."""
    for phrase in _phrases(record):
        totals = {record.method: phrase.total_nats} | {other.method: other.total for other in phrase.others}
        hits = {score.method: score.value for score in phrase.scores if score.score == POINTING}
        for control in phrase.controls:
            before = hits.get(control.method)
            yield ControlRow(
                patient=record.patient or record.key,
                method=control.method,
                control=control.control,
                pearson=control.pearson,
                hit=control.hit,
                hit_before=None if before is None else before > 0,
                cosine=control.cosine,
                cosine_before=phrase.cosine,
                total=control.total,
                total_before=totals[control.method],
            )


def _peaks(record: StudyRecord) -> Iterator[tuple[str, float]]:
    """Yield each heat map's method and maximum cell."""
    for phrase in _phrases(record):
        yield record.method, phrase.peak_nats
        yield from ((other.method, other.peak) for other in phrase.others)


def _phrases(record: StudyRecord) -> Iterator[ScoredPhrase]:
    return (phrase for image in record.images for phrase in image.phrases)


def _recorded_facts(image: ScoredImage) -> ImageFacts:
    """Return the groups that an image belongs to, from a record."""
    return ImageFacts(
        view=image.view.value,
        sex=image.sex or NOT_KNOWN,
        age=image.age or NOT_KNOWN,
        manufacturer=image.manufacturer or NOT_KNOWN,
        photometric_interpretation=image.photometric_interpretation or NOT_KNOWN,
    )


def _embedded(record: StudyRecord, embeddings: Mapping[str, np.ndarray]) -> Iterator[EmbeddedImage]:
    """Yield each image whose embeddings are stored, with the findings of its report and boxes.

    Phrases of which words are masked have no embedding (:mod:`audit.pipeline.score`).
    """
    for image in record.images if embeddings else ():
        name, of_phrases = embedding_names(image)
        if not np.isfinite(embeddings[name]).all():  # the model gave no numbers for this image
            continue
        has, unclear = _findings(record, image)
        yield EmbeddedImage(
            key=image.key,
            study=record.key,
            patient=record.patient or record.key,
            embedding=embeddings[name][0],
            phrases=tuple(
                EmbeddedPhrase(
                    index=index,
                    finding=phrase.finding,
                    embedding=embeddings[of_phrase][0],
                    cosine=phrase.cosine,
                    negated=phrase.negated_cosine,
                    other_side=phrase.other_side_cosine,
                )
                for index, (phrase, of_phrase) in enumerate(zip(image.phrases, of_phrases, strict=True))
                if of_phrase in embeddings and np.isfinite(embeddings[of_phrase]).all()
            ),
            has=has,
            unclear=unclear,
        )


def _findings(record: StudyRecord, image: ScoredImage) -> tuple[frozenset[str], frozenset[str]]:
    """Return the findings that an image has, and those that it may have or not.

    It has what a phrase affirms or suspects, what a box was drawn for, and the broader names of these. It may have the
    narrower names of these, and what its report says of the past.
    """
    affirmed = {Context.PRESENT, Context.UNCERTAIN}
    has = {phrase.finding for phrase in image.phrases if phrase.finding and phrase.context in affirmed}
    has |= {box.label for each in record.images for box in each.boxes}  # another view shows the same patient's chest
    has |= {BROADER[finding] for finding in has if finding in BROADER}
    not_put = () if record.report is None else record.report.not_put
    unclear = {sentence.finding for sentence in not_put if sentence.context != Context.ABSENT.value}
    unclear |= {narrower for narrower, broader in BROADER.items() if broader in has}
    return frozenset(has), frozenset(unclear - has)


def _erased(record: StudyRecord) -> Iterator[ErasedPhrase]:
    """Yield the phrases with changed images; while an image is scored against other boxes, its own are not counted."""
    for image in record.images:
        for index, phrase in enumerate(image.phrases):
            if phrase.erased is None:
                continue
            is_own = image.own is None
            yield ErasedPhrase(
                image=image.key,
                patient=record.patient or record.key,
                phrase=index,
                finding=phrase.finding,
                cosine=phrase.cosine,
                region=phrase.erased.region if is_own else None,
                elsewhere=phrase.erased.elsewhere if is_own else (),
                blank=phrase.erased.blank,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedStudy:
    """The part of a written study that is kept in memory: little, because a run may have a million studies."""

    images: int = 0  # 0: none could be audited, and nothing was written
    phrases: int = 0
    is_phantom: bool = False
    rows: Sequence[dict[str, object]] = ()  # rows of the score table
    controls: Sequence[ControlRow] = ()
    facts: Sequence[tuple[str, ImageFacts]] = ()  # of each image, by its key
    peaks: Sequence[tuple[str, float]] = ()  # method and maximum cell of each heat map
    embedded: Sequence[EmbeddedImage] = ()
    erased: Sequence[ErasedPhrase] = ()
    heated: Sequence[HeatedImage] = ()
    left_out: tuple[Exclusion, ...] = ()
    seconds: dict[str, float] | None = None  # by stage
    key: str = ""  # key of the study
    record_sha256: str = ""  # checksum of its record.json

    @classmethod
    def of(
        cls,
        record: StudyRecord,
        *,
        embeddings: Mapping[str, np.ndarray] = MappingProxyType({}),
        heats: Mapping[str, np.ndarray] = MappingProxyType({}),
        left_out: tuple[Exclusion, ...] = (),
        seconds: dict[str, float] | None = None,
        record_sha256: str = "",
    ) -> "FinishedStudy":
        """Extract from a study's record, embeddings and heat maps what the tables and conclusions of a run need."""
        return cls(
            images=len(record.images),
            phrases=sum(len(image.phrases) for image in record.images),
            is_phantom=record.phantom_images,
            rows=list(score_rows(record.images, study=record.key, patient=record.patient)),
            controls=list(_control_rows(record)),
            facts=[(image.key, _recorded_facts(image)) for image in record.images],
            peaks=list(_peaks(record)),
            embedded=list(_embedded(record, embeddings)),
            erased=list(_erased(record)),
            heated=list(
                heated_images(record.images, heats, method=record.method, study=record.key, patient=record.patient)
            ),
            left_out=left_out,
            seconds=seconds,
            key=record.key,
            record_sha256=record_sha256,
        )


@dataclass(slots=True)
class Tally:
    """The results so far, apart from the table of scores."""

    audited: int = 0
    images: int = 0
    phrases: int = 0
    phantom_images: bool = True
    controls: list[ControlRow] = field(default_factory=list)
    facts: dict[str, ImageFacts] = field(default_factory=dict)  # of each image, by its key
    peaks: dict[str, list[float]] = field(default_factory=dict)  # of each heat, by method
    embedded: list[EmbeddedImage] = field(default_factory=list)
    erased: list[ErasedPhrase] = field(default_factory=list)
    heated: list[HeatedImage] = field(default_factory=list)

    def add(self, study: FinishedStudy) -> None:
        """Count a study and store what the conclusions need of it."""
        if not study.images:
            return
        self.audited += 1
        self.images += study.images
        self.phrases += study.phrases
        self.phantom_images &= study.is_phantom
        self.controls.extend(study.controls)
        self.facts.update(study.facts)
        for method, peak in study.peaks:
            self.peaks.setdefault(method, []).append(peak)
        self.erased.extend(study.erased)
        self.embedded.extend(study.embedded)
        self.heated.extend(study.heated)
        if len(self.embedded) > 2 * _COMPARED_AT_MOST:
            self.embedded = _sample(self.embedded)
        if len(self.heated) > 2 * _COMPARED_AT_MOST:
            self.heated = _sample(self.heated)

    @property
    def compared(self) -> int:
        """Return the number of images that are compared with each other and make the mean heat, at most 2,000."""
        return min(self.images, _COMPARED_AT_MOST)

    def habit_rows(self) -> Iterator[dict[str, object]]:
        """Yield the rows of the score table for each method's mean heat on other patients' images."""
        return mean_heat_rows(_sample(self.heated))


def _sample(images: list[_Image]) -> list[_Image]:
    """Return the images that are compared with each other: all, or a sample that depends on their keys alone."""
    if len(images) <= _COMPARED_AT_MOST:
        return images
    return sorted(images, key=lambda image: sha256(image.key.encode()).digest())[:_COMPARED_AT_MOST]


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
    phrases: tuple[tuple[str, int, Mapping[str, float]], ...] = ()  # key of the image, phrase, values by score


def conclude(scores: pd.DataFrame, outcome: Tally, methods: Sequence[tuple[str, str]]) -> Conclusions:
    """Summarise scores and controls, and decide on a verdict for each method.

    Args:
        scores: the run's score table.
        outcome: the collected results of the run.
        methods: name and heat unit of each.
    """
    if scores.empty:
        return Conclusions()
    controls = summarise_controls(outcome.controls)
    recognition = recognise(_sample(outcome.embedded))
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
        cosine_tests=tests,
        cosine_sd=recognition.sd,
        recognised=_by_image(recognition),
        phrases=tuple(_phrase_values(recognition, outcome.erased)),
    )


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
