"""The target of a recorded phrase: the boxes that it is scored against, for pages, review and DICOM results."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from pipelines.boxes.table import match_boxes
from pipelines.geometry import Placement
from pipelines.study import Box, Phrase, fields_of
from pipelines.text.absent import is_refuted_by
from reports.record import OwnBoxes, ScoredBox, ScoredImage, ScoredPhrase

__all__ = ["box_ids", "own_boxes", "scored_boxes", "standing_denials", "target_boxes", "target_indices"]


def box_ids(count: int) -> tuple[str, ...]:
    """Return the ids of the boxes of one image."""
    return tuple(f"box-{number}" for number in range(1, count + 1))


def scored_boxes(boxes: Sequence[Box], placement: Placement) -> tuple[ScoredBox, ...]:
    """Return the boxes of one image with ids and the fraction of each inside the model's input."""
    return tuple(
        ScoredBox(
            **fields_of(box, Box),
            id=name,
            visible_fraction=placement.visible_fraction(box),
        )
        for name, box in zip(box_ids(len(boxes)), boxes, strict=True)
    )


def target_boxes(image: ScoredImage, phrase: ScoredPhrase) -> tuple[ScoredBox, ...]:
    """Return the boxes that a phrase is scored against."""
    return tuple(image.boxes[place] for place in target_indices(image, phrase))


def target_indices(image: ScoredImage, phrase: ScoredPhrase) -> tuple[int, ...]:
    """Return the indices in ``image.boxes`` of those that a phrase is scored against.

    A record of version 0.1.0 does not store them: they follow from the scoring rule and the record's finding, side,
    sentence and boxes.
    """
    if phrase.target is None:
        return match_boxes(phrase, image.boxes, image)
    places = {box.id: place for place, box in enumerate(image.boxes)}
    return tuple(places[box] for box in phrase.target)


def own_boxes(image: ScoredImage) -> OwnBoxes:
    """Return the run's boxes and what depends on them, even if the image was scored against others since."""
    cosines = tuple(phrase.other_side_cosine for phrase in image.phrases)
    if image.own is not None:
        own = image.own
        return own if own.other_side_cosines else own.model_copy(update={"other_side_cosines": cosines})
    ids = box_ids(len(image.boxes))
    return OwnBoxes(
        boxes=_named(image.boxes, ids),
        targets=tuple(tuple(ids[place] for place in target_indices(image, phrase)) for phrase in image.phrases),
        other_side_cosines=cosines,
    )


def standing_denials(image: ScoredImage, drawn: Collection[str]) -> tuple[tuple[int, Phrase], ...]:
    """Return the absent phrases of an image, with their indices, that no box of the study refutes.

    Args:
        image: an image of the study.
        drawn: labels of the study's boxes, which may be those of another file than the run's.
    """
    return tuple(
        (place, phrase)
        for place, phrase in enumerate(image.absent)
        if not any(is_refuted_by(str(phrase.finding), label) for label in drawn)
    )


def _named(boxes: Sequence[ScoredBox], ids: Sequence[str]) -> tuple[ScoredBox, ...]:
    return tuple(replace(box, id=name) for box, name in zip(boxes, ids, strict=True))
