"""The stages of a run on this machine: loading ahead of the model, finishing in processes, stopping between studies."""

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from audit.pipeline.explain import ExplainedStudy, Explainer
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.load import LoadedStudy, failed_study
from pipelines.errors import InputError, OutputError
from pipelines.processes import ProcessPool, outcomes_in_order
from pipelines.study import Exclusion

__all__ = [
    "Finishes",
    "Stop",
    "Stopping",
    "finished_here",
    "finished_in_processes",
    "finished_studies",
    "never",
    "prefetched",
    "until_stopped",
]

Stop = Callable[[], bool]
"""Returns whether to stop before the next study."""

Stopping = Callable[[], AbstractContextManager[Stop]]
"""Returns a context manager in which a signal does not end the process but makes the returned function true."""


@contextmanager
def never() -> Iterator[Stop]:
    """Ignore signals."""
    yield lambda: False


def until_stopped(
    loaded: Generator[LoadedStudy, None, None], folder: Path, stop: Stop
) -> Generator[LoadedStudy, None, None]:
    """Yield studies until ``stop`` returns True.

    A study with unreadable images counts as failed and is not tried again. If the whole folder has disappeared, this
    would fail every remaining study, so the run ends instead.

    Raises:
        InputError: the folder of images has disappeared.
    """
    with closing(loaded):
        while not stop():
            study = next(loaded, None)
            if study is None:
                return
            if study.left_out and stop():  # the signal may have ended the decoder, so the cause is unknown
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
                f"--dicom-dir {folder} is no longer there ({error.strerror}): reconnect the disk or share, then "
                "repeat the command; finished studies are kept"
            ) from error


def _is_gone(folder: Path) -> bool:
    """Return True if a folder of images can no longer be listed, or is now an empty mount point."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True


Item = TypeVar("Item")
Lost = Callable[[ExplainedStudy, Exception], Exclusion]
"""Explains why a study was lost to an error of our own."""


@runtime_checkable
class Finishes(Protocol):
    """Finishes a study; it is sent to other processes."""

    def finish(self, explained: ExplainedStudy, /) -> FinishedStudy:
        """Score a study and write it."""
        ...


_A_WORKER = 3  # studies per process that are queued or in progress: more would only take memory


class _End(Generic[Item]):
    """The last item of the loading thread; ``error`` is the exception that ended it."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetched(items: Generator[Item, None, None], *, most: int) -> Iterator[Item]:
    """Iterate over ``items`` in a thread, up to ``most`` ahead of the reader; their exceptions are raised here.

    They are closed when the reader stops, so that their resources (files, processes) are released.
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


def finished_studies(
    loaded: Generator[LoadedStudy, None, None], explainer: Explainer, finisher: Finishes, *, workers: int = 0
) -> Iterator[FinishedStudy]:
    """Explain loaded studies and finish them, in order; with ``workers``, load ahead and finish in other processes."""

    def lost(explained: ExplainedStudy, error: Exception) -> Exclusion:
        return failed_study(explained.study, explainer.keys, error)

    if workers == 0:
        return finished_here(explainer.explained(loaded), finisher, lost)
    ahead = prefetched(loaded, most=workers)
    return finished_in_processes(explainer.explained(ahead), finisher, lost, workers=workers)


def finished_here(explained: Iterator[ExplainedStudy], finisher: Finishes, lost: Lost) -> Iterator[FinishedStudy]:
    """Finish the studies one by one in this process."""
    for study in explained:
        yield _isolated(partial(finisher.finish, study), study, lost)


def _isolated(finish: Callable[[], FinishedStudy], study: ExplainedStudy, lost: Lost) -> FinishedStudy:
    """Finish one study; an error of our own loses only that study, but an OUT that cannot be written ends the run."""
    try:
        return finish()
    except OutputError:
        raise
    except Exception as error:  # noqa: BLE001 - the place where a batch isolates a study (see also explaining.py)
        return FinishedStudy(left_out=(*study.left_out, lost(study, error)))


def finished_in_processes(
    explained: Iterator[ExplainedStudy], finisher: Finishes, lost: Lost, *, workers: int
) -> Iterator[FinishedStudy]:
    """Finish studies in ``workers`` processes, a limited number at once, and yield them in their order.

    If a process dies (out of memory, killed), its study is tried once more, and the others are not affected.
    """
    pool = ProcessPool(finisher.finish, workers, name="scores and writes a study")
    try:
        for study, finished in outcomes_in_order(pool, explained, most=workers * _A_WORKER):
            yield _isolated(finished.result, study, lost)
    finally:
        pool.close(at_once=False)
