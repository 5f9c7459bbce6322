"""Every faithfulness score of explained pairs, as the score table takes them.

A drop alone flatters a broad heat: on 32 pairs of phantoms uniform noise, which keeps half of every pixel, lost 7 and
M2IB's heat, which hides most of the film, 34, though it deleted and inserted faster. So no score stands alone: the same
are to be had for :func:`audit.metrics.faithfulness.pairs.shuffled` pairs, the heat's own values at random places.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from audit.encoders.protocol import DualEncoder
from audit.metrics.faithfulness.confidence import Confidence, image_confidence, text_confidence
from audit.metrics.faithfulness.curves import (
    Baseline,
    Change,
    CurveSettings,
    image_curves,
    word_curve_name,
    word_curves,
)
from audit.metrics.faithfulness.pairs import ExplainedPair
from audit.metrics.faithfulness.road import RoadSettings, road
from reports.record import Score

__all__ = ["FaithfulnessSettings", "score_faithfulness"]

_DROP, _INCREASE, _ROAD = "confidence drop", "confidence increase", "ROAD"
_ONE_CELL = "the heat has a single cell, which ranks nothing"
_ONE_WORD = "fewer than two words of the phrase were explained, which ranks nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaithfulnessSettings:
    """What is measured; the curves are the paper's: deletion to grey, insertion into a blur."""

    curves: tuple[CurveSettings, ...] = (
        CurveSettings(change=Change.DELETION, baseline=Baseline.GREY),
        CurveSettings(change=Change.INSERTION, baseline=Baseline.BLUR),
    )
    road: RoadSettings | None = field(default_factory=RoadSettings)  # None leaves out what takes longest


def score_faithfulness(
    encoder: DualEncoder,
    pairs: Sequence[ExplainedPair],
    *,
    method: str,
    settings: FaithfulnessSettings | None = None,
) -> list[tuple[Score, ...]]:
    """Score each pair on both sides; what could not be measured has no value and a reason.

    Drops are in hundredths of the cosine, an increase is 100 or 0, so that means over pairs are the published numbers;
    curves are in units of the cosine.

    Raises:
        ModelError: the text tower does not hand out its embeddings.
        ValueError: a pair's words are not those of its phrase, or two curves have one name.
    """
    settings = settings or FaithfulnessSettings()
    if len({curve.name for curve in settings.curves}) != len(settings.curves):
        raise ValueError(f"two curves of one name: {[curve.name for curve in settings.curves]}")
    columns: dict[str, tuple[Sequence[float | None], str]] = {}
    for side, confidences, reason in (
        ("image", image_confidence(encoder, pairs), _ONE_CELL),
        ("text", text_confidence(encoder, pairs), _ONE_WORD),
    ):
        drops, increases = _in_percent(confidences)
        columns |= {f"{side} {_DROP}": (drops, reason), f"{side} {_INCREASE}": (increases, reason)}
    for curve in settings.curves:
        areas = [None if found is None else found.area for found in image_curves(encoder, pairs, curve)]
        columns[curve.name] = (areas, _ONE_CELL)
    for change in Change:
        areas = [None if found is None else found.area for found in word_curves(encoder, pairs, change)]
        columns[word_curve_name(change)] = (areas, _ONE_WORD)
    if settings.road is not None:
        found_roads = road(encoder, pairs, settings.road)
        columns[_ROAD] = ([None if found is None else found.difference for found in found_roads], _ONE_CELL)
    return [
        tuple(_score(method, name, values[row], reason) for name, (values, reason) in columns.items())
        for row in range(len(pairs))
    ]


def _in_percent(confidences: Sequence[Confidence | None]) -> tuple[list[float | None], list[float | None]]:
    drops = [None if found is None else 100.0 * found.drop for found in confidences]
    increases = [None if found is None else 100.0 * found.increased for found in confidences]
    return drops, increases


def _score(method: str, name: str, value: float | None, reason: str) -> Score:
    if value is None:
        return Score(method=method, score=name, value=None, outcome="unscored", reason=reason)
    return Score(method=method, score=name, value=value, outcome="scored")
