"""Whether the audit log of an OUT is as it was written, and the records as it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audit.logbook.chain import (
    AUDIT_LOG,
    GENESIS,
    OPENED,
    TORN,
    fault_of,
    file_checksum,
    log_key,
    note,
    parsed,
)
from audit.logbook.lines import Value
from pipelines.errors import OutputError
from reports.reading import checksum

__all__ = ["Verdict", "entries_of", "verify"]

_STARTS = frozenset({"run started", "scoring again started"})
_ENDS = frozenset({"run finished", "scoring again finished"})
_OF_A_SHARD = "shard started"  # until a whole run has closed it, the result is not at its end


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What was found; ``intact`` where nothing speaks against the log."""

    entries: int = 0
    studies: int = 0  # whose record is as the log says
    head: str = GENESIS  # checksum of the last line, to be noted elsewhere
    wrong: list[str] = field(default_factory=list)  # what was changed, a sentence each
    notes: list[str] = field(default_factory=list)  # what a killed run leaves, and what could not be looked at

    @property
    def intact(self) -> bool:
        """Whether nothing was changed, as far as can be told."""
        return not self.wrong


def verify(out: Path, salt: bytes | None, *, head: str | None = None) -> Verdict:
    """Go through the chain and compare what it says with what lies in OUT.

    Args:
        out: folder that a run wrote.
        salt: of the user who ran; None leaves the HMACs unlooked at, and says so.
        head: checksum of a last line that was noted elsewhere: the log must still hold that line.

    Raises:
        OutputError: there is no log, or it cannot be read.
    """
    lines = _lines(out / AUDIT_LOG)
    verdict, said = Verdict(), _Said()
    heads = _follow([line + b"\n" for line in lines[:-1]], None if salt is None else log_key(salt), verdict, said)
    if lines[-1]:
        verdict.notes.append(
            f"the last line is torn ({len(lines[-1])} bytes): a run was killed while it wrote; the next one says so"
        )
    if verdict.intact:
        _compare(out, said, verdict)
        if head is not None and head not in heads:
            verdict.wrong.append(f"truncated or replaced: no line has the checksum {head} that was noted")
    if salt is None:
        verdict.notes.append("the HMACs were not looked at, since the salt is not at hand")
    return verdict


@dataclass(slots=True)
class _Said:
    """What the entries say of OUT."""

    records: dict[str, str] = field(default_factory=dict)  # checksum of each study's record
    opened: set[str] = field(default_factory=set)  # studies whose record was about to change when the log ended
    run_json: str = ""  # checksum
    finished: bool = True

    def add(self, entry: Mapping[str, Value]) -> None:
        note(self.records, entry)
        if entry.get("event") == OPENED:
            self.opened.add(str(entry.get("study")))
        elif "study" in entry:
            self.opened.discard(str(entry["study"]))
        if entry.get("event") in _STARTS:
            self.finished, self.run_json = False, ""
        elif entry.get("event") == _OF_A_SHARD:
            self.finished = False
        elif entry.get("event") in _ENDS:
            self.finished = True
        self.run_json = str(entry.get("run_sha256", "")) or self.run_json


def _follow(lines: list[bytes], key: bytes | None, verdict: Verdict, said: _Said) -> set[str]:
    """Go from line to line until one does not follow; give the checksums of those that do."""
    heads: set[str] = set()
    torn: list[bytes] = []
    for place, line in enumerate(lines, start=1):
        entry = parsed(line)
        if entry is None:
            torn.append(line)
            continue
        fault = fault_of(entry, count=verdict.entries, last=verdict.head, key=key)
        if fault is None and torn and not _says_torn(entry, b"".join(torn)):
            place, fault = place - len(torn), "it is no entry"  # noqa: PLW2901 - the torn line is the one at fault
        if fault is not None:
            verdict.wrong.append(f"broken at line {place}: {fault}")
            return heads
        if torn:
            verdict.notes.append(f"line {place - len(torn)} was torn when a run was killed, and is kept as it was")
            torn = []
        verdict.entries, verdict.head = verdict.entries + 1, checksum(line)
        heads.add(verdict.head)
        said.add(entry)
    if torn:
        verdict.notes.append(f"the last {len(torn)} lines are torn: a run was killed while it wrote")
    return heads


def _says_torn(entry: Mapping[str, Value], torn: bytes) -> bool:
    """Whether an entry says that the lines before it were found torn."""
    found = {checksum(torn), checksum(torn.removesuffix(b"\n"))}
    return entry.get("event") == TORN and entry.get("sha256") in found


def entries_of(out: Path) -> list[dict[str, Value] | None]:
    """Every line of the log in its order; None for what is no entry.

    Raises:
        OutputError: there is no log, or it cannot be read.
    """
    return [parsed(line) for line in _lines(out / AUDIT_LOG) if line]


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")
    except FileNotFoundError as error:
        raise OutputError(f"{path} is missing: no run has written there, or its log was removed") from error
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error.strerror})") from error


def _compare(out: Path, said: _Said, verdict: Verdict) -> None:
    """Hold the records against the log."""
    there = {path.parent.name: path for path in (out / "studies").glob("*/record.json")}
    for study, expected in sorted(said.records.items()):
        if study not in there:
            verdict.wrong.append(f"study {study} is in the log and its record is gone")
        elif file_checksum(there[study]) != expected:
            verdict.wrong.append(f"the record of study {study} was changed since it was written")
        else:
            verdict.studies += 1
    unknown = sorted(there.keys() - said.records.keys() - said.opened)
    if not said.finished:
        verdict.notes.append("the last run did not come to its end: start it again")
        if len(unknown) == 1:
            verdict.notes.append(f"study {unknown[0]} was written last and is not in the log yet")
            return
    if unknown:
        verdict.wrong.append(
            f"truncated: {len(unknown)} finished studies are not in the log, the first of them {unknown[0]}"
        )
    path = out / "run.json"
    if said.finished and path.exists() and not said.run_json:
        verdict.wrong.append("truncated: run.json is there, and the log knows of no run that ended")
    elif said.finished and said.run_json and (not path.exists() or file_checksum(path) != said.run_json):
        verdict.wrong.append("run.json was changed since it was written")
