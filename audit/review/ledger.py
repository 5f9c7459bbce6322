"""Reviewers' entries in OUT/review.sqlite: written once, never changed, and confirmed only when they are on disk."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Final

from pipelines.errors import OutputError
from reports.review_record import ReviewEntry, Subject

__all__ = ["LEDGER_NAME", "Ledger", "StoredEntry", "SupersededError"]

LEDGER_NAME: Final = "review.sqlite"
"""Next to ``run.json``: a run refuses an OUT that holds it, even with --overwrite, so no run deletes verdicts."""

_APPLICATION: Final = 0x4D324942  # "M2IB": distinguishes this file from other databases
_VERSION: Final = 3
_COLUMNS_ADDED: Final = {2: "scores_hidden INTEGER", 3: "region_needed TEXT"}  # by version; NULL in older entries
WAIT_S: Final = 3.0  # how long to wait for another process that writes, which takes milliseconds
_PAUSE_S: Final = 0.02

_STATEMENTS = (
    """
CREATE TABLE entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    study TEXT NOT NULL,
    audited TEXT NOT NULL,
    image TEXT NOT NULL,
    heat TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    moment TEXT NOT NULL,
    received TEXT NOT NULL,
    verdict TEXT,
    scores_hidden INTEGER,
    region_needed TEXT,
    reasons TEXT NOT NULL,
    comment TEXT NOT NULL,
    boxes TEXT NOT NULL,
    replaces TEXT,
    UNIQUE (reviewer, id)
)
""",
    "CREATE INDEX entries_by_subject ON entries (study, audited, image, heat, reviewer, moment, number)",
    "CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'kept'); END",
    "CREATE TRIGGER entries_are_not_deleted BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'kept'); END",
)

_LATEST = """
NOT EXISTS (
    SELECT 1 FROM entries AS later
    WHERE later.study = entries.study AND later.audited = entries.audited AND later.image = entries.image
    AND later.heat = entries.heat AND later.reviewer = entries.reviewer
    AND (later.moment, later.number) > (entries.moment, entries.number)
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """An entry as stored in the database."""

    number: int  # order of arrival
    entry: ReviewEntry
    received: datetime
    is_latest: bool  # the latest of its reviewer for its heat map


class SupersededError(Exception):
    """The same reviewer has answered for the heat map meanwhile, in another tab, which this page did not know."""

    def __init__(self, latest: ReviewEntry | None) -> None:
        super().__init__("the entry that this one replaces was already replaced by another")
        self.latest = latest


class Ledger:
    """All entries of one OUT. Several processes may open it at once; one object may serve several threads.

    Durability: write-ahead log with ``synchronous=FULL``, which syncs the log at every commit.
    Source: SQLite, "PRAGMA synchronous" (FULL in WAL mode is durable across a power failure) and "Write-Ahead Logging".
    """

    def __init__(self, path: Path, *, make: bool = True) -> None:
        """Open the database, or create it if ``make``.

        Raises:
            OutputError: it does not exist, is not such a database, or cannot be written.
        """
        self.path = path
        self._lock = Lock()
        if not make and not path.is_file():
            raise OutputError(f"{path.parent} holds no verdicts: review it first (m2ib-audit review {path.parent})")
        with self._readable_errors():
            self._db = sqlite3.connect(
                path, timeout=WAIT_S, isolation_level=None, check_same_thread=False, cached_statements=32
            )
            self._db.row_factory = sqlite3.Row
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Close the database; its content is kept."""
        with self._lock:
            self._db.close()

    def append(self, entry: ReviewEntry, *, now: datetime) -> ReviewEntry:
        """Store an entry that its reviewer makes now, and return it with its time; on return it is on disk.

        An entry that is already stored (sent again because the answer was lost) is returned unchanged.

        Raises:
            SupersededError: the entry that it replaces is not the reviewer's latest for this heat map.
            OutputError: it cannot be written.
        """
        with self._transaction():
            if (again := self._again(entry)) is not None:
                return again
            latest = self._latest_of(entry)
            if (latest.id if latest else None) != entry.replaces:
                raise SupersededError(latest)
            # If the clock was set back, a new entry must still come after the earlier ones.
            moment = max(now, latest.moment) if latest else now
            stamped = entry.model_copy(update={"moment": moment})
            self._insert(stamped, received=now)
            return stamped

    def import_entries(self, entries: Iterable[ReviewEntry], *, now: datetime) -> int:
        """Store entries that were made elsewhere, either all or none; return the number of new ones."""
        with self._transaction():
            new = [entry for entry in entries if self._again(entry) is None]
            once = {(entry.reviewer, entry.id): entry for entry in new}
            for entry in once.values():
                # A browser whose clock is ahead must not override later entries, and one whose clock was set back must
                # not put an entry before the one that it replaces.
                moment = min(entry.moment, now)
                if (replaced := self._replaced_by(entry)) is not None:
                    moment = max(moment, replaced.moment)
                self._insert(entry.model_copy(update={"moment": moment}), received=now)
            return len(once)

    def entries(self, *, study: str | None = None, reviewer: str | None = None) -> list[StoredEntry]:
        """List all entries in the order of arrival, of one study or reviewer if given."""
        wanted = {"study": study, "reviewer": reviewer}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = :{name}" for name in given) or "1"
        query = f"SELECT *, {_LATEST} AS is_latest FROM entries WHERE {where} ORDER BY number"  # noqa: S608 - our names
        with self._lock, self._readable_errors():
            return [_kept(row) for row in self._db.execute(query, given)]

    def latest(self, *, study: str | None = None, reviewer: str | None = None) -> list[ReviewEntry]:
        """List each reviewer's latest entry for each heat map."""
        return [kept.entry for kept in self.entries(study=study, reviewer=reviewer) if kept.is_latest]

    def _prepare(self) -> None:
        self._db.execute("PRAGMA trusted_schema = OFF")
        application, version, tables = self._identity()
        if application != _APPLICATION and (application or tables):
            raise OutputError(f"{self.path} is a database of another program: move it away")
        if application and 1 <= version < _VERSION:
            self._bring_up_to_date()
        elif application and version != _VERSION:
            raise OutputError(
                f"{self.path} has version {version}, this program reads {_VERSION}: use the version that wrote it"
            )
        if self._write_ahead() != "wal":
            raise OutputError(
                f"{self.path} is on a disk without support for a write-ahead log: copy OUT to a local one"
            )
        self._db.execute("PRAGMA synchronous = FULL")
        if application == 0:
            self._make()

    def _write_ahead(self) -> str:
        """Switch to a write-ahead log and return the resulting mode, waiting for other processes as elsewhere.

        SQLite's own waiting does not cover this change of mode while another connection is writing: it fails at once
        with "database is locked", so two processes that create the database at the same time would make each other
        fail.
        """
        deadline = monotonic() + WAIT_S
        while True:
            try:
                mode: str = self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                    raise
                sleep(_PAUSE_S)
            else:
                return mode

    def _identity(self) -> tuple[int, int, int]:
        """Read the application, the version and the number of tables of the database in one transaction."""
        self._db.execute("BEGIN")
        try:
            queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
            application, version, tables = (self._db.execute(query).fetchone()[0] for query in queries)
        finally:
            self._db.execute("ROLLBACK")
        return application, version, tables

    def _bring_up_to_date(self) -> None:
        """Add the columns of later versions; their values are not known for the entries that are there."""
        with self._written():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]  # another process may have been first
            for later in range(version + 1, _VERSION + 1):
                self._db.execute(f"ALTER TABLE entries ADD COLUMN {_COLUMNS_ADDED[later]}")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def _make(self) -> None:
        with self._written():
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return  # another process was first
            for statement in _STATEMENTS:
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._readable_errors(), self._written():
            yield

    @contextmanager
    def _written(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")  # no other process writes between reading and writing
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(
                f"{self.path} cannot be used ({error}): may you write to its folder, and is the disk full?"
            ) from error

    def _again(self, entry: ReviewEntry) -> ReviewEntry | None:
        """Find the entry with the same id; ids belong to a reviewer, so that nobody can request another's entry."""
        row = self._db.execute(
            "SELECT *, 0 AS is_latest FROM entries WHERE reviewer = ? AND id = ?", (entry.reviewer, entry.id)
        ).fetchone()
        return None if row is None else _kept(row).entry

    def _replaced_by(self, entry: ReviewEntry) -> ReviewEntry | None:
        """Find the entry for the same heat map that an entry replaces; None if there is none here."""
        row = self._db.execute(
            "SELECT *, 0 AS is_latest FROM entries WHERE reviewer = ? AND id = ?", (entry.reviewer, entry.replaces)
        ).fetchone()
        found = None if row is None else _kept(row).entry
        return found if found is not None and found.subject == entry.subject else None

    def _latest_of(self, entry: ReviewEntry) -> ReviewEntry | None:
        row = self._db.execute(
            "SELECT *, 1 AS is_latest FROM entries WHERE study = ? AND audited = ? AND image = ? AND heat = ? "
            "AND reviewer = ? ORDER BY moment DESC, number DESC LIMIT 1",
            (*_subject_cells(entry.subject), entry.reviewer),
        ).fetchone()
        return None if row is None else _kept(row).entry

    def _insert(self, entry: ReviewEntry, *, received: datetime) -> None:
        self._db.execute(
            "INSERT INTO entries (study, audited, image, heat, id, reviewer, moment, received, verdict, scores_hidden, "
            "region_needed, reasons, comment, boxes, replaces) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *_subject_cells(entry.subject),
                entry.id,
                entry.reviewer,
                _stamp(entry.moment),
                _stamp(received),
                entry.verdict,
                entry.scores_hidden,
                entry.region_needed,
                json.dumps(entry.reasons),
                entry.comment,
                json.dumps([box.model_dump() for box in entry.boxes]),
                entry.replaces,
            ),
        )


def _stamp(moment: datetime) -> str:
    """Format a time so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _subject_cells(subject: Subject) -> tuple[str, str, str, str]:
    return subject.study, _stamp(subject.audited), subject.image, subject.heat


def _kept(row: sqlite3.Row) -> StoredEntry:
    entry = ReviewEntry.model_validate(
        {
            "id": row["id"],
            "subject": {name: row[name] for name in ("study", "audited", "image", "heat")},
            "reviewer": row["reviewer"],
            "moment": row["moment"],
            "verdict": row["verdict"],
            "scores_hidden": None if row["scores_hidden"] is None else bool(row["scores_hidden"]),
            "region_needed": row["region_needed"],
            "reasons": json.loads(row["reasons"]),
            "comment": row["comment"],
            "boxes": json.loads(row["boxes"]),
            "replaces": row["replaces"],
        }
    )
    return StoredEntry(
        number=row["number"],
        entry=entry,
        received=datetime.fromisoformat(row["received"]),
        is_latest=bool(row["is_latest"]),
    )
