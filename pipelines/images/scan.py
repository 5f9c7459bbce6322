"""Finds the radiographs in a folder, and lists every other file with the reason why it is excluded."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIG_IGN, SIGINT, signal

from pipelines.errors import CohortError, InputError
from pipelines.images.scan_index import ScanIndex, Stamp
from pipelines.images.source import inspect_path
from pipelines.input_folder import entries_under, in_one_row
from pipelines.processes import end_with_parent
from pipelines.quoting import OF_FILES, quoted
from pipelines.study import DICOM, Exclusion, Image, View
from pipelines.text.table import plain_stem

__all__ = ["FRONTAL_VIEWS", "Scan", "scan_folder", "select_views"]

FRONTAL_VIEWS = frozenset(view for view in View if view.is_frontal)

FILES_AT_ONCE = 64  # files that a process reads per portion
_AHEAD = 3  # portions per process: enough that none waits, few enough that memory does not grow with the folder
_MANY_FILES = 2000  # for fewer files, starting a process takes longer than reading them
_MOST_PROCESSES = 16
_LONG_NAME = 16  # characters of a file's stem that names one image wherever it is
_LONGEST_PATH = 4096  # characters, the limit of Linux
_MOST_STEPS = 1000  # progress updates: more of them would cost more than a second scan


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The contents of a folder. Every entry is in ``images`` or in ``left_out``, in the order of the paths."""

    images: tuple[Image, ...]
    left_out: tuple[Exclusion, ...]
    files: int  # including entries that cannot be read: links that lead out, folders that cannot be listed


def scan_folder(
    folder: Path,
    *,
    index: Path | None = None,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scan:
    """Read the header of every file below a folder: DICOM, PNG, JPEG and TIFF, as the content of each file says.

    Symbolic links to folders are not followed; links to files are followed only if they stay inside the folder. Of
    several files with the same SOPInstanceUID, the first in path order is used. An image file is not used if a DICOM
    file holds the same image: see :func:`_without_copies`.

    Args:
        folder: the folder to scan, with its subfolders.
        index: file that stores the findings, so that the next scan does not read unchanged files again. It holds
            patient and accession numbers. None: every file is read.
        processes: number of processes that read headers. None: one for a small folder, else one per CPU.
        progress: called with the number of files done and in total, after each file, or less often for many files.

    Raises:
        InputError: the folder does not exist or is not a folder.
        CohortError: the folder is empty.
    """
    if not folder.exists():
        raise InputError(f"The folder {folder} does not exist; give the folder that holds the images.")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder; give the folder that holds the images.")
    left_out: list[Exclusion] = []
    files = _files(folder, left_out, stamped=index is not None)
    entries = len(files) + len(left_out)
    if not files and not left_out:
        raise CohortError(f"The folder {folder} is empty; copy the images into it or give another folder.")
    images: dict[str, Image] = {}
    if processes is None:
        processes = 1 if len(files) < _MANY_FILES else min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))
    findings = _findings(files, index=index, processes=processes)
    step = max(1, len(files) // _MOST_STEPS)
    for done, (file, found) in enumerate(zip(files, findings, strict=True), start=1):
        if isinstance(found, Exclusion):
            left_out.append(found)
        elif found.file_format != DICOM:  # it has no UID: its path identifies it
            images[file.name] = replace(found, sop_instance_uid=file.name, study_instance_uid=file.name)
        elif found.sop_instance_uid in images:
            left_out.append(_by_rule(file.path, _same_image(images[found.sop_instance_uid], folder)))
        else:
            images[found.sop_instance_uid] = found
        if progress is not None and (done % step == 0 or done == len(files)):
            progress(done, len(files))
    kept = tuple(_without_copies(images.values(), folder, left_out))
    return Scan(
        images=kept,
        left_out=tuple(in_one_row(sorted(left_out, key=lambda item: Path(item.source).parts))),
        files=entries,
    )


def select_views(
    images: Iterable[Image], views: Collection[View] = FRONTAL_VIEWS
) -> tuple[tuple[Image, ...], tuple[Exclusion, ...]]:
    """Split the images into those with a wanted view and the others, which are excluded by rule."""
    kept: list[Image] = []
    left_out: list[Exclusion] = []
    for image in images:
        if image.view in views:
            kept.append(image)
            continue
        is_dicom = image.file_format == DICOM
        unknown = "not named in the header" if is_dicom else "unknown, because an image file does not state it"
        decided = f"{image.view} by {image.view_source}" if image.view_source else unknown
        remedy = "Set ViewPosition" if is_dicom else "State it in a table of images with the columns image and view"
        reason = f"The view is {decided}; only {', '.join(sorted(views))} are audited. {remedy} if it is one."
        left_out.append(Exclusion(source=image.source, stage="view", reason=reason, failed=False))
    return tuple(kept), tuple(left_out)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the folder, with its state before any file was read."""

    path: Path
    name: str  # its path relative to the folder
    stamp: Stamp | None


def _files(folder: Path, left_out: list[Exclusion], *, stamped: bool) -> list[_File]:
    """Yield the files below a folder in path order; entries that cannot be read go to ``left_out``.

    Every file is stamped before any is read, so that the next scan sees a change in between.
    """
    files: list[_File] = []
    for entry in entries_under(folder, stage="scan", with_hidden=True):
        if isinstance(entry, Exclusion):
            left_out.append(entry)
        else:
            files.append(_File(entry.path, entry.name, Stamp.of(entry.entry) if stamped else None))
    return files


def _findings(files: Sequence[_File], *, index: Path | None, processes: int) -> Iterator[Image | Exclusion]:
    """Yield the finding of each file in path order; only a few portions are read ahead."""
    with ExitStack() as stack:
        known = None if index is None else stack.enter_context(ScanIndex(index))
        # The pool starts its processes with the first file that has to be read.
        pool = None if processes < 2 else stack.enter_context(_pool(processes))
        ahead = 0 if pool is None else _AHEAD * processes
        waiting: deque[_Portion] = deque()
        for start in range(0, len(files), FILES_AT_ONCE):
            waiting.append(_Portion.begin(files[start : start + FILES_AT_ONCE], known, pool))
            while len(waiting) > ahead:
                yield from waiting.popleft().findings(known)
        for portion in waiting:
            yield from portion.findings(known)


def _pool(processes: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")  # a fork would copy locks held by other threads
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)


def _begin() -> None:
    signal(SIGINT, SIG_IGN)  # the parent handles interrupts
    end_with_parent()


@dataclass(frozen=True, slots=True)
class _Portion:
    """Some files: findings that the index has, and pending reads of the others."""

    files: Sequence[_File]
    known: Sequence[Image | Exclusion | None]
    reading: Future[list[Image | Exclusion]] | None

    @classmethod
    def begin(cls, files: Sequence[_File], index: ScanIndex | None, pool: ProcessPoolExecutor | None) -> "_Portion":
        known = [
            None if index is None or file.stamp is None else index.find(file.name, file.stamp, file.path)
            for file in files
        ]
        unread = [file.path for file, found in zip(files, known, strict=True) if found is None]
        reading = None
        if pool is not None and unread:
            with suppress(BrokenProcessPool):  # the files are then read in this process
                reading = pool.submit(_inspect_files, unread)
        return cls(files, known, reading)

    def findings(self, index: ScanIndex | None) -> Iterator[Image | Exclusion]:
        """Yield the finding of each file, and store new ones in the index."""
        unread = [file.path for file, found in zip(self.files, self.known, strict=True) if found is None]
        read = iter(self._read(unread))
        for file, known in zip(self.files, self.known, strict=True):
            if known is not None:
                yield known
                continue
            found = next(read)
            if index is not None and file.stamp is not None:
                index.keep(file.name, file.stamp, found)
            yield found

    def _read(self, unread: Sequence[Path]) -> Sequence[Image | Exclusion]:
        if self.reading is not None:
            with suppress(BrokenProcessPool):  # the system killed a process: continue in this one
                return self.reading.result()
        return _inspect_files(unread)


def _inspect_files(paths: Iterable[Path]) -> list[Image | Exclusion]:
    return [inspect_path(path) for path in paths]


def _without_copies(images: Iterable[Image], folder: Path, left_out: list[Exclusion]) -> Iterator[Image]:
    """Yield the images, without image files that are copies of another file; those go to ``left_out``.

    A copy has the name of the other file in the same folder ("a.png" and "a.dcm"), or is named after the
    SOPInstanceUID of a DICOM file, or has the name of a DICOM file in another folder, if it is as long as a number.
    """
    found = list(images)
    of_dicom: dict[str, Image] = {}
    for image in found:
        if image.file_format == DICOM:
            stem = plain_stem(image.path.name).casefold()
            names = (str(image.path.parent / stem), image.sop_instance_uid, stem if len(stem) >= _LONG_NAME else None)
            of_dicom.update(dict.fromkeys(filter(None, names), image))
    of_files: dict[str, Image] = {}
    for image in found:
        stem = plain_stem(image.path.name).casefold()
        beside = str(image.path.parent / stem)
        taken = next((of_dicom[name] for name in (beside, stem) if name in of_dicom), of_files.get(beside))
        if image.file_format == DICOM or taken is None:
            of_files.setdefault(beside, image)
            yield image
        else:
            what = "holds the same image as DICOM" if taken.file_format == DICOM else "has the same name"
            left_out.append(
                _by_rule(image.path, f"{OF_FILES}{_name_of(taken, folder)} of the folder {what}, and is taken.")
            )


def _same_image(taken: Image, folder: Path) -> str:
    return f"{OF_FILES}{_name_of(taken, folder)} of the folder holds the same image (SOPInstanceUID) and is taken."


def _name_of(image: Image, folder: Path) -> str:
    name = image.path.relative_to(folder) if image.path.is_relative_to(folder) else image.path
    return quoted(name.as_posix(), most=_LONGEST_PATH)


def _by_rule(path: Path, reason: str) -> Exclusion:
    return Exclusion(source=str(path), stage="scan", reason=reason, failed=False)
