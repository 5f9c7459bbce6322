"""The stop rule: that of the protocol, or else an alarm of the same control chart in two audits in a row."""

from collections.abc import Mapping, Sequence

from audit.planning.protocol import ReadProtocol
from reports.watch_record import StopDecision, WatchedQuantity

__all__ = ["DEFAULT_IN_A_ROW", "decide"]

DEFAULT_IN_A_ROW = 2
"""Audits in a row with a signal of the same quantity that stop the use where no protocol has a rule."""


def decide(quantities: Sequence[WatchedQuantity], audits: int, protocol: ReadProtocol | None) -> StopDecision:
    """Apply the stop rule to a series.

    An audit in which the figure of the protocol's rule was not measured neither is an alarm nor ends a row of alarms.

    Args:
        quantities: with their signals.
        audits: number of audits in the series.
        protocol: None, or one without a stop rule: the default rule is used.
    """
    rule = None if protocol is None else protocol.content.monitoring
    if rule is None or protocol is None:
        ends = [
            _end_of_row({place: place in each.signals for place in range(audits)}, DEFAULT_IN_A_ROW)
            for each in quantities
        ]
        return StopDecision(
            rule=None,
            audits_in_a_row=DEFAULT_IN_A_ROW,
            alarms=tuple(sorted({place for each in quantities for place in each.signals})),
            fired=min((end for end in ends if end is not None), default=None),
        )
    watched = next((each for each in quantities if each.name == rule.metric), None)
    values = {} if watched is None else {point.audit: point.value for point in watched.points}
    is_alarm = {
        place: value < rule.limit if rule.alarm == "below" else value > rule.limit for place, value in values.items()
    }
    return StopDecision(
        rule=rule,
        audits_in_a_row=rule.audits_in_a_row,
        protocol_sha256=protocol.sha256,
        alarms=tuple(place for place, alarm in is_alarm.items() if alarm),
        fired=_end_of_row(is_alarm, rule.audits_in_a_row),
    )


def _end_of_row(is_alarm: Mapping[int, bool], length: int) -> int | None:
    """Return the first audit that completes ``length`` alarms in a row; None if there is none."""
    row = 0
    for place in sorted(is_alarm):
        row = row + 1 if is_alarm[place] else 0
        if row >= length:
            return place
    return None
