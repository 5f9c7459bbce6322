"""Writes the boxes that reviewers drew as a file for ``m2ib-audit score --boxes``."""

import csv
import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audit.review.ledger import LEDGER_NAME, Ledger
from audit.review.studies import Heat, ReviewedStudies
from pipelines.errors import DamagedError, OutputError
from pipelines.quoting import defused
from reports.record import ScoredBox, ScoredImage
from reports.review_record import ReviewBox, ReviewEntry
from reports.targets import own_boxes
from reports.writing import write_text_atomically

__all__ = ["DrawnBoxes", "write_boxes"]

_FIELDS: Final = ("image", "label", "x", "y", "width", "height", "reader", "phrase")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnBoxes:
    """The numbers of boxes that were written."""

    drawn: int  # boxes of reviewers
    kept: int  # boxes of the run
    unnamed: int  # boxes for phrases without a known finding, which cannot be used for scoring
    damaged: tuple[str, ...] = ()  # a message for each study that is excluded because it cannot be read


def write_boxes(out: Path, path: Path, *, reviewer: str | None = None, with_run_boxes: bool = False) -> DrawnBoxes:
    """Write the latest boxes of all reviewers, or of one.

    Images are identified by their keys in the record, which ``score`` accepts.

    Args:
        out: the folder that was reviewed.
        path: path of the CSV.
        reviewer: write only this reviewer's boxes.
        with_run_boxes: also write the run's own boxes, except the targets of phrases for which a reviewer drew one.
            Other shapes than rectangles are replaced by their bounding rectangle.

    Raises:
        OutputError: OUT holds no verdicts, no reviewer drew a box, or the file cannot be written.
    """
    studies = ReviewedStudies(out)
    with closing(Ledger(out / LEDGER_NAME, make=False)) as ledger:
        entries = ledger.latest(reviewer=reviewer)
    drawn = [(entry, heat) for entry, heat in studies.known(entries) if entry.boxes]
    named = [(entry, heat) for entry, heat in drawn if heat.phrase.finding is not None]
    if not named:
        whose = "nobody" if reviewer is None else reviewer
        raise OutputError(
            f"{out / LEDGER_NAME}: {whose} drew a box for a phrase with a known finding: draw one, then go on"
        )
    own = [_drawn_row(entry, heat, box) for entry, heat in named for box in entry.boxes]
    redrawn = {(heat.image.key, heat.phrase.heat) for _, heat in named}
    kept = list(_run_rows(studies, redrawn)) if with_run_boxes else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_FIELDS)
    writer.writerows([*own, *kept])
    write_text_atomically(path, text.getvalue())
    return DrawnBoxes(
        drawn=len(own),
        kept=len(kept),
        unnamed=sum(len(entry.boxes) for entry, _ in drawn) - len(own),
        damaged=tuple(studies.damaged.values()),
    )


def _drawn_row(entry: ReviewEntry, heat: Heat, box: ReviewBox) -> list[str]:
    return _row(heat.image, heat.phrase.finding or "", box, reader=entry.reviewer, phrase=heat.phrase.text)


def _run_rows(studies: ReviewedStudies, redrawn: set[tuple[str, str]]) -> Iterator[list[str]]:
    """Yield the run's own boxes, except targets of phrases (by image and heat map) for which a reviewer drew one."""
    for key in studies.keys:
        try:
            record = studies.record(key)
        except DamagedError:  # reported in ``damaged``
            continue
        for image in record.images:
            own = own_boxes(image)
            replaced = {
                box
                for phrase, target in zip(image.phrases, own.targets, strict=True)
                if (image.key, phrase.heat) in redrawn
                for box in target
            }
            for box in own.boxes:
                if box.id not in replaced:
                    yield _row(image, box.label, box, reader=box.reader, phrase=box.phrase)


def _row(
    image: ScoredImage, label: str, box: ReviewBox | ScoredBox, *, reader: str | None, phrase: str | None
) -> list[str]:
    sides = (f"{side:.10g}" for side in (box.x, box.y, box.width, box.height))
    return [image.key, defused(label), *sides, defused(reader or ""), defused(phrase or "")]
