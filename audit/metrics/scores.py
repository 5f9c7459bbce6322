"""Every localisation score of one heat, beside the content-blind references on the same case.

One score waits for the cohort: the IoU at the threshold that is best for the other patients. Its entry carries the IoU
at a ladder of thresholds instead of a value, so that a run need not keep its heats; :mod:`audit.metrics.summary` fills
the value in.
"""

from collections.abc import Iterable, Iterator, Mapping
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
from audit.metrics.pointing import Target, distance_to, hottest_point, is_measurable, sampled
from pipelines.study import Box
from reports.record import Score

__all__ = [
    "BLIND_METHODS",
    "COHORT_IOU",
    "IOUS",
    "NO_SPACING",
    "POINTING",
    "SCORES",
    "Tolerance",
    "box_mask",
    "score_blind",
    "score_heat",
    "tolerances",
    "unscored",
]

_TAU_PX = {"pointing game, tau 0": 0.0, "pointing game, tau 15": 15.0}  # px of the model's input
_TAU_MM = {"pointing game, 10 mm": 10.0}  # at the detector, or as calibrated: what the header's spacing means
POINTING = (*_TAU_PX, *_TAU_MM)
ENERGY, RANK, PRECISION, CONTRAST = "energy in box", "relevance rank", "average precision", "CNR"
OTSU_IOU, COHORT_IOU, MEAN_IOU = "IoU at Otsu", "IoU at cohort threshold", "mIoU"
IOUS = (OTSU_IOU, COHORT_IOU, MEAN_IOU)
SCORES = (*POINTING, ENERGY, RANK, PRECISION, *IOUS, CONTRAST)
BLIND_METHODS = ("random", "centre", "class-mean box", "words-only prior")
NO_SPACING = "the header does not say how large a pixel is"


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
    """Every score of a method, none of them measured."""
    return tuple(Score(method=method, score=name, value=None, outcome="unscored", reason=reason) for name in SCORES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far from the target a point may lie and still hit."""

    reach: float
    pixel: tuple[float, float]  # height and width of a source pixel, in the unit of ``reach``

    @classmethod
    def at_model(cls, tau_px: float, model_px: tuple[float, float]) -> "Tolerance":
        """Give a tolerance in pixels of the model's input, whose height and width in source pixels are ``model_px``.

        On the source it is a circle where these are equal, an ellipse where the image was stretched. The unit is the
        height of a source pixel: distances on square model pixels then hold no rounding error, and a point at exactly
        ``tau_px`` is a hit.
        """
        height, width = model_px
        return cls(reach=tau_px * height, pixel=(1.0, height / width))


def tolerances(*, model_px: tuple[float, float], spacing_mm: tuple[float, float] | None) -> dict[str, Tolerance | None]:
    """Give each pointing score's tolerance; one in mm is None where the header does not say how large a pixel is.

    Args:
        model_px: height and width of a pixel of the model's input, in source pixels.
        spacing_mm: height and width of a source pixel, where the header says what it is.
    """
    in_px = {name: Tolerance.at_model(tau, model_px) for name, tau in _TAU_PX.items()}
    in_mm = {name: spacing_mm and Tolerance(reach=tau, pixel=spacing_mm) for name, tau in _TAU_MM.items()}
    return {**in_px, **in_mm}


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
    point = hottest_point(heat)
    scores = []
    for name, tolerance in tolerances(model_px=model_px, spacing_mm=spacing_mm).items():
        if tolerance is None:
            scores.append(_unscored(method, name, NO_SPACING))
        elif point is None:
            reason = "the map has no single hottest point"
            scores.append(Score(method=method, score=name, value=0.0, outcome="miss", reason=reason))
        else:
            distance = distance_to(target, point, spacing=tolerance.pixel)
            scores.append(_pointing(method, name, hit=distance <= tolerance.reach))
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
        case: the case that is scored; its patient's boxes take no part in the maps.
        image_shape: rows and columns of the source.
        model_px: height and width of a pixel of the model's input, in source pixels.
        spacing_mm: height and width of a source pixel, where the header says what it is.
    """
    if not case.boxes:
        return tuple(s for method in BLIND_METHODS for s in unscored(method, "no box was drawn for this finding"))
    target = rasterise(case.boxes)
    if not target.any():
        return tuple(s for method in BLIND_METHODS for s in unscored(method, "the box lies outside the image"))
    near = {
        name: None if tolerance is None else _near(case, image_shape, tolerance)
        for name, tolerance in tolerances(model_px=model_px, spacing_mm=spacing_mm).items()
    }
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
            scores.extend(_blind_pointing(method, reference, near))
            scores.extend(_map_scores(method, reference, target))
    return tuple(scores)


def _near(case: BlindCase, image_shape: tuple[int, int], tolerance: Tolerance) -> Bool[np.ndarray, "128 128"]:
    height, width = (side * pixel for side, pixel in zip(image_shape, tolerance.pixel, strict=True))
    return near_boxes(case.boxes, (height, width), tolerance=tolerance.reach)


def _pointing(method: str, name: str, *, hit: bool) -> Score:
    return Score(method=method, score=name, value=float(hit), outcome="hit" if hit else "miss")


def _unscored(method: str, name: str, reason: str) -> Score:
    return Score(method=method, score=name, value=None, outcome="unscored", reason=reason)


def _map_scores(method: str, heat: Float[np.ndarray, "height width"], target: Target) -> Iterator[Score]:
    """Every score but the pointing games, of a map and a target on one grid."""
    levels = iou_at_levels(heat, target)
    measured = {
        ENERGY: energy_in_box(heat, target),
        RANK: relevance_rank(heat, target),
        PRECISION: average_precision(heat, target),
        OTSU_IOU: iou_at_otsu(heat, target),
        COHORT_IOU: None,
        MEAN_IOU: None if levels is None else mean_of_levels(levels),
        CONTRAST: contrast_to_noise(heat, target),
    }
    for name, value in measured.items():
        if name == COHORT_IOU and levels is not None:
            reason = "its threshold is chosen over the whole cohort: scores.csv has the value"
            rounded = tuple(round(iou, 4) for iou in levels)
            yield Score(method=method, score=name, value=None, outcome="unscored", reason=reason, levels=rounded)
        elif value is None:
            contrast = "the box leaves nothing outside, or both parts of the map are constant"
            unseen = "too little of the box lies in what the model sees"
            yield _unscored(method, name, contrast if name == CONTRAST and levels is not None else unseen)
        else:
            yield Score(method=method, score=name, value=value, outcome="scored")


def _random_scores(target: Bool[np.ndarray, "128 128"], near: Mapping[str, np.ndarray | None]) -> Iterator[Score]:
    """What a uniformly random point, and a map of noise, get on average."""
    for name, cells in near.items():
        if cells is None:
            yield _unscored("random", name, NO_SPACING)
        else:
            yield Score(method="random", score=name, value=float(cells.mean()), outcome="scored")
    for name in (ENERGY, RANK, PRECISION):
        yield Score(method="random", score=name, value=float(target.mean()), outcome="scored")
    for name in IOUS:
        yield _unscored("random", name, "a random point has no region")
    yield Score(method="random", score=CONTRAST, value=0.0, outcome="scored")


def _blind_pointing(
    method: str, blind: Float[np.ndarray, "128 128"], near: Mapping[str, np.ndarray | None]
) -> Iterator[Score]:
    row, column = blind_point(blind)
    cell = int(row * blind.shape[0]), int(column * blind.shape[1])
    for name, cells in near.items():
        if cells is None:
            yield _unscored(method, name, NO_SPACING)
        else:
            yield _pointing(method, name, hit=bool(cells[cell]))
