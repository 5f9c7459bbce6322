"""Write OUT: one folder a study with its record last, then the tables, ``run.json`` and the cohort page.

Whatever moment a run is killed at, and the machine with it, a record that is there speaks of files that are there.
"""

import io
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

from audit.execution.machine import Clock
from audit.logbook.known import Known
from audit.logbook.seals import UNSEALED, seal_key, sealed
from pipelines.quoting import defused
from reports.reading import HEAT, checksum, file_checksum
from reports.record import FailedStudyRecord, StudyRecord
from reports.results_folder import FAILED, RECORD, RUN, RenderedFolder, render_pages
from reports.run_record import FailureRecord, RunRecord
from reports.study_page import render_study
from reports.writing import (
    check_fence,
    replaced,
    sync_folder,
    unwritable,
    write_atomically,
    write_durably,
    write_text_atomically,
)

__all__ = ["valid_png", "write_failed_study", "write_record", "write_run", "write_study"]

TABLES = ("failures.csv", "scores.csv", "scores.parquet")

_ROWS_AT_ONCE = 10_000  # turned into text


def write_study(
    out: Path,
    record: StudyRecord,
    *,
    salt: bytes,
    heats: Mapping[str, np.ndarray],
    pictures: Mapping[str, bytes],
    masks: Mapping[str, bytes] = MappingProxyType({}),
    clock: Clock = lambda _stage: nullcontext(),
) -> str:
    """Write one study's folder; ``record.json`` comes last and marks the study as done.

    Returns:
        The checksum of ``record.json``, for the audit log.

    ``masks`` are :func:`valid_png`, by ``ScoredImage.valid``. Heats are kept in the precision that they come in
    (:mod:`audit.pipeline.score`).
    ``clock`` is told the stages "pages" and "writing".

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = out / "studies" / record.key
    with clock("pages"):
        shown = {name: heat.astype(np.float32) for name, heat in heats.items()}  # as who reads heat.npz sees it
        page = render_study(record, heats=shown, pictures=pictures)
    with clock("writing"):
        _start_anew(folder)
        files = {**pictures, **masks, HEAT: _packed(heats)}
        for name, content in files.items():
            write_durably(folder / name, content)
        write_durably(folder / "index.html", page.encode())
        sync_folder(folder)
        checksums = {name: checksum(content) for name, content in sorted(files.items())}
        return write_record(folder, record.model_copy(update={"files": checksums}), salt=salt)


def write_record(folder: Path, record: StudyRecord, *, salt: bytes) -> str:
    """Write a study's record, which marks it as done, see it safely to the disk, and give its SHA-256.

    Raises:
        OutputError: the folder cannot be written.
    """
    content = _sealed(record, salt)
    write_text_atomically(folder / RECORD, content.decode())
    sync_folder(folder)
    return checksum(content)


def _sealed(record: StudyRecord | RunRecord, salt: bytes) -> bytes:
    text = record.model_copy(update={"seal": UNSEALED}).model_dump_json(indent=1) + "\n"
    return sealed(text.encode(), seal_key(salt))


def write_failed_study(out: Path, record: FailedStudyRecord) -> None:
    """Note that none of a study's images could be audited, in the place of what its folder held.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = out / "studies" / record.key
    _start_anew(folder)
    write_text_atomically(folder / FAILED, record.model_dump_json(indent=1) + "\n")
    sync_folder(folder)


def _start_anew(folder: Path) -> None:
    """Make a study's folder, empty; a record goes first, so that none ever stands beside files of another."""
    check_fence(folder)
    try:
        if folder.exists():
            (folder / RECORD).unlink(missing_ok=True)
            sync_folder(folder)
            shutil.rmtree(folder)
        folder.mkdir()
    except OSError as error:
        raise unwritable(folder, error) from error
    sync_folder(folder.parent)


def valid_png(valid: Bool[np.ndarray, "rows columns"]) -> bytes:
    """Make a 1-bit PNG of where an image shows something: some hundred bytes for a collimator's edges."""
    buffer = io.BytesIO()
    Picture.fromarray(valid).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Make an .npz whose bytes depend on the arrays alone: zip entries carry no clock time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def write_run(
    out: Path, run: RunRecord, table: pd.DataFrame, *, salt: bytes, known: Known | None = None
) -> RenderedFolder:
    """Write the tables, ``run.json`` and every page; the page over all studies comes last.

    The studies' pages are made again, since some were made before the run knew what an amount of heat is worth and how
    often a blind map hits.

    Args:
        out: the folder.
        run: what ``run.json`` holds.
        table: of scores.
        salt: of the seal.
        known: what the log vouches for: pages of other studies are not made. None: every study there was done just now.

    Raises:
        OutputError: OUT cannot be written.
    """
    with replaced(out / "scores.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    write_atomically(
        out / "scores.csv", lambda stream: _defused(table).to_csv(stream, index=False, chunksize=_ROWS_AT_ONCE)
    )
    write_text_atomically(out / "failures.csv", _failures_table(run.failures).to_csv(index=False))
    run = run.model_copy(update={"files": {name: file_checksum(out / name) for name in TABLES}})
    write_text_atomically(out / RUN, _sealed(run, salt).decode())
    if known is None:
        rendered = render_pages(out, run)
    else:
        rendered = render_pages(out, run, check=known.check, known=known.pages())
    sync_folder(out)
    return rendered


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
