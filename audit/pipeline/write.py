"""Write: one folder per study with its record last, then the tables, ``run.json`` and the page over all studies.

If a run or the machine is killed at any moment, the files that an existing record names exist too.
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

from audit.logbook.known import LogState
from audit.logbook.seals import UNSEALED, seal_key, sealed
from audit.machine import Clock
from pipelines.quoting import defused
from reports.reading import EMBEDDINGS, HEAT, checksum, file_checksum
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

_ROWS_AT_ONCE = 10_000  # rows converted to text


def write_study(
    out: Path,
    record: StudyRecord,
    *,
    salt: bytes,
    heats: Mapping[str, np.ndarray],
    pictures: Mapping[str, bytes],
    masks: Mapping[str, bytes] = MappingProxyType({}),
    embeddings: Mapping[str, np.ndarray] = MappingProxyType({}),
    clock: Clock = lambda _stage: nullcontext(),
) -> str:
    """Write one study's folder; ``record.json`` comes last and marks the study as done.

    Returns:
        The checksum of ``record.json``, for the audit log.

    ``masks`` are :func:`valid_png`, by ``ScoredImage.valid``; ``embeddings`` are rows of length 1, by the names of
    :func:`reports.reading.embedding_names`. Heat maps are stored in their present precision
    (:mod:`audit.pipeline.score`).
    ``clock`` measures the stages "pages" and "writing".

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = out / "studies" / record.key
    with clock("pages"):
        shown = {name: heat.astype(np.float32) for name, heat in heats.items()}  # as read from heat.npz
        page = render_study(record, heats=shown, pictures=pictures)
    with clock("writing"):
        _create_empty_folder(folder)
        files = {**pictures, **masks, HEAT: _packed(heats)}
        if embeddings:
            files[EMBEDDINGS] = _packed(embeddings)
        for name, content in files.items():
            write_durably(folder / name, content)
        write_durably(folder / "index.html", page.encode())
        sync_folder(folder)
        checksums = {name: checksum(content) for name, content in sorted(files.items())}
        return write_record(folder, record.model_copy(update={"files": checksums}), salt=salt)


def write_record(folder: Path, record: StudyRecord, *, salt: bytes) -> str:
    """Write a study's record, which marks it as done, flush it to disk, and return its SHA-256.

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
    """Store a note that none of a study's images could be audited, in place of the folder's contents.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = out / "studies" / record.key
    _create_empty_folder(folder)
    write_text_atomically(folder / FAILED, record.model_dump_json(indent=1) + "\n")
    sync_folder(folder)


def _create_empty_folder(folder: Path) -> None:
    """Create an empty study folder; an old record is removed first, so that it never describes files of another."""
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
    """Create a 1-bit PNG of an image's valid pixels: a few hundred bytes for a collimator's edges."""
    buffer = io.BytesIO()
    Picture.fromarray(valid).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Create an .npz that depends only on the arrays: zip entries have no timestamp."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def write_run(
    out: Path, run: RunRecord, table: pd.DataFrame, *, salt: bytes, known: LogState | None = None
) -> RenderedFolder:
    """Write the tables, ``run.json`` and every page; the page over all studies comes last.

    The studies' pages are rendered again, because some were rendered before the run knew the scale of the heat and the
    hit rate of blind maps.

    Args:
        out: the folder.
        run: contents of ``run.json``.
        table: table of scores.
        salt: salt of the seal.
        known: the log's statements: pages of studies that it does not confirm are not rendered. None: every study in
            OUT was done just now.

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
    """Put an apostrophe before text that a spreadsheet would execute as a formula."""

    def defuse(value: object) -> object:
        return defused(value) if isinstance(value, str) else value

    def column(values: pd.Series) -> pd.Series:
        if isinstance(values.dtype, pd.CategoricalDtype):
            return values.cat.rename_categories(defuse)
        return values.map(defuse)

    return table.apply(column)
