"""Converts one row of an annotation file to a box, or rejects it with the reason.

The target is decided only here. A run stores it in each phrase's record as box ids. Pages, review, DICOM results and
rescoring read it from there: :mod:`reports.targets`.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.errors import BoxError
from pipelines.findings import BROADER, canonical_finding
from pipelines.quoting import OF_LABELS, quoted
from pipelines.shapes import Shape
from pipelines.study import Box, Case, Exclusion, Phrase, Radiograph, Side
from pipelines.text_files import JsonLimitError, parse_json

__all__ = [
    "BlankRowError",
    "BoxRow",
    "BoxTable",
    "RawBox",
    "box_row",
    "extent",
    "match_boxes",
    "parsed_annotations",
    "side_of_box",
    "target_boxes",
    "target_indices",
    "unmapped_labels",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRow:
    """A box as its file states it, before its image is known."""

    image: str  # reference as written: path, SOP Instance UID, dicom_id or file stem
    box: Box  # in pixels of ``frame``
    frame: tuple[int, int] | None  # (rows, columns) that the coordinates refer to; None: the source image's own pixels
    source: str  # "boxes.csv row 7"
    patient: str | None = None  # if the file states whose image it is
    frames: tuple[int, ...] = ()  # frames of the image on which the box lies, counted from 1; empty: all of them
    of_original: bool = False  # in pixels of the DICOM file, even if the image is a smaller copy of it


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxTable:
    """Every box that was read, and everything that was not, in file order."""

    rows: tuple[BoxRow, ...]
    left_out: tuple[Exclusion, ...]


_LONGEST = {"image": 1000, "label": 200, "reader": 100, "phrase": 2000}  # characters; longer values are not names


class BlankRowError(BoxError):
    """A row without coordinates: the reader looked and drew nothing, which is not an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBox:
    """The content of one row as an annotation format found it, not yet converted."""

    source: str
    image: str | None  # None: not stated; the file's folder is named after the image or case
    label: str
    x: object = None
    y: object = None
    width: object = None
    height: object = None
    shape: Shape | None = None  # replaces the four numbers
    frame: tuple[object, object] | None = None  # (rows, columns)
    reader: str | None = None
    phrase: str | None = None
    patient: str | None = None
    frames: tuple[object, ...] = ()  # frames of the image, counted from 1; empty: all of them
    of_original: bool = False  # in pixels of the DICOM file, even if the image is a smaller copy of it


def box_row(raw: RawBox) -> BoxRow:
    """Validate and convert a raw box; its label becomes a known finding if it names one.

    Raises:
        BlankRowError: all four coordinates are blank.
        BoxError: the image or label is missing or too long, or a number is invalid, is not finite, or results in no
            area.
    """
    drawn = (raw.x, raw.y, raw.width, raw.height) if raw.shape is None else raw.shape.bounds()
    sides: Mapping[str, object] = dict(zip(("x", "y", "width", "height"), drawn, strict=True))
    if all(_is_blank(value) for value in sides.values()):
        raise BlankRowError(f"{raw.source} has no coordinates, so nothing was drawn there")
    if raw.image is None or not raw.image.strip():
        raise BoxError(f"{raw.source} does not say on which image the box lies: fill its image")
    if not raw.label.strip():
        raise BoxError(f"{raw.source} does not say what the box shows: fill its label")
    for name, most in _LONGEST.items():
        length = len(getattr(raw, name) or "")
        if length > most:
            raise BoxError(f"{raw.source} has a {name} of {length:,} characters: write at most {most:,}")
    number = {name: _number(raw.source, name, value) for name, value in sides.items()}
    for name in ("width", "height"):
        if number[name] <= 0:
            raise BoxError(f"{raw.source} has {name} {number[name]:g}: write a positive number of pixels")
    return BoxRow(
        image=raw.image.strip(),
        box=Box(
            x=number["x"],
            y=number["y"],
            width=number["width"],
            height=number["height"],
            shape=raw.shape,
            label=canonical_finding(raw.label) or " ".join(raw.label.split()).casefold(),
            reader=_text(raw.reader),
            phrase=_text(raw.phrase),
        ),
        frame=None if raw.frame is None else _frame(raw.source, raw.frame),
        source=raw.source,
        patient=_text(raw.patient),
        frames=tuple(_frame_number(raw.source, value) for value in raw.frames if not _is_blank(value)),
        of_original=raw.of_original,
    )


def parsed_annotations(name: str, text: str) -> Any:
    """Parse the JSON of an annotation file.

    Raises:
        BoxError: it is not valid JSON, or exceeds the limits.
    """
    try:
        return parse_json(text)
    except JsonLimitError as error:
        raise BoxError(f"{name} is not read: {error}") from error
    except ValueError as error:
        raise BoxError(f"{name} is not valid JSON ({error}): export the annotations again") from error


def extent(start: str | None, end: str | None) -> object:
    """Subtract two edges; if one is not a number, return the other as written, so that the error names the row."""
    try:
        distance = float(end or "") - float(start or "")
    except ValueError:
        return end
    return distance if math.isfinite(distance) else end


def unmapped_labels(source: str, rows: tuple[BoxRow, ...]) -> tuple[Exclusion, ...]:
    """Report every label that names no known finding once: its boxes are kept, but no phrase can match them."""
    unknown = Counter(row.box.label for row in rows if canonical_finding(row.box.label) is None)
    return tuple(
        Exclusion(
            source=source,
            stage="boxes",
            reason=(
                f"{OF_LABELS}{quoted(label)} names no known finding, so no phrase matches its {count:,} "
                f"{'box' if count == 1 else 'boxes'}: rename it if one should"
            ),
            failed=False,
        )
        for label, count in sorted(unknown.items())
    )


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip().casefold() in {"", "nan", "none", "null"})


def _text(value: str | None) -> str | None:
    return value.strip() or None if value is not None else None


def _number(source: str, name: str, value: object) -> float:
    number = math.nan
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
    if not math.isfinite(number):
        raise BoxError(f"{source} has {name} {quoted(value, most=40)}: write a finite number")
    return number


def _frame_number(source: str, value: object) -> int:
    number = _number(source, "frame", value)
    if number < 1 or number != int(number):
        raise BoxError(f"{source} lies on frame {number:g}: write the frame's number, counted from 1")
    return int(number)


def _frame(source: str, frame: tuple[object, object]) -> tuple[int, int]:
    rows, columns = (
        _number(source, name, value) for name, value in zip(("image height", "image width"), frame, strict=True)
    )
    if rows < 1 or columns < 1:
        raise BoxError(f"{source} has an image of {rows:g} x {columns:g} px: write the size that the box refers to")
    return round(rows), round(columns)


_NOT_LETTERS = re.compile(r"[\W_]+")


def target_indices(case: Case, phrase: Phrase) -> tuple[int, ...]:
    """Return the target of a case's phrase as indices into ``case.boxes``: from its record, else by the rule."""
    if case.targets is None:
        return match_boxes(phrase, case.boxes, case.image)
    # Two sentences of a record may be equal because the words in which they differ are masked.
    places = [place for place, each in enumerate(case.phrases) if each is phrase] or [case.phrases.index(phrase)]
    return case.targets[places[0]]


def target_boxes(case: Case, phrase: Phrase) -> tuple[Box, ...]:
    """Return the boxes that a case's phrase is scored against."""
    return tuple(case.boxes[place] for place in target_indices(case, phrase))


def match_boxes(phrase: Phrase, boxes: Sequence[Box], image: Radiograph) -> tuple[int, ...]:
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
    named = named or [place for place in everywhere if _is_related(boxes[place].label, phrase.finding)]
    targets = [place for place in named if _states_sentence(boxes[place].phrase, phrase.text)] or named
    if phrase.side in {Side.LEFT, Side.RIGHT}:
        targets = [place for place in targets if side_of_box(boxes[place], image) == phrase.side] or targets
    return tuple(targets)


def side_of_box(box: Box, image: Radiograph) -> Side:
    """Return the patient's side of a box's centre: right is on the left of the image unless the image is flipped."""
    on_image_left = box.x + box.width / 2 < image.columns / 2
    return Side.RIGHT if on_image_left is not image.horizontally_flipped else Side.LEFT


def _is_related(label: str, finding: str | None) -> bool:
    """Return True if one is the broader name of the other."""
    return finding is not None and (BROADER.get(label) == finding or BROADER.get(finding) == label)


def _states_sentence(wording: str | None, text: str) -> bool:
    """Return True if the annotator's wording is the phrase or a part of it; annotators often omit outer words."""
    if wording is None:
        return False
    wording, text = (f" {_NOT_LETTERS.sub(' ', words).strip().casefold()} " for words in (wording, text))
    return bool(wording.strip()) and (wording in text or text in wording)
