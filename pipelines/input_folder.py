"""Lists a folder of images, reports or annotations: files to read, and every other entry with its reason.

Every entry of the folder is listed exactly once, so that no input is skipped silently.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from errno import ENAMETOOLONG, ENOENT, ESTALE
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from pipelines.study import Exclusion

__all__ = [
    "APPLE_DOUBLE",
    "FoundFile",
    "ListFolder",
    "entries_under",
    "files_under",
    "in_one_row",
    "is_apple_double",
    "why_unreadable",
]

ListFolder = Callable[[str], AbstractContextManager[Iterable["os.DirEntry[str]"]]]
"""A function that lists one folder, like :func:`os.scandir`."""

APPLE_DOUBLE = "Metadata that macOS keeps with another file (AppleDouble); skipped."
_APPLE_DOUBLE_NAME = "._"
_APPLE_DOUBLE_START = b"\x00\x05\x16\x07"  # RFC 1740, appendix B
_LINK_TO_FOLDER = "A symbolic link to a folder is not followed; give that folder."
_LINK_OUT = "The symbolic link points out of the folder; copy the file into the folder."
_LINK_TO_NOTHING = "The symbolic link points to no file; copy the file into the folder, or remove the link."
_NO_REGULAR_FILE = "Not a regular file; skipped."
_HIDDEN_FILE = "The file is hidden (its name begins with a dot) and is not read; rename it if it should be read."
_HIDDEN_FOLDER = "The folder is hidden (its name begins with a dot) and is not read; rename it if it should be read."


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file below the folder, or a link to one that stays in it."""

    path: Path
    name: str  # its path relative to the folder
    entry: "os.DirEntry[str]"


def entries_under(
    folder: Path, *, stage: str, with_hidden: bool = False, list_folder: ListFolder = os.scandir
) -> Iterator[FoundFile | Exclusion]:
    """Yield every entry of a folder and its subfolders in path order.

    Links to folders are not followed; links to files are followed only if they stay inside the folder. No file is
    opened, except hidden ones that may be AppleDouble. A system error for one entry becomes the reason of that entry
    and does not end the walk.

    Args:
        folder: the folder to start from.
        stage: the stage that excluded entries get.
        with_hidden: include hidden files, and enter hidden folders.
        list_folder: the function that lists one folder.
    """
    root = os.path.realpath(folder)
    waiting = [_listed(str(folder), stage, list_folder)]
    below = [""]  # paths of the folders still to list, relative to the first
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
            below.pop()
            continue
        if isinstance(entry, Exclusion):
            yield entry
            continue
        what = _what_it_is(entry, root, with_hidden=with_hidden)
        if isinstance(what, OSError):
            yield _unreadable(entry.path, stage, what)
        elif what is _FILE:
            yield FoundFile(Path(entry.path), f"{below[-1]}{entry.name}", entry)
        elif what is _FOLDER:
            waiting.append(_listed(entry.path, stage, list_folder))
            below.append(f"{below[-1]}{entry.name}/")
        else:
            yield Exclusion(source=entry.path, stage=stage, reason=what, failed=False)


def files_under(
    folder: Path, *, stage: str, list_folder: ListFolder = os.scandir
) -> tuple[list[Path], list[Exclusion]]:
    """Split the result of :func:`entries_under` into files to read and excluded entries."""
    files: list[Path] = []
    left_out: list[Exclusion] = []
    for entry in entries_under(folder, stage=stage, list_folder=list_folder):
        if isinstance(entry, Exclusion):
            left_out.append(entry)
        else:
            files.append(entry.path)
    return files, in_one_row(left_out)


def is_apple_double(path: Path) -> bool:
    """Return True if a file is what macOS writes next to one that it copies to another kind of file system.

    Raises:
        OSError: the file cannot be read.
    """
    if not path.name.startswith(_APPLE_DOUBLE_NAME):
        return False
    with path.open("rb") as stream:
        return stream.read(len(_APPLE_DOUBLE_START)) == _APPLE_DOUBLE_START


def in_one_row(left_out: Sequence[Exclusion]) -> list[Exclusion]:
    """Merge all AppleDouble files, of which there may be one per radiograph, into the row of the first."""
    doubles = [item for item in left_out if item.reason == APPLE_DOUBLE]
    if len(doubles) < 2:
        return list(left_out)
    reason = (
        f"{len(doubles):,} files, of which this is the first, hold metadata that macOS keeps with other files "
        "(AppleDouble, names that begin with a dot and an underscore); skipped."
    )
    first = replace(doubles[0], reason=reason)
    others = [item for item in left_out if item.reason != APPLE_DOUBLE]
    at = left_out.index(doubles[0])
    return [*others[:at], first, *others[at:]]


def why_unreadable(error: OSError) -> str:
    """Describe the system error that made a file or folder unreadable, and what to do."""
    remedy = "give the user who runs the audit access to it"
    if error.errno in {ENOENT, ESTALE}:
        remedy = "it was there before: bring it back, then repeat the command"
    elif error.errno == ENAMETOOLONG:
        remedy = "shorten its name and those of its folders, or move it further up"
    return f"cannot be read ({error.strerror}); {remedy}."


_FILE, _FOLDER = "file", "folder"


def _what_it_is(entry: "os.DirEntry[str]", root: str, *, with_hidden: bool) -> str | OSError:
    """Return ``_FILE``, ``_FOLDER``, the reason why the entry is neither, or the system's error."""
    is_hidden = entry.name.startswith(".") and not with_hidden
    try:
        if entry.is_symlink():
            return _FILE_HIDDEN[is_hidden] if _is_file_inside(entry, root) else _why_not_followed(entry)
        if entry.is_dir():
            return _HIDDEN_FOLDER if is_hidden else _FOLDER
        if is_hidden and entry.is_file() and is_apple_double(Path(entry.path)):
            return APPLE_DOUBLE
        return _FILE_HIDDEN[is_hidden] if entry.is_file() else _NO_REGULAR_FILE
    except OSError as error:
        return error


_FILE_HIDDEN = {False: _FILE, True: _HIDDEN_FILE}


def _is_file_inside(link: "os.DirEntry[str]", root: str) -> bool:
    target = os.path.realpath(link.path)
    return Path(target).is_file() and os.path.commonpath((target, root)) == root


def _why_not_followed(link: "os.DirEntry[str]") -> str:
    try:
        mode = Path(link.path).stat().st_mode
    except OSError:  # the target does not exist, or the links form a cycle
        return _LINK_TO_NOTHING
    if S_ISDIR(mode):
        return _LINK_TO_FOLDER
    return _LINK_OUT if S_ISREG(mode) else _NO_REGULAR_FILE


def _listed(folder: str, stage: str, list_folder: ListFolder) -> Iterator["os.DirEntry[str] | Exclusion"]:
    try:
        with list_folder(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield _unreadable(folder, stage, error, what="folder")
        return
    yield from found


def _unreadable(path: str, stage: str, error: OSError, *, what: str = "file") -> Exclusion:
    return Exclusion(source=path, stage=stage, reason=f"The {what} {why_unreadable(error)}", failed=True)
