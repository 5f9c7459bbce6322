"""The trend page says what the record says, and draws every audit within its chart."""

import re

from made_up_watch import make_watch

from reports.watch_page import render_watch, trend_charts
from reports.watch_record import WatchedQuantity, WatchRecord


def test_values_are_drawn_in_order_and_limits_around_the_centre() -> None:
    record = make_watch(fallen=2)
    chart = trend_charts(record)[0]
    assert (chart.name, chart.is_signal) == ("Hit rate", True), "charts with a signal come first"
    assert [dot.is_signal for dot in chart.dots] == [False] * 8 + [True] * 2
    xs = [dot.x for dot in chart.dots]
    assert xs == sorted(xs)
    for drawn in trend_charts(record):
        assert all(drawn.left < dot.x < drawn.right and drawn.top <= dot.y <= drawn.bottom for dot in drawn.dots)
        assert all(drawn.top <= tick.at <= drawn.bottom for tick in drawn.ticks)
        assert 3 <= len(drawn.ticks) <= 8
        assert (drawn.centre is None) == (not drawn.ewma)
    values = [point.value for point in record.quantities[0].points]
    heights = [dot.y for dot in chart.dots]
    assert sorted(range(10), key=lambda place: -values[place]) == sorted(range(10), key=lambda place: heights[place])


def test_the_page_names_state_rule_and_changes() -> None:
    html = render_watch(make_watch(fallen=2))
    assert re.search(r'<p class="summary stopped">Stop: the stop rule fired at 2026-11-09\.', html)
    assert "the same quantity gives a signal in 2 audits in a row" in html
    assert "Signal in 2 audits, first in 2026-11-02. The change most likely began with 2026-11-02." in html
    assert html.count('class="change"') == len(make_watch().quantities)
    assert html.count('class="signal"') == 1 + 2


def test_a_series_without_spread_is_drawn() -> None:
    record = make_watch()
    points = (point.model_copy(update=dict.fromkeys(("value", "low", "high"), 0.0)) for point in _hits(record).points)
    flat = _hits(record).model_copy(update={"points": tuple(points), "ewma": ()})
    (chart,) = trend_charts(record.model_copy(update={"quantities": (flat,)}))
    assert len({dot.y for dot in chart.dots}) == 1


def _hits(record: WatchRecord) -> WatchedQuantity:
    return record.quantities[0]
