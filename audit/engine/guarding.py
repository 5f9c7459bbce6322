"""Where a run may stop between two studies: asked to by a signal, or since its inputs are no longer there."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from audit.engine.explaining import LoadedStudy
from pipelines.errors import InputError
from pipelines.study import LeftOut

__all__ = ["Stop", "Stopping", "guarded", "never"]

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


def _check_there(folder: Path, item: LeftOut) -> None:
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
