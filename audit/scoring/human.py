"""The human reference: one reader's boxes scored against another's, for the same finding on the same image.

It says what a score could be at best. A reader is harder on a reader than on the model: the model meets the union of
all readers' boxes, a reader those of one other.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from audit.scoring.scores import IOUS, NO_SPACING, POINTING, SCORES, Score, Tolerance
from pipelines.study import Box

__all__ = ["HUMAN", "ReaderPair", "centre_distance", "iou_between", "reader_pairs", "score_readers"]

HUMAN = "another reader"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderPair:
    """What one reader drew and what another did, for one finding on one image."""

    one: tuple[Box, ...]  # the reader who is scored
    other: tuple[Box, ...]  # the reader who is the target

    def scores(self, tolerances: Mapping[str, Tolerance | None]) -> dict[str, float | None]:
        """Give every score that a drawn box can have; a tolerance that is None leaves its score unmeasured.

        A box has no shades, so that its IoU is the same at every threshold; it ranks no pixels and has no contrast.
        """
        pointing = {
            name: None if reach is None else float(centre_distance(self.one, self.other, reach.pixel) <= reach.reach)
            for name, reach in tolerances.items()
        }
        return pointing | dict.fromkeys(IOUS, iou_between(self.one, self.other))


def reader_pairs(boxes: Iterable[Box]) -> Iterator[ReaderPair]:
    """Give every ordered pair of readers among boxes of one finding on one image; boxes of no named reader are none."""
    by_reader: dict[str, list[Box]] = defaultdict(list)
    for box in boxes:
        if box.reader is not None:
            by_reader[box.reader].append(box)
    for one, other in permutations(by_reader, 2):
        yield ReaderPair(one=tuple(by_reader[one]), other=tuple(by_reader[other]))


def score_readers(boxes: Iterable[Box], tolerances: Mapping[str, Tolerance | None]) -> tuple[Score, ...]:
    """Average each score over the ordered pairs of readers; none at all where fewer than two readers drew."""
    pairs = [pair.scores(tolerances) for pair in reader_pairs(boxes)]
    return tuple(_mean_score(name, [pair.get(name) for pair in pairs]) for name in SCORES) if pairs else ()


def _mean_score(name: str, values: Sequence[float | None]) -> Score:
    measured = [value for value in values if value is not None]
    if measured:
        return Score(method=HUMAN, score=name, value=sum(measured) / len(measured), outcome="scored")
    reason = NO_SPACING if name in POINTING else "a drawn box has no shades of heat"
    return Score(method=HUMAN, score=name, value=None, outcome="unscored", reason=reason)


def centre_distance(one: Sequence[Box], other: Sequence[Box], pixel: tuple[float, float] = (1.0, 1.0)) -> float:
    """Distance from the centre of the largest box of ``one`` to the nearest box of ``other``; 0 inside.

    One point a reader, as the pointing game has one a map. ``pixel`` is the height and width of a source pixel, in the
    unit that the distance comes in.
    """
    largest = max(one, key=lambda box: box.width * box.height)
    x, y = largest.x + largest.width / 2, largest.y + largest.height / 2
    return min(
        float(
            np.hypot(
                max(box.y - y, 0.0, y - box.y - box.height) * pixel[0],
                max(box.x - x, 0.0, x - box.x - box.width) * pixel[1],
            )
        )
        for box in other
    )


def iou_between(one: Sequence[Box], other: Sequence[Box]) -> float:
    """Intersection over union of the areas that two readers' boxes cover, 0 to 1; exact, on no grid."""
    edges_x = np.unique([edge for box in (*one, *other) for edge in (box.x, box.x + box.width)])
    edges_y = np.unique([edge for box in (*one, *other) for edge in (box.y, box.y + box.height)])
    area = np.diff(edges_y)[:, None] * np.diff(edges_x)[None, :]
    middle_x, middle_y = ((edges[:-1] + edges[1:]) / 2 for edges in (edges_x, edges_y))
    covered_one, covered_other = (
        np.any(
            [
                ((middle_y > box.y) & (middle_y < box.y + box.height))[:, None]
                & ((middle_x > box.x) & (middle_x < box.x + box.width))[None, :]
                for box in boxes
            ],
            axis=0,
        )
        for boxes in (one, other)
    )
    return float(area[covered_one & covered_other].sum() / area[covered_one | covered_other].sum())
