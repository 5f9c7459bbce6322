"""Which records of an OUT a command may build on: those that the log names, or that carry a seal of this salt."""

from dataclasses import dataclass, field
from pathlib import Path

from audit.logbook.chain import AUDIT_LOG, log_key, log_lines
from audit.logbook.following import Said, follow
from audit.logbook.seals import is_sealed, seal_key
from pipelines.errors import DamagedError
from reports.folder import FAILED, PAGES, RECORD, RUN, read_pages_list
from reports.reading import checksum, read_bounded

__all__ = ["CHANGED", "UNKNOWN", "Known", "KnownWhileItGrows", "known_of"]

CHANGED = "its record was changed since it was written"
UNKNOWN = "the log does not know its record, which was not written with this salt"

_RECORD_AT_MOST = 128 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the log of an OUT says, as far as its entries follow from each other."""

    out: Path
    said: Said = field(default_factory=Said)
    key: bytes | None = None  # of the seals; None: they are not looked at
    is_there: bool = False  # a log with an entry
    fault: str | None = None  # where the log is broken

    def doubt(self, folder: Path, *, logged: bool = True) -> str | None:
        """Say in words why a study's record is not to be built on; None where it is.

        Args:
            folder: of the study.
            logged: whether the log names the records of this folder; those that were set aside it does not.

        Raises:
            DamagedError: the record cannot be read.
        """
        content = read_bounded(folder / RECORD, most_bytes=_RECORD_AT_MOST)
        named = self.said.records.get(folder.name) if logged else None
        if named == checksum(content):
            return None
        if named is not None and self.fault is None:  # a broken log may have said otherwise behind the break
            return CHANGED
        if logged and self.said.opened.get(folder.name) == checksum(content):
            return None  # it was about to change, and did not
        return None if self.key is None or is_sealed(content, self.key) else UNKNOWN

    def names(self, folder: Path) -> bool:
        """Say whether the log names a study's record as it is.

        Raises:
            DamagedError: the record cannot be read.
        """
        content = read_bounded(folder / RECORD, most_bytes=_RECORD_AT_MOST)
        return self.said.records.get(folder.name) == checksum(content)

    def names_failure(self, folder: Path) -> bool:
        """Say whether the log names the note that a study failed as it is.

        Raises:
            DamagedError: the note cannot be read.
        """
        content = read_bounded(folder / FAILED, most_bytes=_RECORD_AT_MOST)
        return self.said.failed.get(folder.name) == checksum(content)

    def check(self, folder: Path) -> None:
        """Refuse a study's record that is not to be built on.

        Raises:
            DamagedError: it was changed, is not known, or cannot be read.
        """
        doubt = self.doubt(folder)
        if doubt is not None:
            raise DamagedError(f"{folder / RECORD} is not to be trusted ({doubt}): audit the study again")

    def check_run(self) -> None:
        """Refuse a ``run.json`` that was changed since a run wrote it.

        Raises:
            DamagedError: it was.
        """
        content = read_bounded(self.out / RUN, most_bytes=_RECORD_AT_MOST)
        if self.is_there and not (
            self.said.last_run_json == checksum(content)
            or (not self.said.run_json and self.key is not None and is_sealed(content, self.key))
        ):
            raise DamagedError(
                f"{self.out / RUN} was changed since it was written: give the same `m2ib-audit run` again, which "
                "writes it from the studies that it keeps"
            )

    def pages(self) -> dict[str, str]:
        """Give the checksums of pages and thumbnails that the log vouches for; none where it does not."""
        path = self.out / PAGES
        try:
            content = read_bounded(path, most_bytes=_RECORD_AT_MOST)
        except DamagedError:
            return {}
        return read_pages_list(content) if self.said.pages == checksum(content) else {}


class KnownWhileItGrows:
    """What the log of an OUT says while a run may go on there; it is read again for a record that it does not name."""

    def __init__(self, out: Path) -> None:
        """Read the log without a salt: who reviews need not have it.

        Raises:
            OutputError: the log is there and cannot be read.
        """
        self._out, self._stamp = out, _stamp(out)
        self.known = known_of(out, None)

    def check(self, folder: Path) -> None:
        """Refuse a study's record that is not the one that the log names.

        Raises:
            DamagedError: it is not, or cannot be read.
            OutputError: the log cannot be read any more.
        """
        stamp = _stamp(self._out)
        if stamp != self._stamp and not self.known.names(folder):
            self.known, self._stamp = known_of(self._out, None), stamp
        self.known.check(folder)


def _stamp(out: Path) -> tuple[int, int] | None:
    """Tell states of the log apart without reading it."""
    try:
        found = (out / AUDIT_LOG).stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def known_of(out: Path, salt: bytes | None) -> Known:
    """Read what the log of an OUT says; without a salt HMACs and seals are not looked at.

    Raises:
        OutputError: the log is there and cannot be read.
    """
    key = None if salt is None else seal_key(salt)
    try:
        whole = [line for line in log_lines(out) if line.endswith(b"\n")]
    except FileNotFoundError:
        return Known(out=out, key=key)
    chain = follow(whole, None if salt is None else log_key(salt))
    return Known(
        out=out, said=chain.said, key=key, is_there=bool(chain.entries) or chain.fault is not None, fault=chain.fault
    )
