"""Work beside the device: loading runs ahead in a thread, finishing in processes; results keep their order."""

import ctypes
import multiprocessing
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import closing
from functools import partial
from typing import Generic, Protocol, TypeVar, runtime_checkable

from audit.engine.finishing import ExplainedStudy, FinishedStudy
from audit.engine.one_thread import keep_to_one_thread
from pipelines.errors import OutputError
from pipelines.study import LeftOut

__all__ = ["Finishes", "finished_here", "finished_in_processes", "running_ahead"]

Item = TypeVar("Item")
Lost = Callable[[ExplainedStudy, Exception], LeftOut]
"""Says of a study that our own bug ended why it is lost."""


@runtime_checkable
class Finishes(Protocol):
    """What finishes a study; it is sent to other processes."""

    def finish(self, explained: ExplainedStudy, /) -> FinishedStudy:
        """Score a study and write it."""
        ...


_PR_SET_PDEATHSIG = 1
_A_WORKER = 3  # studies that wait or are worked on, per process: more would only hold memory


class _End(Generic[Item]):
    """What the thread that runs ahead sends last; ``error`` is what ended it."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def running_ahead(items: Generator[Item, None, None], *, most: int) -> Iterator[Item]:
    """Take ``items`` in a thread, up to ``most`` ahead of their reader; what they raise is raised here.

    They are closed when their reader leaves, so that what they hold (files, processes) is let go.
    """
    waiting: queue.Queue[Item | _End[Item]] = queue.Queue(maxsize=most)
    stop = threading.Event()

    def put(item: Item | _End[Item]) -> None:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def take() -> None:
        error: BaseException | None = None
        try:
            with closing(items):
                for item in items:
                    put(item)
                    if stop.is_set():
                        return
        except BaseException as caught:  # noqa: BLE001 - raised again where the items are read
            error = caught
        put(_End(error))

    thread = threading.Thread(target=take, name="m2ib-audit loads ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()


def finished_here(explained: Iterator[ExplainedStudy], finisher: Finishes, lost: Lost) -> Iterator[FinishedStudy]:
    """Finish study after study in this process."""
    for study in explained:
        yield _isolated(partial(finisher.finish, study), study, lost)


def _isolated(finish: Callable[[], FinishedStudy], study: ExplainedStudy, lost: Lost) -> FinishedStudy:
    """Finish one study; a bug loses that study alone, an OUT that cannot be written ends the run."""
    try:
        return finish()
    except OutputError:
        raise
    except Exception as error:  # noqa: BLE001 - the place where a batch isolates a study (see also explaining.py)
        return FinishedStudy(left_out=(*study.left_out, lost(study, error)))


_finisher: Finishes | None = None  # of this worker process


def _start_worker(finisher: Finishes) -> None:
    global _finisher  # noqa: PLW0603 - sent once to each process, not with every study
    _finisher = finisher
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the run decides what becomes of it
    _end_with_parent()
    keep_to_one_thread()


def _end_with_parent() -> None:
    """Let the system end this process when its parent, the server, ends, as that does when the run is killed.

    Else it would go on to write the studies that wait for it, into an OUT that the next run has taken over.

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _finish_in_worker(study: ExplainedStudy) -> FinishedStudy:
    if _finisher is None:
        raise ValueError("the worker was not started with its finisher")
    return _finisher.finish(study)


def finished_in_processes(
    explained: Iterator[ExplainedStudy], finisher: Finishes, lost: Lost, *, workers: int
) -> Iterator[FinishedStudy]:
    """Finish studies in ``workers`` processes, a bounded number at once, and give them back in their order.

    A process that dies (out of memory, killed) takes its pool with it: every study that was under way is then finished
    in a pool of its own, so that only the one at fault is lost.
    """
    under_way: deque[tuple[ExplainedStudy, Future[FinishedStudy]]] = deque()
    pool = _pool(finisher, workers)
    try:
        for study in explained:
            under_way.append((study, pool.submit(_finish_in_worker, study)))
            if len(under_way) < workers * _A_WORKER:
                continue
            oldest, future = under_way.popleft()
            try:
                yield _isolated_broken(future, oldest, lost)
            except BrokenExecutor:
                pool.shutdown(wait=True)
                for each in (oldest, *(waiting for waiting, _ in under_way)):
                    yield _alone(each, finisher, lost)
                under_way.clear()
                pool = _pool(finisher, workers)
        while under_way:
            oldest, future = under_way.popleft()
            try:
                yield _isolated_broken(future, oldest, lost)
            except BrokenExecutor:
                yield _alone(oldest, finisher, lost)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _isolated_broken(future: "Future[FinishedStudy]", study: ExplainedStudy, lost: Lost) -> FinishedStudy:
    error = future.exception()
    if isinstance(error, BrokenExecutor):
        raise error
    return _isolated(future.result, study, lost)


def _alone(study: ExplainedStudy, finisher: Finishes, lost: Lost) -> FinishedStudy:
    with _pool(finisher, 1) as pool:
        return _isolated(pool.submit(_finish_in_worker, study).result, study, lost)


def _pool(finisher: Finishes, workers: int) -> ProcessPoolExecutor:
    """Start processes from a clean server: a fork of this one would inherit threads and the device."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["audit.engine.finishing"])  # imported once, not by every process
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(finisher,))
