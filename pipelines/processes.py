"""Worker processes: started clean, supervised, with one thread each.

Each process has its own connection and one task at a time. ``concurrent.futures`` and torch's loader share queues and
locks among their processes: a killed process breaks the whole pool, or leaves a lock held forever. Messages are pickled
by value: torch's method, shared memory, needs more ``/dev/shm`` than a container has.
"""

import multiprocessing
import os
import pickle
import queue
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from threadpoolctl import threadpool_limits

from pipelines.errors import WorkerError

__all__ = ["ProcessPool", "end_when_closed", "end_with_parent", "keep_to_one_thread", "outcomes_in_order", "preload"]


def end_with_parent() -> None:
    """Make the system end this child of :mod:`multiprocessing` as soon as its parent process is gone.

    Otherwise it would write its queued studies into an OUT that the next run has taken over.

    Raises:
        ValueError: this process was not started by :mod:`multiprocessing`.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise ValueError("only a process started by multiprocessing has a parent to end with")
    end_when_closed(parent.sentinel)


def end_when_closed(descriptor: int) -> None:
    """Make the system end this process as soon as the other end of a pipe, which carries no data, is closed.

    The kernel sends SIGIO, which by default ends a process at once, even inside C code that holds the interpreter.
    Unlike PR_SET_PDEATHSIG it depends on the process that holds the other end, not on the thread that started this one
    and not on a fork server in between. Linux only; elsewhere a child ends at its next read.

    Source: fcntl(2), F_SETOWN and O_ASYNC.
    """
    if sys.platform != "linux":
        return
    import fcntl  # noqa: PLC0415 - not there on every system

    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    closed = select.poll()
    closed.register(descriptor, 0)  # reports only that the other end is closed
    if closed.poll(0):  # closed before the kernel was asked to signal it
        os._exit(1)


Task = TypeVar("Task")
Answer = TypeVar("Answer")

_TRIES = 2
_SECONDS_TO_END = 10.0
SECONDS_BETWEEN_STARTS = tuple(0.01 * 2**again for again in range(10))  # ten seconds in total
_starting = threading.Lock()  # multiprocessing's list of children has no lock
_preloaded = ["pipelines.transforms"]


def preload(*modules: str) -> None:
    """Name the modules that the processes need, before the first one starts: their server imports them once."""
    _preloaded[:] = modules


class ProcessPool(Generic[Task, Answer]):
    """``count`` processes that call ``call`` with a task each; use it as a context manager.

    Processes start with the first tasks, from a clean server: a fork of this process would inherit its threads, its
    files and the device.

    Args:
        call: the function to apply to each task; it is sent to the processes once.
        count: number of processes.
        name: the work of the processes, for messages: "scores a study".
    """

    def __init__(self, call: Callable[[Task], Answer], count: int, *, name: str) -> None:
        self._name, self._stopped = name, threading.Event()
        content = pickle.dumps(call)
        self._workers = [_Worker(content, self._stopped) for _ in range(count)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="m2ib-audit asks a process")
        self._retrying = threading.Lock()

    def submit(self, task: Task) -> "Future[Answer]":
        """Submit a task; the future raises what the call raised, or :class:`WorkerError` if its process died twice."""
        return self._threads.submit(self._done, task)

    def close(self, *, at_once: bool) -> None:
        """End the processes after their current task, or immediately with ``at_once``. Waiting tasks are dropped."""
        self._stopped.set()
        if at_once:
            for worker in self._workers:
                worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.end()

    def _done(self, task: Task) -> Answer:
        worker = self._idle.get()
        try:
            content = pickle.dumps(task)
            try:
                return self._answer(worker.ask(content))
            except _DiedError:
                if self._stopped.is_set():
                    raise WorkerError("the run was stopped") from None
            with self._retrying:  # one at a time: if memory was short, the retry has another process's share
                for _ in range(_TRIES - 1):
                    try:
                        return self._answer(worker.ask(content))
                    except _DiedError as died:
                        last = died
            raise WorkerError(
                f"the process that {self._name} ended {_TRIES} times before it was done ({last}), most often for lack "
                "of memory: free memory or use fewer execution.workers, then run again with "
                "--set execution.retry-failed=true"
            )
        finally:
            self._idle.put(worker)

    @staticmethod
    def _answer(content: bytes) -> Answer:
        answer, error = pickle.loads(content)  # noqa: S301 - from a process of our own
        if error is not None:
            raise error
        return answer  # type: ignore[no-any-return]


class _DiedError(Exception):
    """A process has died; the message says how, as far as is known."""


class _Worker:
    """A process, started on first use and after it has died."""

    def __init__(self, call: bytes, stopped: threading.Event) -> None:
        self._call, self._stopped = call, stopped
        self._running: tuple[BaseProcess, Connection] | None = None

    def ask(self, content: bytes) -> bytes:
        """Send a task and wait for its result.

        Raises:
            _DiedError: the process ended before it answered, or could not be started after several attempts.
        """
        if self._running is not None and self._running[1].poll():  # it ended while idle, not because of this task
            self.end()
        try:
            if self._running is None:
                self._running = _start(self._call, self._stopped)
            _, connection = self._running
            connection.send_bytes(content)
            return connection.recv_bytes()
        except (OSError, EOFError) as error:
            raise _DiedError(self._how(error)) from error

    def kill(self) -> None:
        """End the process during its task; the caller that waits for its answer gets an error."""
        running = self._running
        if running is not None:
            running[0].kill()

    def end(self) -> None:
        """Let the idle process end."""
        if self._running is None:
            return
        process, connection = self._running
        self._running = None
        connection.close()
        process.join(_SECONDS_TO_END)
        if process.is_alive():
            process.kill()

    def _how(self, error: Exception) -> str:
        if self._running is None:
            return f"it could not be started: {type(error).__name__}"
        process, _ = self._running
        self.end()
        code = process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else "for an unknown reason"


def _start(call: bytes, stopped: threading.Event) -> tuple[BaseProcess, Connection]:
    """Start a process; if the server has died, retry until it has ended completely and can be replaced."""
    for seconds in SECONDS_BETWEEN_STARTS:
        try:
            return _start_once(call)
        except (OSError, EOFError):
            if stopped.wait(seconds):
                raise
    return _start_once(call)


def _start_once(call: bytes) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_preloaded))
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(call, there), daemon=True)
    try:
        with _starting:
            process.start()
    except BaseException:
        here.close()
        raise
    finally:
        there.close()
    return process, here


def _serve(call: bytes, connection: Connection) -> None:
    """Process tasks until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the run decides what to do
    end_with_parent()
    keep_to_one_thread()
    work: Callable[[object], object] = pickle.loads(call)  # noqa: S301 - from the process that started this one
    while True:
        try:
            content = connection.recv_bytes()
        except (OSError, EOFError):
            return
        connection.send_bytes(_outcome(work, content))


def _outcome(work: Callable[[object], object], content: bytes) -> bytes:
    """Return a task's result, pickled: its answer, or the exception that it raised."""
    try:
        return pickle.dumps((work(pickle.loads(content)), None))  # noqa: S301 - from the process that started this one
    except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
        try:
            pickled = pickle.dumps((None, error))
            pickle.loads(pickled)  # noqa: S301 - what was just made; some exceptions cannot be made again
        except Exception:  # noqa: BLE001 - of an exception that cannot be sent, its type is
            return pickle.dumps((None, RuntimeError(type(error).__name__)))
        return pickled


def outcomes_in_order(
    pool: ProcessPool[Task, Answer], tasks: Iterable[Task], *, most: int
) -> Generator[tuple[Task, "Future[Answer]"], None, None]:
    """Yield each task with its finished future, in task order; at most ``most`` are in progress."""
    under_way: deque[tuple[Task, Future[Answer]]] = deque()
    for task in tasks:
        under_way.append((task, pool.submit(task)))
        if len(under_way) >= most:
            yield _when_done(under_way.popleft())
    while under_way:
        yield _when_done(under_way.popleft())


def _when_done(each: tuple[Task, "Future[Answer]"]) -> tuple[Task, "Future[Answer]"]:
    each[1].exception()
    return each


def keep_to_one_thread() -> None:
    """Let torch and numpy compute with one thread in this process.

    With one process per core, each with one thread per core, the processes would only wait for each other.
    """
    import torch  # noqa: PLC0415 - reading headers needs none of it

    torch.set_num_threads(1)
    threadpool_limits(1)
