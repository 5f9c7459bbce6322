"""The stop rule of a protocol decides; without one, a signal of the same quantity in two audits in a row."""

import pytest
from made_up_audits import hit_series
from made_up_protocol import make_protocol

from audit.planning.protocol import ReadProtocol
from audit.watching.monitoring import monitor
from audit.watching.stop_rule import decide
from reports.protocol_record import StopRule
from reports.watch_record import StopDecision, WatchedQuantity


def ruled(shares: list[float], rule: StopRule | None) -> StopDecision:
    content = make_protocol().content.model_copy(update={"monitoring": rule})
    found = monitor(hit_series(*shares), references=3)
    return decide(found.quantities, len(shares), ReadProtocol(content=content, sha256="d" * 64))


@pytest.mark.parametrize(
    ("shares", "fired"),
    [
        pytest.param([0.9, 0.9, 0.9, 0.4, 0.9, 0.4], None, id="not in a row"),
        pytest.param([0.9, 0.9, 0.9, 0.4, 0.4, 0.9, 0.9], 4, id="stays fired when the figure recovers"),
        pytest.param([0.4, 0.4, 0.9, 0.9], 1, id="in reference audits too: the limit does not depend on them"),
        pytest.param([0.9, 0.9, 0.9, 0.55], None, id="above the limit, whatever the chart says"),
    ],
)
def test_the_rule_of_a_protocol_counts_audits_beyond_its_limit(shares: list[float], fired: int | None) -> None:
    rule = StopRule(metric="hit rate", alarm="below", limit=0.5, audits_in_a_row=2)
    decision = ruled(shares, rule)
    assert (decision.fired, decision.rule, decision.protocol_sha256) == (fired, rule, "d" * 64)
    assert decision.alarms == tuple(place for place, share in enumerate(shares) if share < 0.5)


def test_an_alarm_may_lie_above_a_limit() -> None:
    rule = StopRule(metric="hit rate", alarm="above", limit=0.5, audits_in_a_row=1)
    assert ruled([0.4, 0.4, 0.4, 0.6], rule).fired == 3


def test_a_figure_that_was_not_measured_neither_alarms_nor_ends_a_row() -> None:
    rule = StopRule(metric="recognition", alarm="below", limit=0.5, audits_in_a_row=2)
    assert ruled([0.4] * 5, rule).fired is None
    rule = rule.model_copy(update={"metric": "hit rate"})
    series = hit_series(0.9, 0.9, 0.9, 0.3, 0.9, 0.3)
    series[4] = {}
    content = make_protocol().content.model_copy(update={"monitoring": rule})
    quantities = monitor(series, references=3).quantities
    assert decide(quantities, 6, ReadProtocol(content=content, sha256="d" * 64)).fired == 5


@pytest.mark.parametrize(
    ("signals", "fired"),
    [
        pytest.param({"hit rate": (4,), "view": (5,)}, None, id="two quantities take turns"),
        pytest.param({"hit rate": (4, 6)}, None, id="an audit between"),
        pytest.param({"hit rate": (6,), "view": (5, 6)}, 6, id="one quantity twice"),
    ],
)
def test_the_default_rule_needs_the_same_quantity_twice_in_a_row(
    signals: dict[str, tuple[int, ...]], fired: int | None
) -> None:
    quantities = [
        WatchedQuantity(name=name, kind="mean", centre=0.5, points=(), signals=places)
        for name, places in signals.items()
    ]
    decision = decide(quantities, 8, None)
    assert (decision.fired, decision.rule, decision.audits_in_a_row) == (fired, None, 2)
