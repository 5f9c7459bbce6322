"""Detects the lungs on a frontal radiograph, and derives the chest, its midline and its zones.

A lung is dark, enclosed and nearly convex. Fields are searched at many thresholds, because air in front of the patient,
a pneumothorax or an effusion changes the threshold that separates lung from chest wall. The largest pair of adjacent
fields is used. If there is no such pair, none is guessed.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import (
    binary_dilation,
    binary_erosion,
    binary_fill_holes,
    binary_opening,
    find_objects,
    gaussian_filter,
    gaussian_gradient_magnitude,
    label,
)
from skimage.filters import threshold_multiotsu
from skimage.morphology import convex_hull_image

from pipelines.study import Zone

__all__ = ["Lungs", "chest_mask", "find_lungs"]

Mask = Bool[np.ndarray, "rows columns"]

_SMOOTH = 0.005  # share of the width
_THRESHOLDS = 20
_AREA = (0.02, 0.3)  # area of one lung field, share of the image
_TALLEST_TO_WIDEST = (0.7, 4.0)
_SHORTEST = 0.18  # minimum height, share of the image's height
_SOLIDITY = 0.7  # minimum share of its convex hull
_AT_ENDS = 0.3  # maximum share of its width on the image's upper or lower border, which may cut off the lungs
_AT_SIDES = 0.1  # maximum share of its height on the image's sides: chest wall surrounds lungs, but not outside air
_ALIKE = 3.0  # maximum ratio of the two areas
_LEVEL = 0.5  # minimum overlap, share of the shorter one's height
_SKIN = 0.012  # share of the width
_RIM = 0.04  # share of the width: chest wall around the lungs


@dataclass(frozen=True, slots=True, kw_only=True)
class Lungs:
    """The two lung fields on the image."""

    at_left: Mask  # field on the left of the image: the patient's right lung unless the image is flipped
    at_right: Mask

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


@dataclass(frozen=True, slots=True)
class _Field:
    """One dark, enclosed field: a lung, if another is next to it."""

    mask: Mask
    solidity: float
    steepness: float  # gradient of brightness along its border
    rows: slice
    columns: slice
    area: int


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
    """Find both lung fields; None if there is not exactly one on each side.

    Args:
        picture: display values, white is dense.
        valid: False behind collimators and in padding.
    """
    if not valid.any():
        return None
    rows, columns = (_span(np.asarray(valid.any(axis))) for axis in (1, 0))
    pair = _lung_pair(picture[rows, columns], valid[rows, columns])
    if pair is None:
        return None
    left, right = (np.zeros(valid.shape, dtype=bool) for _ in pair)
    left[rows, columns], right[rows, columns] = pair
    return Lungs(at_left=left, at_right=right)


def _span(line: Bool[np.ndarray, " cells"]) -> slice:
    """Return the range from the first True to the last."""
    places = np.flatnonzero(line)
    return slice(int(places[0]), int(places[-1]) + 1)


def _lung_pair(picture: UInt8[np.ndarray, "rows columns"], valid: Mask) -> tuple[Mask, Mask] | None:
    """Find the left and right fields, on an image cropped to the exposed area.

    A field that a border cuts is recognised by its share of that border, for a collimator's border as for the image's
    own. Otherwise half of a body, from neck to abdomen, would be the largest enclosed field.
    """
    smooth = gaussian_filter(picture.astype(np.float32), _SMOOTH * picture.shape[1])
    low, high = np.quantile(smooth[valid], [0.02, 0.98])
    steepness = gaussian_gradient_magnitude(smooth, 1.0) / max(float(high - low), 1.0)
    levels = np.linspace(low, high, _THRESHOLDS + 2)[1:-1]
    enclosed = valid & ~_outside(smooth, valid)
    fields = [field for level in levels for field in _fields((smooth < level) & enclosed, steepness)]
    pairs = [(first, second) for first, second in product(fields, fields) if _side_by_side(first, second)]
    if not pairs:
        return None
    left, right = max(pairs, key=lambda pair: _worth(pair[0]) * _worth(pair[1]))
    return left.mask, right.mask


def _outside(smooth: Float[np.ndarray, "rows columns"], valid: Mask) -> Mask:
    """Return the air outside the patient, which reaches the image's border or the collimator, plus a skin's width.

    At a thin chest wall, this prevents the lungs from merging with it. It is the darkest of three classes (Otsu's
    method for several thresholds: Liao, Chen and Chung 2001). If the image shows no outside air, that class is part of
    the lungs and does not reach a border.
    """
    try:
        darkest, _ = threshold_multiotsu(smooth[valid], classes=3, nbins=64)  # type: ignore[no-untyped-call]
    except ValueError:  # fewer than three grey values
        return np.zeros(valid.shape, dtype=bool)
    air = (smooth < darkest) & valid
    pieces, count = label(np.pad(air | ~valid, 1, constant_values=True))
    if count == 0:
        return np.zeros(valid.shape, dtype=bool)
    outside = (pieces == pieces[0, 0])[1:-1, 1:-1]
    grown: Mask = binary_dilation(outside & air, iterations=max(1, round(_SKIN * valid.shape[1])))
    return grown


def _fields(dark: Mask, steepness: Float[np.ndarray, "rows columns"]) -> list[_Field]:
    pieces, _ = label(binary_opening(dark, iterations=1))
    found = []
    for index, (rows, columns) in enumerate(find_objects(pieces), start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        tall = height >= _SHORTEST * dark.shape[0]
        if not (tall and _TALLEST_TO_WIDEST[0] <= height / width <= _TALLEST_TO_WIDEST[1]):
            continue
        piece = np.asarray(binary_fill_holes(pieces[rows, columns] == index))
        if not _AREA[0] <= piece.sum() / dark.size <= _AREA[1]:
            continue
        solidity = piece.sum() / convex_hull_image(piece).sum()  # type: ignore[no-untyped-call]
        mask = np.zeros(dark.shape, dtype=bool)
        mask[rows, columns] = piece
        at_ends = max(mask[0].sum(), mask[-1].sum()) / width
        at_sides = max(mask[:, 0].sum(), mask[:, -1].sum()) / height
        if solidity >= _SOLIDITY and at_ends <= _AT_ENDS and at_sides <= _AT_SIDES:
            edge = piece & ~binary_erosion(piece)
            steep = float(steepness[rows, columns][edge].mean())
            found.append(_Field(mask, float(solidity), steep, rows, columns, int(piece.sum())))
    return found


def _side_by_side(left: _Field, right: _Field) -> bool:
    """Return True for a plausible pair: the first on the left, separate, at the same level and of similar size."""
    apart = left.columns.stop <= right.columns.start + 0.02 * left.mask.shape[1]
    shared = min(left.rows.stop, right.rows.stop) - max(left.rows.start, right.rows.start)
    shorter = min(left.rows.stop - left.rows.start, right.rows.stop - right.rows.start)
    alike = max(left.area, right.area) <= _ALIKE * min(left.area, right.area)
    return apart and shared >= _LEVEL * shorter and alike


def _worth(field: _Field) -> float:
    return field.area * field.solidity**3 * field.steepness


def chest_mask(lungs: Lungs) -> Mask:
    """Return everything between and around the lungs: their convex hull with the chest wall."""
    hull = convex_hull_image(lungs.at_left | lungs.at_right)  # type: ignore[no-untyped-call]
    rim = max(1, round(_RIM * hull.shape[1]))
    grown: Mask = binary_dilation(hull, iterations=rim)
    return grown
