"""Loading ahead of the model, finishing behind it in processes, and stopping between two studies."""

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from audit.pipeline.aggregate import FinishedStudy
from audit.pipeline.explain import ExplainedStudy
from audit.pipeline.load import LoadedStudy
from pipelines.errors import InputError, OutputError
from pipelines.processes import ProcessPool, outcomes_in_order
from pipelines.study import Exclusion

__all__ = [
    "Finishes",
    "Stop",
    "Stopping",
    "finished_here",
    "finished_in_processes",
    "guarded",
    "never",
    "running_ahead",
]

Stop = Callable[[], bool]
"""Whether to take no further study."""

Stopping = Callable[[], AbstractContextManager[Stop]]
"""Gives a context in which a signal does not end the process but is told by what the context gives."""


@contextmanager
def never() -> Iterator[Stop]:
    """Take no notice of signals."""
    yield lambda: False


def guarded(loaded: Generator[LoadedStudy, None, None], folder: Path, stop: Stop) -> Generator[LoadedStudy, None, None]:
    """Hand studies on until ``stop`` says so.

    A study whose images cannot be read counts as failed, and is not tried again. Where the whole folder has gone, that
    would fail every study that is left, so it ends the run instead.

    Raises:
        InputError: the folder of images is gone.
    """
    with closing(loaded):
        while not stop():
            study = next(loaded, None)
            if study is None:
                return
            if study.left_out and stop():  # the signal may have ended the process that decodes: nobody can say
                return
            for item in study.left_out:
                _check_there(folder, item)
            yield study


def _check_there(folder: Path, item: Exclusion) -> None:
    try:
        with Path(item.source).open("rb") as stream:
            stream.read(1)
    except OSError as error:
        if _is_gone(folder):
            raise InputError(
                f"--dicom-dir {folder} is no longer there ({error.strerror}): bring the disk or share back, then give "
                "the same command again: what is finished is kept"
            ) from error


def _is_gone(folder: Path) -> bool:
    """Whether a folder that held images can no longer be listed, or is the empty place where a share was mounted."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True


Item = TypeVar("Item")
Lost = Callable[[ExplainedStudy, Exception], Exclusion]
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
