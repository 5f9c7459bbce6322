"""Atomic and durable files: written to a temporary file, flushed to disk, then moved into place."""

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipelines.errors import OutputError

__all__ = [
    "check_fence",
    "fenced",
    "replaced",
    "sync_folder",
    "unwritable",
    "write_atomically",
    "write_durably",
    "write_text_atomically",
]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_GONE = {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ENODEV}
_UNKNOWN_TO_FOLDERS = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}


_fences: dict[Path, Callable[[], None]] = {}  # of this process, as the lock of OUT is


@contextmanager
def fenced(folder: Path, check: Callable[[], None]) -> Iterator[None]:
    """Call ``check`` before a file below ``folder`` is written or replaced; an exception prevents the write."""
    before = _fences.get(folder)
    _fences[folder] = check
    try:
        yield
    finally:
        if before is None:
            del _fences[folder]
        else:
            _fences[folder] = before


def check_fence(path: Path) -> None:
    """Check, before a file or folder is changed, whether the run of this process still holds the lock on OUT.

    Raises:
        OutputError: it does not.
    """
    for folder, check in tuple(_fences.items()):
        if path.is_relative_to(folder):
            check()


def write_text_atomically(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically: a reader sees the old or the new text.

    Raises:
        OutputError: the folder is missing or cannot be written.
    """
    write_atomically(path, lambda stream: stream.write(text))


def write_atomically(path: Path, write: Callable[[IO[str]], object]) -> None:
    """Write a UTF-8 file atomically by calling ``write``: a reader sees the old or the new file.

    Raises:
        OutputError: the folder is missing or cannot be written.
    """
    with replaced(path) as temporary, temporary.open("x", encoding="utf-8", newline="\n") as stream:
        write(stream)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; at the end the temporary file replaces ``path``.

    It is flushed to disk first. If the block fails, the temporary file is deleted and ``path`` is unchanged.

    Raises:
        OutputError: the folder is missing or cannot be written, also inside the block.
    """
    check_fence(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        check_fence(path)
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and flush it to disk; for files that are read only after a record names them.

    Raises:
        OutputError: the folder is missing or cannot be written.
    """
    check_fence(path)
    try:
        with path.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise unwritable(path, error) from error


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk; otherwise a moved file may be missing after a power failure.

    A file system that cannot flush folders (some network shares) is not an error.

    Raises:
        OutputError: the disk or share refuses.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _UNKNOWN_TO_FOLDERS:
            raise unwritable(folder, error) from error


def unwritable(path: Path, error: OSError) -> OutputError:
    """Return an error that says what cannot be written, why, and what to do."""
    if error.errno in _FULL:
        remedy = "free space there, then repeat the command: what is finished is kept"
    elif error.errno in _GONE:
        remedy = "reconnect the disk or share, then repeat the command; finished studies are kept"
    else:
        remedy = "make the folder and give yourself write access"
    return OutputError(f"{path} cannot be written ({error.strerror or error}): {remedy}")
