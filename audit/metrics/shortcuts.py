"""Scores of heat in irrelevant areas, and on the side and zone that the phrase names.

These scores need no box. A share refers to the positive heat over all that the model saw, including collimators and
padding, because a mask would hide the shortcut. Each is compared with the same share of plain area: the score of
uniform heat.
"""

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt

from audit.metrics.pointing import Tolerance, find_peak
from pipelines.regions import Lungs, Regions
from pipelines.study import Orientation, Phrase, Side, unexpected
from reports.record import Score
from reports.score_catalogue import (
    AREA_SHARE,
    COLLIMATION_HEAT,
    MARKER_HEAT,
    MARKER_POINT,
    OUTSIDE_HEAT,
    SCORES,
    SIDE_HEAT,
    SIDE_POINT,
    ZONE_POINT,
)

__all__ = ["ShortcutScorer"]

_ZONE_MARGIN = 0.1
"""Of the lungs' height. A point this near to the named zone counts as in it: a finding reaches over the border of the
zone that its report names, and the border is found with an error. ``benchmarks.bench_zones`` measures both."""

_NO_LUNGS = "the lungs were not found on the image"
_REACH_PX = 15.0  # px of the model's input: about a patch, which heat cannot be finer than

Grid = Float[np.ndarray, "grid_rows grid_columns"]
Mask = Bool[np.ndarray, "grid_rows grid_columns"]


class ShortcutScorer:
    """Scores any heat on one image."""

    def __init__(self, regions: Regions, *, model_px: tuple[float, float], flipped: bool) -> None:
        """Create a scorer for one image.

        Args:
            regions: of the image.
            model_px: height and width of a pixel of the model's input, in source pixels.
            flipped: the patient's right lies at the image's right.
        """
        self._regions = regions
        self._near = Tolerance.at_model(_REACH_PX, model_px)
        self._flipped = flipped
        self._lies = unexpected(regions.orientation, flipped=flipped)

    def score(self, heat: Float[np.ndarray, "rows columns"], phrase: Phrase, *, method: str) -> tuple[Score, ...]:
        """Score one heat; what cannot be measured says why.

        Args:
            heat: on source pixels, NaN only where the model did not see the image.
            phrase: whose side and zone count.
            method: the name under which the scores are listed.
        """
        cells = self._regions.on_grid(heat)
        point = find_peak(cells)
        return tuple(_score(method, name, cells, point, found) for name, found in self._targets(phrase))

    def area_shares(self, visible: Bool[np.ndarray, "rows columns"], phrase: Phrase) -> tuple[Score, ...]:
        """Return the plain-area reference of each score that can be measured, over the pixels that the model sees."""
        seen = self._regions.on_grid(visible)
        return tuple(
            Score(method=AREA_SHARE, score=name, value=float(found[seen].mean()), outcome="scored")
            for name, found in self._targets(phrase)
            if not isinstance(found, str) and seen.any()
        )

    def _targets(self, phrase: Phrase) -> Iterator[tuple[str, Mask | str]]:
        """Return for each score its target cells, or why there are none."""
        regions = self._regions
        no_marker = "no marker was found on the image"
        yield MARKER_POINT, self._near_marker if regions.markers.any() else no_marker
        yield MARKER_HEAT, regions.markers if regions.markers.any() else no_marker
        yield OUTSIDE_HEAT, self._outside
        yield COLLIMATION_HEAT, "nothing of the image is collimated" if regions.valid.all() else ~regions.valid
        side = self._side(phrase)
        yield SIDE_POINT, side
        yield SIDE_HEAT, side
        yield ZONE_POINT, self._zone(phrase)

    @cached_property
    def _near_marker(self) -> Mask:
        cell = tuple(side * unit for side, unit in zip(self._regions.pixel, self._near.pixel, strict=True))
        near: Mask = distance_transform_edt(~self._regions.markers, sampling=cell) <= self._near.reach
        return near

    @property
    def _outside(self) -> Mask | str:
        if self._lies is not None and self._lies.quarter_turns:
            return _appears(self._lies)
        chest = self._regions.chest
        return _NO_LUNGS if chest is None else ~chest

    def _side(self, phrase: Phrase) -> Mask | str:
        if phrase.side not in {Side.LEFT, Side.RIGHT}:
            return "the phrase names no side" if phrase.side is None else "the phrase names both sides"
        if self._lies is not None:
            return _appears(self._lies)
        at_left = (phrase.side is Side.RIGHT) != self._flipped
        return self._of_lungs(lambda lungs: lungs.half(at_left=at_left))

    def _zone(self, phrase: Phrase) -> Mask | str:
        zone = phrase.zone
        if zone is None:
            return "the phrase names no zone"
        if self._lies is not None and self._lies.quarter_turns:
            return _appears(self._lies)
        return self._of_lungs(lambda lungs: lungs.zone(zone, margin=_ZONE_MARGIN))

    def _of_lungs(self, mask: Callable[[Lungs], Mask]) -> Mask | str:
        lungs = self._regions.lungs
        return _NO_LUNGS if lungs is None else mask(lungs)


def _appears(orientation: Orientation) -> str:
    """Return why a score is missing that an image in this orientation would get wrong."""
    if orientation is Orientation.UPRIGHT:
        return "the header says that the image is flipped, but it appears not to be"
    return f"the image appears to be {orientation}"


def _score(method: str, name: str, cells: Grid, point: tuple[int, int] | None, found: Mask | str) -> Score:
    if isinstance(found, str):
        return Score(method=method, score=name, value=None, outcome="unscored", reason=found)
    if SCORES[name].unit != "hit":
        return Score(method=method, score=name, value=_share(cells, found), outcome="scored")
    if point is None:
        reason = "the map has no single peak"
        return Score(method=method, score=name, value=None, outcome="unscored", reason=reason)
    return Score(method=method, score=name, value=float(found[point]), outcome="scored")


def _share(cells: Grid, mask: Mask) -> float:
    """Share of the positive heat in a mask; 0 if there is no positive heat."""
    positive = np.where(np.isfinite(cells), np.maximum(cells, 0.0), 0.0).astype(np.float64)
    total = positive.sum()
    return float(positive[mask].sum() / total) if total > 0 else 0.0
