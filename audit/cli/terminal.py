"""The terminal: whether names may be printed on it, lists of problems, and the signals that stop a run."""

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
    "file-... and label-... stand for names, which may be a patient's. Names are printed if stderr is a terminal or "
    f"{NAMES_VARIABLE}=show; `m2ib-audit key FOLDER --find KEY` finds the file of a key"
)


def may_show_names() -> bool:
    """Return True if the owner of the files reads stderr: it is a terminal, or ``M2IB_AUDIT_NAMES`` is ``show``.

    Redirected output ends up in logs of a batch system, a container or a scheduler. With ``hide`` a terminal gets keys
    as well.
    """
    choice = os.environ.get(NAMES_VARIABLE, "").casefold()
    return choice == "show" if choice in {"show", "hide"} else sys.stderr.isatty()


def print_messages(messages: Sequence["Message"], *, most: int | None = None, things: str = "") -> None:
    """Print one line per message, at most ``most`` of the ``things``, and an explanation of the keys."""
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
    """Defers signals for a while, and remembers which one arrived."""

    def __init__(self) -> None:
        self._came: int | None = None

    @property
    def status(self) -> int | None:
        """Exit status for the signal that arrived; None if there was none."""
        return None if self._came is None else 128 + self._came

    @contextmanager
    def held_back(self) -> Iterator[Callable[[], bool]]:
        """Yield a function that returns whether a signal arrived; the second one raises KeyboardInterrupt."""
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
            print_message("Stopping after the current study; interrupt again to stop immediately")

        before = {number: signal.signal(number, heed) for number in _HEEDED}
        try:
            yield lambda: self._came is not None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
