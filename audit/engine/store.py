"""Write OUT: one folder a study with its record last, then the tables, ``run.json`` and the cohort page."""

import io
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from jaxtyping import Bool
from PIL import Image as Picture

from audit.engine.clock import Clock
from audit.logbook import AUDIT_LOG, EVENT_LOG
from audit.logbook.chain import checksum
from pipelines.errors import OutputError
from pipelines.spreadsheet import defused
from reports.folder import RenderedFolder, render_pages, write_atomically, write_text_atomically
from reports.record import FailureRecord, RunRecord, StudyRecord
from reports.study_page import render_study

__all__ = ["check_writable", "prepare", "valid_png", "write_run", "write_study"]

_OURS = ("index.html", "run.json", "scores.parquet", "scores.csv", "failures.csv", "studies", EVENT_LOG, AUDIT_LOG)
_OUTLIVES = (AUDIT_LOG,)  # a run that is replaced stays on record
_ROWS_AT_ONCE = 10_000  # turned into text


def prepare(out: Path, *, overwrite: bool) -> None:
    """Make OUT ready to be written; what a run wrote there before is removed if ``overwrite`` says so.

    Raises:
        OutputError: OUT holds a run or foreign files, or cannot be written.
    """
    held = _check_held(out, overwrite=overwrite)
    try:
        for name in (name for name in held if name not in _OUTLIVES):
            path = out / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (out / "studies").mkdir(parents=True)
        probe = out / "studies" / ".write-probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"--out {out} cannot be written ({error.strerror}): name a folder that you may write to"
        ) from error


def _check_held(out: Path, *, overwrite: bool) -> list[str]:
    """List what OUT holds, if a run may go there."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"--out {out} is a file: name a folder")
    try:
        held = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    except OSError as error:
        raise OutputError(f"--out {out} cannot be read ({error.strerror}): name another folder") from error
    foreign = [name for name in held if name not in _OURS]
    if foreign:
        raise OutputError(f"--out {out} holds other files ({foreign[0]}): name an empty or a new folder")
    if held and not overwrite:
        raise OutputError(f"--out {out} holds a run already: name another folder, or pass --overwrite to replace it")
    return held


def check_writable(out: Path, *, overwrite: bool) -> None:
    """Find out, before any work and without leaving a trace, whether OUT can be made or written.

    Raises:
        OutputError: it cannot, or it holds a run that ``overwrite`` does not give up, or foreign files.
    """
    _check_held(out, overwrite=overwrite)
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise OutputError(f"--out {out} cannot be written: {existing} refuses; name a folder that you may write to")


def write_study(
    out: Path,
    record: StudyRecord,
    *,
    heats: Mapping[str, np.ndarray],
    pictures: Mapping[str, bytes],
    masks: Mapping[str, bytes] = MappingProxyType({}),
    clock: Clock = lambda _stage: nullcontext(),
) -> str:
    """Write one study's folder; ``record.json`` comes last and marks the study as done.

    Returns:
        The checksum of ``record.json``, for the audit log.

    ``masks`` are :func:`valid_png`, by ``ImageRecord.valid``. Heats are kept in the precision that they come in
    (:func:`audit.engine.recording.stored_heat`).
    ``clock`` is told the stages "pages" and "writing".

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = out / "studies" / record.key
    with clock("pages"):
        shown = {name: heat.astype(np.float32) for name, heat in heats.items()}  # as who reads heat.npz sees it
        page = render_study(record, heats=shown, pictures=pictures)
    with clock("writing"):
        try:
            folder.mkdir(exist_ok=True)
            for name, png in (*pictures.items(), *masks.items()):
                (folder / name).write_bytes(png)
            _write_arrays(folder / "heat.npz", heats)
        except OSError as error:
            raise OutputError(f"{folder} cannot be written ({error.strerror}): is the disk full?") from error
        write_text_atomically(folder / "index.html", page)
        text = record.model_dump_json(indent=1) + "\n"
        write_text_atomically(folder / "record.json", text)
    return checksum(text.encode())


def valid_png(valid: Bool[np.ndarray, "rows columns"]) -> bytes:
    """Make a 1-bit PNG of where an image shows something: some hundred bytes for a collimator's edges."""
    buffer = io.BytesIO()
    Picture.fromarray(valid).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an .npz whose bytes depend on the arrays alone: zip entries carry no clock time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED)


def write_run(out: Path, run: RunRecord, table: pd.DataFrame) -> RenderedFolder:
    """Write the tables, ``run.json`` and the cohort page.

    Raises:
        OutputError: OUT cannot be written.
    """
    try:
        table.to_parquet(out / "scores.parquet", index=False)
        write_atomically(
            out / "scores.csv", lambda stream: _defused(table).to_csv(stream, index=False, chunksize=_ROWS_AT_ONCE)
        )
        write_text_atomically(out / "failures.csv", _failures_table(run.failures).to_csv(index=False))
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}): is the disk full?") from error
    write_text_atomically(out / "run.json", run.model_dump_json(indent=1) + "\n")
    # A page that was made before the run knew what an amount of heat is worth is made again.
    return render_pages(out, run, studies=bool(run.evidence) or run.rescored is not None)


def _failures_table(failures: Sequence[FailureRecord]) -> pd.DataFrame:
    columns = ["path", "stage", "reason", "failed"]
    rows = [[item.source, item.stage, item.reason, item.failed] for item in failures]
    return _defused(pd.DataFrame(rows, columns=columns))


def _defused(table: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before text that a spreadsheet would run as a formula."""

    def defuse(value: object) -> object:
        return defused(value) if isinstance(value, str) else value

    def column(values: pd.Series) -> pd.Series:
        if isinstance(values.dtype, pd.CategoricalDtype):
            return values.cat.rename_categories(defuse)
        return values.map(defuse)

    return table.apply(column)
