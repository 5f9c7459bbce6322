"""The context in which each phrase's heat is scored: its boxes, and the cohort's content-blind references."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from audit.metrics.blind import BlindCase, BlindMaps, relative_shape
from audit.metrics.human import score_readers
from audit.metrics.pointing import find_peak, pointing_outcome
from audit.metrics.scores import box_mask, score_blind, score_heat, tolerances
from audit.metrics.shortcuts import ShortcutScorer
from audit.privacy.pseudonyms import Pseudonyms
from pipelines.boxes.table import target_boxes, target_indices
from pipelines.findings import added_findings
from pipelines.geometry import Placement
from pipelines.privacy.burned_in import Area
from pipelines.regions import regions_of
from pipelines.study import Case, Image, Phrase, Study, View
from reports.record import Pixel, Score
from reports.score_catalogue import untrained_name
from reports.targets import box_ids

__all__ = ["Grid", "ImageScorer", "PatientPseudonyms", "ScorableImage", "ScoringContext", "target_ids"]

Grid = Float[np.ndarray, "grid_rows grid_columns"]


@runtime_checkable
class ScorableImage(Protocol):
    """An image with the data that scores need, from a run or from its record."""

    @property
    def case(self) -> Case:
        """Header, phrases and boxes."""

    @property
    def picture(self) -> bytes:
        """PNG, as on the page."""

    @property
    def valid(self) -> Bool[np.ndarray, "rows columns"]:
        """False behind collimators and in padding."""

    @property
    def blanked(self) -> tuple[Area, ...]:
        """Areas of the picture that hide text which the model saw."""

    @property
    def placement(self) -> Placement:
        """In the model's input."""


@dataclass(frozen=True, slots=True)
class PatientPseudonyms:
    """Returns the key of an image's patient; a study without a PatientID counts as a patient of its own."""

    keys: Pseudonyms

    def __call__(self, image: Image) -> str:
        """Key of the patient."""
        if image.patient_id:
            return self.keys.key("patient", image.patient_id)
        return self.keys.key("patient of study", image.study_instance_uid)


class ScoringContext:
    """The boxes of a cohort, known before any pixel is read."""

    def __init__(self, studies: Sequence[Study], patients: Callable[[Image], str]) -> None:
        """Store the cohort's studies, and the function for a patient's key."""
        self._patients = patients
        self.findings = added_findings()  # for processes that score
        cases = [case for study in studies for case in study.cases]
        blind = [self._blind_case(case, phrase) for case in cases for phrase in case.phrases]
        self._maps = BlindMaps(blind)
        self._digests = _digests(blind)

    def patient(self, image: Image) -> str:
        """Key of the patient."""
        return self._patients(image)

    def digest(self, finding: str) -> str | None:
        """Hash the cohort's boxes of a finding, from which its references are made; None if there are none."""
        return self._digests.get(finding)

    def score(
        self, loaded: ScorableImage, phrase: Phrase, heat: Float[np.ndarray, "rows columns"], *, method: str
    ) -> tuple[Score, ...]:
        """Score one heat map on source pixels."""
        image = loaded.case.image
        return score_heat(
            heat,
            self.mask(loaded, phrase),
            method=method,
            model_px=loaded.placement.model_px,
            spacing_mm=image.spacing_mm,
        )

    def references(self, loaded: ScorableImage, phrase: Phrase) -> tuple[Score, ...]:
        """Score the references of every method: the blind maps and, if there are several, the readers."""
        image = loaded.case.image
        model_px = loaded.placement.model_px
        blind = score_blind(
            self._maps,
            self._blind_case(loaded.case, phrase),
            image_shape=(image.rows, image.columns),
            model_px=model_px,
            spacing_mm=image.spacing_mm,
        )
        boxes = target_boxes(loaded.case, phrase)
        return (*blind, *score_readers(boxes, tolerances(model_px=model_px, spacing_mm=image.spacing_mm)))

    def mask(self, loaded: ScorableImage, phrase: Phrase) -> Bool[np.ndarray, "rows columns"]:
        """Return the mask of the phrase's boxes."""
        image = loaded.case.image
        return box_mask(target_boxes(loaded.case, phrase), rows=image.rows, columns=image.columns)

    def _blind_case(self, case: Case, phrase: Phrase) -> BlindCase:
        image = case.image
        return BlindCase(
            patient=self.patient(image),
            finding=str(phrase.finding),
            side=phrase.side.value if phrase.side else None,
            zone=phrase.zone.value if phrase.zone else None,
            boxes=tuple(
                relative_shape(box, rows=image.rows, columns=image.columns) for box in target_boxes(case, phrase)
            ),
        )


def _digests(cases: Iterable[BlindCase]) -> dict[str, str]:
    """Hash the boxes from which the references of each finding are made, independently of their order."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.boxes:
            boxes = [box if isinstance(box, tuple) else asdict(box) for box in case.boxes]
            found[case.finding].add(json.dumps([case.patient, case.side, case.zone, boxes]))
    return {finding: sha256("\n".join(sorted(of)).encode()).hexdigest() for finding, of in found.items()}


def target_ids(case: Case, phrase: Phrase) -> tuple[str, ...]:
    """Return the boxes that a phrase is scored against, as recorded for the case."""
    ids = box_ids(len(case.boxes))
    return tuple(ids[place] for place in target_indices(case, phrase))


class ImageScorer:
    """Scores every heat map of one image; values that depend only on the image are computed once."""

    def __init__(self, context: ScoringContext, loaded: ScorableImage, untrained: Mapping[str, Grid]) -> None:
        """Prepare the scores of an image.

        Args:
            context: boxes and references of the cohort.
            loaded: the image.
            untrained: heat before the first step, by method, as stored; a reference of every phrase.
        """
        self._context, self._loaded = context, loaded
        self._untrained = {untrained_name(method): _shown(loaded, stored) for method, stored in untrained.items()}
        image, regions = loaded.case.image, regions_of(loaded.picture, loaded.valid, loaded.blanked)
        if image.view is View.LATERAL:  # which shows neither left and right nor the anatomy of a frontal view
            regions = replace(regions, orientation=None, side_marker=None)
        self.orientation, self.side_marker = regions.orientation, regions.side_marker
        self._shortcuts = ShortcutScorer(
            regions, model_px=loaded.placement.model_px, flipped=image.horizontally_flipped
        )

    def score(self, phrase: Phrase, stored: Grid, *, method: str) -> tuple[Pixel | None, tuple[Score, ...]]:
        """Return the maximum's position, at a pixel's centre, and all scores of one heat map on the model's grid."""
        everywhere = _on_source(self._loaded, stored)
        shortcuts = self._shortcuts.score(everywhere, phrase, method=method)
        everywhere[~self._loaded.valid] = np.nan
        point = find_peak(everywhere)
        scores = self._context.score(self._loaded, phrase, everywhere, method=method)
        return None if point is None else (point[0] + 0.5, point[1] + 0.5), (*scores, *shortcuts)

    def score_all(self, phrase: Phrase, heats: Mapping[str, Grid]) -> tuple[dict[str, Pixel | None], tuple[Score, ...]]:
        """Return the maximum of each method's heat for a phrase, and all scores; references follow the first."""
        points: dict[str, Pixel | None] = {}
        scores: list[Score] = []
        for method, stored in heats.items():
            points[method], of_method = self.score(phrase, stored, method=method)
            scores += [*of_method, *(self._references(phrase) if len(points) == 1 else ())]
        return points, tuple(scores)

    def hits(self, phrase: Phrase, heats: Iterable[Grid]) -> Iterator[bool | None]:
        """Compute the pointing game at tolerance 0 for further heat maps of a phrase; None if it has no box."""
        mask = self._context.mask(self._loaded, phrase)
        for stored in heats:
            yield pointing_outcome(_shown(self._loaded, stored), mask).is_hit

    def _references(self, phrase: Phrase) -> tuple[Score, ...]:
        """Score the references of every method."""
        seen = self._shortcuts.area_shares(self._loaded.placement.visible(), phrase)
        untrained = (
            score
            for name, heat in self._untrained.items()
            for score in self._context.score(self._loaded, phrase, heat, method=name)
        )
        return (*self._context.references(self._loaded, phrase), *untrained, *seen)


def _shown(loaded: ScorableImage, stored: Grid) -> Float[np.ndarray, "rows columns"]:
    """Resample a heat map to source pixels; NaN where the model has no input and behind collimators."""
    heat = _on_source(loaded, stored)
    heat[~loaded.valid] = np.nan
    return heat


def _on_source(loaded: ScorableImage, stored: Grid) -> Float[np.ndarray, "rows columns"]:
    """Resample a heat map to source pixels; NaN where the model has no input."""
    return loaded.placement.heat_to_source(stored.astype(np.float32))
