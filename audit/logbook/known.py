"""What the audit log states about a folder's studies and files, read by following its chain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audit.logbook.chain import (
    AUDIT_LOG,
    BEGUN_OVER,
    GENESIS,
    OPENED,
    RECORDED,
    RESULTS_REPLACED,
    STUDY_FAILED,
    TORN,
    fault_of,
    log_key,
    log_lines,
    note,
    parsed,
)
from audit.logbook.seals import Value, is_sealed, seal_key
from pipelines.errors import DamagedError
from reports.reading import checksum, read_bounded
from reports.results_folder import FAILED, PAGES, RECORD, RUN, read_pages_list

__all__ = ["CHANGED", "UNKNOWN", "Chain", "LiveLogState", "LogContent", "LogState", "follow", "read_log_state"]

_STARTS = frozenset({RESULTS_REPLACED, "run started", "scoring again started"})
_END_OF_RUN = "run finished"
_ENDS = frozenset({_END_OF_RUN, "scoring again finished"})
_OF_A_SHARD = "shard started"  # the result is incomplete until a whole run has closed it
_PAGES_START = frozenset({*_STARTS, _OF_A_SHARD, "pages are made again"})


@dataclass(slots=True)
class LogContent:
    """The statements of the log about OUT."""

    records: dict[str, str] = field(default_factory=dict)  # checksum of each study's record
    failed: dict[str, str] = field(default_factory=dict)  # checksum of each failed study's note
    shards: dict[str, str] = field(default_factory=dict)  # checksum of each shard's own record
    opened: dict[str, str] = field(default_factory=dict)
    """Studies whose record was about to be changed or removed when the log ended, with its previous checksum"""
    run_json: str = ""  # checksum; empty while a run may be writing it
    last_run_json: str = ""  # the latest checksum in the log
    pages: str = ""  # checksum of the list of pages; empty while pages may be being written
    pages_open: bool = False  # pages were being written when the log ended
    finished: bool = True
    begun_over: int | None = None  # number of studies in OUT when the log was created
    has_results: bool = False  # a study was ever done, also if it was discarded since
    protocols: dict[str, bool] = field(default_factory=dict)
    """Checksums of protocols, and whether each was named before the first result"""

    def add(self, entry: Mapping[str, Value]) -> None:
        """Update all fields with an entry."""
        event, study = entry.get("event"), str(entry.get("study"))
        if event == RESULTS_REPLACED:  # logged before anything is removed
            self.opened |= self.records
            self.failed, self.shards = {}, {}
        elif event == _END_OF_RUN:  # studies that were opened and not completed since have left the result
            self.opened = {}
        if event == OPENED:
            self.opened[study] = self.records.get(study, "")
        elif "study" in entry:
            self.opened.pop(study, None)
        note(self.records, entry)
        if event == STUDY_FAILED:
            self.failed[study] = str(entry.get("failed_sha256"))
        if event == BEGUN_OVER:
            self.begun_over = int(str(entry.get("studies", 0)))
        self._order(entry)
        if event in _STARTS:
            self.finished, self.run_json = False, ""
        elif event == _OF_A_SHARD:
            self.finished = False
        elif event in _ENDS:
            self.finished, self.pages_open = True, False  # version 0.1.0 logged no checksum of pages
        if event in _PAGES_START:
            self.pages, self.pages_open = "", True
        self.run_json = self.last_run_json = str(entry.get("run_sha256", "")) or self.run_json
        if "pages_sha256" in entry:
            self.pages, self.pages_open = str(entry["pages_sha256"]), False
        if "shard" in entry and "shard_sha256" in entry:
            self.shards[str(entry["shard"])] = str(entry["shard_sha256"])

    def _order(self, entry: Mapping[str, Value]) -> None:
        """Note whether results came before a protocol is named for the first time."""
        if "protocol_sha256" in entry:
            self.protocols.setdefault(str(entry["protocol_sha256"]), not self.has_results)
        self.has_results |= entry.get("event") in {*RECORDED, BEGUN_OVER}


@dataclass(slots=True)
class Chain:
    """How far the entries of a log form a valid chain."""

    entries: int = 0
    head: str = GENESIS  # checksum of the last valid line
    heads: set[str] = field(default_factory=set)  # checksums of all valid lines
    fault: str | None = None  # why the next line is not valid
    torn: list[str] = field(default_factory=list)  # a message for each incomplete line of a killed run
    statements: LogContent = field(default_factory=LogContent)


def follow(lines: list[bytes], key: bytes | None) -> Chain:
    """Follow the chain until a line is not valid.

    Args:
        lines: complete lines with their line ends.
        key: the key of the HMACs; None skips them.
    """
    chain, torn = Chain(), list[bytes]()
    for place, line in enumerate(lines, start=1):
        entry = parsed(line)
        if entry is None:
            torn.append(line)
            continue
        fault = fault_of(entry, count=chain.entries, last=chain.head, key=key)
        if fault is None and torn and not _records_torn_line(entry, b"".join(torn)):
            place, fault = place - len(torn), "it is not an entry"  # noqa: PLW2901 - the torn line is the one at fault
        if fault is not None:
            chain.fault = f"broken at line {place}: {fault}"
            return chain
        if torn:
            chain.torn.append(f"line {place - len(torn)} was torn when a run was killed, and is kept as it was")
            torn = []
        chain.entries, chain.head = chain.entries + 1, checksum(line)
        chain.heads.add(chain.head)
        chain.statements.add(entry)
    if torn:
        chain.torn.append(f"the last {len(torn)} lines are torn: a run was killed while it wrote")
    return chain


def _records_torn_line(entry: Mapping[str, Value], torn: bytes) -> bool:
    """Return True if an entry states that the lines before it were found incomplete."""
    found = {checksum(torn), checksum(torn.removesuffix(b"\n"))}
    return entry.get("event") == TORN and entry.get("sha256") in found


CHANGED = "its record was changed since it was written"
UNKNOWN = "the log does not know its record, which was not written with this salt"

_RECORD_AT_MOST = 128 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """The statements of an OUT's log, as far as its chain is valid."""

    out: Path
    statements: LogContent = field(default_factory=LogContent)
    key: bytes | None = None  # key of the seals; None: they are not checked
    is_there: bool = False  # there is a log with an entry
    fault: str | None = None  # where the chain is broken

    def doubt(self, folder: Path, *, logged: bool = True) -> str | None:
        """Explain why a study's record cannot be relied on; None if it can.

        Args:
            folder: the folder of the study.
            logged: whether the log names the records of this folder; it does not name archived ones.

        Raises:
            DamagedError: the record cannot be read.
        """
        content = read_bounded(folder / RECORD, most_bytes=_RECORD_AT_MOST)
        named = self.statements.records.get(folder.name) if logged else None
        if named == checksum(content):
            return None
        if named is not None and self.fault is None:  # a broken log may name another checksum after the break
            return CHANGED
        if logged and self.statements.opened.get(folder.name) == checksum(content):
            return None  # it was about to be changed, but was not
        return None if self.key is None or is_sealed(content, self.key) else UNKNOWN

    def names(self, folder: Path) -> bool:
        """Return True if the log names a study's record in its present form.

        Raises:
            DamagedError: the record cannot be read.
        """
        content = read_bounded(folder / RECORD, most_bytes=_RECORD_AT_MOST)
        return self.statements.records.get(folder.name) == checksum(content)

    def names_failure(self, folder: Path) -> bool:
        """Return True if the log names a failed study's note in its present form.

        Raises:
            DamagedError: the note cannot be read.
        """
        content = read_bounded(folder / FAILED, most_bytes=_RECORD_AT_MOST)
        return self.statements.failed.get(folder.name) == checksum(content)

    def check(self, folder: Path) -> None:
        """Raise if a study's record cannot be relied on.

        Raises:
            DamagedError: it was changed, is unknown, or cannot be read.
        """
        doubt = self.doubt(folder)
        if doubt is not None:
            raise DamagedError(f"{folder / RECORD} cannot be relied on ({doubt}): audit the study again")

    def check_run(self) -> None:
        """Raise if ``run.json`` was changed since a run wrote it.

        Raises:
            DamagedError: it was changed.
        """
        content = read_bounded(self.out / RUN, most_bytes=_RECORD_AT_MOST)
        if self.is_there and not (
            self.statements.last_run_json == checksum(content)
            or (not self.statements.run_json and self.key is not None and is_sealed(content, self.key))
        ):
            raise DamagedError(
                f"{self.out / RUN} was changed since it was written: repeat the same `m2ib-audit run`, which "
                "writes it again from the stored studies"
            )

    def pages(self) -> dict[str, str]:
        """Return the checksums of pages and thumbnails that the log confirms; empty if it does not."""
        path = self.out / PAGES
        try:
            content = read_bounded(path, most_bytes=_RECORD_AT_MOST)
        except DamagedError:
            return {}
        return read_pages_list(content) if self.statements.pages == checksum(content) else {}


class LiveLogState:
    """The statements of an OUT's log while a run may continue; reread for a record that it does not name."""

    def __init__(self, out: Path) -> None:
        """Read the log without a salt, which a reviewer need not have.

        Raises:
            OutputError: the log is there and cannot be read.
        """
        self._out, self._stamp = out, _stamp(out)
        self.known = read_log_state(out, None)

    def check(self, folder: Path) -> None:
        """Raise if a study's record is not the one that the log names.

        Raises:
            DamagedError: it is another one, or cannot be read.
            OutputError: the log can no longer be read.
        """
        stamp = _stamp(self._out)
        if stamp != self._stamp and not self.known.names(folder):
            self.known, self._stamp = read_log_state(self._out, None), stamp
        self.known.check(folder)


def _stamp(out: Path) -> tuple[int, int] | None:
    """Return a stamp that identifies the state of the log without reading it."""
    try:
        found = (out / AUDIT_LOG).stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def read_log_state(out: Path, salt: bytes | None) -> LogState:
    """Read an OUT's log; without a salt, HMACs and seals are not checked.

    Raises:
        OutputError: the log is there and cannot be read.
    """
    key = None if salt is None else seal_key(salt)
    try:
        whole = [line for line in log_lines(out) if line.endswith(b"\n")]
    except FileNotFoundError:
        return LogState(out=out, key=key)
    chain = follow(whole, None if salt is None else log_key(salt))
    return LogState(
        out=out,
        statements=chain.statements,
        key=key,
        is_there=bool(chain.entries) or chain.fault is not None,
        fault=chain.fault,
    )
