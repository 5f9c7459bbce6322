"""``OUT/log.jsonl``: the events of a run as they happen, and the records of Python's ``logging``.

A log record is stored as logger, level and code location, an exception as its type and code locations. A formatted
message is never stored, because a value may be a name. The constant text of our own messages is stored.
"""

import logging
import os
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import TextIO

from audit.logbook.seals import Value, append_lines, as_line, locked, now
from pipelines.errors import OutputError

__all__ = ["EVENT_LOG", "EventLog", "recorded_logging", "scrubbed_trace"]

EVENT_LOG = "log.jsonl"

_OURS = ("audit", "reports", "pipelines")
_FRAMES_AT_MOST = 40


class EventLog:
    """Appends events to the log of one OUT; keeps no file open, so that it can be sent to other processes."""

    def __init__(self, out: Path) -> None:
        self.path = out / EVENT_LOG

    def write(self, event: str, *, level: str = "info", **values: Value) -> None:
        """Write one event.

        Args:
            event: what happened, in constant words.
            level: "info", "warning" or "error".
            values: keys, stages, seconds and counts; no content of the inputs.

        Raises:
            OutputError: the log cannot be written.
        """
        line = as_line({"ts": now(), "level": level, "event": event, **values})
        with locked(self.path) as descriptor:
            append_lines(descriptor, line, to_disk=False)


class _Handler(logging.Handler):
    """Writes log records to an event log, without their values."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a failure is ignored here, because writing the audit log will report it."""
        is_ours = record.name.split(".", 1)[0] in _OURS
        if not is_ours and record.levelno < logging.WARNING:
            return
        values: dict[str, Value] = {
            "logger": record.name if record.name.isascii() else "another",
            "where": f"{_place(record.pathname)}:{record.lineno}",
        }
        if is_ours and isinstance(record.msg, str):
            values["message"] = record.msg  # the constant text of the code, without its %s filled in
            values |= getattr(record, "event_values", {})  # keys and places, which are safe to store
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            values |= {"error": type(error).__name__, "trace": scrubbed_trace(error)}
        level = (
            "error" if record.levelno >= logging.ERROR else "warning" if record.levelno >= logging.WARNING else "info"
        )
        with suppress(OutputError):
            self._log.write("log", level=level, **values)


@contextmanager
def recorded_logging(log: EventLog) -> Iterator[None]:
    """Redirect ``logging`` and ``warnings`` to an event log, and restore both afterwards."""
    root, handler = logging.getLogger(), _Handler(log)
    shown = warnings.showwarning

    def record(
        message: Warning | str,  # noqa: ARG001 - as Python calls it; it may hold a name
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        with suppress(OutputError):
            where = f"{_place(filename)}:{lineno}"
            log.write("log", level="warning", logger="py.warnings", where=where, error=category.__name__)

    root.addHandler(handler)
    warnings.showwarning = record
    try:
        yield
    finally:
        warnings.showwarning = shown
        root.removeHandler(handler)


def scrubbed_trace(error: BaseException) -> list[str]:
    """Return an exception's code locations, outermost first, without values that its message may hold."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_AT_MOST:]
    return [f"{_place(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


def _place(filename: str) -> str:
    """Return a source file's path within its package: the installation path may name a user."""
    parts = PurePath(filename).parts
    for root in ("site-packages", *_OURS):
        if root in parts:
            start = len(parts) - 1 - parts[::-1].index(root)
            return "/".join(parts[start + (root == "site-packages") :])
    return os.path.basename(filename)  # noqa: PTH119 - no file need be there
