"""Reads the audits of a series: a folder of finished runs, or the studies of one run by week or month.

Only ``run.json``, the audit log, the table of scores and the records of studies are read: no image and no model.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

import pandas as pd

from audit.logbook.known import LogState, read_log_state
from audit.metrics.subgroups import NOT_KNOWN
from audit.privacy.messages import Message
from audit.watching.quantities import SCORES_READ, AuditTables
from pipelines.errors import DamagedError, InputError, OutputError
from pipelines.quoting import counted
from reports.record import StudyRecord
from reports.results_folder import RUN, damaged_tables, read_record, read_run, study_folders
from reports.run_record import RunRecord

__all__ = ["Period", "Series", "read_series"]

Period = Literal["week", "month"]

_DATED = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")
_COLUMNS = ["image", "phrase", "finding", "patient", "method", "score", "value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Audits in order of time, with their runs."""

    audits: tuple[AuditTables, ...]
    runs: tuple[RunRecord, ...]  # of each audit
    notes: tuple[Message, ...]  # folders and studies that are no part of it, and why


def read_series(folder: Path, *, method: str | None = None, period: Period | None = None) -> Series:
    """Read a folder of runs, or one run that is divided by the dates of its studies.

    Args:
        folder: the one or the other.
        method: whose heat is watched; None: the main method of the first run.
        period: by which one run is divided; None for a folder of runs.

    Raises:
        InputError: there is no finished run, or one run cannot be divided.
        OutputError: the one run cannot be read.
    """
    if (folder / RUN).exists():
        return _divided(folder, method, period)
    if period is not None:
        raise InputError(f"--period {period}: {folder} is not a run; omit it for a folder of runs, each of one date")
    read, notes = [], []
    for inner in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        try:
            read.append((_day_of(inner, run := _finished_run(inner)), inner, run))
        except OutputError as error:
            notes.append(_note(inner, str(error)))
    read.sort(key=lambda each: (each[0], each[2].finished))
    audits: list[AuditTables] = []
    runs: list[RunRecord] = []
    for day, inner, run in read:
        try:
            tables, of_studies = _tables(inner, run, method or read[0][2].method)
        except OutputError as error:
            notes.append(_note(inner, str(error)))
            continue
        notes += of_studies
        same = sum(other.day == day for other in audits)
        audits.append(replace(tables, day=day, label=f"{day.isoformat()}{f' ({same + 1})' if same else ''}"))
        runs.append(run)
    if not audits:
        what = "; ".join(dict.fromkeys(note.masked for note in notes)) or "it holds no folder"
        raise InputError(f"{folder} holds no finished run of `m2ib-audit run` ({what}): name the folder above them")
    return Series(audits=tuple(audits), runs=tuple(runs), notes=tuple(notes))


def _note(inner: Path, reason: str) -> Message:
    """Return a message about a folder; its name, which a person gave, is shown to its owner alone."""
    plain = reason.replace(f"{inner}/", "").replace(str(inner), "it")
    return Message(masked=f"a folder: {plain}", for_owner=f"{inner.name}: {plain}")


def _day_of(inner: Path, run: RunRecord) -> date:
    """Return the first date in the name of a folder, else the day on which its run ended."""
    for text in _DATED.findall(inner.name):
        try:
            return date.fromisoformat(text)
        except ValueError:
            continue
    return run.finished.date()


def _finished_run(inner: Path) -> RunRecord:
    """Read the record of a run whose results are complete and unchanged.

    Raises:
        OutputError: they are not.
    """
    if not (inner / RUN).exists():
        raise OutputError(f"{inner} is not a finished run (no {RUN})")
    run = read_run(inner)
    known = read_log_state(inner, None)
    known.check_run()
    if run.not_done or not known.statements.finished:
        raise OutputError(f"{inner} is not finished: repeat its `m2ib-audit run`")
    damaged = damaged_tables(inner, run)
    if damaged:
        raise DamagedError(f"{inner}: {damaged[0]}")
    return run


def _scores(inner: Path, method: str) -> pd.DataFrame:
    try:
        table = pd.read_parquet(inner / "scores.parquet", columns=_COLUMNS, filters=[("score", "in", SCORES_READ)])
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{inner / 'scores.parquet'} cannot be read: `m2ib-audit score` makes it again") from error
    if not (table["method"] == method).any():
        raise OutputError(f"{inner} has no scores of {method}: name a method that every audit has with --method")
    return table


def _records(inner: Path, known: LogState) -> Iterator[StudyRecord | str]:
    """Yield the records of a run's studies; a message for one that was changed or is damaged."""
    for folder in study_folders(inner):
        try:
            known.check(folder)
            yield read_record(folder)
        except DamagedError as error:
            yield str(error).replace(str(folder), "a study")


def _tables(inner: Path, run: RunRecord, method: str) -> tuple[AuditTables, list[Message]]:
    scores = _scores(inner, method)
    records, notes = [], []
    for found in _records(inner, read_log_state(inner, None)):
        if isinstance(found, str):
            notes.append(_note(inner, found))
        else:
            records.append(found)
    return _of_records(records, scores, run, method), notes


def _of_records(records: Sequence[StudyRecord], scores: pd.DataFrame, run: RunRecord, method: str) -> AuditTables:
    images = [(record, image) for record in records for image in record.images]
    excluded = run.counts.get("failed", 0) + run.counts.get("left out", 0)
    return AuditTables(
        label="",
        day=run.finished.date(),
        method=method,
        scores=scores,
        phrases=pd.DataFrame(
            [
                (
                    record.patient or record.key,
                    phrase.cosine,
                    None if phrase.hottest is None else phrase.hottest[0] / image.rows,
                    None if phrase.hottest is None else phrase.hottest[1] / image.columns,
                )
                for record, image in images
                for phrase in image.phrases
            ],
            columns=["patient", "cosine", "row", "column"],
        ),
        images=pd.DataFrame(
            [
                (
                    record.patient or record.key,
                    image.study_date,
                    image.view.value,
                    image.manufacturer or NOT_KNOWN,
                    image.age or NOT_KNOWN,
                    image.sex or NOT_KNOWN,
                )
                for record, image in images
            ],
            columns=["patient", "date", "view", "manufacturer", "age", "sex"],
        ),
        studies=len(records),
        included=len(images),
        excluded=excluded,
        identity=_identity(run, method),
    )


def _identity(run: RunRecord, method: str) -> dict[str, str]:
    settings = run.method_settings.get(method) or run.settings
    return {
        "model": run.model.sha256,
        "settings": json.dumps([settings, run.seed, run.added_wordings], sort_keys=True),
        "version": run.software.get("m2ib-audit", ""),
    }


def _divided(out: Path, method: str | None, period: Period | None) -> Series:
    """Divide the studies of one run by week or month."""
    run = _finished_run(out)
    if period is None:
        raise InputError(f"{out} is one run: divide its studies with --period week or --period month")
    if not run.patient_data_shown:
        raise InputError(
            f"{out}: the dates of its studies are shifted by patient, so that they do not order studies of different "
            "patients. Run each week into a folder of its own and watch the folder above them, or make the run with "
            "--show-phi, which stores true dates"
        )
    name = method or run.method
    scores = _scores(out, name)
    scores["image"] = scores["image"].astype(str)
    by_period: dict[date, list[StudyRecord]] = {}
    notes, undated = [], 0
    for found in _records(out, read_log_state(out, None)):
        if isinstance(found, str):
            notes.append(_note(out, found))
            continue
        days = [image.study_date for image in found.images if image.study_date is not None]
        undated += not days
        if days:
            by_period.setdefault(_start_of(min(days), period), []).append(found)
    if undated:
        studies = counted(undated, "study has", "studies have")
        notes.append(Message(masked=f"{studies} no date", for_owner=f"{studies} no date"))
    if not by_period:
        raise InputError(f"{out}: no study has a date; runs of version 0.1.0 stored none: run again with --show-phi")
    audits = []
    for start, records in sorted(by_period.items()):
        keys = {image.key for record in records for image in record.images}
        tables = _of_records(records, scores[scores["image"].isin(keys)], run, name)
        audits.append(replace(tables, day=start, label=_label(start, period), excluded=None))
    return Series(audits=tuple(audits), runs=(run,) * len(audits), notes=tuple(notes))


def _start_of(day: date, period: Period) -> date:
    """Return the first day of the week (Monday) or month of a day."""
    return day.replace(day=1) if period == "month" else date.fromordinal(day.toordinal() - day.weekday())


def _label(start: date, period: Period) -> str:
    """Return "2026-11", or the week as ISO 8601 writes it: "2026-W47"."""
    year, week, _ = start.isocalendar()
    return f"{start:%Y-%m}" if period == "month" else f"{year}-W{week:02d}"
