"""``OUT/audit.jsonl``: entries that follow from each other, so that a change of any of them shows.

Each line holds the SHA-256 of the line before it and, made with a key that follows from the salt, an HMAC of itself.
The chain shows a line that was changed, put in, taken out or moved. The HMAC shows that whoever wrote a line had the
salt: an outsider with write access to OUT could work every checksum out again, and not these. Whoever has both OUT and
the salt can write another chain; against that helps a note of the last line's checksum elsewhere (``verify --head``).

Source: RFC 2104 (HMAC); Schneier and Kelsey 1999, "Secure audit logs to support computer forensics", section 4.
"""

import hmac
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audit.logbook.seals import Value, append_lines, as_line, locked, now
from pipelines.errors import OutputError
from reports.reading import checksum, file_checksum
from reports.results_folder import PAGES, RUN

__all__ = [
    "AUDIT_LOG",
    "BEGUN_OVER",
    "DONE",
    "FOUND_DONE",
    "GENESIS",
    "OPENED",
    "SCORED_AGAIN",
    "STARTED_ANEW",
    "STUDY_FAILED",
    "TORN",
    "AuditLog",
    "fault_of",
    "log_key",
    "log_lines",
    "mac_of",
    "note",
    "parsed",
    "refuse_other_salt",
    "result_checksums",
]

AUDIT_LOG = "audit.jsonl"
GENESIS = "0" * 64  # what stands in the first line for the one before it
TORN = "torn line kept"
DONE, FOUND_DONE, SCORED_AGAIN = "study done", "study found done", "study scored again"
OPENED = "study opened"  # its record is about to change, or to leave the result
RECORDED = frozenset({DONE, FOUND_DONE, SCORED_AGAIN})
STARTED_ANEW = "run replaced"
STUDY_FAILED = "study failed"
BEGUN_OVER = "log begun over studies"  # that lay in OUT, while their log was gone
_TAIL_AT_MOST = 1 << 20  # bytes: a line is far shorter


def log_key(salt: bytes) -> bytes:
    """Derive the key of the log's HMACs, so that one key serves one purpose."""
    return hmac.new(salt, b"m2ib-audit audit log", "sha256").digest()


def log_lines(out: Path) -> list[bytes]:
    """Give the lines of the log with their ends; the last one may be torn.

    Raises:
        FileNotFoundError: there is none.
        OutputError: it cannot be read, or is no plain file.
    """
    path = out / AUDIT_LOG
    try:
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is no plain file: put the log back")
        *whole, last = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error.strerror})") from error
    return [*(line + b"\n" for line in whole), *([last] if last else [])]


def result_checksums(out: Path) -> dict[str, str]:
    """Give what the entry holds that closes a run: the checksums of ``run.json`` and of the list of pages.

    Raises:
        OutputError: one of them cannot be read.
    """
    return {"run_sha256": file_checksum(out / RUN), "pages_sha256": file_checksum(out / PAGES)}


def mac_of(entry: Mapping[str, Value], key: bytes) -> str:
    """HMAC-SHA-256 of an entry as it is written, without its own ``mac``."""
    bare = {name: value for name, value in entry.items() if name != "mac"}
    return hmac.new(key, as_line(bare), "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _ChainHead:
    """Where the chain stands."""

    count: int
    last: str  # checksum of the last whole line


class AuditLog:
    """Appends to the chain of one OUT.

    Every append takes the file's lock and reads where the chain stands, so that two commands on one OUT add to one
    chain. A line that a killed run left torn stays in its place; the next entry says how long it is and what its
    checksum is.
    """

    def __init__(self, out: Path, salt: bytes) -> None:
        self._path, self._key = out / AUDIT_LOG, log_key(salt)

    def append(self, event: str, **values: Value) -> str:
        """Append one entry; it is on the disk when this returns. Gives the checksum of the last line, the head.

        Raises:
            OutputError: the log cannot be written.
        """
        return self.append_all([(event, values)])

    def append_all(self, entries: Iterable[tuple[str, Mapping[str, Value]]]) -> str:
        """Append entries, forced to the disk once. Gives the head, which is empty where there was nothing to append.

        Raises:
            OutputError: the log cannot be written.
        """
        waiting = list(entries)
        if not waiting:
            return ""
        with locked(self._path) as descriptor:
            head, torn = _head_of(descriptor)
            lines = []
            if torn and self._follows(head, parsed(torn)):  # whole but for its end
                head = _ChainHead(head.count + 1, checksum(torn + b"\n"))
                lines.append(b"\n")
            elif torn:
                lines.append(b"" if torn.endswith(b"\n") else b"\n")
                waiting.insert(0, (TORN, {"bytes": len(torn), "sha256": checksum(torn)}))
            for event, values in waiting:
                line = self._line(head, event, values)
                head = _ChainHead(head.count + 1, checksum(line))
                lines.append(line)
            append_lines(descriptor, b"".join(lines), to_disk=True)
            return head.last

    def _follows(self, head: _ChainHead, entry: Mapping[str, Value] | None) -> bool:
        return entry is not None and fault_of(entry, count=head.count, last=head.last, key=self._key) is None

    def _line(self, head: _ChainHead, event: str, values: Mapping[str, Value]) -> bytes:
        entry: dict[str, Value] = {"n": head.count + 1, "ts": now(), "event": event, **values, "prev": head.last}
        return as_line({**entry, "mac": mac_of(entry, self._key)})


def refuse_other_salt(out: Path, salt: bytes) -> None:
    """Refuse a salt with which no entry of an OUT's log was written.

    Entries may have been changed since, the first and the last one too: :func:`audit.logbook.verify` says which.

    Raises:
        OutputError: OUT was made with another salt, or its log cannot be read.
    """
    path, key = out / AUDIT_LOG, log_key(salt)
    try:
        with path.open("rb") as log:
            entries = filter(None, map(parsed, iter(partial(log.readline, _TAIL_AT_MOST), b"")))
            ours = (entry.get("mac") == mac_of(entry, key) for entry in entries)
            is_other = not next(ours, True) and not any(ours)  # usually the first entry tells
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error.strerror}): let the user who audits read it") from error
    if is_other:
        raise OutputError(
            f"{out} was written with another salt, so its keys cannot be joined with these inputs: put back the salt "
            "that it was made with (M2IB_AUDIT_SALT, or the file in your configuration folder), or name another folder"
        )


def _head_of(descriptor: int) -> tuple[_ChainHead, bytes]:
    """Find the last whole entry, and everything behind it that is none.

    Raises:
        OSError: the log cannot be read.
    """
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, min(size, _TAIL_AT_MOST), max(0, size - _TAIL_AT_MOST))
    end = data.rfind(b"\n") + 1
    while end > 0:
        start = data.rfind(b"\n", 0, end - 1) + 1
        entry = parsed(data[start:end])
        if entry is not None and isinstance(entry.get("n"), int):
            return _ChainHead(int(str(entry["n"])), checksum(data[start:end])), data[end:]
        end = start
    return _ChainHead(0, GENESIS), data


def fault_of(entry: Mapping[str, Value], *, count: int, last: str, key: bytes | None) -> str | None:
    """Say why an entry does not follow those before it; None where it does.

    Args:
        entry: as read.
        count: entries before it.
        last: checksum of the line before it.
        key: :func:`log_key`; None leaves the HMAC unlooked at.
    """
    if entry.get("n") != count + 1:
        return f"entry {count + 1} should stand there, and it is entry {entry.get('n')}"
    if entry.get("prev") != last:
        return "the line before it is not the one that it was written after"
    if key is not None and entry.get("mac") != mac_of(entry, key):
        return "it was not written with this salt, or was changed since"
    return None


def parsed(line: bytes) -> dict[str, Value] | None:
    """Read a line; None where it is no entry."""
    try:
        entry = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")  # and an entry that holds it was not written here


def note(found: dict[str, str], entry: Mapping[str, Value]) -> None:
    """Bring ``found`` up to an entry: the checksum of each study's record."""
    if entry.get("event") == STARTED_ANEW:
        found.clear()
    if entry.get("event") == OPENED:
        found.pop(str(entry.get("study")), None)
    if entry.get("event") in RECORDED:
        found[str(entry.get("study"))] = str(entry.get("record_sha256"))
