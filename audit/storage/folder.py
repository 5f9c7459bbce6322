"""The folder OUT before and during a run: its allowed contents, and what a killed run left there."""

import os
import re
import shutil
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from audit.logbook import AUDIT_LOG, EVENT_LOG
from audit.storage.lock import is_lock
from pipelines.errors import InputError, OutputError
from pipelines.quoting import printable
from reports.results_folder import RECORD, study_folders
from reports.writing import sync_folder, unwritable

__all__ = [
    "ARCHIVED",
    "CACHE_VARIABLE",
    "RESULTS",
    "SHARDS",
    "STUDIES",
    "archive",
    "check_writable",
    "clean",
    "clean_finished",
    "discard_archived",
    "index_of",
    "make",
    "refusal_of",
    "refuse_among",
    "remove_results",
    "restore",
]

STUDIES = "studies"
ARCHIVED = "set-aside"  # archived studies that are not part of the result; kept until they return or are deleted
SHARDS = "shards"  # each shard's own record
RESULTS = ("index.html", "pages.sha256", "run.json", "scores.parquet", "scores.csv", "failures.csv")
"""Files that a run creates from its studies; all of them can be created again."""

_FOLDERS = (STUDIES, ARCHIVED, SHARDS)
_LEDGER = "review.sqlite"  # reviewers' entries, with SQLite's own files: independent of runs, and never removed
_TEMPORARY = re.compile(r"\..+\.[0-9a-z_]{8}")  # of reports.writing, and of older versions
_KEY = re.compile(r"[0-9a-f]{16}")


def check_writable(out: Path, *, overwrite: bool) -> None:
    """Check, before any work and without leaving a trace, whether OUT can be created or written.

    Raises:
        OutputError: it cannot, or it holds other files, or reviewers' entries that ``overwrite`` would orphan.
    """
    _held(out, overwrite=overwrite)
    refused = refusal_of(out)
    if refused is not None:
        raise OutputError(refused)


def refusal_of(out: Path) -> str | None:
    """Explain why OUT can neither be created nor written, whatever it holds; None if it can."""
    absolute = str(out.absolute())
    if printable(absolute) != absolute:
        return f"--out {printable(absolute)} is not UTF-8, which the names of tables must be: name another folder"
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return None
    return f"--out {out} cannot be written: no permission in {existing}; name a folder that you may write to"


def make(out: Path, *, overwrite: bool) -> None:
    """Prepare OUT for writing; results of earlier runs are removed if ``overwrite`` is set.

    Raises:
        OutputError: OUT holds other files, or cannot be written.
    """
    held = _held(out, overwrite=overwrite)
    try:
        for name in held if overwrite else ():
            path = out / name
            if not (is_lock(name) or name == AUDIT_LOG):  # the log keeps the record of a discarded run
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (out / STUDIES).mkdir(parents=True, exist_ok=True)
        probe = out / STUDIES / f".write-probe.{os.getpid():08d}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"--out {out} cannot be written ({error.strerror}): name a folder that you may write to"
        ) from error


def remove_results(out: Path) -> None:
    """Remove tables, ``run.json`` and the page over all studies: they describe studies that are about to change.

    Raises:
        OutputError: OUT cannot be written.
    """
    try:
        for name in RESULTS:
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    sync_folder(out)


def clean(folders: Iterable[Path]) -> None:
    """Remove the temporary files that a killed run left in these folders.

    Raises:
        OutputError: a file cannot be removed.
    """
    for folder in folders:
        try:
            for path in folder.glob(".*") if folder.is_dir() else ():
                if _TEMPORARY.fullmatch(path.name) and not is_lock(path.name) and path.is_file():
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error


def clean_finished(out: Path) -> None:
    """Remove the temporary files that a killed command left in OUT and in its finished studies.

    Args:
        out: the folder, held only by this command.

    Raises:
        OutputError: a file cannot be removed.
    """
    clean([out, out / STUDIES, *study_folders(out)])


def archive(out: Path, key: str) -> None:
    """Move a finished study out of the result; one that is not finished is removed.

    Raises:
        OutputError: it cannot be moved.
    """
    folder = out / STUDIES / key
    if not (folder / RECORD).exists():
        _remove(folder)
        return
    (out / ARCHIVED).mkdir(exist_ok=True)
    _remove(out / ARCHIVED / key)
    _move(folder, out / ARCHIVED / key)


def restore(out: Path, key: str) -> None:
    """Move an archived study back into the result; it replaces what is there.

    Raises:
        OutputError: it cannot be moved.
    """
    _remove(out / STUDIES / key)
    _move(out / ARCHIVED / key, out / STUDIES / key)


def discard_archived(out: Path, key: str) -> None:
    """Remove the archived results of a study that has newer ones.

    Raises:
        OutputError: they cannot be removed.
    """
    _remove(out / ARCHIVED / key)
    if (out / ARCHIVED).is_dir() and not any((out / ARCHIVED).iterdir()):
        (out / ARCHIVED).rmdir()


def _move(folder: Path, to: Path) -> None:
    try:
        folder.rename(to)
    except OSError as error:
        raise unwritable(to, error) from error
    sync_folder(to.parent)
    sync_folder(folder.parent)


def _remove(folder: Path) -> None:
    if not os.path.lexists(folder):
        return
    try:
        if folder.is_symlink() or not folder.is_dir():
            folder.unlink()
            return
        (folder / RECORD).unlink(missing_ok=True)  # first, so that a kill in between leaves no record without its files
        shutil.rmtree(folder)
    except OSError as error:
        raise unwritable(folder, error) from error


def _held(out: Path, *, overwrite: bool) -> list[str]:
    """List the contents of OUT, if a run may use it."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"--out {out} is a file: name a folder")
    try:
        held = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
        foreign = [name for name in held if not _is_ours(name, overwrite=overwrite)]
        if any(name in RESULTS for name in held) and STUDIES not in held:
            foreign += [name for name in held if name in RESULTS]  # an index.html of another program
        for folder in (STUDIES, ARCHIVED):
            names = [path.name for path in (out / folder).iterdir()] if (out / folder).is_dir() else []
            foreign += [
                f"{folder}/{name}" for name in names if not (_KEY.fullmatch(name) or _TEMPORARY.fullmatch(name))
            ]
    except OSError as error:
        raise OutputError(f"--out {out} cannot be read ({error.strerror}): name another folder") from error
    if foreign:
        raise OutputError(f"--out {out} holds other files ({foreign[0]}): name an empty or a new folder")
    return held


def _is_ours(name: str, *, overwrite: bool) -> bool:
    if name.startswith(_LEDGER):
        return not overwrite
    return (
        name in (*RESULTS, *_FOLDERS, EVENT_LOG, AUDIT_LOG) or is_lock(name) or _TEMPORARY.fullmatch(name) is not None
    )


CACHE_VARIABLE = "M2IB_AUDIT_CACHE"


def index_of(dicom_dir: Path) -> Path | None:
    """Return the index file of a folder; the same folder has the same index, however its path is written.

    The variable M2IB_AUDIT_CACHE names the folder of the indexes. Without it they are in the user's cache folder; None
    if the user has no home folder, as in some containers.

    Source: XDG Base Directory Specification 0.8 (XDG_CACHE_HOME).
    """
    given = os.environ.get(CACHE_VARIABLE)
    cache = Path(given) if given else _user_cache()
    digest = sha256(os.fsencode(dicom_dir.resolve())).hexdigest()
    return None if cache is None else cache / "scans" / f"{digest[:32]}.sqlite"


def refuse_among(index: Path, folders: Iterable[Path], *, name: str) -> None:
    """Refuse an index or key list among images or results, because it holds patient and accession numbers.

    Raises:
        InputError: it is in one of the folders.
    """
    for folder in folders:
        if index.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"{name} {index} is in {folder}, but holds patient and accession numbers: give a file elsewhere"
            )


def _user_cache() -> Path | None:
    given = os.environ.get("XDG_CACHE_HOME", "")
    if Path(given).is_absolute():  # the specification says to ignore a relative path
        return Path(given) / "m2ib-audit"
    try:
        return Path.home() / ".cache" / "m2ib-audit"
    except RuntimeError:  # pathlib's error if there is no home folder
        return None
