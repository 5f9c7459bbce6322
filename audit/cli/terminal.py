"""The terminal: who sits at it, what it is told, and the signals that stop a run."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from audit.cli.options import print_message

if TYPE_CHECKING:
    from audit.privacy.messages import Message
import signal
import threading
from types import FrameType

__all__ = [
    "INTERRUPTED",
    "NAMES_VARIABLE",
    "Signals",
    "may_show_names",
    "print_messages",
]


NAMES_VARIABLE = "M2IB_AUDIT_NAMES"

_HOW = (
    "file-... and label-... stand for names, which may be a patient's: they are shown where stderr is a terminal, or "
    f"with {NAMES_VARIABLE}=show; `m2ib-audit key FOLDER --find KEY` tells a file's"
)


def may_show_names() -> bool:
    """Say whether stderr is read by who owns the files: it is a terminal, or ``M2IB_AUDIT_NAMES`` is ``show``.

    What is redirected ends in logs: of a batch system, of a container, of a scheduler. With ``hide`` a terminal gets
    keys too.
    """
    choice = os.environ.get(NAMES_VARIABLE, "").casefold()
    return choice == "show" if choice in {"show", "hide"} else sys.stderr.isatty()


def print_messages(messages: Sequence["Message"], *, most: int | None = None, things: str = "") -> None:
    """List what is wrong, a line each and ``most`` of the ``things`` at most, and what the keys in it stand for."""
    named = may_show_names()
    lines = [each.for_owner if named else each.masked for each in messages]
    for line in lines[:most]:
        print_message(f"  {line}")
    if most is not None and len(lines) > most:
        print_message(f"  and {len(lines) - most:,} more {things}".rstrip())
    if _hold_keys(lines[:most]):
        print_message(_HOW)


def _hold_keys(lines: Iterable[str]) -> bool:
    return any(key in line for line in lines for key in ("file-", "label-"))


INTERRUPTED = 128 + signal.SIGINT  # exit status, as shells have it
_HEEDED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Holds signals back for a while, and remembers which came."""

    def __init__(self) -> None:
        self._came: int | None = None

    @property
    def status(self) -> int | None:
        """Exit status for the signal that came; None if none did."""
        return None if self._came is None else 128 + self._came

    @contextmanager
    def held_back(self) -> Iterator[Callable[[], bool]]:
        """Give a function that says whether a signal came; the second one raises KeyboardInterrupt."""
        if threading.current_thread() is not threading.main_thread():
            yield lambda: False
            return
        process = os.getpid()

        def heed(number: int, _frame: FrameType | None) -> None:
            if os.getpid() != process:  # a forked loader, which ends when this process does
                return
            if self._came is not None:
                raise KeyboardInterrupt
            self._came = number
            print_message("Stopping after the study at hand; once more to stop at once")

        before = {number: signal.signal(number, heed) for number in _HEEDED}
        try:
            yield lambda: self._came is not None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
