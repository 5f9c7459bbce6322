"""Work beside the device: loading runs ahead in a thread, finishing in processes; results keep their order."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Generic, Protocol, TypeVar, runtime_checkable

from audit.engine.finishing import ExplainedStudy, FinishedStudy
from pipelines.errors import OutputError
from pipelines.process_pool import ProcessPool, outcomes_in_order
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


def finished_in_processes(
    explained: Iterator[ExplainedStudy], finisher: Finishes, lost: Lost, *, workers: int
) -> Iterator[FinishedStudy]:
    """Finish studies in ``workers`` processes, a bounded number at once, and give them back in their order.

    A process that dies (out of memory, killed) costs the study it had one more try, and the others nothing.
    """
    pool = ProcessPool(finisher.finish, workers, name="scores and writes a study")
    try:
        for study, finished in outcomes_in_order(pool, explained, most=workers * _A_WORKER):
            yield _isolated(finished.result, study, lost)
    finally:
        pool.close(at_once=False)
