"""Which boxes of an image a phrase speaks of."""

import re
from collections.abc import Sequence

from pipelines.findings import BROADER
from pipelines.study import Box, Image, Phrase, Side

__all__ = ["boxes_for", "side_of_box"]

_NOT_LETTERS = re.compile(r"[\W_]+")


def boxes_for(phrase: Phrase, boxes: Sequence[Box], image: Image) -> tuple[Box, ...]:
    """Give the boxes that are the target of a phrase, in their order.

    1. Boxes labelled with the phrase's finding; where there are none, boxes with its broader label ("nodule" meets
       "lung lesion") or, for the broader finding, with a narrower one.
    2. Among them, those that were drawn for this very sentence, where the file says for which sentence.
    3. Among them, those on the side that the phrase names, where there are some on both sides. Where all lie on the
       other side they stay: the annotator's label outweighs our reading of the sentence.

    The zone is not used: it is too coarse to tell two boxes apart, and a box that spans two would be lost.
    """
    named = [box for box in boxes if box.label == phrase.finding] or [box for box in boxes if _is_kin(box, phrase)]
    targets = [box for box in named if _drawn_for(box, phrase)] or named
    if phrase.side in {Side.LEFT, Side.RIGHT}:
        targets = [box for box in targets if side_of_box(box, image) is phrase.side] or targets
    return tuple(targets)


def side_of_box(box: Box, image: Image) -> Side:
    """Say on which side of the patient a box's centre lies: the right is at the image's left unless it is flipped."""
    on_image_left = box.x + box.width / 2 < image.columns / 2
    return Side.RIGHT if on_image_left is not image.horizontally_flipped else Side.LEFT


def _is_kin(box: Box, phrase: Phrase) -> bool:
    return phrase.finding is not None and phrase.finding in {
        BROADER.get(box.label),
        _narrower(box.label, phrase.finding),
    }


def _narrower(label: str, finding: str) -> str | None:
    return finding if BROADER.get(finding) == label else None


def _drawn_for(box: Box, phrase: Phrase) -> bool:
    """Whether the annotator's wording is the phrase or a part of it; annotators often leave words away at the ends."""
    if box.phrase is None:
        return False
    wording, text = (f" {_NOT_LETTERS.sub(' ', words).strip().casefold()} " for words in (box.phrase, phrase.text))
    return bool(wording.strip()) and (wording in text or text in wording)
