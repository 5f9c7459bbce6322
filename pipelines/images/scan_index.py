"""Stores the findings of earlier scans of a folder, so that unchanged files are not read again.

The index holds only what the audit needs of each header. This includes patient and accession numbers, so only the
owner may read the file. Files that were removed from the folder are removed from the index at the next scan.
"""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import date
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from stat import S_ISREG
from types import TracebackType

from pipelines.study import Exclusion, Image, View

__all__ = ["ScanIndex", "Stamp"]

YOUNGEST_NS = 2_000_000_000  # FAT has a resolution of 2 s: a younger file may change again with the same time
ENTRIES_AT_ONCE = 2000  # entries per write: short enough that no other scan waits long
PATIENCE_SECONDS = 10.0  # how long to wait for another scan that writes
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH}
_SQLITE_HEADER = b"SQLite format 3\0"
_OURS = 0x6D326269  # "m2bi", the application id
_OURS_AT = slice(68, 72)  # its offset in an SQLite file
_IMAGE_FIELDS = tuple(field.name for field in fields(Image) if field.name != "path")
_LEFT_OUT_FIELDS = tuple(field.name for field in fields(Exclusion) if field.name not in {"source", "failed"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The properties of a file that change when the file changes."""

    size: int
    modified_ns: int
    changed_ns: int  # changes even if the modification time was set back
    inode: int

    @classmethod
    def of(cls, file: "Path | os.DirEntry[str]") -> "Stamp | None":
        """Return a file's stamp; None for a file that is not indexed.

        Links and other entries that are not regular files are not indexed. Nor are files written just now, which may
        change again without a change of their stamp.
        """
        try:
            seen = file.stat(follow_symlinks=False)
        except OSError:
            return None
        young = time.time_ns() - max(seen.st_mtime_ns, seen.st_ctime_ns) < YOUNGEST_NS
        if young or not S_ISREG(seen.st_mode):
            return None
        return cls(seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)

    def __str__(self) -> str:
        return f"{self.size} {self.modified_ns} {self.changed_ns} {self.inode}"


class ScanIndex:
    """Findings by path, stored in a file for the next scan; use it as a context manager.

    An index that is damaged, or was written by another version of the header code, is rebuilt. If the index cannot be
    used at all (disk full, locked by another scan, the file is not an index), it is left unchanged and the scan
    continues without it, with a warning. Several scans may use one file at the same time. Files that are no longer in
    the folder are removed when a scan completes, but not when it is interrupted.
    """

    def __init__(self, file: Path) -> None:
        """Open or create the index and read it completely: one query per file would be slower than the stamps."""
        self._file = file
        self._known: dict[str, tuple[str, str]] = {}  # path: stamp and finding
        self._new: list[tuple[str, str, str]] = []
        self._usable = True
        try:
            if not _may_be_index(file):
                self._usable = False
                _log.warning(
                    "%s is not an index of earlier scans and is left unchanged: give inputs.index another file",
                    file.name,
                )
            else:
                self._known = self._read()
        except sqlite3.Error as error:
            if _is_damaged(error):
                _log.warning("the index of earlier scans is damaged (%s) and is rebuilt", error)
                self._remake()
            else:
                self._continue_without(error)
        except OSError as error:
            self._continue_without(error)

    def __enter__(self) -> "ScanIndex":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(forget=kind is None)

    def find(self, name: str, stamp: Stamp, path: Path) -> Image | Exclusion | None:
        """Return the finding for a file, or None if there is none or the file has changed.

        Args:
            name: the file's path relative to the scanned folder, so that the index stays valid if the folder moves.
            stamp: the current stamp of the file.
            path: the path to put into the returned finding.
        """
        stamped, text = self._known.get(name, ("", ""))
        if stamped != str(stamp):
            return None
        found = _decoded(text, path)
        if found is not None:
            del self._known[name]  # what is left at the end is no longer in the folder
        return found

    def keep(self, name: str, stamp: Stamp, found: Image | Exclusion) -> None:
        """Store a finding. Failures are not stored, because the cause may be the disk and not the file."""
        if isinstance(found, Exclusion) and found.failed:
            return
        self._known.pop(name, None)
        self._new.append((name, str(stamp), _encoded(found)))
        if len(self._new) >= ENTRIES_AT_ONCE:
            self._write(forget=False)

    def _write(self, *, forget: bool) -> None:
        """Write new findings, and delete those of files that are gone."""
        new, self._new = self._new, []
        gone = [(_stored(name),) for name in self._known] if forget else []
        if not self._usable or not (new or gone):
            return
        try:
            with self._transaction() as database:
                database.executemany("DELETE FROM files WHERE path = ?", gone)
                database.executemany(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?)",
                    ((_stored(name), stamp, text) for name, stamp, text in new),
                )
        except (sqlite3.Error, OSError) as error:
            self._continue_without(error)

    def _read(self) -> dict[str, tuple[str, str]]:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
        self._file.chmod(0o600)
        with self._transaction() as database:
            written_by = database.execute("PRAGMA user_version").fetchone()[0]
            if written_by != _header_code():
                database.execute("DROP TABLE IF EXISTS files")
                database.execute(f"PRAGMA application_id = {_OURS}")
                database.execute(f"PRAGMA user_version = {_header_code()}")
            database.execute(
                "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, stamp TEXT, found TEXT) WITHOUT ROWID"
            )
            rows = database.execute("SELECT path, stamp, found FROM files")
            return {os.fsdecode(path): (stamp, found) for path, stamp, found in rows if isinstance(path, bytes)}

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Open the database for one read or write. It is not held while files are read."""
        database = sqlite3.connect(self._file, timeout=PATIENCE_SECONDS, isolation_level=None)
        try:
            database.execute("PRAGMA secure_delete = ON")  # deleted entries must not stay in free pages
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        finally:
            database.close()  # rolls back what was not committed

    def _remake(self) -> None:
        try:
            self._remove()
            self._known = self._read()
        except (sqlite3.Error, OSError) as error:
            self._continue_without(error)

    def _continue_without(self, error: sqlite3.Error | OSError) -> None:
        _log.warning("the index of earlier scans cannot be used (%s): files are read again", error)
        self._usable, self._known = False, {}
        if isinstance(error, sqlite3.Error) and _is_damaged(error):
            with suppress(OSError):
                self._remove()  # the next scan creates a new one

    def _remove(self) -> None:
        # The journal first: SQLite would otherwise roll an old journal back into a new file.
        self._file.with_name(f"{self._file.name}-journal").unlink(missing_ok=True)
        self._file.unlink(missing_ok=True)


def _may_be_index(file: Path) -> bool:
    """Return True for an index, damaged or not, and for a new file: other files are never overwritten.

    Source: SQLite's file format, section 1.3 (the database header; application id at offset 68).
    """
    if not file.exists():
        return True
    with file.open("rb") as opened:
        head = opened.read(100)
    # After a system crash the file may consist of zeros.
    return not head.strip(b"\0") or (head.startswith(_SQLITE_HEADER) and head[_OURS_AT] == _OURS.to_bytes(4))


def _stored(name: str) -> bytes:
    return os.fsencode(name)


def _is_damaged(error: sqlite3.Error) -> bool:
    # Invalid text has no error code; the upper bits only give details.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _DAMAGED


def _encoded(found: Image | Exclusion) -> str:
    names = _IMAGE_FIELDS if isinstance(found, Image) else _LEFT_OUT_FIELDS
    return json.dumps([getattr(found, name) for name in names], default=date.isoformat)


def _decoded(text: str, path: Path) -> Image | Exclusion | None:
    """Read a finding; None if it is invalid."""
    try:
        values = json.loads(text)
        if len(values) == len(_LEFT_OUT_FIELDS):
            return Exclusion(source=str(path), failed=False, **dict(zip(_LEFT_OUT_FIELDS, values, strict=True)))
        found = dict(zip(_IMAGE_FIELDS, values, strict=True))
        found["view"] = View(found["view"])
        found["people"] = tuple(found["people"])
        spacing = found["spacing_mm"]
        found["spacing_mm"] = None if spacing is None else (spacing[0], spacing[1])
        taken = found["study_date"]
        found["study_date"] = None if taken is None else date.fromisoformat(taken)
        return Image(path=path, **found)
    except (ValueError, TypeError, LookupError):
        return None


@cache
def _header_code() -> int:
    """Return a number for the header code: any change of the code invalidates older indexes."""
    here = Path(__file__).parent
    digest = sha256(f"{version('m2ib-audit')} {version('pydicom')} {version('pillow')}".encode())
    sources = (*here.glob("*.py"), *here.with_name("dicom").glob("*.py"), here.with_name("study.py"))
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return int.from_bytes(digest.digest()[:4]) >> 1  # user_version is a signed number of 32 bits
