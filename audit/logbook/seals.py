"""Appends complete lines with one write each, so that lines of several processes never mix; also the seal of records.

A killed run leaves records that its log does not name yet. The log's next entry may confirm them only if their author
had the salt. The seal is an HMAC-SHA-256 of the file's bytes, with the seal's own digits replaced by zeros.

Source: RFC 2104 (HMAC).
"""

import fcntl
import hmac
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipelines.errors import OutputError
from reports.writing import check_fence

__all__ = ["UNSEALED", "append_lines", "as_line", "is_sealed", "locked", "now", "seal_key", "sealed"]

Value = str | int | float | bool | None | Sequence["Value"] | Mapping[str, "Value"]


def now() -> str:
    """Return the time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_line(entry: Mapping[str, Value]) -> bytes:
    """Format an entry as one line of ASCII JSON; the same entry gives the same bytes."""
    return json.dumps(entry, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Open a log to read and append, with an exclusive lock; it is created if it does not exist.

    Yields:
        The file descriptor.

    Raises:
        OutputError: the file cannot be created or opened, or an operation on it fails; or this process works for a run
            that no longer holds OUT.
    """
    check_fence(path)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # released with the descriptor, also if the process is killed
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}): is the disk full, or the folder not yours?"
        ) from error


def append_lines(descriptor: int, lines: bytes, *, to_disk: bool) -> None:
    """Append complete lines.

    Raises:
        OSError: the lines cannot be written.
    """
    view = memoryview(lines)
    while view:  # a full disk accepts only a part: the next write then raises
        view = view[os.write(descriptor, view) :]
    if to_disk:
        os.fsync(descriptor)


UNSEALED = "0" * 64
"""Value of a record's field ``seal`` until the file's bytes are known."""

_SEAL = re.compile(rb'^ "seal": ?"([0-9a-f]{64})"', re.MULTILINE)  # its own: nested fields are indented more


def seal_key(salt: bytes) -> bytes:
    """Derive the key of the seals; each purpose has its own key."""
    return hmac.new(salt, b"m2ib-audit record seal", "sha256").digest()


def sealed(content: bytes, key: bytes) -> bytes:
    """Insert the seal into a record that was written with :data:`UNSEALED`.

    Raises:
        ValueError: the record has no such field.
    """
    found = list(_SEAL.finditer(content))
    if len(found) != 1 or found[0][1] != UNSEALED.encode():
        raise ValueError("the record to seal has no field for the seal")
    return _with_seal(content, found[0], hmac.new(key, content, "sha256").hexdigest())


def is_sealed(content: bytes, key: bytes) -> bool:
    """Return True if a record is unchanged since someone with the salt wrote it."""
    found = list(_SEAL.finditer(content))
    if len(found) != 1:
        return False
    bare = _with_seal(content, found[0], UNSEALED)
    return hmac.compare_digest(found[0][1].decode(), hmac.new(key, bare, "sha256").hexdigest())


def _with_seal(content: bytes, place: re.Match[bytes], seal: str) -> bytes:
    return content[: place.start(1)] + seal.encode() + content[place.end(1) :]
