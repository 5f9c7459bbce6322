"""Every localisation score of one heat, beside the content-blind references on the same case, and their summary."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from audit.scoring.blind import BlindCase, BlindMaps, blind_point, centre_map, near_boxes, rasterise
from audit.scoring.overlap import energy_in_box, iou_at_otsu
from audit.scoring.pointing import Outcome, distance_to, hottest_point, is_measurable
from audit.scoring.sampling import is_measurable
from audit.scoring.statistics import patient_bootstrap
from pipelines.study import Box
from reports.record import ScoreSummary

__all__ = [
    "BLIND_METHODS",
    "SCORES",
    "Score",
    "box_mask",
    "score_blind",
    "score_heat",
    "score_table",
    "summarise",
    "unscored",
]

TOLERANCES = {"pointing game, tau 0": 0.0, "pointing game, tau 15": 15.0}  # px of the model's input
ENERGY, IOU = "energy in box", "IoU at Otsu"
SCORES = (*TOLERANCES, ENERGY, IOU)
BLIND_METHODS = ("random", "centre", "class-mean box", "words-only prior")

_COLUMNS = {
    "study": "str",
    "image": "str",
    "patient": "str",
    "phrase": "int64",
    "finding": "str",
    "side": "str",
    "zone": "str",
    "context": "str",
    "method": "str",
    "score": "str",
    "value": "float64",
    "outcome": "str",
    "reason": "str",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One score of one map; ``value`` is None where nothing could be measured."""

    method: str
    score: str
    value: float | None
    outcome: str  # "hit", "miss", "scored" or "unscored"
    reason: str | None = None


def box_mask(boxes: Iterable[Box], *, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
    """Mark the pixels whose centre lies in one of ``boxes`` (edge-based source coordinates)."""
    mask = np.zeros((rows, columns), dtype=bool)
    for box in boxes:
        top, bottom = (int(np.ceil(edge - 0.5)) for edge in (box.y, box.y + box.height))
        left, right = (int(np.ceil(edge - 0.5)) for edge in (box.x, box.x + box.width))
        mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    return mask


def unscored(method: str, reason: str) -> tuple[Score, ...]:
    """Every score of a method, none of them measured."""
    return tuple(Score(method=method, score=name, value=None, outcome="unscored", reason=reason) for name in SCORES)


def score_heat(
    heat: Float[np.ndarray, "rows columns"],
    target: Bool[np.ndarray, "rows columns"],
    *,
    method: str,
    model_px: float,
) -> tuple[Score, ...]:
    """Score one heat on source pixels against one target.

    Args:
        heat: NaN where the model did not see the image, and where the image shows no body (collimator, padding).
        target: union of the boxes.
        method: the name under which the scores are listed.
        model_px: source pixels per pixel of the model's input; the tolerance of 15 px is given at the latter.
    """
    if not target.any():
        return unscored(method, "no box was drawn for this finding")
    if not is_measurable(heat, target):
        return unscored(method, "the box lies outside what the model sees")
    point = hottest_point(heat)
    distance = None if point is None else distance_to(target, point)
    pointing = (_pointing(method, name, distance, tau * model_px) for name, tau in TOLERANCES.items())
    overlaps = ((ENERGY, energy_in_box(heat, target)), (IOU, iou_at_otsu(heat, target)))
    return (*pointing, *(_overlap(method, name, value) for name, value in overlaps))


def score_blind(
    maps: BlindMaps, case: BlindCase, *, image_shape: tuple[int, int], model_px: float
) -> tuple[Score, ...]:
    """Score the content-blind references on one case, on their own grid; distances are in source pixels.

    Args:
        maps: mean boxes of the cohort.
        case: the case that is scored; its patient's boxes take no part in the maps.
        image_shape: rows and columns of the source.
        model_px: source pixels per pixel of the model's input.
    """
    if not case.boxes:
        return tuple(s for method in BLIND_METHODS for s in unscored(method, "no box was drawn for this finding"))
    target = rasterise(case.boxes)
    if not target.any():
        return tuple(s for method in BLIND_METHODS for s in unscored(method, "the box lies outside the image"))
    near = {name: near_boxes(case.boxes, image_shape, tolerance_px=tau * model_px) for name, tau in TOLERANCES.items()}
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
            scores.extend(_blind_scores(method, reference, target, near))
    return tuple(scores)


def _pointing(method: str, name: str, distance: float | None, tolerance: float) -> Score:
    hit = distance is not None and distance <= tolerance
    reason = "the map has no single hottest point" if distance is None else None
    outcome = Outcome.HIT if hit else Outcome.MISS
    return Score(method=method, score=name, value=float(hit), outcome=outcome.value, reason=reason)


def _overlap(method: str, name: str, value: float | None) -> Score:
    return Score(method=method, score=name, value=value, outcome="unscored" if value is None else "scored")


def _random_scores(target: Bool[np.ndarray, "128 128"], near: Mapping[str, np.ndarray]) -> Iterator[Score]:
    """What a uniformly random point, and a flat map, get on average."""
    for name, cells in near.items():
        yield Score(method="random", score=name, value=float(cells.mean()), outcome="scored")
    yield Score(method="random", score=ENERGY, value=float(target.mean()), outcome="scored")
    reason = "a random point has no region"
    yield Score(method="random", score=IOU, value=None, outcome="unscored", reason=reason)


def _blind_scores(
    method: str,
    blind: Float[np.ndarray, "128 128"],
    target: Bool[np.ndarray, "128 128"],
    near: Mapping[str, np.ndarray],
) -> Iterator[Score]:
    row, column = blind_point(blind)
    cell = int(row * blind.shape[0]), int(column * blind.shape[1])
    for name, cells in near.items():
        hit = bool(cells[cell])
        yield Score(method=method, score=name, value=float(hit), outcome="hit" if hit else "miss")
    yield _overlap(method, ENERGY, energy_in_box(blind, target))
    yield _overlap(method, IOU, iou_at_otsu(blind, target))


def score_table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Make the long table, a row per image, phrase, method and score; ``value`` is missing where unscored."""
    return pd.DataFrame(list(rows), columns=list(_COLUMNS)).astype(_COLUMNS)


def summarise(table: pd.DataFrame, *, seed: int) -> list[ScoreSummary]:
    """Summarise each method and score over all phrases (micro and macro over findings) and for each finding.

    Intervals are 95 % bootstraps over patients. Each begins anew from ``seed``, so that their order does not matter and
    methods scored on the same patients meet the same resamples.
    """
    summaries = []
    for (method, score), rows in _on_the_same_cases(table).groupby(["method", "score"], sort=False):
        name = {"method": str(method), "score": str(score)}
        summaries.append(_summary(rows, name | {"averaging": "micro"}, finding=None, seed=seed))
        summaries.append(_summary(rows, name | {"averaging": "macro"}, finding=None, seed=seed))
        for finding, of_finding in rows.groupby("finding", sort=True):
            summaries.append(_summary(of_finding, name | {"averaging": "micro"}, finding=str(finding), seed=seed))
    return summaries


def _on_the_same_cases(table: pd.DataFrame) -> pd.DataFrame:
    """Take the references' values where no model was scored, since a box lost to cropping is lost to both."""
    case = pd.MultiIndex.from_frame(table[["image", "phrase", "score"]])
    blind = table["method"].isin(BLIND_METHODS)
    if blind.all():
        return table
    scored = case[~blind & table["value"].notna()]
    return table.assign(value=table["value"].mask(blind & ~case.isin(scored)))


def _summary(rows: pd.DataFrame, name: Mapping[str, str], *, finding: str | None, seed: int) -> ScoreSummary:
    scored = rows[rows["value"].notna()]
    counts = {"scored": len(scored), "unscored": len(rows) - len(scored), "patients": scored["patient"].nunique()}
    if scored.empty:
        return ScoreSummary.model_validate(
            {**name, **counts, "finding": finding, "estimate": None, "low": None, "high": None}
        )
    interval = patient_bootstrap(
        scored["value"].to_numpy(dtype=float),
        scored["patient"].tolist(),
        generator=np.random.default_rng(seed),
        groups=scored["finding"].fillna("no finding named").tolist() if name["averaging"] == "macro" else None,
    )
    numbers = {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
    return ScoreSummary.model_validate({**name, **counts, **numbers, "finding": finding})
