"""Commands called in this process or in one of their own, with a terminal, a pipe or a file as their stderr."""

import io
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from threading import Thread
from typing import BinaryIO

import pytest

from audit.cli import app

__all__ = ["SALT", "called", "printed_by", "started"]

SALT = "a salt for tests only"


def called(*words: str, terminal: bool, names: str = "") -> tuple[int, bytes, bytes]:
    """Call a command in this process; give exit status, stdout and stderr.

    Args:
        words: of the command line.
        terminal: whether stderr is a terminal or a pipe.
        names: value of M2IB_AUDIT_NAMES.
    """
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with (
        listening(terminal=terminal) as (theirs, said),
        pytest.MonkeyPatch.context() as patch,
        os.fdopen(theirs, "w", encoding="utf-8") as stderr,
        warnings.catch_warnings(),
    ):
        patch.setattr(sys, "stdout", stdout)
        patch.setattr(sys, "stderr", stderr)
        for variable, value in settings(names).items():
            patch.setenv(variable, value)
        warnings.simplefilter("ignore")  # a warning of pydicom ends no study, as in a process of its own
        try:
            app(list(words))
            status = 0
        except SystemExit as ending:
            status = ending.code if isinstance(ending.code, int) else 0
        stdout.flush()
    return status, stdout.buffer.getvalue(), b"".join(said)  # type: ignore[attr-defined]


def printed_by(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Call a command in this process, with files as its stdout and stderr; give exit status and what it printed.

    The files take the places of descriptors 1 and 2, so that what C libraries and child processes print is in them too.
    """
    with TemporaryFile() as out, TemporaryFile() as err, pytest.MonkeyPatch.context() as patch:
        for variable, value in settings("").items():
            patch.setenv(variable, value)
        with _in_place_of(1, out) as stdout, _in_place_of(2, err) as stderr, warnings.catch_warnings():
            patch.setattr(sys, "stdout", stdout)
            patch.setattr(sys, "stderr", stderr)
            warnings.simplefilter("default")
            patch.setattr(warnings, "showwarning", _print_warning)  # pytest collects them
            try:
                app(list(words))
                status = 0
            except SystemExit as ending:
                status = ending.code if isinstance(ending.code, int) else 0
        return subprocess.CompletedProcess(words, status, *(_content(file) for file in (out, err)))


@contextmanager
def _in_place_of(descriptor: int, file: BinaryIO) -> Iterator[io.TextIOWrapper]:
    """Let a descriptor be a file for a while; gives a text stream that writes to it."""
    kept = os.dup(descriptor)
    os.dup2(file.fileno(), descriptor)
    try:
        with open(descriptor, "w", encoding="utf-8", closefd=False) as stream:
            yield stream
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


def _print_warning(message, category, filename, lineno, file=None, line=None) -> None:
    (file or sys.stderr).write(warnings.formatwarning(message, category, filename, lineno, line))


def _content(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def started(*words: str, terminal: bool, names: str = "") -> tuple[int, bytes, bytes]:
    """Do as ``called`` in a process of its own."""
    command = [sys.executable, "-m", "audit.cli", *words]
    with listening(terminal=terminal) as (theirs, said):
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=theirs,
                env=os.environ | settings(names),
                check=False,
            )
        finally:
            os.close(theirs)
    return ended.returncode, ended.stdout, b"".join(said)


def settings(names: str) -> dict[str, str]:
    return {"M2IB_AUDIT_SALT": SALT, "M2IB_AUDIT_NAMES": names, "COLUMNS": "80"}


@contextmanager
def listening(*, terminal: bool) -> Iterator[tuple[int, list[bytes]]]:
    """Give the end to write to, which the block closes, and what is read from the other until then."""
    ours, theirs = os.openpty() if terminal else os.pipe()
    said: list[bytes] = []

    def listen() -> None:
        while True:
            try:
                heard = os.read(ours, 65536)
            except OSError:  # how Linux says that the other end of a pseudo-terminal is closed
                return
            if not heard:
                return
            said.append(heard)

    listener = Thread(target=listen)
    listener.start()
    try:
        yield theirs, said
    finally:
        listener.join()
        os.close(ours)
