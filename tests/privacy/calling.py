"""Commands called in this process or in one of their own, with a terminal or a pipe as their stderr."""

import io
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from audit.cli import app

__all__ = ["SALT", "called", "started"]

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
