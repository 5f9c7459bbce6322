"""What earlier scans of a folder found, so that a file that has not changed is not read again.

The index holds what the audit needs of each header, patient and accession numbers among it, and nothing else: it is
made readable by its owner alone, and what has left the folder leaves the index at the next scan.
"""

import json
import logging
import os
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from stat import S_ISREG

from pipelines.study import Image, LeftOut, View

__all__ = ["ScanIndex", "Stamp"]

_YOUNGEST_NS = 2_000_000_000  # FAT counts in two seconds: what is younger may change again under the same time
_AT_ONCE = 1000  # rows written between commits
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH}
_IMAGE_FIELDS = tuple(field.name for field in fields(Image) if field.name != "path")
_LEFT_OUT_FIELDS = ("stage", "reason")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a file changes."""

    size: int
    modified_ns: int
    changed_ns: int  # also moves where the time of modification was set back
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Stamp | None":
        """Take a regular file's stamp; None for links and all else, which an index does not speak of."""
        try:
            seen = path.lstat()
        except OSError:
            return None
        if not S_ISREG(seen.st_mode):
            return None
        return cls(seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)


class ScanIndex:
    """Findings by path, kept in a file; close it when the scan is done.

    A file that is damaged, or was written by another version of the header code, is made anew. One that cannot be
    used at all (a full disk, another scan that holds it) is gone without, with a warning: an index never stops a scan.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        """Open or make the index ``file`` of what lies below ``folder``."""
        self._file, self._folder = file, folder
        self._seen: set[bytes] = set()
        self._written = 0
        self._database: sqlite3.Connection | None = None
        try:
            self._database = self._open()
        except sqlite3.Error as error:
            if _is_damaged(error):
                _log.warning("the index of earlier scans is damaged (%s) and is made anew", error)
                self._remake()
            else:
                self._go_without(error)
        except OSError as error:
            self._go_without(error)

    def find(self, path: Path, stamp: Stamp) -> Image | LeftOut | None:
        """Give what was found in a file, or None where it is not known or the file has changed since."""
        if self._database is None:
            return None
        key = self._key(path)
        try:
            row = self._database.execute(
                "SELECT found FROM files WHERE path = ? AND size = ? AND modified = ? AND changed = ? AND inode = ?",
                (key, stamp.size, stamp.modified_ns, stamp.changed_ns, stamp.inode),
            ).fetchone()
        except sqlite3.Error as error:
            self._go_without(error)
            return None
        found = None if row is None else _decoded(row[0], path)
        if found is not None:
            self._seen.add(key)
        return found

    def keep(self, path: Path, stamp: Stamp, found: Image | LeftOut) -> None:
        """Remember what was found. Failures are not kept: a disk may have failed, and not the file."""
        young = time.time_ns() - max(stamp.modified_ns, stamp.changed_ns) < _YOUNGEST_NS
        if self._database is None or young or (isinstance(found, LeftOut) and found.failed):
            return
        key = self._key(path)
        values = (key, stamp.size, stamp.modified_ns, stamp.changed_ns, stamp.inode, _encoded(found))
        try:
            self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", values)
            self._written += 1
            if self._written % _AT_ONCE == 0:
                self._database.commit()
        except sqlite3.Error as error:
            self._go_without(error)
            return
        self._seen.add(key)

    def close(self) -> None:
        """Forget the files that were not met since the index was opened, and close it."""
        if self._database is None:
            return
        try:
            gone = [row for row in self._database.execute("SELECT path FROM files") if row[0] not in self._seen]
            self._database.executemany("DELETE FROM files WHERE path = ?", gone)
            self._database.commit()
            self._database.close()
        except sqlite3.Error as error:
            self._go_without(error)
        self._database = None

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
        self._file.chmod(0o600)
        database = sqlite3.connect(self._file, timeout=1.0)
        try:
            database.execute("PRAGMA secure_delete = ON")  # what has left the folder shall not stay in free pages
            written_by = database.execute("PRAGMA user_version").fetchone()[0]
            if written_by != _header_code():
                database.execute("DROP TABLE IF EXISTS files")
                database.execute(f"PRAGMA user_version = {_header_code()}")
            database.execute(
                "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER, modified INTEGER, "
                "changed INTEGER, inode INTEGER, found TEXT) WITHOUT ROWID"
            )
            database.execute("SELECT path, size, modified, changed, inode, found FROM files LIMIT 1")
            database.commit()
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _remake(self) -> None:
        try:
            self._file.unlink(missing_ok=True)
            self._database = self._open()
        except (sqlite3.Error, OSError) as error:
            self._go_without(error)

    def _go_without(self, error: sqlite3.Error | OSError) -> None:
        _log.warning("the index of earlier scans cannot be used (%s): files are read again", error)
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            if isinstance(error, sqlite3.Error) and _is_damaged(error):
                self._file.unlink(missing_ok=True)  # the next scan makes it anew
        self._database = None

    def _key(self, path: Path) -> bytes:
        return os.fsencode(path.relative_to(self._folder))


def _is_damaged(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED  # the upper bits say more closely where


def _encoded(found: Image | LeftOut) -> str:
    names = _IMAGE_FIELDS if isinstance(found, Image) else _LEFT_OUT_FIELDS
    return json.dumps([getattr(found, name) for name in names])


def _decoded(text: str, path: Path) -> Image | LeftOut | None:
    """Read a finding; None where it is none."""
    try:
        values = json.loads(text)
        if len(values) == len(_LEFT_OUT_FIELDS):
            stage, reason = values
            return LeftOut(source=str(path), stage=stage, reason=reason, failed=False)
        found = dict(zip(_IMAGE_FIELDS, values, strict=True))
        found["view"] = View(found["view"])
        spacing = found["spacing_mm"]
        found["spacing_mm"] = None if spacing is None else (spacing[0], spacing[1])
        return Image(path=path, **found)
    except (ValueError, TypeError, LookupError):
        return None


@cache
def _header_code() -> int:
    """Number the code that reads headers: whatever changes in it makes every older index invalid."""
    here = Path(__file__).parent
    digest = sha256(f"{version('m2ib-audit')} {version('pydicom')}".encode())
    for source in (*sorted(here.glob("*.py")), here.parent / "study.py"):
        digest.update(source.read_bytes())
    return int.from_bytes(digest.digest()[:4]) >> 1  # user_version is a signed number of 32 bits
