"""Lines that are appended whole: one write each, so that lines of several processes never mix, then forced to disk.

A run that is killed leaves records that its log does not name yet. The log's next entry may vouch for them only if
whoever wrote them had the salt. The seal is an HMAC-SHA-256 of the file's bytes with the seal's own digits as zeros.

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
    """The time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_line(entry: Mapping[str, Value]) -> bytes:
    """Write an entry as one line of ASCII JSON; the same entry gives the same bytes."""
    return json.dumps(entry, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Open a log to read and append, made if it is not there, while no other process does.

    Yields:
        The file descriptor.

    Raises:
        OutputError: the file cannot be made or opened, or what is done with it fails; or this process works for a run
            that no longer holds OUT.
    """
    check_fence(path)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # ends with the descriptor, also where the process is killed
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}): is the disk full, or the folder not yours?"
        ) from error


def append_lines(descriptor: int, lines: bytes, *, to_disk: bool) -> None:
    """Append whole lines.

    Raises:
        OSError: they cannot be written.
    """
    view = memoryview(lines)
    while view:  # a disk that fills up takes a part: the rest then raises
        view = view[os.write(descriptor, view) :]
    if to_disk:
        os.fsync(descriptor)


UNSEALED = "0" * 64
"""What stands in a record's field ``seal`` until the file's bytes are known."""

_SEAL = re.compile(rb'^ "seal": ?"([0-9a-f]{64})"', re.MULTILINE)  # of the record itself: nested fields stand deeper


def seal_key(salt: bytes) -> bytes:
    """Derive the key of the seals, so that one key serves one purpose."""
    return hmac.new(salt, b"m2ib-audit record seal", "sha256").digest()


def sealed(content: bytes, key: bytes) -> bytes:
    """Put the seal into a record that was written with :data:`UNSEALED`.

    Raises:
        ValueError: the record has no such field.
    """
    found = list(_SEAL.finditer(content))
    if len(found) != 1 or found[0][1] != UNSEALED.encode():
        raise ValueError("a record is sealed that has no field for it")
    return _with_seal(content, found[0], hmac.new(key, content, "sha256").hexdigest())


def is_sealed(content: bytes, key: bytes) -> bool:
    """Say whether a record was written, as it is, by who had the salt."""
    found = list(_SEAL.finditer(content))
    if len(found) != 1:
        return False
    bare = _with_seal(content, found[0], UNSEALED)
    return hmac.compare_digest(found[0][1].decode(), hmac.new(key, bare, "sha256").hexdigest())


def _with_seal(content: bytes, place: re.Match[bytes], seal: str) -> bytes:
    return content[: place.start(1)] + seal.encode() + content[place.end(1) :]
