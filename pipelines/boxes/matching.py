"""Selects the boxes of an image that a phrase is scored against: the phrase's target.

The target is decided only here. A run stores it in each phrase's record as box ids. Pages, review, DICOM results and
rescoring read it from there: :mod:`reports.targets`.
"""

import re
from collections.abc import Sequence

from pipelines.findings import BROADER
from pipelines.study import Box, Case, Phrase, Radiograph, Side

__all__ = ["places_for", "side_of_box", "target_boxes", "target_places"]

_NOT_LETTERS = re.compile(r"[\W_]+")


def target_places(case: Case, phrase: Phrase) -> tuple[int, ...]:
    """Return the target of a case's phrase as indices into ``case.boxes``: from its record, else by the rule."""
    if case.targets is None:
        return places_for(phrase, case.boxes, case.image)
    # Two sentences of a record may be equal because the words in which they differ are masked.
    places = [place for place, each in enumerate(case.phrases) if each is phrase] or [case.phrases.index(phrase)]
    return case.targets[places[0]]


def target_boxes(case: Case, phrase: Phrase) -> tuple[Box, ...]:
    """Return the boxes that a case's phrase is scored against."""
    return tuple(case.boxes[place] for place in target_places(case, phrase))


def places_for(phrase: Phrase, boxes: Sequence[Box], image: Radiograph) -> tuple[int, ...]:
    """Return the indices in ``boxes`` of a phrase's target, in ascending order.

    1. Boxes with the phrase's finding as label. If there are none: boxes with its broader label ("nodule" matches
       "lung lesion") or, for a broader finding, with a narrower one.
    2. Of these, the boxes drawn for this sentence, if the file states sentences.
    3. Of these, the boxes on the side that the phrase names, if there are any. If all are on the other side they are
       used nevertheless: the annotator's label outweighs our reading of the sentence.

    The zone is not used: it is too coarse to separate two boxes, and a box across two zones would be lost.
    """
    everywhere = range(len(boxes))
    named = [place for place in everywhere if boxes[place].label == phrase.finding]
    named = named or [place for place in everywhere if _is_kin(boxes[place].label, phrase.finding)]
    targets = [place for place in named if _drawn_for(boxes[place].phrase, phrase.text)] or named
    if phrase.side in {Side.LEFT, Side.RIGHT}:
        targets = [place for place in targets if side_of_box(boxes[place], image) == phrase.side] or targets
    return tuple(targets)


def side_of_box(box: Box, image: Radiograph) -> Side:
    """Return the patient's side of a box's centre: right is on the left of the image unless the image is flipped."""
    on_image_left = box.x + box.width / 2 < image.columns / 2
    return Side.RIGHT if on_image_left is not image.horizontally_flipped else Side.LEFT


def _is_kin(label: str, finding: str | None) -> bool:
    """Return True if one is the broader name of the other."""
    return finding is not None and (BROADER.get(label) == finding or BROADER.get(finding) == label)


def _drawn_for(wording: str | None, text: str) -> bool:
    """Return True if the annotator's wording is the phrase or a part of it; annotators often omit outer words."""
    if wording is None:
        return False
    wording, text = (f" {_NOT_LETTERS.sub(' ', words).strip().casefold()} " for words in (wording, text))
    return bool(wording.strip()) and (wording in text or text in wording)
