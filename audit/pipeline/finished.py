"""The part of a study's record that the tables and conclusions of a run need."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from audit.controls.evidence import ControlRow
from audit.metrics.absence import StatedImage
from audit.metrics.habit import HeatedImage, heated_images
from audit.metrics.recognition import EmbeddedImage, EmbeddedPhrase
from audit.metrics.reliance import ErasedPhrase
from audit.metrics.subgroups import NOT_KNOWN, ImageFacts
from audit.pipeline.score_table import score_rows
from pipelines.findings import BROADER
from pipelines.study import Context, Exclusion
from pipelines.text.absent import ABNORMALITY, ACUTE
from reports.reading import embedding_names
from reports.record import ScoredImage, ScoredPhrase, StudyRecord
from reports.score_catalogue import POINTING
from reports.targets import standing_denials

__all__ = ["FinishedStudy", "embedded_images"]


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


def embedded_images(record: StudyRecord, embeddings: Mapping[str, np.ndarray]) -> Iterator[EmbeddedImage]:
    """Yield each image with a phrase whose embeddings are stored, with the findings of its report and boxes.

    Phrases of which words are masked have no embedding (:mod:`audit.pipeline.score`). Images of studies that report
    nothing abnormal are not among those that phrases are compared with: a model could tell them apart by any finding.
    """
    for image in record.images if embeddings else ():
        name, of_phrases = embedding_names(image)
        if not image.phrases or not np.isfinite(embeddings[name]).all():  # the model gave no numbers for this image
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


def _stated(record: StudyRecord) -> Iterator[StatedImage]:
    """Yield each image that has or lacks a finding for certain, with its cosines."""
    drawn = {box.label for image in record.images for box in image.boxes}
    for image in record.images:
        found = standing_denials(image, drawn)
        denied = {str(phrase.finding): len(image.phrases) + place for place, phrase in found}
        has, _ = _findings(record, image)
        if image.finding_cosines and (denied or has):
            yield StatedImage(
                key=image.key,
                patient=record.patient or record.key,
                cosines={name: (pair.asserted, pair.denied) for name, pair in image.finding_cosines.items()},
                denied=denied,
                has=has | {ABNORMALITY} if has & ACUTE else has,
            )


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
    explained: int = 0  # images with a phrase
    phrases: int = 0
    absent: int = 0  # phrases that deny a finding
    is_phantom: bool = False
    turned: int = 0  # images that appear mirrored or rotated
    rows: Sequence[dict[str, object]] = ()  # rows of the score table
    controls: Sequence[ControlRow] = ()
    facts: Sequence[tuple[str, ImageFacts]] = ()  # of each image, by its key
    peaks: Sequence[tuple[str, float]] = ()  # method and maximum cell of each heat map
    embedded: Sequence[EmbeddedImage] = ()
    stated: Sequence[StatedImage] = ()
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
            explained=sum(bool(image.phrases) for image in record.images),
            phrases=sum(len(image.phrases) for image in record.images),
            absent=sum(len(image.absent) for image in record.images),
            is_phantom=record.phantom_images,
            turned=sum(image.lies is not None for image in record.images),
            rows=list(score_rows(record.images, study=record.key, patient=record.patient)),
            controls=list(_control_rows(record)),
            facts=[(image.key, _recorded_facts(image)) for image in record.images],
            peaks=list(_peaks(record)),
            embedded=list(embedded_images(record, embeddings)),
            stated=list(_stated(record)),
            erased=list(_erased(record)),
            heated=list(
                heated_images(record.images, heats, method=record.method, study=record.key, patient=record.patient)
            ),
            left_out=left_out,
            seconds=seconds,
            key=record.key,
            record_sha256=record_sha256,
        )
