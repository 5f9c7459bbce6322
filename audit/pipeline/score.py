"""Score: turns a study's heat maps into its record, with maxima, scores and controls, and writes it.

This needs neither a model nor torch's compute, so it runs in parallel with the device.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from audit.configuration import RunConfig
from audit.controls.evidence import pearson
from audit.machine import Stopwatch
from audit.metrics.habit import heated_images
from audit.metrics.subgroups import NOT_KNOWN, facts_of
from audit.pipeline.beside_record import erased_record, stored_beside, stored_heat, total_of
from audit.pipeline.explain import ExplainedCase, ExplainedStudy
from audit.pipeline.fingerprint import Fingerprints
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.load import phrase_texts
from audit.pipeline.phrase_words import PhraseWords
from audit.pipeline.score_table import score_rows
from audit.pipeline.scoring_context import Grid, ImageScorer, ScoringContext, target_ids
from audit.pipeline.write import valid_png, write_study
from audit.privacy.pseudonyms import Pseudonyms, path_key
from audit.privacy.redaction import Redactor, failure_records, safe_words
from audit.storage.lock import Fence
from pipelines.dicom.identifiers import read_identifiers
from pipelines.findings import use_findings
from pipelines.phantom.cohort import PHANTOM_MANUFACTURER
from pipelines.study import Exclusion, Identifiers, Phrase, Radiograph, Study, fields_of
from pipelines.text.phrases import phrases_of
from pipelines.text.sections import without_letterhead
from pipelines.transforms import LoadedCase
from reports.record import (
    ControlRecord,
    ExcludedImage,
    FindingCosines,
    ModelRecord,
    OmittedSentence,
    OtherHeatRecord,
    ReportRecord,
    ScoredImage,
    ScoredPhrase,
    StudyRecord,
    UntrainedHeatRecord,
)
from reports.targets import scored_boxes

__all__ = ["Finisher", "ImageRecorder", "RowScorer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecorder:
    """Creates the records of one run's images."""

    redactor: Redactor
    context: ScoringContext
    methods: tuple[tuple[str, str], ...]  # name and unit of heat; the first is the run's own
    known: Identifiers = field(default_factory=Identifiers)  # of the study's other images, to be masked too

    def record_all(self, explained: ExplainedStudy) -> tuple[tuple[ScoredImage, ...], dict[str, Grid]]:
        """Score the images of a study and return their records with the heat maps that they name."""
        scored = [self.record(case, prefix=f"image-{index + 1}") for index, case in enumerate(explained.cases)]
        return tuple(image for image, _ in scored), {name: heat for _, heats in scored for name, heat in heats.items()}

    def record(self, explained: ExplainedCase, *, prefix: str) -> tuple[ScoredImage, dict[str, Grid]]:
        """Score one image and return its record with the heat maps that it names, which start with ``prefix``."""
        untrained = {method: stored_heat(heat.numpy()) for method, heat in explained.untrained.items()}
        heats = {f"{prefix}-untrained-{method}": heat for method, heat in untrained.items()}
        scorer = ImageScorer(self.context, explained.loaded, untrained)
        phrases = tuple(
            self._phrase(explained, scorer, index, f"{prefix}-phrase-{index + 1}", heats)
            for index in range(len(explained.loaded.case.phrases))
        )
        stored = tuple(
            UntrainedHeatRecord(method=method, heat=f"{prefix}-untrained-{method}", total=total_of(heat))
            for method, heat in untrained.items()
        )
        stated = {} if explained.embeddings is None else explained.embeddings.findings
        cosines = {finding: FindingCosines(asserted=yes, denied=no) for finding, (yes, no) in stated.items()}
        image = self._image(explained.loaded, phrases, prefix)
        lies = replace(image, side_marker=scorer.side_marker, orientation=scorer.orientation)
        return replace(lies, untrained=stored, finding_cosines=cosines), heats

    def _image(self, loaded: LoadedCase, phrases: tuple[ScoredPhrase, ...], prefix: str) -> ScoredImage:
        image, keys = loaded.case.image, self.redactor.keys
        facts = facts_of(image)
        seen = self.redactor.radiograph(image)
        seen = replace(
            seen,
            manufacturer=seen.manufacturer or NOT_KNOWN,
            photometric_interpretation=facts.photometric_interpretation,
        )
        return ScoredImage(
            **fields_of(seen, Radiograph),
            key=keys.key("image", image.instance),
            path_key=path_key(str(image.path), keys),
            valid=None if loaded.valid.all() else f"{prefix}-valid.png",
            picture=f"{prefix}.jpg",
            sex=facts.sex,
            age=facts.age,
            study_date=self.redactor.study_date(image.study_date, patient=self.context.patient(image)),
            receipt=loaded.steps,
            blanked=tuple(area.edges for area in loaded.blanked),
            letters=tuple((area.letters or area).edges for area in loaded.blanked),
            placement=loaded.placement,
            boxes=scored_boxes(
                self.redactor.boxes(loaded.case.boxes, spoken=[phrase.text for phrase in phrases]), loaded.placement
            ),
            phrases=phrases,
            absent=tuple(
                replace(phrase, text=self.redactor.text(phrase.text, self.known | loaded.identifiers).text)
                for phrase in loaded.case.absent
            ),
        )

    def _phrase(
        self, explained: ExplainedCase, scorer: ImageScorer, index: int, name: str, heats: dict[str, Grid]
    ) -> ScoredPhrase:
        loaded, phrase = explained.loaded, explained.loaded.case.phrases[index]
        own, *further = (given[phrase_texts(loaded).index(phrase.text)] for given in explained.explanations)
        shown = self.redactor.text(phrase.text, self.known | loaded.identifiers)
        of_words = PhraseWords(phrase, explained)
        tokens = of_words.tokens(shown, own)
        names = {method: name if place == 0 else f"{name}-{method}" for place, (method, _) in enumerate(self.methods)}
        for kept, explanation in zip(names.values(), (own, *further), strict=True):
            heats[kept] = stored_heat(explanation.heat.numpy())
        points, scores = scorer.score_all(phrase, {method: heats[kept] for method, kept in names.items()})
        others = (
            OtherHeatRecord(
                method=method,
                unit=unit,
                heat=names[method],
                total=total_of(heats[names[method]]),
                peak=float(heats[names[method]].max()),
                hottest=points[method],
                tokens=safe_words(phrase.text, shown, explanation.words),
            )
            for (method, unit), explanation in zip(self.methods[1:], further, strict=True)
        )
        return ScoredPhrase(
            **fields_of(replace(phrase, text=shown.text), Phrase),
            target=target_ids(loaded.case, phrase),
            cosine=own.cosine,
            heat=name,
            total_nats=total_of(heats[name]),
            peak_nats=float(heats[name].max()),
            hottest=points[self.methods[0][0]],
            tokens=tokens,
            token_total_nats=sum(word.nats for word in tokens),
            scores=(
                *scores,
                *explained.faithfulness.get(index, ()),
                *of_words.scores(
                    {method: given.words for (method, _), given in zip(self.methods, (own, *further), strict=True)}
                ),
            ),
            controls=tuple(self._controls(explained, scorer, index, names, heats)),
            others=tuple(others),
            negated_cosine=_cosine_of(explained, "negated", index),
            other_side_cosine=_cosine_of(explained, "other_side", index),
            erased=erased_record(explained, index, name),
        )

    def _control_text(self, explained: ExplainedCase, text: str, donor: Path | None) -> str:
        """Mask a control's phrase: another patient's report may name that patient."""
        known = self.known | explained.loaded.identifiers
        if donor is not None and not self.redactor.show_phi:
            known |= read_identifiers(donor)
        return self.redactor.text(text, known).text

    def _controls(
        self,
        explained: ExplainedCase,
        scorer: ImageScorer,
        index: int,
        names: Mapping[str, str],
        heats: dict[str, Grid],
    ) -> Iterator[ControlRecord]:
        """Compare each control's heat with that of the phrase in the report."""
        own = [control for control in explained.controls if control.index == index]
        grids = [stored_heat(control.explanation.heat.numpy()) for control in own]
        hits = scorer.hits(explained.loaded.case.phrases[index], grids)
        for control, stored, hit in zip(own, grids, hits, strict=True):
            original = heats[names[control.method]]
            kept = f"{names[self.methods[0][0]]}-{control.method}-{control.control.value.replace(' ', '-')}"
            heats[kept] = stored
            yield ControlRecord(
                method=control.method,
                control=control.control.value,
                text=None if control.text is None else self._control_text(explained, control.text, control.donor),
                heat=kept,
                pearson=pearson(original.astype(np.float32), stored.astype(np.float32)),
                hit=hit,
                cosine=control.explanation.cosine,
                total=total_of(stored),
            )


def _cosine_of(explained: ExplainedCase, opposite: Literal["negated", "other_side"], index: int) -> float | None:
    found = None if explained.embeddings is None else getattr(explained.embeddings, opposite)
    return None if found is None else found.get(index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finisher:
    """Scores and writes studies; holds nothing of a device, so that it can be sent to another process."""

    keys: Pseudonyms
    context: ScoringContext
    settings: RunConfig
    created: datetime
    model: ModelRecord
    methods: tuple[tuple[str, str], ...]  # name and heat unit; the first is the run's main method
    numbers: dict[str, float | int | str | bool | None]
    software: dict[str, str]
    fingerprints: Fingerprints
    fence: Fence | None = None  # of the run that holds OUT, for a process that writes on its behalf

    @property
    def redactor(self) -> Redactor:
        """Masks words of boxes and headers unless the run may show them."""
        return Redactor(keys=self.keys, show_phi=self.settings.output.show_phi)

    def finish(self, explained: ExplainedStudy) -> FinishedStudy:
        """Score a study's heat and write its folder.

        Raises:
            OutputError: the folder cannot be written.
        """
        if not explained.cases:
            return FinishedStudy(left_out=explained.left_out)
        use_findings(self.context.findings)
        clock = Stopwatch()
        recorder = ImageRecorder(
            redactor=self.redactor, context=self.context, methods=self.methods, known=_headers(explained)
        )
        with clock("scoring"):
            images, heats = recorder.record_all(explained)
        study = explained.study
        key = self.keys.key("study", study.study_instance_uid)
        record = StudyRecord(
            key=key,
            patient=self.context.patient(study.cases[0].image),
            created=self.created,
            model=self.model,
            method=self.methods[0][0],
            unit=self.methods[0][1],
            settings=self.numbers,
            seed=self.settings.method.seed,
            software=self.software,
            phantom_images=_is_phantom(study),
            patient_data_shown=self.settings.output.show_phi,
            report_joined_by=study.report_joined_by,
            report=self._report(explained),
            images=images,
            left_out=self.noted(explained.left_out, study),
            fingerprint=self.fingerprints.of(study),
        )
        pictures = {image.picture: case.loaded.picture for image, case in zip(images, explained.cases, strict=True)}
        embeddings: dict[str, np.ndarray] = {}
        for place, (image, case) in enumerate(zip(images, explained.cases, strict=True)):
            erased, vectors = stored_beside(case, image, f"image-{place + 1}")
            pictures |= erased
            embeddings |= vectors
        masks = {
            image.valid: valid_png(case.loaded.valid)
            for image, case in zip(images, explained.cases, strict=True)
            if image.valid is not None
        }
        with nullcontext() if self.fence is None else self.fence.kept():
            written = write_study(
                self.settings.output.out,
                record,
                salt=self.keys.salt,
                heats=heats,
                pictures=pictures,
                masks=masks,
                embeddings=embeddings,
                clock=clock,
            )
        return FinishedStudy.of(
            record,
            embeddings=embeddings,
            heats=heats,
            left_out=explained.left_out,
            seconds=dict(clock.seconds),
            record_sha256=written,
        )

    def _report(self, explained: ExplainedStudy) -> ReportRecord:
        """Mask a study's report, and list the sentences whose findings were not explained."""
        show_phi, text = self.settings.output.show_phi, explained.study.report.text
        known, redactor = _headers(explained), self.redactor
        shown = redactor.text(text if show_phi else without_letterhead(text), known)
        put = {
            (phrase.text, phrase.finding) for case in explained.study.cases for phrase in (*case.phrases, *case.absent)
        }
        return ReportRecord(
            text=shown.text,
            words=shown.words,
            masked_words=shown.masked_words,
            header_too_large=not show_phi and not known.complete,
            not_put=tuple(
                OmittedSentence(
                    text=redactor.text(phrase.text, known).text,
                    section=phrase.section,
                    finding=phrase.finding or "",
                    context=phrase.context.value,
                )
                for phrase in phrases_of(text)
                if (phrase.text, phrase.finding) not in put
            ),
        )

    def noted(self, left_out: Sequence[Exclusion], study: Study) -> tuple[ExcludedImage, ...]:
        """Store by key which images of a study could not be audited; OUT never holds their file names."""
        keys = {case.image.source: case.image.instance for case in study.cases}
        shown = failure_records(
            left_out, [self.settings.inputs.dicom_dir], self.keys, show_phi=self.settings.output.show_phi
        )
        return tuple(
            ExcludedImage(
                image=self.keys.key("image", keys.get(item.source, study.cases[0].image.instance)),
                stage=item.stage,
                reason=failure.reason,
            )
            for item, failure in zip(left_out, shown, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowScorer:
    """Scores studies and writes nothing: for experiments that need only the rows of the score table."""

    recorder: ImageRecorder

    def finish(self, explained: ExplainedStudy) -> FinishedStudy:
        """Score a study's heat."""
        if not explained.cases:
            return FinishedStudy(left_out=explained.left_out)
        use_findings(self.recorder.context.findings)
        images, heats = self.recorder.record_all(explained)
        study = explained.study
        key = self.recorder.redactor.keys.key("study", study.study_instance_uid)
        patient = self.recorder.context.patient(study.cases[0].image)
        return FinishedStudy(
            images=len(images),
            phrases=sum(len(image.phrases) for image in images),
            is_phantom=_is_phantom(study),
            rows=list(score_rows(images, study=key, patient=patient)),
            heated=list(heated_images(images, heats, method=self.recorder.methods[0][0], study=key, patient=patient)),
            left_out=explained.left_out,
            key=key,
        )


def _is_phantom(study: Study) -> bool:
    return all(case.image.manufacturer == PHANTOM_MANUFACTURER for case in study.cases)


def _headers(explained: ExplainedStudy) -> Identifiers:
    """Merge the identifiers in the headers of a study's images."""
    known = Identifiers()
    for case in explained.cases:
        known |= case.loaded.identifiers
    return known
