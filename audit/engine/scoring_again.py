"""One finished study's stored heat scored again: against other boxes, or those of a cohort that has changed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from audit.engine.recording import box_records, hits, score_record, target_ids
from audit.engine.shown import Shower
from audit.engine.targets import ImageScorer, Targets, on_source
from audit.scoring.scores import SCORES
from audit.scoring.shortcuts import SHORTCUT_SCORES
from pipelines.burned_in import Area
from pipelines.geometry import Placement
from pipelines.study import Case, Study
from reports.folder import StudyFolder, read_study, valid_of
from reports.overlay import check_picture, placement_of
from reports.record import ControlRecord, ImageRecord, PhraseRecord, StudyRecord
from reports.targets import own_boxes

__all__ = ["scored_again"]

_PLACE = frozenset((*SCORES, *SHORTCUT_SCORES))


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeptImage:
    """One image of a finished study (:class:`audit.engine.targets.Seen`)."""

    case: Case
    picture: bytes
    valid: Bool[np.ndarray, "rows columns"]
    placement: Placement
    blanked: tuple[Area, ...] = ()


def scored_again(
    folder: Path, study: Study, targets: Targets, shower: Shower, *, keep_own: bool = False
) -> StudyRecord:
    """Score every heat of one finished study.

    Args:
        folder: of the study.
        study: with the images of its record, in their order, and the boxes to score against.
        targets: of the cohort.
        shower: shows words of boxes as the record does.
        keep_own: the boxes of ``study`` are not the run's own, which the record keeps beside them.

    Raises:
        OutputError: its record, heat, pictures or masks cannot be read.
    """
    stored = read_study(folder)
    images = [
        _image(stored, image, case, targets, shower, keep_own=keep_own)
        for image, case in zip(stored.record.images, study.cases, strict=True)
    ]
    return stored.record.model_copy(update={"images": tuple(images), "patient": targets.patient(study.cases[0].image)})


def _image(
    stored: StudyFolder,
    image: ImageRecord,
    case: Case,
    targets: Targets,
    shower: Shower,
    *,
    keep_own: bool,
) -> ImageRecord:
    placement, picture = placement_of(image.placement), stored.pictures[image.picture]
    check_picture(picture, name=f"{image.picture!r} of study {stored.record.key}")
    seen = _KeptImage(
        case=case,
        picture=picture,
        valid=valid_of(stored, image),
        placement=placement,
        blanked=tuple(
            Area(*area, letters=Area(*letters))
            for area, letters in zip(image.blanked, image.letters or image.blanked, strict=True)
        ),
    )
    scorer = ImageScorer(targets, seen)
    phrases = [_phrase(phrase, index, seen, scorer, targets, stored) for index, phrase in enumerate(image.phrases)]
    boxes = box_records(case, placement, shower=shower, spoken=[phrase.text for phrase in image.phrases])
    scored = image.model_copy(update={"boxes": boxes, "own": None, "phrases": tuple(phrases)})
    own = own_boxes(image)
    return scored.model_copy(update={"own": own}) if keep_own and own != own_boxes(scored) else scored


def _phrase(
    record: PhraseRecord, index: int, seen: _KeptImage, scorer: ImageScorer, targets: Targets, stored: StudyFolder
) -> PhraseRecord:
    phrase = seen.case.phrases[index]
    names = {stored.record.method: record.heat} | {other.method: other.heat for other in record.others}
    scores, points = [], {}
    for place, (method, name) in enumerate(names.items()):
        points[method], of_method = scorer.score(phrase, stored.heats[name], method=method)
        scores += [*of_method, *(scorer.references(phrase) if place == 0 else ())]
    kept = [score for score in record.scores if score.score not in _PLACE]
    mask = targets.mask(seen, phrase)
    return record.model_copy(
        update={
            "target": target_ids(seen.case, phrase),
            "hottest": points[stored.record.method],
            "scores": (*map(score_record, scores), *kept),
            "controls": tuple(_control(control, seen, mask, stored) for control in record.controls),
        }
    )


def _control(
    control: ControlRecord, seen: _KeptImage, mask: Bool[np.ndarray, "rows columns"], stored: StudyFolder
) -> ControlRecord:
    hit = hits(on_source(seen, stored.heats[control.heat], masked=True), mask)
    return control.model_copy(update={"hit": hit})
