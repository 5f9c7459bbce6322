"""The trend page: the state of a series of audits, and a control chart for each quantity as inline SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reports.outcomes import method_name
from reports.page import format_number, format_percent, render_page
from reports.texts import counted, named, text
from reports.watch_record import WatchedAudit, WatchedQuantity, WatchPoint, WatchRecord

__all__ = ["TrendChart", "render_watch", "trend_charts"]

_WIDTH, _HEIGHT = 640.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 8.0, 10.0, 24.0
_MOST_LABELS = 7  # on the axis of time
_TICKS = 4
_PERCENT = "\N{NARROW NO-BREAK SPACE}%"
_SHARES = {"hit rate", "share on markers", "heat on markers", "heat outside the chest", "excluded share"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dot:
    """An audit's value."""

    x: float
    y: float
    is_signal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A label or line at a place of an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChartRow:
    """One audit in the table of a chart."""

    audit: str
    value: str
    limits: str
    ewma: str
    cases: str
    is_signal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendChart:
    """The control chart of one quantity, in the coordinates of its drawing."""

    name: str
    about: str
    finding: str  # what it shows, in a sentence
    is_signal: bool
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    reference_end: float  # x
    centre: float | None  # y
    zone: str  # path: between the limits of each audit
    line: str  # path through the values
    ewma: str  # path
    ewma_limits: str  # path
    dots: tuple[_Dot, ...]
    ticks: tuple[_Mark, ...]  # y
    labels: tuple[_Mark, ...]  # x
    changes: tuple[_Mark, ...]  # x, of audits that differ from the one before
    rows: tuple[_ChartRow, ...]


def render_watch(record: WatchRecord) -> str:
    """Render the page: one self-contained HTML file that needs no network."""
    context = {
        "record": record,
        "method": method_name(record.method),
        "state": _state(record),
        "rule": _rule(record),
        "charts": trend_charts(record),
        "not_measured": ", ".join(named("watched", name) for name in record.not_measured),
        "audits": [(audit, _changes(audit), _quantities(audit.signals)) for audit in reversed(record.audits)],
    }
    return render_page("watch.html", script="save.js", data={}, context=context)


def _state(record: WatchRecord) -> str:
    latest, stop = record.audits[-1], record.stop
    if stop.fired is not None:
        return text("watch.state.stopped", audit=record.audits[stop.fired].label)
    if record.state == "too few audits":
        audits = counted("audit", len(record.audits))
        return text("watch.state.few", audits=audits, references=record.references)
    if latest.signals:
        return text("watch.state.signal", audit=latest.label, quantities=_quantities(latest.signals))
    return text("watch.state.in_control", audit=latest.label)


def _rule(record: WatchRecord) -> str:
    stop = record.stop
    if stop.rule is None:
        return text("watch.rule.default", audits=stop.audits_in_a_row)
    limit = _shown(stop.rule.metric, stop.rule.limit)
    metric = named("watched", stop.rule.metric)
    side = text(f"watch.rule.{stop.rule.alarm}", metric=metric, limit=limit, audits=stop.audits_in_a_row)
    return f"{side} {text('watch.rule.checksum', sha256=stop.protocol_sha256)}"


def _quantities(names: Sequence[str]) -> str:
    return ", ".join(named("watched", name) for name in names)


def _changes(audit: WatchedAudit) -> str:
    return ", ".join(text(f"watch.changed.{name}") for name in audit.changed)


def trend_charts(record: WatchRecord) -> tuple[TrendChart, ...]:
    """Lay out the charts: those with a signal first."""
    charts = [_chart(record, quantity) for quantity in record.quantities if quantity.points]
    return tuple(sorted(charts, key=lambda chart: not chart.is_signal))


def _chart(record: WatchRecord, quantity: WatchedQuantity) -> TrendChart:
    drawn = [*quantity.points, *quantity.ewma]
    scale = _Scale.over([end for point in drawn for end in (point.value, point.low, point.high)], record)
    return TrendChart(
        name=named("watched", quantity.name),
        about=named("watched_about", quantity.name),
        finding=_finding(record, quantity),
        is_signal=bool(quantity.signals),
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        top=_TOP,
        bottom=_HEIGHT - _BOTTOM,
        reference_end=scale.edge(min(record.references, len(record.audits))),
        centre=None if quantity.centre is None else scale.y(quantity.centre),
        zone="".join(
            f"M{scale.edge(each.audit)} {scale.y(each.high)}H{scale.edge(each.audit + 1)}V{scale.y(each.low)}"
            f"H{scale.edge(each.audit)}Z"
            for each in quantity.points
        ),
        line=scale.path(quantity.points),
        ewma=scale.path(quantity.ewma),
        ewma_limits="".join(
            f"M{scale.edge(each.audit)} {scale.y(end)}H{scale.edge(each.audit + 1)}"
            for each in quantity.ewma
            for end in (each.low, each.high)
        ),
        dots=tuple(
            _Dot(x=scale.x(each.audit), y=scale.y(each.value), is_signal=each.audit in quantity.signals)
            for each in quantity.points
        ),
        ticks=tuple(_Mark(at=scale.y(tick), label=_shown(quantity.name, tick)) for tick in scale.ticks),
        labels=tuple(_labels(record, scale)),
        changes=tuple(
            _Mark(at=scale.edge(place), label=_changes(audit))
            for place, audit in enumerate(record.audits)
            if audit.changed
        ),
        rows=tuple(_rows(record, quantity)),
    )


def _finding(record: WatchRecord, quantity: WatchedQuantity) -> str:
    if not quantity.signals:
        return text("watch.no_signal")
    first = record.audits[quantity.signals[0]].label
    since = first if quantity.changed is None else record.audits[quantity.changed].label
    return text("watch.signal", audits=counted("audit", len(quantity.signals)), first=first, since=since)


def _rows(record: WatchRecord, quantity: WatchedQuantity) -> list[_ChartRow]:
    averages = {each.audit: each for each in quantity.ewma}
    return [
        _ChartRow(
            audit=record.audits[each.audit].label,
            value=_shown(quantity.name, each.value),
            limits=_range(quantity.name, each),
            ewma=_with_range(quantity.name, averages[each.audit]) if each.audit in averages else "–",
            cases=f"{each.cases:,} ({each.patients:,})",
            is_signal=each.audit in quantity.signals,
        )
        for each in reversed(quantity.points)
    ]


def _with_range(name: str, point: WatchPoint) -> str:
    return f"{_shown(name, point.value)} ({_range(name, point)})"


def _range(name: str, point: WatchPoint) -> str:
    return text("common.range", low=_shown(name, point.low), high=_shown(name, point.high))


def _shown(name: str, value: float) -> str:
    if name in _SHARES:
        return format_percent(value) if value >= 0.1 or value == 0.0 else f"{format_number(100.0 * value, 1)}{_PERCENT}"
    return format_number(value, 2)


def _labels(record: WatchRecord, scale: "_Scale") -> list[_Mark]:
    """Label every audit, or every second, third ..., counted back from the newest."""
    audits = record.audits
    every = math.ceil(len(audits) / _MOST_LABELS)
    chosen = range(len(audits) - 1, -1, -every)
    return [_Mark(at=scale.x(place), label=audits[place].label) for place in chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Places of audits and values in a drawing."""

    audits: int
    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Sequence[float], record: WatchRecord) -> "_Scale":
        """Span the values by whole ticks."""
        low, high = min(values), max(values)
        step = _step((high - low) or abs(high) or 1.0)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(step * count for count in range(first, max(last, first + 1) + 1))
        return cls(audits=len(record.audits), low=ticks[0], high=ticks[-1], ticks=ticks)

    def edge(self, place: int) -> float:
        """Return the x of the left edge of an audit."""
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * place / self.audits, 1)

    def x(self, place: int) -> float:
        """Return the x of an audit's value."""
        return round((self.edge(place) + self.edge(place + 1)) / 2.0, 1)

    def y(self, value: float) -> float:
        """Return the y of a value."""
        share = (value - self.low) / (self.high - self.low)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP), 1)

    def path(self, points: Sequence[WatchPoint]) -> str:
        """Return a path through values."""
        return "".join(
            f"{'L' if place else 'M'}{self.x(each.audit)} {self.y(each.value)}" for place, each in enumerate(points)
        )


def _step(span: float) -> float:
    """Return the distance of ticks: 1, 2 or 5 times a power of ten."""
    rough = span / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999)
