"""Checks every file of an OUT against the log, the records and the list of pages."""

import os
import re
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from audit.logbook.chain import AUDIT_LOG
from audit.logbook.known import LogContent
from audit.logbook.seals import is_sealed
from pipelines.errors import DamagedError, OutputError
from reports.reading import file_checksum, read_bounded
from reports.record import StudyRecord
from reports.results_folder import FAILED, PAGES, RECORD, RUN, THUMBNAIL, read_pages_list, read_record, read_run
from reports.run_record import RunRecord

__all__ = ["Covered", "State", "cover"]

_AT_MOST = 128 << 20  # bytes of a record or a list
_OLD = "written by version 0.1.0, whose records hold no checksums of these"
_UNVOUCHED = "the record with the checksums of these is not the one that was written"
_FOREIGN = "no run writes these"
_OPEN = "a run, score or render was not completed"
_EVENTS = "the event log, which is not needed to check the result"
_ANSWERS = "reviewers' answers, which are collected independently of a run"
_LOCK = "a lock, or a partial file of a killed command"
_OF_A_STUDY = {"index.html", THUMBNAIL, "heat.npz", FAILED}
_OWN_LOCK = re.compile(r"(?:[\w-]+/)*\.m2ib-audit[\w.-]*")


class State(StrEnum):
    """The state of a file."""

    COVERED = "covered"
    CHANGED = "changed"
    MISSING = "missing"
    NOT_COVERED = "not covered"


@dataclass(slots=True)
class Covered:
    """Every file of an OUT by its path within it, with its state and, if it is not covered, the reason."""

    files: dict[str, tuple[State, str]] = field(default_factory=dict)
    studies: int = 0  # studies whose record is named in the log, or sealed
    unlogged: list[str] = field(default_factory=list)  # studies with a sealed record that the log does not name
    unknown: list[str] = field(default_factory=list)  # studies with a record that neither log nor seal confirms
    unvouched: set[str] = field(default_factory=set)  # folders with a record that was changed

    def add(self, name: str, state: State, why: str = "") -> None:
        """Add a file."""
        self.files[name] = (state, why)

    @property
    def foreign(self) -> set[str]:
        """Files that no run wrote; their paths may hold any name."""
        names = {name for name, (_, why) in self.files.items() if why in {_FOREIGN, _LOCK}}
        return {name for name in names if not _OWN_LOCK.fullmatch(name)}

    def of(self, state: State) -> dict[str, str]:
        """Return the files in this state, with their reasons."""
        return {name: why for name, (found, why) in sorted(self.files.items()) if found is state}


def cover(out: Path, log: LogContent, key: bytes | None) -> Covered:
    """Check every file below OUT.

    Args:
        out: the folder.
        log: the content of its log.
        key: the key of the seals; None skips them.

    Raises:
        OutputError: a file cannot be read.
    """
    covered = Covered()
    _pages(out, log, covered)
    _result(out, log, covered)
    for study in sorted({*log.records, *_names(out / "studies")}):
        _study(out, "studies", study, log, key, covered)
    for study in _names(out / "set-aside"):
        _study(out, "set-aside", study, LogContent(), key, covered)
    for name, expected in log.shards.items():
        path = out / "shards" / name
        if path.exists():
            covered.add(f"shards/{name}", *_unless_open(_against(path, expected), log))
    for name in _files(out):
        if name not in covered.files:
            covered.add(name, State.NOT_COVERED, _why_not(name, log, covered.unvouched))
    return covered


def _pages(out: Path, log: LogContent, covered: Covered) -> None:
    """Check the list of pages against the log, and the pages against the list."""
    if not log.pages:
        return
    covered.add(PAGES, *_against(out / PAGES, log.pages))
    if covered.files[PAGES][0] is State.COVERED:
        for name, expected in read_pages_list(read_bounded(out / PAGES, most_bytes=_AT_MOST)).items():
            covered.add(name, *_against(out / name, expected))


def _result(out: Path, log: LogContent, covered: Covered) -> None:
    """Check ``run.json`` against the log, and the tables against ``run.json``."""
    path = out / RUN
    if not (log.finished and log.run_json):
        return
    state, why = _against(path, log.run_json)
    covered.add(RUN, state, why)
    if state is State.COVERED:
        for name, expected in _files_of(lambda: read_run(out)).items():
            covered.add(name, *_against(out / name, expected))


def _study(out: Path, place: str, study: str, log: LogContent, key: bytes | None, covered: Covered) -> None:
    folder, within = out / place / study, f"{place}/{study}"
    record, named = folder / RECORD, log.records.get(study)
    failed = log.failed.get(study)
    if failed is not None and (folder / FAILED).is_file():
        covered.add(f"{within}/{FAILED}", *_unless_open(_against(folder / FAILED, failed), log))
    if not os.path.lexists(record):
        if named is not None:
            covered.add(f"{within}/{RECORD}", State.MISSING, "")
        return
    before = log.opened.get(study)
    if named is not None:
        state, why = _against(record, named)
    elif before and _against(record, before)[0] is State.COVERED:
        state, why = State.COVERED, ""
    elif key is None or is_sealed(read_bounded(record, most_bytes=_AT_MOST), key):
        state, why = State.COVERED, ""
        if place == "studies":
            covered.unlogged.append(study)
    else:
        state, why = State.NOT_COVERED, "the log names no record of these studies"
        if place == "studies":
            covered.unknown.append(study)
    covered.add(f"{within}/{RECORD}", state, why)
    if state is not State.COVERED:
        covered.unvouched.add(within)
        return
    covered.studies += place == "studies"
    for name, expected in _files_of(lambda: read_record(folder)).items():
        covered.add(f"{within}/{name}", *_against(folder / name, expected))


def _unless_open(found: tuple[State, str], log: LogContent) -> tuple[State, str]:
    """Treat a file that a killed run may have been writing as not covered."""
    return found if log.finished or found[0] is State.COVERED else (State.NOT_COVERED, _OPEN)


def _files_of(read: Callable[[], StudyRecord | RunRecord]) -> dict[str, str]:
    """Return the checksums that a record holds; empty for a version that this program does not read."""
    try:
        return read().files or {}
    except DamagedError:
        return {}


def _against(path: Path, expected: str) -> tuple[State, str]:
    if not os.path.lexists(path):
        return State.MISSING, ""
    try:
        return (State.COVERED if file_checksum(path) == expected else State.CHANGED), ""
    except OutputError as error:
        return State.CHANGED, str(error)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _files(out: Path) -> Iterator[str]:
    """List every file below OUT; links are listed but not followed."""
    for folder, folders, names in os.walk(out):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118
        for name in (*names, *links):
            yield Path(folder, name).relative_to(out).as_posix()


def _why_not(name: str, log: LogContent, unvouched: Set[str]) -> str:
    """Explain why a file is not covered by the log; the log itself covers the others."""
    folder, _, last = name.rpartition("/")
    known: list[tuple[Callable[[], bool], str]] = [
        (lambda: name == "log.jsonl", _EVENTS),
        (lambda: name.startswith("review.sqlite"), _ANSWERS),
        (lambda: last.startswith("."), _LOCK),
        (lambda: log.pages_open and last in {"index.html", THUMBNAIL, PAGES}, _OPEN),
        (lambda: not log.finished and not folder, _OPEN),
        (lambda: folder in unvouched and (last in _OF_A_STUDY or last.startswith("image-")), _UNVOUCHED),
        (lambda: last in {"index.html", THUMBNAIL} or (not folder and name != AUDIT_LOG and _is_result(name)), _OLD),
        (lambda: last == "heat.npz" or last.startswith("image-"), _OLD),
        (lambda: last == FAILED, _OLD),
        (lambda: folder == "shards", _OLD),
    ]
    return next((why for holds, why in known if holds()), _FOREIGN)


def _is_result(name: str) -> bool:
    return name in {"scores.parquet", "scores.csv", "failures.csv", RUN, PAGES}
