"""Finds the lungs on a frontal radiograph, and derives the chest, its midline and its zones.

A network marks the two lungs. A pair that no two lungs look like is refused, and so is one that it is unsure of on an
image that does not stand like a chest: none is guessed.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import binary_dilation, binary_fill_holes, label
from skimage.morphology import convex_hull_image

from pipelines.study import Zone

__all__ = ["Lungs", "chest_mask", "find_lungs", "part_within"]

Mask = Bool[np.ndarray, "rows columns"]

_RIM = 0.04  # share of the width: chest wall around the lungs
_SURE, _UNSURE = 0.75, 0.25  # probabilities: a border between them that is wide is a guess
_LEAST_CONFIDENCE = 0.3  # of radiographs nearly all reach it, and so do half of the images that are no chest
_SURE_OF_CHEST = 0.8  # of images that are no chest few reach it; below it the image has to stand like a chest
_LEAST_AREA = 0.02  # of one lung, share of the image
_LEAST_SOLIDITY = 0.75  # share of its convex hull
_ALIKE = 5.0  # maximum ratio of the two areas
_LEVEL = 0.5  # minimum overlap in rows, share of the shorter one's height


@dataclass(frozen=True, slots=True, kw_only=True)
class Lungs:
    """The two lung fields on the image."""

    at_left: Mask  # field on the left of the image: the patient's right lung unless the image is flipped
    at_right: Mask
    confidence: float = 1.0  # in [0, 1], of the less sure of the two

    @property
    def midline(self) -> float:
        """Column midway between the fields' inner borders, edge-based."""
        borders = _inner_edge(self.at_left, at_right=True), _inner_edge(self.at_right, at_right=False)
        return float(np.mean([np.median(border) for border in borders]))

    def half(self, *, at_left: bool) -> Mask:
        """Return the mask of one half of the image, left or right of the midline."""
        columns = np.arange(self.at_left.shape[1]) + 0.5
        lies_left = columns < self.midline
        return np.broadcast_to(lies_left if at_left else ~lies_left, self.at_left.shape)

    def zone(self, zone: Zone, *, margin: float = 0.0) -> Mask:
        """Return the mask of a zone's rows: a third of the height from the apex to the diaphragm's dome.

        The recess next to the dome belongs to the lower zone but does not count for the height: with it, the lower
        third would start a tenth of the lung too low. Rows above or below the lungs belong to the nearest zone. Both
        lungs share their zones: the apex is the higher of the two, the dome the lower of the two, because an effusion
        or consolidation hides one dome more often than both.

        Args:
            zone: the zone to mark.
            margin: extension into the neighbouring zones, as a share of that height.
        """
        top = min(_apex(lung) for lung in (self.at_left, self.at_right))
        dome = max(_dome(lung) for lung in (self.at_left, self.at_right))
        down = (np.arange(self.at_left.shape[0]) + 0.5 - top) / (dome - top)
        place, last = list(Zone).index(zone), len(Zone) - 1
        above = down >= place / 3 - margin if place > 0 else np.full(down.shape, fill_value=True)
        below = down < (place + 1) / 3 + margin if place < last else np.full(down.shape, fill_value=True)
        return np.broadcast_to((above & below)[:, None], self.at_left.shape)


def _apex(lung: Mask) -> float:
    """Edge of the uppermost row."""
    return float(lung.any(1).argmax())


def _dome(lung: Mask) -> float:
    """Edge of the lower border, at the median of the columns."""
    columns = lung[:, lung.any(0)]
    return float(np.median(lung.shape[0] - columns[::-1].argmax(0)))


def _inner_edge(lung: Mask, *, at_right: bool) -> Float[np.ndarray, " lung_rows"]:
    """Edge of the border towards the other lung, row by row."""
    rows = lung[lung.any(1)]
    edge: Float[np.ndarray, " lung_rows"] = (
        rows.shape[1] - rows[:, ::-1].argmax(1) if at_right else rows.argmax(1)
    ).astype(np.float64)
    return edge


def find_lungs(picture: UInt8[np.ndarray, "rows columns"], valid: Mask) -> Lungs | None:
    """Find both lung fields, with the part of each that heart or disease hides; None if they cannot be told.

    Args:
        picture: display values, white is dense.
        valid: False behind collimators and in padding.
    """
    from pipelines.regions.lung_network import lung_probabilities  # noqa: PLC0415 - pages are rendered without torch
    from pipelines.regions.orientation_network import stands_like_a_chest  # noqa: PLC0415 - for the same reason

    if not valid.any():
        return None
    part = part_within(valid)
    seen = valid[part]
    answers = lung_probabilities(picture[part])
    fields = [_field(answers[:, place], seen) for place in range(2)]
    masks = [mask for mask, _ in fields]
    if not _are_plausible(masks):
        return None
    confidence = min(confidence for _, confidence in fields)
    if confidence < _LEAST_CONFIDENCE:
        return None
    if confidence < _SURE_OF_CHEST and not stands_like_a_chest(picture[part]):
        return None
    left, right = (np.zeros(valid.shape, dtype=bool) for _ in masks)
    left[part], right[part] = masks
    return Lungs(at_left=left, at_right=right, confidence=confidence)


def part_within(mask: Mask) -> tuple[slice, slice]:
    """Return the rows and columns that hold every True of a mask, which has one."""
    return _span(np.asarray(mask.any(1))), _span(np.asarray(mask.any(0)))


def _span(line: Bool[np.ndarray, " cells"]) -> slice:
    """Return the range from the first True to the last."""
    places = np.flatnonzero(line)
    return slice(int(places[0]), int(places[-1]) + 1)


def _field(answers: Float[np.ndarray, "2 rows columns"], seen: Mask) -> tuple[Mask, float]:
    """Return the largest connected field of a lung, without holes, and the confidence in it.

    The confidence is what surely is lung as a share of what may be lung, times the Dice coefficient of both answers.
    """
    probability = answers.mean(axis=0)
    pieces, count = label((probability > 0.5) & seen)
    if count == 0:
        return np.zeros(seen.shape, dtype=bool), 0.0
    largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    mask: Mask = np.asarray(binary_fill_holes(pieces == largest)) & seen
    one, other = answers > 0.5
    agreement = 2.0 * (one & other).sum() / (one.sum() + other.sum())
    return mask, float(agreement * (probability > _SURE).sum() / (probability > _UNSURE).sum())


def _are_plausible(masks: list[Mask]) -> bool:
    """Return True for two fields of similar size, side by side at the same level, that are nearly convex."""
    areas = [int(mask.sum()) for mask in masks]
    if min(areas) < _LEAST_AREA * masks[0].size or max(areas) > _ALIKE * min(areas):
        return False
    spans = [part_within(mask) for mask in masks]
    (left_rows, left_columns), (right_rows, right_columns) = spans
    shared = min(left_rows.stop, right_rows.stop) - max(left_rows.start, right_rows.start)
    shorter = min(rows.stop - rows.start for rows, _ in spans)
    in_order = left_columns.start < right_columns.start and left_columns.stop < right_columns.stop
    hulls = [int(convex_hull_image(mask).sum()) for mask in masks]  # type: ignore[no-untyped-call]
    solid = all(area >= _LEAST_SOLIDITY * hull for area, hull in zip(areas, hulls, strict=True))
    return in_order and shared >= _LEVEL * shorter and solid


def chest_mask(lungs: Lungs) -> Mask:
    """Return everything between and around the lungs: their convex hull with the chest wall."""
    hull = convex_hull_image(lungs.at_left | lungs.at_right)  # type: ignore[no-untyped-call]
    rim = max(1, round(_RIM * hull.shape[1]))
    grown: Mask = binary_dilation(hull, iterations=rim)
    return grown
