"""The content of ``watch.json``, from which the trend page is rendered: quantities of dated audits and the decision."""

from datetime import date, datetime
from typing import Literal

from reports.protocol_record import StopRule
from reports.record import SCHEMA_VERSION, ModelRecord, Record

__all__ = ["StopDecision", "WatchPoint", "WatchRecord", "WatchState", "WatchedAudit", "WatchedQuantity"]

WatchState = Literal["too few audits", "in control", "signal", "stopped"]


class WatchPoint(Record):
    """An audit on a control chart; it gives a signal if it is beyond its limits and not among the reference audits."""

    audit: int  # its place in ``WatchRecord.audits``
    value: float
    low: float  # control limits
    high: float
    cases: int
    patients: int


class WatchedQuantity(Record):
    """The control charts of one quantity."""

    name: str
    kind: Literal["mean", "distance"]  # distance: of the distribution from that of the reference audits
    centre: float | None  # mean of the reference audits; None for a distance
    points: tuple[WatchPoint, ...]  # only of audits in which it was measured
    ewma: tuple[WatchPoint, ...] = ()  # moving average, from the first audit after the reference on
    signals: tuple[int, ...] = ()  # audits with a signal of either chart
    changed: int | None = None  # the first audit after the change that the first signal shows
    laney: float | None = None  # factor of the standard error for differences between audits; None for a distance


class WatchedAudit(Record):
    """One audit of the series."""

    label: str  # its date or period, unique in the series
    day: date
    studies: int
    is_reference: bool
    changed: tuple[str, ...] = ()  # what differs from the audit before: "model", "settings", "version"
    signals: tuple[str, ...] = ()  # quantities


class StopDecision(Record):
    """The stop rule and whether it has fired; once fired it stays so until the series is begun again."""

    rule: StopRule | None  # of the protocol; None: the default rule
    audits_in_a_row: int
    protocol_sha256: str | None = None
    alarms: tuple[int, ...] = ()  # places of the audits with an alarm by the rule
    fired: int | None = None  # place of the audit at which it fired


class WatchRecord(Record):
    """The content of ``watch.json``."""

    schema_version: Literal["1"] = SCHEMA_VERSION
    created: datetime
    state: WatchState
    method: str
    model: ModelRecord  # of the newest audit
    period: Literal["week", "month"] | None  # None: an audit is a run of its own
    references: int  # audits at the start of the series that the others are compared with
    tests: int  # charts times sides that share the rate of false alarms
    audits_a_false_alarm: int
    audits: tuple[WatchedAudit, ...]
    quantities: tuple[WatchedQuantity, ...]
    not_measured: tuple[str, ...]  # quantities without enough cases in the reference audits
    stop: StopDecision
    left_out: tuple[str, ...]  # folders that are no part of the series, and why; without their names
    phantom_images: bool
    patient_data_shown: bool
    software: str  # version of m2ib-audit that made this
