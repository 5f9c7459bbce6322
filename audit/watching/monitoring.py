"""Draws the control charts of a series of audits, and takes their signals together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.watching.charts import AUDITS_A_FALSE_ALARM, Point, change_point, distance_chart, ewma_chart, mean_chart
from audit.watching.quantities import QUANTITIES
from audit.watching.reference_mean import Cases, ReferenceMean
from reports.watch_record import WatchedQuantity, WatchPoint

__all__ = ["Monitored", "monitor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitored:
    """The quantities of a series with their charts."""

    quantities: tuple[WatchedQuantity, ...]
    not_measured: tuple[str, ...]
    tests: int  # that share the rate of false alarms

    def signals(self, audit: int) -> tuple[str, ...]:
        """Return the quantities that give a signal in an audit."""
        return tuple(each.name for each in self.quantities if audit in each.signals)


def monitor(series: Sequence[Mapping[str, Cases]], *, references: int) -> Monitored:
    """Compare every audit with the reference audits, quantity by quantity.

    Args:
        series: the cases of each audit by quantity (:func:`audit.watching.quantities.cases_of`), in order of time.
        references: number of audits at the start of the series that the others are compared with.
    """
    charted = [name for name in QUANTITIES if any(name in audit for audit in series[:references])]
    means = {name: _reference_mean(series[:references], name) for name in charted if QUANTITIES[name][0] == "mean"}
    charted = [name for name in charted if QUANTITIES[name][0] == "distance" or means[name] is not None]
    tests = sum(2 if QUANTITIES[name][0] == "mean" else 1 for name in charted)
    level = 1.0 / AUDITS_A_FALSE_ALARM / max(tests, 1)
    return Monitored(
        quantities=tuple(_watched(name, series, means.get(name), references, level) for name in charted),
        not_measured=tuple(name for name in QUANTITIES if name not in charted),
        tests=tests,
    )


def _reference_mean(references: Sequence[Mapping[str, Cases]], name: str) -> ReferenceMean | None:
    return ReferenceMean.of([audit[name] for audit in references if name in audit], limits=QUANTITIES[name][1])


def _watched(
    name: str, series: Sequence[Mapping[str, Cases]], expected: ReferenceMean | None, first: int, level: float
) -> WatchedQuantity:
    cases = [audit.get(name) for audit in series]
    if expected is None:
        points = distance_chart(cases, first=first, level=level)
        signals = tuple(point.audit for point in points if point.audit >= first and point.is_beyond)
        return WatchedQuantity(
            name=name,
            kind="distance",
            centre=None,
            points=tuple(_recorded(points, cases)),
            signals=signals,
            changed=signals[0] if signals else None,
        )
    means = mean_chart(expected, cases, level=level)
    averages = ewma_chart(expected, cases, first=first, level=level)
    beyond = {point.audit for point in (*means, *averages) if point.audit >= first and point.is_beyond}
    signals = tuple(sorted(beyond))
    return WatchedQuantity(
        name=name,
        kind="mean",
        centre=expected.centre,
        points=tuple(_recorded(means, cases)),
        ewma=tuple(_recorded(averages, cases)),
        signals=signals,
        changed=change_point(expected, cases, first=first, last=signals[0]) if signals else None,
        laney=expected.laney,
    )


def _recorded(points: Sequence[Point], cases: Sequence[Cases | None]) -> Iterator[WatchPoint]:
    for point in points:
        own = cases[point.audit]
        if own is not None:
            yield WatchPoint(
                audit=point.audit,
                value=point.value,
                low=point.low,
                high=point.high,
                cases=len(own),
                patients=len(np.unique(own.patients)),
            )
