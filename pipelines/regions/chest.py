"""Where the lungs lie on a frontal radiograph, and from them the chest, its midline and its zones.

A lung is dark, enclosed and nearly convex. Fields are sought at many thresholds, since air in front of the patient, a
pneumothorax or an effusion moves the one that parts lung from chest wall; the pair kept is the largest that lies side
by side. Where there is no such pair, nothing is guessed.
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

_SMOOTH = 0.005  # of the width
_THRESHOLDS = 20
_AREA = (0.02, 0.3)  # of the image: of one lung field
_TALLEST_TO_WIDEST = (0.7, 4.0)
_SHORTEST = 0.18  # of the image's height
_SOLIDITY = 0.7  # of its convex hull
_AT_ENDS = 0.3  # of its width that may lie on the image's upper or lower border: lungs may be cut there
_AT_SIDES = 0.1  # of its height, on the image's sides: beside the lungs lies chest wall, outside air has none
_ALIKE = 3.0  # times the other's area
_LEVEL = 0.5  # of the shorter's height that both share
_SKIN = 0.012  # of the width
_RIM = 0.04  # of the width: chest wall around the lungs


@dataclass(frozen=True, slots=True, kw_only=True)
class Lungs:
    """The two lung fields, as they lie on the image."""

    at_left: Mask  # of the image: the patient's right lung unless the image is flipped
    at_right: Mask

    @property
    def midline(self) -> float:
        """Column half way between the fields' inner borders, edge-based."""
        borders = _inner_edge(self.at_left, at_right=True), _inner_edge(self.at_right, at_right=False)
        return float(np.mean([np.median(border) for border in borders]))

    def half(self, *, at_left: bool) -> Mask:
        """Mark one half of the image: what lies at the left, or at the right, of the midline."""
        columns = np.arange(self.at_left.shape[1]) + 0.5
        lies_left = columns < self.midline
        return np.broadcast_to(lies_left if at_left else ~lies_left, self.at_left.shape)

    def zone(self, zone: Zone, *, margin: float = 0.0) -> Mask:
        """Mark the rows of a zone: a third of the height from the apex down to the diaphragm's dome.

        The recess beside the dome belongs to the lower zone and does not count for the height: with it, the lower
        third of the found height would begin a tenth of the lung too low. Rows above or below the lungs join the
        nearest zone. Both lungs share their zones: the apex is the higher of the two, the dome the lower of the two,
        since an effusion or consolidation hides one lung's dome more often than both.

        Args:
            zone: to mark.
            margin: how far to reach into the neighbouring zones, as a share of that height.
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
    """One dark, enclosed field: a lung, if another lies beside it."""

    mask: Mask
    solidity: float
    steepness: float  # of brightness along its border
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
    """Edge of the border that faces the other lung, row by row."""
    rows = lung[lung.any(1)]
    edge: Float[np.ndarray, " lung_rows"] = (
        rows.shape[1] - rows[:, ::-1].argmax(1) if at_right else rows.argmax(1)
    ).astype(np.float64)
    return edge


def find_lungs(picture: UInt8[np.ndarray, "rows columns"], valid: Mask) -> Lungs | None:
    """Find both lung fields; None where there are not two, one on either side.

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
    """Give the range from the first True to the last."""
    places = np.flatnonzero(line)
    return slice(int(places[0]), int(places[-1]) + 1)


def _lung_pair(picture: UInt8[np.ndarray, "rows columns"], valid: Mask) -> tuple[Mask, Mask] | None:
    """Find the fields at the image's left and right, on a picture whose borders are those of what is exposed.

    A field that a border cuts is recognised by how much of that border it takes. This holds for a collimator's border
    as for the film's own; half of a body, from neck to abdomen, would else be the largest enclosed field.
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
    """Air beside the patient, which reaches the image's border or the collimator, and a skin's width more.

    Where the chest wall is thin, this keeps the lungs from running into it. The darkest of three classes (Otsu's for
    several thresholds: Liao, Chen and Chung 2001); where no air is on the image, that is part of the lungs' and
    reaches no border.
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
    """Whether two fields lie as the lungs do: the first at the image's left, apart, level and alike in size."""
    apart = left.columns.stop <= right.columns.start + 0.02 * left.mask.shape[1]
    shared = min(left.rows.stop, right.rows.stop) - max(left.rows.start, right.rows.start)
    shorter = min(left.rows.stop - left.rows.start, right.rows.stop - right.rows.start)
    alike = max(left.area, right.area) <= _ALIKE * min(left.area, right.area)
    return apart and shared >= _LEVEL * shorter and alike


def _worth(field: _Field) -> float:
    return field.area * field.solidity**3 * field.steepness


def chest_mask(lungs: Lungs) -> Mask:
    """Everything between and around the lungs: their convex hull with the chest wall."""
    hull = convex_hull_image(lungs.at_left | lungs.at_right)  # type: ignore[no-untyped-call]
    rim = max(1, round(_RIM * hull.shape[1]))
    grown: Mask = binary_dilation(hull, iterations=rim)
    return grown
