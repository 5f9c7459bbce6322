"""Lines that are appended whole: one write each, so that lines of several processes never mix, then forced to disk."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipelines.errors import OutputError
from reports.writing import check_fence

__all__ = ["append_lines", "as_line", "locked", "now"]

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
