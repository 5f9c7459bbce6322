"""Every localisation score of one heat map, and of the content-blind references on the same case.

One score needs the cohort: the IoU at the threshold that is best for the other patients. Its entry contains the IoU at
a ladder of thresholds instead of a value, so that a run need not store its heat; :mod:`audit.metrics.summary` fills in
the value.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from audit.metrics.blind import BlindCase, BlindMaps, blind_point, centre_map, near_boxes, rasterise
from audit.metrics.overlap import (
    average_precision,
    contrast_to_noise,
    energy_in_box,
    iou_at_levels,
    iou_at_otsu,
    mean_of_levels,
    relevance_rank,
)
from audit.metrics.pointing import (
    Outcome,
    Target,
    Tolerance,
    find_peak,
    is_measurable,
    outcome_at,
    sampled,
)
from pipelines.study import Box
from reports.record import Score
from reports.score_catalogue import (
    BLIND_METHODS,
    COHORT_IOU,
    CONTRAST,
    ENERGY,
    MEAN_IOU,
    OTSU_IOU,
    PRECISION,
    RANK,
    SCORES,
    names_of,
)

__all__ = [
    "MEASURES",
    "NO_SPACING",
    "Measure",
    "box_mask",
    "score_blind",
    "score_heat",
    "score_on_grid",
    "tolerances",
    "unscored",
]

NO_SPACING = "the header does not say how large a pixel is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How a score of a map against a target is computed; both functions return None if it cannot be measured."""

    of_map: Callable[[Float[np.ndarray, "height width"], Target], float | None]
    of_noise: Callable[[Target], float] | None = None  # expected of a map of noise; None: such a map has no score


def _share(target: Target) -> float:
    return float(target.mean())


def _zero(_: Target) -> float:
    return 0.0


MEASURES: dict[str, Measure] = {
    ENERGY: Measure(of_map=energy_in_box, of_noise=_share),
    RANK: Measure(of_map=relevance_rank, of_noise=_share),
    PRECISION: Measure(of_map=average_precision, of_noise=_share),
    OTSU_IOU: Measure(of_map=iou_at_otsu),
    CONTRAST: Measure(of_map=contrast_to_noise, of_noise=_zero),
}
"""Localisation scores but the pointing games, and the two that share the IoU at a ladder of thresholds."""


def box_mask(boxes: Iterable[Box], *, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
    """Mark the pixels whose centre lies in one of ``boxes``, or in its shape (edge-based source coordinates)."""
    mask = np.zeros((rows, columns), dtype=bool)
    for box in boxes:
        if box.shape is not None:
            mask |= box.shape.mask(rows, columns)
            continue
        top, bottom = (int(np.ceil(edge - 0.5)) for edge in (box.y, box.y + box.height))
        left, right = (int(np.ceil(edge - 0.5)) for edge in (box.x, box.x + box.width))
        mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    return mask


def unscored(method: str, reason: str) -> tuple[Score, ...]:
    """Every localisation score of a method, none of them measured."""
    return tuple(_unscored(method, name, reason) for name in names_of("localisation"))


def tolerances(*, model_px: tuple[float, float], spacing_mm: tuple[float, float] | None) -> dict[str, Tolerance | None]:
    """Return each pointing game's tolerance; one in mm is None if the header does not state the pixel size.

    Args:
        model_px: height and width of a pixel of the model's input, in source pixels.
        spacing_mm: height and width of a source pixel, if the header states it.
    """
    found: dict[str, Tolerance | None] = {}
    for name, spec in SCORES.items():
        if spec.within_px is not None:
            found[name] = Tolerance.at_model(spec.within_px, model_px)
        elif spec.within_mm is not None:
            found[name] = spacing_mm and Tolerance(reach=spec.within_mm, pixel=spacing_mm)
    return found


def score_heat(
    heat: Float[np.ndarray, "rows columns"],
    target: Bool[np.ndarray, "rows columns"],
    *,
    method: str,
    model_px: tuple[float, float],
    spacing_mm: tuple[float, float] | None = None,
) -> tuple[Score, ...]:
    """Score one heat on source pixels against one target.

    The pointing game looks at every pixel; what needs all of them is measured on :func:`audit.metrics.pointing.sampled`
    cells.

    Args:
        heat: NaN where the model did not see the image, and where the image shows no body (collimator, padding).
        target: union of the boxes.
        method: the name under which the scores are listed.
        model_px: height and width of a pixel of the model's input, in source pixels; the tolerance of 15 px is that
            of the model's input.
        spacing_mm: height and width of a source pixel, where the header says what it is.
    """
    if not target.any():
        return unscored(method, "no box was drawn for this finding")
    if not is_measurable(heat, target):
        return unscored(method, "the box lies outside what the model sees")
    point = find_peak(heat)
    scores = []
    for name, tolerance in tolerances(model_px=model_px, spacing_mm=spacing_mm).items():
        if tolerance is None:
            scores.append(_unscored(method, name, NO_SPACING))
        else:
            reason = "the map has no single peak" if point is None else None
            scores.append(_pointing(method, name, outcome_at(point, target, tolerance), reason))
    return (*scores, *_map_scores(method, *sampled(heat, target)))


def score_blind(
    maps: BlindMaps,
    case: BlindCase,
    *,
    image_shape: tuple[int, int],
    model_px: tuple[float, float],
    spacing_mm: tuple[float, float] | None = None,
) -> tuple[Score, ...]:
    """Score the content-blind references on one case, on their own grid; distances are those of the source.

    Args:
        maps: mean boxes of the cohort.
        case: the case to score; its patient's boxes are excluded from the maps.
        image_shape: rows and columns of the source.
        model_px: height and width of a pixel of the model's input, in source pixels.
        spacing_mm: height and width of a source pixel, if the header states it.
    """
    prepared = _prepare(case, image_shape, tolerances(model_px=model_px, spacing_mm=spacing_mm))
    if isinstance(prepared, str):
        return tuple(score for method in BLIND_METHODS for score in unscored(method, prepared))
    target, near = prepared
    scores = list(_random_scores(target, near))
    references = {
        "centre": centre_map(),
        "class-mean box": maps.class_mean_box(case),
        "words-only prior": maps.words_only_prior(case),
    }
    for method, reference in references.items():
        if reference is None:
            scores.extend(unscored(method, "no other patient of the cohort has a box for this finding"))
        else:
            scores.extend(_grid_scores(method, reference, target, near))
    return tuple(scores)


def score_on_grid(
    reference: Float[np.ndarray, "128 128"] | None,
    case: BlindCase,
    *,
    method: str,
    image_shape: tuple[int, int],
    model_px: tuple[float, float],
    spacing_mm: tuple[float, float] | None = None,
) -> tuple[Score, ...]:
    """Score one map over the image in the same way as the content-blind references.

    Args:
        reference: 128 x 128 cells over the image; None if no other patient's image has heat.
        case: the case that is scored.
        method: the name under which the scores are listed.
        image_shape: rows and columns of the source.
        model_px: height and width of a pixel of the model's input, in source pixels.
        spacing_mm: height and width of a source pixel, where the header says what it is.
    """
    if reference is None:
        return unscored(method, "no other patient of the cohort has heat")
    prepared = _prepare(case, image_shape, tolerances(model_px=model_px, spacing_mm=spacing_mm))
    return unscored(method, prepared) if isinstance(prepared, str) else (*_grid_scores(method, reference, *prepared),)


_Near = Mapping[str, Bool[np.ndarray, "128 128"] | None]


def _prepare(
    case: BlindCase, image_shape: tuple[int, int], reaches: Mapping[str, Tolerance | None]
) -> tuple[Bool[np.ndarray, "128 128"], _Near] | str:
    """Return the target's cells and, for each pointing game, those that hit; or the reason why there are none."""
    if not case.boxes:
        return "no box was drawn for this finding"
    target = rasterise(case.boxes)
    if not target.any():
        return "the box lies outside the image"
    near = {
        name: None if tolerance is None else _near(case, image_shape, tolerance) for name, tolerance in reaches.items()
    }
    return target, near


def _grid_scores(
    method: str, reference: Float[np.ndarray, "128 128"], target: Bool[np.ndarray, "128 128"], near: _Near
) -> Iterator[Score]:
    yield from _blind_pointing(method, reference, near)
    yield from _map_scores(method, reference, target)


def _near(case: BlindCase, image_shape: tuple[int, int], tolerance: Tolerance) -> Bool[np.ndarray, "128 128"]:
    height, width = (side * pixel for side, pixel in zip(image_shape, tolerance.pixel, strict=True))
    return near_boxes(case.boxes, (height, width), tolerance=tolerance.reach)


def _pointing(method: str, name: str, outcome: Outcome, reason: str | None = None) -> Score:
    value = float(outcome is Outcome.HIT)
    return Score(method=method, score=name, value=value, outcome=outcome.value, reason=reason)


def _unscored(method: str, name: str, reason: str) -> Score:
    return Score(method=method, score=name, value=None, outcome="unscored", reason=reason)


def _map_names() -> Iterator[str]:
    return (name for name in names_of("localisation") if not SCORES[name].is_pointing)


def _map_scores(method: str, heat: Float[np.ndarray, "height width"], target: Target) -> Iterator[Score]:
    """Every score but the pointing games, of a map and a target on one grid."""
    levels = iou_at_levels(heat, target)
    for name in _map_names():
        if name == COHORT_IOU and levels is not None:
            reason = "its threshold is chosen over the whole cohort: scores.csv has the value"
            rounded = tuple(round(iou, 4) for iou in levels)
            yield Score(method=method, score=name, value=None, outcome="unscored", reason=reason, levels=rounded)
            continue
        if name in {COHORT_IOU, MEAN_IOU}:
            value = None if levels is None else mean_of_levels(levels)
        else:
            value = MEASURES[name].of_map(heat, target)
        if value is None:
            contrast = "the box leaves nothing outside, or both parts of the map are constant"
            unseen = "too little of the box lies in what the model sees"
            yield _unscored(method, name, contrast if name == CONTRAST and levels is not None else unseen)
        else:
            yield Score(method=method, score=name, value=value, outcome="scored")


def _random_scores(target: Bool[np.ndarray, "128 128"], near: Mapping[str, np.ndarray | None]) -> Iterator[Score]:
    """Return the expected scores of a uniformly random point and of a noise map."""
    for name, cells in near.items():
        if cells is None:
            yield _unscored("random", name, NO_SPACING)
        else:
            yield Score(method="random", score=name, value=float(cells.mean()), outcome="scored")
    for name in _map_names():
        of_noise = MEASURES[name].of_noise if name in MEASURES else None
        if of_noise is None:
            yield _unscored("random", name, "a random point has no region")
        else:
            yield Score(method="random", score=name, value=of_noise(target), outcome="scored")


def _blind_pointing(
    method: str, blind: Float[np.ndarray, "128 128"], near: Mapping[str, np.ndarray | None]
) -> Iterator[Score]:
    """Score the pointing game of a reference, whose point lies on the grid of the boxes."""
    row, column = blind_point(blind)
    cell = int(row * blind.shape[0]), int(column * blind.shape[1])
    for name, cells in near.items():
        if cells is None:
            yield _unscored(method, name, NO_SPACING)
        else:
            yield _pointing(method, name, outcome_at(cell, cells))
