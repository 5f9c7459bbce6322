"""What each phrase's heat is scored against: its boxes, and the cohort's content-blind references."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from audit.engine.keys import Keys
from audit.scoring.blind import BlindCase, BlindMaps
from audit.scoring.human import score_readers
from audit.scoring.scores import Score, box_mask, score_blind, score_heat, tolerances
from pipelines.cohort import boxes_for
from pipelines.study import Box, Case, Image, Phrase, Study
from pipelines.transforms import LoadedCase

__all__ = ["Targets"]


class Targets:
    """The boxes of a cohort, known before any pixel is read."""

    def __init__(self, studies: Sequence[Study], keys: Keys) -> None:
        self._keys = keys
        cases = (case for study in studies for case in study.cases)
        self._maps = BlindMaps([self._blind_case(case, phrase) for case in cases for phrase in case.phrases])

    def patient(self, image: Image) -> str:
        """Key of the patient; a study without a PatientID counts as a patient of its own."""
        if image.patient_id:
            return self._keys.key("patient", image.patient_id)
        return self._keys.key("patient of study", image.study_instance_uid)

    def score(
        self, loaded: LoadedCase, phrase: Phrase, heat: Float[np.ndarray, "rows columns"], *, method: str
    ) -> tuple[Score, ...]:
        """Score one heat on source pixels."""
        image = loaded.case.image
        return score_heat(
            heat,
            self.mask(loaded, phrase),
            method=method,
            model_px=1.0 / loaded.placement.scale,
            spacing_mm=image.spacing_mm,
        )

    def references(self, loaded: LoadedCase, phrase: Phrase) -> tuple[Score, ...]:
        """Score what stands beside every method: the blind references and, where several drew, the readers."""
        image = loaded.case.image
        model_px = 1.0 / loaded.placement.scale
        blind = score_blind(
            self._maps,
            self._blind_case(loaded.case, phrase),
            image_shape=(image.rows, image.columns),
            model_px=model_px,
            spacing_mm=image.spacing_mm,
        )
        boxes = boxes_for(phrase, loaded.case.boxes, image)
        return (*blind, *score_readers(boxes, tolerances(model_px=model_px, spacing_mm=image.spacing_mm)))

    def mask(self, loaded: LoadedCase, phrase: Phrase) -> Bool[np.ndarray, "rows columns"]:
        """Mark the pixels of the phrase's boxes."""
        image = loaded.case.image
        return box_mask(boxes_for(phrase, loaded.case.boxes, image), rows=image.rows, columns=image.columns)

    def _blind_case(self, case: Case, phrase: Phrase) -> BlindCase:
        image = case.image
        return BlindCase(
            patient=self.patient(image),
            finding=str(phrase.finding),
            side=phrase.side.value if phrase.side else None,
            zone=phrase.zone.value if phrase.zone else None,
            boxes=tuple(_shares(box, image) for box in boxes_for(phrase, case.boxes, image)),
        )


def _shares(box: Box, image: Image) -> tuple[float, float, float, float]:
    return (
        box.x / image.columns,
        box.y / image.rows,
        (box.x + box.width) / image.columns,
        (box.y + box.height) / image.rows,
    )
