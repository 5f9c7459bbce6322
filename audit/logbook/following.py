"""What the entries of an audit log say of an OUT, as far as one follows from the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from audit.logbook.chain import (
    BEGUN_OVER,
    GENESIS,
    OPENED,
    STARTED_ANEW,
    STUDY_FAILED,
    TORN,
    fault_of,
    note,
    parsed,
)
from audit.logbook.seals import Value
from reports.reading import checksum

__all__ = ["Chain", "Said", "follow"]

_STARTS = frozenset({STARTED_ANEW, "run started", "scoring again started"})
_END_OF_RUN = "run finished"
_ENDS = frozenset({_END_OF_RUN, "scoring again finished"})
_OF_A_SHARD = "shard started"  # until a whole run has closed it, the result is not at its end
_PAGES_START = frozenset({*_STARTS, _OF_A_SHARD, "pages are made again"})


@dataclass(slots=True)
class Said:
    """What the entries say of OUT."""

    records: dict[str, str] = field(default_factory=dict)  # checksum of each study's record
    failed: dict[str, str] = field(default_factory=dict)  # checksum of each failed study's note
    shards: dict[str, str] = field(default_factory=dict)  # checksum of what each shard says of itself
    opened: dict[str, str] = field(default_factory=dict)
    """Studies whose record was about to change or go when the log ended, and the checksum that it had before"""
    run_json: str = ""  # checksum; empty while a run may be writing it
    last_run_json: str = ""  # checksum that was last said
    pages: str = ""  # checksum of the list of pages; empty while pages may be being written
    pages_open: bool = False  # pages were being made when the log ended
    finished: bool = True
    begun_over: int | None = None  # studies that lay there when the log was begun

    def add(self, entry: Mapping[str, Value]) -> None:
        """Bring all of it up to an entry."""
        event, study = entry.get("event"), str(entry.get("study"))
        if event == STARTED_ANEW:  # said before anything is removed
            self.opened |= self.records
            self.failed, self.shards = {}, {}
        elif event == _END_OF_RUN:  # what was opened, and not done since, has left the result
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
        if event in _STARTS:
            self.finished, self.run_json = False, ""
        elif event == _OF_A_SHARD:
            self.finished = False
        elif event in _ENDS:
            self.finished, self.pages_open = True, False  # version 0.1.0 gave no checksum of pages
        if event in _PAGES_START:
            self.pages, self.pages_open = "", True
        self.run_json = self.last_run_json = str(entry.get("run_sha256", "")) or self.run_json
        if "pages_sha256" in entry:
            self.pages, self.pages_open = str(entry["pages_sha256"]), False
        if "shard" in entry and "shard_sha256" in entry:
            self.shards[str(entry["shard"])] = str(entry["shard_sha256"])


@dataclass(slots=True)
class Chain:
    """How far the entries of a log follow from each other."""

    entries: int = 0
    head: str = GENESIS  # checksum of the last line that follows
    heads: set[str] = field(default_factory=set)  # checksums of all of them
    fault: str | None = None  # why the next line does not follow
    torn: list[str] = field(default_factory=list)  # a sentence for each place where a killed run left a part of a line
    said: Said = field(default_factory=Said)


def follow(lines: list[bytes], key: bytes | None) -> Chain:
    """Go from line to line until one does not follow.

    Args:
        lines: whole, with their ends.
        key: of the HMACs; None leaves them unlooked at.
    """
    chain, torn = Chain(), list[bytes]()
    for place, line in enumerate(lines, start=1):
        entry = parsed(line)
        if entry is None:
            torn.append(line)
            continue
        fault = fault_of(entry, count=chain.entries, last=chain.head, key=key)
        if fault is None and torn and not _says_torn(entry, b"".join(torn)):
            place, fault = place - len(torn), "it is no entry"  # noqa: PLW2901 - the torn line is the one at fault
        if fault is not None:
            chain.fault = f"broken at line {place}: {fault}"
            return chain
        if torn:
            chain.torn.append(f"line {place - len(torn)} was torn when a run was killed, and is kept as it was")
            torn = []
        chain.entries, chain.head = chain.entries + 1, checksum(line)
        chain.heads.add(chain.head)
        chain.said.add(entry)
    if torn:
        chain.torn.append(f"the last {len(torn)} lines are torn: a run was killed while it wrote")
    return chain


def _says_torn(entry: Mapping[str, Value], torn: bytes) -> bool:
    """Whether an entry says that the lines before it were found torn."""
    found = {checksum(torn), checksum(torn.removesuffix(b"\n"))}
    return entry.get("event") == TORN and entry.get("sha256") in found
