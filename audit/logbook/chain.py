"""``OUT/audit.jsonl``: a chain of entries in which a change of any entry can be detected.

Each line holds the SHA-256 of the previous line and an HMAC of itself, with a key derived from the salt. The chain
reveals a line that was changed, inserted, removed or moved. The HMAC proves that the author of a line had the salt: an
outsider with write access to OUT could recompute every checksum, but not the HMACs. Someone with both OUT and the salt
can write another chain; storing the last line's checksum elsewhere protects against that (``verify --head``).

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
    "RECORDED",
    "RESULTS_REPLACED",
    "SCORED_AGAIN",
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
GENESIS = "0" * 64  # the previous line's checksum in the first line
TORN = "torn line kept"
DONE, FOUND_DONE, SCORED_AGAIN = "study done", "study found done", "study scored again"
OPENED = "study opened"  # its record is about to be changed or removed from the result
RECORDED = frozenset({DONE, FOUND_DONE, SCORED_AGAIN})
RESULTS_REPLACED = "run replaced"
STUDY_FAILED = "study failed"
BEGUN_OVER = "log begun over studies"  # OUT held studies when the log was created
_TAIL_AT_MOST = 1 << 20  # bytes; a line is far shorter


def log_key(salt: bytes) -> bytes:
    """Derive the key of the log's HMACs; each purpose has its own key."""
    return hmac.new(salt, b"m2ib-audit audit log", "sha256").digest()


def log_lines(out: Path) -> list[bytes]:
    """Return the lines of the log with their line ends; the last one may be incomplete.

    Raises:
        FileNotFoundError: there is no log.
        OutputError: it cannot be read, or is not a regular file.
    """
    path = out / AUDIT_LOG
    try:
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is not a regular file: put the log back")
        *whole, last = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error.strerror})") from error
    return [*(line + b"\n" for line in whole), *([last] if last else [])]


def result_checksums(out: Path) -> dict[str, str]:
    """Return the contents of the entry that closes a run: the checksums of ``run.json`` and of the list of pages.

    Raises:
        OutputError: one of them cannot be read.
    """
    return {"run_sha256": file_checksum(out / RUN), "pages_sha256": file_checksum(out / PAGES)}


def mac_of(entry: Mapping[str, Value], key: bytes) -> str:
    """Return the HMAC-SHA-256 of an entry as it is written, without its own ``mac``."""
    bare = {name: value for name, value in entry.items() if name != "mac"}
    return hmac.new(key, as_line(bare), "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _ChainHead:
    """The current end of the chain."""

    count: int
    last: str  # checksum of the last complete line


class AuditLog:
    """Appends to the chain of one OUT.

    Every append locks the file and reads the end of the chain, so that two commands on the same OUT extend the same
    chain. An incomplete line left by a killed run is kept; the next entry states its length and checksum.
    """

    def __init__(self, out: Path, salt: bytes) -> None:
        self._path, self._key = out / AUDIT_LOG, log_key(salt)

    def append(self, event: str, **values: Value) -> str:
        """Append one entry and flush it to disk. Returns the checksum of the last line, the head.

        Raises:
            OutputError: the log cannot be written.
        """
        return self.append_all([(event, values)])

    def append_all(self, entries: Iterable[tuple[str, Mapping[str, Value]]]) -> str:
        """Append entries, flushed to disk once. Returns the head, or "" if there was nothing to append.

        Raises:
            OutputError: the log cannot be written.
        """
        waiting = list(entries)
        if not waiting:
            return ""
        with locked(self._path) as descriptor:
            head, torn = _head_of(descriptor)
            lines = []
            if torn and self._follows(head, parsed(torn)):  # complete except for its line end
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
    """Raise if no entry of an OUT's log was written with this salt.

    Entries may have been changed since, including the first and the last: :func:`audit.logbook.verify` says which.

    Raises:
        OutputError: OUT was made with another salt, or its log cannot be read.
    """
    path, key = out / AUDIT_LOG, log_key(salt)
    try:
        with path.open("rb") as log:
            entries = filter(None, map(parsed, iter(partial(log.readline, _TAIL_AT_MOST), b"")))
            ours = (entry.get("mac") == mac_of(entry, key) for entry in entries)
            is_other = not next(ours, True) and not any(ours)  # usually the first entry decides
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error.strerror}): give the auditing user access to it") from error
    if is_other:
        raise OutputError(
            f"{out} was written with another salt, so its keys do not match these inputs: restore the salt that it "
            "was made with (M2IB_AUDIT_SALT, or the file in your configuration folder), or name another folder"
        )


def _head_of(descriptor: int) -> tuple[_ChainHead, bytes]:
    """Find the last complete entry, and everything after it.

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
    """Explain why an entry does not follow the previous ones; None if it does.

    Args:
        entry: the entry as read.
        count: number of entries before it.
        last: checksum of the line before it.
        key: :func:`log_key`; None skips the HMAC.
    """
    if entry.get("n") != count + 1:
        return f"entry {count + 1} is expected, but it is entry {entry.get('n')}"
    if entry.get("prev") != last:
        return "the line before it is not the one that it was written after"
    if key is not None and entry.get("mac") != mac_of(entry, key):
        return "it was not written with this salt, or was changed since"
    return None


def parsed(line: bytes) -> dict[str, Value] | None:
    """Parse a line; None if it is not an entry."""
    try:
        entry = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")  # this program does not write such an entry


def note(found: dict[str, str], entry: Mapping[str, Value]) -> None:
    """Update ``found``, the checksum of each study's record, with an entry."""
    if entry.get("event") == RESULTS_REPLACED:
        found.clear()
    if entry.get("event") == OPENED:
        found.pop(str(entry.get("study")), None)
    if entry.get("event") in RECORDED:
        found[str(entry.get("study"))] = str(entry.get("record_sha256"))
