"""Which boxes of an image a phrase is scored against: the phrase's target.

The target is decided here alone. A run stores it in each phrase's record, by the boxes' ids, and what comes later
(pages, review, results in DICOM, scoring again) reads it there: :mod:`reports.targets`.
"""

import re
from collections.abc import Sequence
from typing import TypeVar

from pipelines.findings import BROADER
from pipelines.study import Box, Case, Phrase, Radiograph, Side

__all__ = ["boxes_for", "places_for", "side_of_box", "target_boxes", "target_places"]

_NOT_LETTERS = re.compile(r"[\W_]+")


_Box = TypeVar("_Box", bound=Box)


def target_places(case: Case, phrase: Phrase) -> tuple[int, ...]:
    """Give the target of a case's phrase as places in ``case.boxes``: as its record has it, else by the rule."""
    if case.targets is None:
        return places_for(phrase, case.boxes, case.image)
    # Sentences of a record may be equal only because what told them apart is masked.
    places = [place for place, each in enumerate(case.phrases) if each is phrase] or [case.phrases.index(phrase)]
    return case.targets[places[0]]


def target_boxes(case: Case, phrase: Phrase) -> tuple[Box, ...]:
    """Give the boxes that a case's phrase is scored against."""
    return tuple(case.boxes[place] for place in target_places(case, phrase))


def boxes_for(phrase: Phrase, boxes: Sequence[_Box], image: Radiograph) -> tuple[_Box, ...]:
    """Give the boxes that are the target of a phrase by the rule of :func:`places_for`, in their order."""
    return tuple(boxes[place] for place in places_for(phrase, boxes, image))


def places_for(phrase: Phrase, boxes: Sequence[Box], image: Radiograph) -> tuple[int, ...]:
    """Give the places in ``boxes`` of those that are the target of a phrase, in ascending order.

    1. Boxes labelled with the phrase's finding; where there are none, boxes with its broader label ("nodule" meets
       "lung lesion") or, for the broader finding, with a narrower one.
    2. Among them, those that were drawn for this very sentence, where the file says for which sentence.
    3. Among them, those on the side that the phrase names, where there are some on both sides. Where all lie on the
       other side they stay: the annotator's label outweighs our reading of the sentence.

    The zone is not used: it is too coarse to tell two boxes apart, and a box that spans two would be lost.
    """
    everywhere = range(len(boxes))
    named = [place for place in everywhere if boxes[place].label == phrase.finding]
    named = named or [place for place in everywhere if _is_kin(boxes[place].label, phrase.finding)]
    targets = [place for place in named if _drawn_for(boxes[place].phrase, phrase.text)] or named
    if phrase.side in {Side.LEFT, Side.RIGHT}:
        targets = [place for place in targets if side_of_box(boxes[place], image) == phrase.side] or targets
    return tuple(targets)


def side_of_box(box: Box, image: Radiograph) -> Side:
    """Say on which side of the patient a box's centre lies: the right is at the image's left unless it is flipped."""
    on_image_left = box.x + box.width / 2 < image.columns / 2
    return Side.RIGHT if on_image_left is not image.horizontally_flipped else Side.LEFT


def _is_kin(label: str, finding: str | None) -> bool:
    """Whether one is the broader name of the other."""
    return finding is not None and (BROADER.get(label) == finding or BROADER.get(finding) == label)


def _drawn_for(wording: str | None, text: str) -> bool:
    """Whether the annotator's wording is the phrase or a part of it; annotators often omit words at the ends."""
    if wording is None:
        return False
    wording, text = (f" {_NOT_LETTERS.sub(' ', words).strip().casefold()} " for words in (wording, text))
    return bool(wording.strip()) and (wording in text or text in wording)
