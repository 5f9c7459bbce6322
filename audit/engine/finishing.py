"""What comes after a study's heat: scores, record, page and files; in this process or in a worker's.

Nothing here needs a model or torch's compute, so it runs beside the device instead of making it wait.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime

from audit.controls.summary import ControlRow
from audit.engine.clock import Stopwatch
from audit.engine.fingerprint import Fingerprints
from audit.engine.keys import Keys
from audit.engine.locking import Fence
from audit.engine.recording import ExplainedCase, ImageRecorder
from audit.engine.rows import control_rows, peaks, score_rows
from audit.engine.settings import RunSettings
from audit.engine.shown import Shower, shown_failures, shown_text
from audit.engine.store import valid_png, write_study
from audit.engine.targets import Targets
from audit.scoring.subgroups import NOT_KNOWN, ImageFacts, facts_of
from pipelines.phantom.cohort import PHANTOM_MANUFACTURER
from pipelines.study import Identifiers, LeftOut, Study
from pipelines.text import phrases_of, without_people
from reports.record import ModelRecord, ReportRecord, StudyRecord, UnputSentence
from reports.resume_record import LeftOutImage

__all__ = ["ExplainedStudy", "FinishedStudy", "Finisher"]


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
