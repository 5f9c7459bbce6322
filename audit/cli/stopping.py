"""Ctrl-C and SIGTERM while studies are at work: the study at hand is finished; a second one ends the process."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from audit.cli.options import tell

__all__ = ["INTERRUPTED", "Signals"]

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
            tell("Stopping after the study at hand; once more to stop at once")

        before = {number: signal.signal(number, heed) for number in _HEEDED}
        try:
            yield lambda: self._came is not None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
