"""Watches a series: reads it, draws its charts, applies the stop rule, and writes the trend page and ``watch.json``."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

from audit.planning.protocol import ReadProtocol, read_protocol
from audit.privacy.messages import Message
from audit.watching.charts import AUDITS_A_FALSE_ALARM
from audit.watching.monitoring import Monitored, monitor
from audit.watching.quantities import AuditTables, cases_of
from audit.watching.series import Period, Series, read_series
from audit.watching.stop_rule import decide
from pipelines.errors import InputError
from reports.results_folder import RUN
from reports.run_record import ProtocolRecord
from reports.watch_page import render_watch
from reports.watch_record import StopDecision, WatchedAudit, WatchRecord, WatchState
from reports.writing import write_text_atomically

__all__ = ["PAGE", "WATCH", "WatchResult", "WatchSettings", "watch"]

PAGE, WATCH = "watch.html", "watch.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """What is watched, and where the result is written."""

    folder: Path
    out: Path | None = None  # None: the folder, or beside it if it is a run
    protocol: Path | None = None  # None: that of the first run that has one
    method: str | None = None  # None: the main method of the first run
    references: int = 4  # audits at the start
    since: date | None = None  # the series begins at this day
    period: Period | None = None  # by which one run is divided


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchResult:
    """What was found, and the page that shows it."""

    record: WatchRecord
    page: Path
    notes: tuple[Message, ...]

    def as_json_line(self) -> str:
        """Return the state as one line of JSON for a monitoring system: no name of a folder, file or patient."""
        record = self.record
        latest, place = record.audits[-1], len(record.audits) - 1
        return json.dumps(
            {
                "state": record.state,
                "audit": latest.label,
                "audits": len(record.audits),
                "stopped_at": None if record.stop.fired is None else record.audits[record.stop.fired].label,
                "stop_rule": "protocol" if record.stop.rule is not None else "default",
                "signals": list(latest.signals),
                "values": {
                    each.name: round(point.value, 4)
                    for each in record.quantities
                    for point in each.points
                    if point.audit == place and each.kind == "mean"
                },
                "model_sha256": record.model.sha256,
                "left_out": len(record.left_out),
            },
            ensure_ascii=False,
        )


def watch(settings: WatchSettings) -> WatchResult:
    """Compare the audits of a series with its first ones, and write the trend page and ``watch.json``.

    Raises:
        AuditError: there is no finished run, a setting does not fit, or the result cannot be written.
    """
    given = None if settings.protocol is None else read_protocol(settings.protocol)
    if given is not None and given.content.monitoring is None:
        raise InputError(f"--protocol {settings.protocol} has no stop rule: add [monitoring], or omit --protocol")
    out = _place(settings)
    series = _begun(read_series(settings.folder, method=settings.method, period=settings.period), settings.since)
    protocol, notes = (given, ()) if given is not None else _recorded_protocol(series)
    found = monitor([cases_of(audit) for audit in series.audits], references=settings.references)
    stop = decide(found.quantities, len(series.audits), protocol)
    record = _record(series, found, stop, settings, (*series.notes, *notes))
    write_text_atomically(out / WATCH, record.model_dump_json(indent=1) + "\n")
    write_text_atomically(out / PAGE, render_watch(record))
    return WatchResult(record=record, page=out / PAGE, notes=(*series.notes, *notes))


def _place(settings: WatchSettings) -> Path:
    folder = settings.folder.resolve()
    is_run = (folder / RUN).exists()
    out = (settings.out or (folder.with_name(f"{folder.name}-watch") if is_run else folder)).resolve()
    if is_run and out.is_relative_to(folder):
        raise InputError(f"--out {out} is in a run, whose files the audit log lists: name a folder elsewhere")
    if (out / RUN).exists():
        raise InputError(f"--out {out} is a run, whose files the audit log lists: name a folder elsewhere")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made ({error.strerror}): name another folder") from error
    return out


def _begun(series: Series, since: date | None) -> Series:
    kept = [place for place, audit in enumerate(series.audits) if since is None or audit.day >= since]
    if not kept:
        raise InputError(f"--since {since}: the newest audit is of {series.audits[-1].day}; name an earlier day")
    return replace(
        series,
        audits=tuple(series.audits[place] for place in kept),
        runs=tuple(series.runs[place] for place in kept),
    )


def _recorded_protocol(series: Series) -> tuple[ReadProtocol | None, tuple[Message, ...]]:
    """Return the protocol of the first run that has a stop rule: a later one may have been made to fit the results."""
    found = [run.protocol for run in series.runs if run.protocol is not None and run.protocol.content.monitoring]
    if not found:
        return None, ()
    first: ProtocolRecord = found[0]
    notes: tuple[Message, ...] = ()
    if any(each.sha256 != first.sha256 for each in found):
        said = "later audits have another protocol: the stop rule is that of the first; give another with --protocol"
        notes = (Message(masked=said, for_owner=said),)
    return ReadProtocol(content=first.content, sha256=first.sha256), notes


def _record(
    series: Series, found: Monitored, stop: StopDecision, settings: WatchSettings, notes: tuple[Message, ...]
) -> WatchRecord:
    audits = tuple(
        WatchedAudit(
            label=audit.label,
            day=audit.day,
            studies=audit.studies,
            is_reference=place < settings.references,
            changed=_changes(series.audits[place - 1], audit) if place else (),
            signals=found.signals(place),
        )
        for place, audit in enumerate(series.audits)
    )
    latest = series.runs[-1]
    return WatchRecord(
        created=datetime.now(UTC),
        state=_state(audits, stop, settings.references),
        method=series.audits[0].method,
        model=latest.model,
        period=settings.period,
        references=settings.references,
        tests=found.tests,
        audits_a_false_alarm=AUDITS_A_FALSE_ALARM,
        audits=audits,
        quantities=found.quantities,
        not_measured=found.not_measured,
        stop=stop,
        left_out=tuple(note.masked for note in notes),
        phantom_images=any(run.phantom_images for run in series.runs),
        patient_data_shown=any(run.patient_data_shown for run in series.runs),
        software=version("m2ib-audit"),
    )


def _changes(before: AuditTables, audit: AuditTables) -> tuple[str, ...]:
    return tuple(name for name, value in audit.identity.items() if before.identity[name] != value)


def _state(audits: tuple[WatchedAudit, ...], stop: StopDecision, references: int) -> WatchState:
    if stop.fired is not None:
        return "stopped"
    if len(audits) <= references:
        return "too few audits"
    return "signal" if audits[-1].signals else "in control"
