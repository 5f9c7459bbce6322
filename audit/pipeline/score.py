"""What the tables of a run take from a study's record: scores, controls, hottest cells.

Nothing here needs a model or torch's compute, so it runs beside the device instead of making it wait.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime

from audit.controls.evidence import ControlRow
from audit.execution.machine import Stopwatch
from audit.metrics.scores import POINTING
from audit.metrics.subgroups import NOT_KNOWN, ImageFacts, facts_of
from audit.output.fingerprint import Fingerprints
from audit.output.lock import Fence
from audit.pipeline.recording import ExplainedCase, ImageRecorder
from audit.pipeline.scoring_context import Targets
from audit.pipeline.settings import RunSettings
from audit.pipeline.write import valid_png, write_study
from audit.privacy.pseudonyms import Keys
from audit.privacy.redaction import Shower, shown_failures, shown_text
from pipelines.phantom.cohort import PHANTOM_MANUFACTURER
from pipelines.study import Identifiers, LeftOut, Study
from pipelines.text.phrases import phrases_of
from pipelines.text.sections import without_people
from reports.record import (
    LeftOutImage,
    ModelRecord,
    ReportRecord,
    ScoredImage,
    ScoredPhrase,
    StudyRecord,
    UnputSentence,
)

__all__ = ["ExplainedStudy", "FinishedStudy", "Finisher", "control_rows", "peaks", "score_rows"]


def score_rows(images: Iterable[ScoredImage], *, study: str, patient: str | None) -> Iterator[dict[str, object]]:
    """Give a row of the score table a phrase, method and score, under the keys of study and patient."""
    for image in images:
        for index, phrase in enumerate(image.phrases):
            shared = {
                "study": study,
                "image": image.key,
                "patient": patient,
                "phrase": index,
                "finding": phrase.finding,
                "side": phrase.side,
                "zone": phrase.zone,
                "context": phrase.context,
            }
            yield from ({**shared, **score.model_dump()} for score in phrase.scores)


def control_rows(record: StudyRecord) -> Iterator[ControlRow]:
    """Give a row a control, beside the phrase as it stands in the report."""
    for phrase in _phrases(record):
        totals = {record.method: phrase.total_nats} | {other.method: other.total for other in phrase.others}
        hits = {score.method: score.value for score in phrase.scores if score.score == POINTING[0]}
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


def peaks(record: StudyRecord) -> Iterator[tuple[str, float]]:
    """Give each heat's method and hottest cell."""
    for phrase in _phrases(record):
        yield record.method, phrase.peak_nats
        yield from ((other.method, other.peak) for other in phrase.others)


def _phrases(record: StudyRecord) -> Iterator[ScoredPhrase]:
    return (phrase for image in record.images for phrase in image.phrases)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStudy:
    """One study on its way from the model to the page."""

    study: Study
    cases: tuple[ExplainedCase, ...]
    left_out: tuple[LeftOut, ...]  # images of it that could not be read


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedStudy:
    """What is left of a study once it is written: little, since a run may hold a million."""

    images: int = 0  # 0: none of it could be audited, and nothing was written
    phrases: int = 0
    is_phantom: bool = False
    rows: Sequence[dict[str, object]] = ()  # of the score table
    controls: Sequence[ControlRow] = ()
    facts: Sequence[tuple[str, ImageFacts]] = ()  # of each image, by its key
    peaks: Sequence[tuple[str, float]] = ()  # method and the hottest cell of each heat
    left_out: tuple[LeftOut, ...] = ()
    seconds: dict[str, float] | None = None  # by stage
    key: str = ""  # of the study
    record_sha256: str = ""  # of its record.json


@dataclass(frozen=True, slots=True, kw_only=True)
class Finisher:
    """Scores and writes studies; holds nothing of a device, so that it can be sent to another process."""

    keys: Keys
    targets: Targets
    settings: RunSettings
    created: datetime
    model: ModelRecord
    methods: tuple[tuple[str, str], ...]  # name and unit of heat; the first is the run's own
    numbers: dict[str, float | int | str | bool | None]
    software: dict[str, str]
    fingerprints: Fingerprints
    fence: Fence | None = None  # of the run that holds OUT, for the process that writes in its place

    @property
    def shower(self) -> Shower:
        """Shows words of boxes and headers as the run may."""
        return Shower(keys=self.keys, show_phi=self.settings.show_phi)

    def finish(self, explained: ExplainedStudy) -> FinishedStudy:
        """Score a study's heat and write its folder.

        Raises:
            OutputError: the folder cannot be written.
        """
        if not explained.cases:
            return FinishedStudy(left_out=explained.left_out)
        clock = Stopwatch()
        recorder = ImageRecorder(
            keys=self.keys,
            targets=self.targets,
            methods=self.methods,
            show_phi=self.settings.show_phi,
            known=_headers(explained),
        )
        with clock("scoring"):
            recorded = [
                recorder.record(case, prefix=f"image-{index + 1}") for index, case in enumerate(explained.cases)
            ]
        images = [each.record for each in recorded]
        heats = {name: heat for each in recorded for name, heat in each.heats.items()}
        study = explained.study
        key = self.keys.key("study", study.study_instance_uid)
        record = StudyRecord(
            key=key,
            patient=self.targets.patient(study.cases[0].image),
            created=self.created,
            model=self.model,
            method=self.methods[0][0],
            unit=self.methods[0][1],
            settings=self.numbers,
            seed=self.settings.seed,
            software=self.software,
            phantom_images=all(case.image.manufacturer == PHANTOM_MANUFACTURER for case in study.cases),
            patient_data_shown=self.settings.show_phi,
            report_joined_by=study.report_joined_by,
            report=self._report(explained),
            images=tuple(images),
            left_out=self.noted(explained.left_out, study),
            fingerprint=self.fingerprints.of(study),
        )
        pictures = {image.picture: case.loaded.picture for image, case in zip(images, explained.cases, strict=True)}
        masks = {
            image.valid: valid_png(case.loaded.valid)
            for image, case in zip(images, explained.cases, strict=True)
            if image.valid is not None
        }
        with nullcontext() if self.fence is None else self.fence.kept():
            written = write_study(
                self.settings.out,
                record,
                salt=self.keys.salt,
                heats=heats,
                pictures=pictures,
                masks=masks,
                clock=clock,
            )
        return FinishedStudy(
            images=len(images),
            phrases=sum(len(image.phrases) for image in images),
            is_phantom=record.phantom_images,
            rows=list(score_rows(record.images, study=record.key, patient=record.patient)),
            controls=list(control_rows(record)),
            facts=[
                (image.key, replace(facts_of(case.loaded.case.image), manufacturer=image.manufacturer or NOT_KNOWN))
                for image, case in zip(images, explained.cases, strict=True)
            ],
            peaks=list(peaks(record)),
            left_out=explained.left_out,
            seconds=dict(clock.seconds),
            key=key,
            record_sha256=written,
        )

    def _report(self, explained: ExplainedStudy) -> ReportRecord:
        """Show a study's report and the sentences whose findings were not put to the model."""
        show_phi, text = self.settings.show_phi, explained.study.report.text
        known = _headers(explained)
        shown = shown_text(text if show_phi else without_people(text), show_phi=show_phi, known=known)
        put = {(phrase.text, phrase.finding) for case in explained.study.cases for phrase in case.phrases}
        return ReportRecord(
            text=shown.text,
            words=shown.words,
            masked_words=shown.masked_words,
            header_too_large=not show_phi and not known.complete,
            not_put=tuple(
                UnputSentence(
                    text=shown_text(phrase.text, show_phi=show_phi, known=known).text,
                    section=phrase.section,
                    finding=phrase.finding or "",
                    context=phrase.context.value,
                )
                for phrase in phrases_of(text)
                if (phrase.text, phrase.finding) not in put
            ),
        )

    def noted(self, left_out: Sequence[LeftOut], study: Study) -> tuple[LeftOutImage, ...]:
        """Note by key what of a study could not be audited; file names stay out of OUT as in ``failures.csv``."""
        keys = {case.image.source: case.image.instance for case in study.cases}
        shown = shown_failures(left_out, [self.settings.dicom_dir], self.keys, show_phi=self.settings.show_phi)
        return tuple(
            LeftOutImage(
                image=self.keys.key("image", keys.get(item.source, study.cases[0].image.instance)),
                stage=item.stage,
                reason=failure.reason,
            )
            for item, failure in zip(left_out, shown, strict=True)
        )


def _headers(explained: ExplainedStudy) -> Identifiers:
    """Join what the headers of a study's images say."""
    known = Identifiers()
    for case in explained.cases:
        known |= case.loaded.identifiers
    return known
