"""Geometry of the score charts: where an estimate and its interval lie along an axis, in percent of its width."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.record import ScoreSummary

__all__ = ["Axis", "Mark", "axis_over", "mark_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A linear axis with labelled ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Give the place of a value in percent of the axis, 0 at its left; a value beyond an end is put at the end."""
        share = (value - self.low) / (self.high - self.low)
        return round(100.0 * min(max(share, 0.0), 1.0), 2)

    @property
    def labels(self) -> tuple[tuple[float, str], ...]:
        """Place and text of every tick."""
        return tuple((self.place(tick), f"{tick:g}".replace("-", "\N{MINUS SIGN}")) for tick in self.ticks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An estimate and its interval on an axis, in percent."""

    estimate: float
    low: float | None
    high: float | None


def axis_over(summaries: Sequence[ScoreSummary]) -> Axis:
    """Choose an axis that holds every estimate and interval: 0 to 1 for shares, wider where values leave that range."""
    values = [
        value
        for summary in summaries
        for value in (summary.estimate, summary.low, summary.high)
        if value is not None and np.isfinite(value)
    ]
    low, high = min([0.0, *values]), max([1.0, *values])
    if (low, high) == (0.0, 1.0):
        return Axis(low=0.0, high=1.0, ticks=(0.0, 0.25, 0.5, 0.75, 1.0))
    step = 10.0 ** np.floor(np.log10((high - low) / 2))
    step *= next(factor for factor in (1.0, 2.0, 5.0) if (high - low) / (factor * step) <= 6 or factor == 5.0)
    first, last = np.floor(low / step), np.ceil(high / step)
    ticks = tuple(round(float(tick * step), 10) for tick in np.arange(first, last + 1))
    return Axis(low=ticks[0], high=ticks[-1], ticks=ticks)


def mark_of(summary: ScoreSummary, axis: Axis) -> Mark | None:
    """Place a summary on an axis; None where nothing was scored."""
    if summary.estimate is None:
        return None
    return Mark(
        estimate=axis.place(summary.estimate),
        low=None if summary.low is None else axis.place(summary.low),
        high=None if summary.high is None else axis.place(summary.high),
    )
