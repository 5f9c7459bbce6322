"""One study through the model: pixels and phrases in, heat, scores and records out. No disk, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

import numpy as np
import torch

from audit.attribution.explain import M2IB, Explanation, pair_seed
from audit.encoders.protocol import DualEncoder
from audit.engine.keys import Keys
from audit.engine.provenance import method_settings, model_record, software_versions
from audit.engine.settings import RunSettings
from audit.engine.shown import shown_text, shown_words
from audit.engine.store import picture_of
from audit.engine.targets import Targets
from audit.scoring.pointing import hottest_point
from pipelines.phantom.cohort import PHANTOM_MANUFACTURER
from pipelines.study import Image, LeftOut, Phrase, Study
from pipelines.transforms import LoadedCase
from reports.record import (
    BoxRecord,
    ImageRecord,
    PhraseRecord,
    PlacementRecord,
    ReceiptStep,
    ScoreRecord,
    StudyRecord,
)

__all__ = ["AuditedStudy", "Auditor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedStudy:
    """What one study gave; ``record`` is None where no image of it could be audited."""

    record: StudyRecord | None = None
    heats: Mapping[str, np.ndarray] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    rows: Sequence[dict[str, object]] = ()  # of the score table
    left_out: tuple[LeftOut, ...] = ()


class Auditor:
    """Audits studies with one model, one method and one cohort's content-blind references."""

    def __init__(
        self,
        *,
        encoder: DualEncoder,
        method: M2IB,
        keys: Keys,
        settings: RunSettings,
        device: torch.device,
        studies: Sequence[Study],
    ) -> None:
        self.encoder, self.method, self.keys, self.settings = encoder, method, keys, settings
        self._device = device
        self._targets = Targets(studies, keys)

    def audit(self, study: Study, loaded: Sequence[LoadedCase | LeftOut], *, created: datetime) -> AuditedStudy:
        """Explain and score every image of a study with every phrase of its report."""
        images, rows = [], []
        heats: dict[str, np.ndarray] = {}
        pictures: dict[str, bytes] = {}
        for index, case in enumerate(item for item in loaded if isinstance(item, LoadedCase)):
            image, image_heats, image_rows = self._audit_image(case, prefix=f"image-{index + 1}")
            images.append(image)
            rows.extend(image_rows)
            heats.update(image_heats)
            pictures[image.picture] = picture_of(case.display)
        left_out = tuple(item for item in loaded if isinstance(item, LeftOut))
        if not images:
            return AuditedStudy(left_out=left_out)
        key = self.keys.key("study", study.study_instance_uid)
        record = StudyRecord(
            key=key,
            created=created,
            model=model_record(self.encoder),
            method=self.method.name,
            settings=method_settings(self.method, self.encoder),
            seed=self.settings.seed,
            software=software_versions(),
            phantom_images=all(case.image.manufacturer == PHANTOM_MANUFACTURER for case in study.cases),
            patient_data_shown=self.settings.show_phi,
            report_joined_by=study.report_joined_by,
            images=tuple(images),
        )
        table_rows = [{"study": key, **row} for row in rows]
        return AuditedStudy(record=record, heats=heats, pictures=pictures, rows=table_rows, left_out=left_out)

    def _audit_image(
        self, loaded: LoadedCase, *, prefix: str
    ) -> tuple[ImageRecord, dict[str, np.ndarray], list[dict[str, object]]]:
        case, image = loaded.case, loaded.case.image
        image_key = self.keys.key("image", image.sop_instance_uid)
        texts = list(dict.fromkeys(phrase.text for phrase in case.phrases))  # one sentence may name two findings
        seeds = [pair_seed(self.settings.seed, image.sop_instance_uid, text) for text in texts]
        explained = self.method.explain(self.encoder, loaded.inputs.to(self._device), texts, seeds=seeds)
        by_text = dict(zip(texts, explained, strict=True))
        phrases, heats, rows = [], {}, []
        for index, phrase in enumerate(case.phrases):
            name = f"{prefix}-phrase-{index + 1}"
            heats[name] = by_text[phrase.text].heat.numpy()
            told = self._phrase_record(loaded, phrase, by_text[phrase.text], name)
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

    def _phrase_record(self, loaded: LoadedCase, phrase: Phrase, explanation: Explanation, name: str) -> PhraseRecord:
        heat = loaded.placement.heat_to_source(explanation.heat.numpy())
        heat[~loaded.valid] = np.nan
        point = hottest_point(heat)
        scores = self._targets.score(loaded, phrase, heat, method=self.method.name)
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
            "patient": self._targets.patient(image),
            "phrase": index,
            "finding": phrase.finding,
            "side": record.side,
            "zone": record.zone,
            "context": record.context,
        }
        return [{**shared, **score.model_dump()} for score in record.scores]
