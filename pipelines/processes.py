"""Child processes that end when their parent does, however it ends."""

import multiprocessing
import os
import select
import sys

__all__ = ["end_when_closed", "end_with_parent"]


def end_with_parent() -> None:
    """Let the system end this child of :mod:`multiprocessing` as soon as the process that started it is gone.

    Else it would go on to write the studies that wait for it, into an OUT that the next run has taken over.

    Raises:
        ValueError: this process was not started by :mod:`multiprocessing`.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise ValueError("only a process that multiprocessing has started has a parent to end with")
    end_when_closed(parent.sentinel)


def end_when_closed(descriptor: int) -> None:
    """Let the system end this process as soon as the other end of a pipe, which carries no data, is closed.

    The kernel sends SIGIO, which ends a process that has not asked otherwise: at once, also in the midst of C code that
    holds the interpreter. Unlike PR_SET_PDEATHSIG it follows the process that holds the other end, not the thread that
    started this one, and not a fork server in between. Linux only; elsewhere a child ends when it next reads.

    Source: fcntl(2), F_SETOWN and O_ASYNC.
    """
    if sys.platform != "linux":
        return
    import fcntl  # noqa: PLC0415 - not there on every system

    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    closed = select.poll()
    closed.register(descriptor, 0)  # tells of nothing but that the other end is closed
    if closed.poll(0):  # before the kernel was asked to tell
        os._exit(1)
