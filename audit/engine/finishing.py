"""What comes after a study's heat: scores, record, page and files; in this process or in a worker's.

Nothing here needs a model or torch's compute, so it runs beside the device instead of making it wait.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np

from audit.attribution.explain import Explanation
from audit.engine.clock import Stopwatch
from audit.engine.keys import Keys
from audit.engine.settings import RunSettings
from audit.engine.shown import shown_text, shown_words
from audit.engine.store import write_study
from audit.engine.targets import Targets
from audit.scoring.pointing import hottest_point
from pipelines.phantom.cohort import PHANTOM_MANUFACTURER
from pipelines.study import Image, LeftOut, Phrase, Study
from pipelines.transforms import LoadedCase
from reports.record import (
    BoxRecord,
    ImageRecord,
    ModelRecord,
    PhraseRecord,
    PlacementRecord,
    ReceiptStep,
    ScoreRecord,
    StudyRecord,
)

__all__ = ["ExplainedCase", "ExplainedStudy", "FinishedStudy", "Finisher", "phrase_texts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCase:
    """One image with what the method says of it."""

    loaded: LoadedCase
    explanations: tuple[Explanation, ...]  # one for each of phrase_texts


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
    left_out: tuple[LeftOut, ...] = ()
    seconds: dict[str, float] | None = None  # by stage


def phrase_texts(loaded: LoadedCase) -> list[str]:
    """The sentences that are put to the model for an image, each once: one may name two findings."""
    return list(dict.fromkeys(phrase.text for phrase in loaded.case.phrases))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finisher:
    """Scores and writes studies; holds nothing of a device, so that it can be sent to another process."""

    keys: Keys
    targets: Targets
    settings: RunSettings
    created: datetime
    model: ModelRecord
    method: str
    unit: str  # of its heat
    numbers: dict[str, float | int | str | bool | None]
    software: dict[str, str]

    def finish(self, explained: ExplainedStudy) -> FinishedStudy:
        """Score a study's heat and write its folder.

        Raises:
            OutputError: the folder cannot be written.
        """
        if not explained.cases:
            return FinishedStudy(left_out=explained.left_out)
        clock = Stopwatch()
        images, rows = [], []
        heats: dict[str, np.ndarray] = {}
        with clock("scoring"):
            for index, case in enumerate(explained.cases):
                image, image_heats, image_rows = self._image(case, prefix=f"image-{index + 1}")
                images.append(image)
                rows.extend(image_rows)
                heats.update(image_heats)
        study = explained.study
        key = self.keys.key("study", study.study_instance_uid)
        record = StudyRecord(
            key=key,
            created=self.created,
            model=self.model,
            method=self.method,
            unit=self.unit,
            settings=self.numbers,
            seed=self.settings.seed,
            software=self.software,
            phantom_images=all(case.image.manufacturer == PHANTOM_MANUFACTURER for case in study.cases),
            patient_data_shown=self.settings.show_phi,
            report_joined_by=study.report_joined_by,
            images=tuple(images),
        )
        pictures = {image.picture: case.loaded.picture for image, case in zip(images, explained.cases, strict=True)}
        write_study(self.settings.out, record, heats=heats, pictures=pictures, clock=clock)
        return FinishedStudy(
            images=len(images),
            phrases=sum(len(image.phrases) for image in images),
            is_phantom=record.phantom_images,
            rows=[{"study": key, **row} for row in rows],
            left_out=explained.left_out,
            seconds=dict(clock.seconds),
        )

    def _image(
        self, explained: ExplainedCase, *, prefix: str
    ) -> tuple[ImageRecord, dict[str, np.ndarray], list[dict[str, object]]]:
        loaded = explained.loaded
        case, image = loaded.case, loaded.case.image
        image_key = self.keys.key("image", image.sop_instance_uid)
        by_text = dict(zip(phrase_texts(loaded), explained.explanations, strict=True))
        phrases, heats, rows = [], {}, []
        for index, phrase in enumerate(case.phrases):
            name = f"{prefix}-phrase-{index + 1}"
            heats[name] = by_text[phrase.text].heat.numpy()
            told = self._phrase(loaded, phrase, by_text[phrase.text], name)
            phrases.append(told)
            rows.extend(self._rows(image, image_key, index, phrase, told))
        record = ImageRecord(
            key=image_key,
            picture=f"{prefix}.png",
            view=image.view.value,
            view_source=image.view_source,
            rows=image.rows,
            columns=image.columns,
            spacing_mm=image.spacing_mm,
            spacing_source=image.spacing_source,
            horizontally_flipped=image.horizontally_flipped,
            receipt=tuple(ReceiptStep(step=step.step, detail=step.detail) for step in loaded.receipt),
            placement=PlacementRecord(**asdict(loaded.placement)),
            boxes=tuple(
                BoxRecord(
                    x=box.x,
                    y=box.y,
                    width=box.width,
                    height=box.height,
                    label=box.label,
                    reader=box.reader,
                    visible_fraction=loaded.placement.visible_fraction(box),
                )
                for box in case.boxes
            ),
            phrases=tuple(phrases),
        )
        return record, heats, rows

    def _phrase(self, loaded: LoadedCase, phrase: Phrase, explanation: Explanation, name: str) -> PhraseRecord:
        heat = loaded.placement.heat_to_source(explanation.heat.numpy())
        heat[~loaded.valid] = np.nan
        point = hottest_point(heat)
        scores = self.targets.score(loaded, phrase, heat, method=self.method)
        text = shown_text(phrase.text, show_phi=self.settings.show_phi)
        words = shown_words(text, explanation.words)
        return PhraseRecord(
            text=text,
            section=phrase.section,
            finding=phrase.finding,
            context=phrase.context.value,
            side=phrase.side.value if phrase.side else None,
            zone=phrase.zone.value if phrase.zone else None,
            cosine=explanation.cosine,
            heat=name,
            total_nats=float(explanation.heat.sum()),
            peak_nats=float(explanation.heat.max()),
            hottest=None if point is None else (point[0] + 0.5, point[1] + 0.5),
            tokens=words,
            token_total_nats=sum(word.nats for word in words),
            scores=tuple(
                ScoreRecord(
                    method=score.method,
                    score=score.score,
                    value=score.value,
                    outcome=score.outcome,
                    reason=score.reason,
                    levels=score.levels,
                )
                for score in scores
            ),
        )

    def _rows(
        self, image: Image, image_key: str, index: int, phrase: Phrase, record: PhraseRecord
    ) -> list[dict[str, object]]:
        shared = {
            "image": image_key,
            "patient": self.targets.patient(image),
            "phrase": index,
            "finding": phrase.finding,
            "side": record.side,
            "zone": record.zone,
            "context": record.context,
        }
        return [{**shared, **score.model_dump()} for score in record.scores]
