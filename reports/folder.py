"""The folder OUT: pages written whole or not at all, records read back, and every page made again from them."""

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image as Picture
from pydantic import BaseModel, ValidationError

from pipelines.errors import OutputError
from reports.cohort_page import render_cohort
from reports.overlay import thumbnail
from reports.record import SCHEMA_VERSION, ImageRecord, RunRecord, StudyRecord
from reports.resume_record import FailedStudyRecord
from reports.review_page import beside_on_disk
from reports.study_page import render_study
from reports.writing import replaced, write_text_atomically

__all__ = [
    "EMBEDDED_THUMBNAILS",
    "THUMBNAIL",
    "RenderedFolder",
    "StudyFolder",
    "read_failed",
    "read_record",
    "read_run",
    "read_study",
    "read_valid",
    "render_folder",
    "render_pages",
    "study_folders",
    "study_thumbnail",
]

EMBEDDED_THUMBNAILS = 1000
"""Above this many studies each thumbnail lies beside its study's page: within the cohort page each costs some 5 kB."""

THUMBNAIL = "thumbnail.png"

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")

_Read = TypeVar("_Read", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFolder:
    """One finished study as it lies in OUT/studies: enough to make its page."""

    record: StudyRecord
    heats: dict[str, Float[np.ndarray, "grid_rows grid_columns"]]  # nats, by PhraseRecord.heat
    pictures: dict[str, bytes]  # JPEG (PNG in older runs), by ImageRecord.picture


def read_run(out: Path) -> RunRecord:
    """Read ``run.json`` of an OUT folder.

    Raises:
        OutputError: the file is missing, damaged, or of another schema version.
    """
    return _read_record(out / "run.json", RunRecord)


def read_study(folder: Path) -> StudyFolder:
    """Read one study's record, its heat and its pictures.

    Raises:
        OutputError: a file is missing, damaged, or of another schema version.
    """
    record = read_record(folder)
    names = [phrase.heat for image in record.images for phrase in image.phrases]
    return StudyFolder(
        record=record,
        heats=_read_heats(folder / "heat.npz", names),
        pictures={image.picture: _read_picture(folder, image.picture) for image in record.images},
    )


def read_record(folder: Path) -> StudyRecord:
    """Read one study's record alone.

    Raises:
        OutputError: the file is missing, damaged, or of another schema version.
    """
    record = _read_record(folder / "record.json", StudyRecord)
    _check_plain(record.key, what="key", file=folder / "record.json")
    return record


def read_failed(folder: Path) -> FailedStudyRecord:
    """Read the note that none of a study's images could be audited.

    Raises:
        OutputError: the file is missing, damaged, or of another schema version.
    """
    return _read_record(folder / "failed.json", FailedStudyRecord)


def study_folders(out: Path) -> list[Path]:
    """List the folders of finished studies, by name: those whose record has been written."""
    return sorted(record.parent for record in (out / "studies").glob("*/record.json"))


def study_thumbnail(study: StudyFolder) -> bytes | None:
    """Make the small picture of a study for the cohort page: its first image, under the heat of its first phrase."""
    if not study.record.images:
        return None
    image = next((image for image in study.record.images if image.phrases), study.record.images[0])
    return thumbnail(
        study.pictures[image.picture],
        heats=study.heats,
        show=image.phrases[0].heat if image.phrases else None,
        placement=image.placement,
    )


def read_valid(folder: Path, image: ImageRecord) -> Bool[np.ndarray, "rows columns"]:
    """Read where an image shows something: False behind collimators and in padding.

    Raises:
        OutputError: the mask is missing, damaged or of another size than the image.
    """
    if image.valid is None:
        return np.ones((image.rows, image.columns), dtype=bool)
    png = _read_picture(folder, image.valid)
    try:
        with Picture.open(io.BytesIO(png), formats=["PNG"]) as picture:
            size = picture.size
            mask = np.asarray(picture, dtype=bool) if size == (image.columns, image.rows) else None
    except (OSError, ValueError, SyntaxError, Picture.DecompressionBombError) as error:
        raise OutputError(f"{folder / image.valid} is no picture ({error}): audit the study again") from error
    if mask is None or mask.ndim != 2:
        raise OutputError(
            f"{folder / image.valid} has {size[0]} x {size[1]} px, its image {image.columns} x {image.rows}: "
            "audit the study again"
        )
    return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFolder:
    """What came of making the pages again."""

    page: Path  # over all studies
    studies: int  # study pages made
    damaged: tuple[str, ...]  # a sentence each; their pages stay as they were


def render_folder(out: Path, *, progress: Callable[[int, int], None] = lambda _done, _total: None) -> RenderedFolder:
    """Make every page of an OUT folder again from its records, heat and pictures; no model and no DICOM is needed.

    A study that cannot be read is left away from the page over all, and stops no other.

    Raises:
        OutputError: ``run.json`` is missing, damaged or of another schema version, or a page cannot be written.
    """
    return render_pages(out, read_run(out), progress=progress)


def render_pages(
    out: Path,
    run: RunRecord,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> RenderedFolder:
    """Make the page over all studies of a run and theirs; one study is in memory at a time.

    Raises:
        OutputError: a page cannot be written.
    """
    pages = _Pages(run, study_folders(out), progress)
    page = out / "index.html"
    write_text_atomically(page, render_cohort(run, pages.records(), thumbnails=pages.thumbnails))
    return RenderedFolder(page=page, studies=pages.made, damaged=tuple(pages.damaged))


class _Pages:
    """Goes through the studies once: makes their pages and hands their records on."""

    def __init__(self, run: RunRecord, folders: Sequence[Path], progress: Callable[[int, int], None]) -> None:
        self._run, self._folders, self._progress = run, folders, progress
        self._keys = [folder.name for folder in folders]
        self._embedded = len(folders) <= EMBEDDED_THUMBNAILS
        self.thumbnails: dict[str, bytes | str] = {}
        self.damaged: list[str] = []
        self.made = 0

    def records(self) -> Iterator[StudyRecord]:
        for done, folder in enumerate(self._folders, start=1):
            try:
                record = self._record(folder, done - 1)
            except OutputError as error:
                self.damaged.append(str(error))
            else:
                yield record
            self._progress(done, len(self._folders))

    def _record(self, folder: Path, place: int) -> StudyRecord:
        study = read_study(folder)
        if study.record.key != folder.name:
            raise OutputError(
                f"{folder / 'record.json'} has the key {study.record.key!r}, not its folder's name: "
                "rename the folder to the key, or audit the study again"
            )
        beside = beside_on_disk(self._keys, place)
        page = render_study(study.record, heats=study.heats, pictures=study.pictures, run=self._run, beside=beside)
        write_text_atomically(folder / "index.html", page)
        self.made += 1
        picture = study_thumbnail(study) if self._embedded else _thumbnail_beside(study, folder / THUMBNAIL)
        if picture is not None:
            self.thumbnails[study.record.key] = picture
        return study.record


def _thumbnail_beside(study: StudyFolder, path: Path) -> str | None:
    """Write a study's thumbnail, unless it is there and newer than the record; gives the file's name."""
    if path.is_file() and path.stat().st_mtime_ns >= path.with_name("record.json").stat().st_mtime_ns:
        return path.name
    picture = study_thumbnail(study)
    if picture is None:
        return None
    with replaced(path) as temporary:
        temporary.write_bytes(picture)
    return path.name


def _read_record(path: Path, model: type[_Read]) -> _Read:
    try:
        text = path.read_text(encoding="utf-8")
        version = json.loads(text).get("schema_version")
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error.strerror}): is its folder one that a run made?") from error
    except (ValueError, AttributeError) as error:
        raise OutputError(f"{path} is no record: delete its folder and run again, the rest is kept") from error
    if version != SCHEMA_VERSION:
        raise OutputError(
            f"{path} has schema version {version!r}, this program reads {SCHEMA_VERSION!r}: "
            "use the version of m2ib-audit that wrote it, or audit again"
        )
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise OutputError(
            f"{path} is damaged at {place or 'its top'} ({first['msg']}): delete its folder and run again"
        ) from error


def _read_heats(path: Path, names: list[str]) -> dict[str, Float[np.ndarray, "grid_rows grid_columns"]]:
    if not names:
        return {}
    try:
        heats = _arrays_in(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error.strerror or error}): audit the study again") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise OutputError(f"{path} is no stored heat ({error}): audit the study again") from error
    missing = [name for name in names if name not in heats]
    if missing:
        raise OutputError(f"{path} lacks the heat {missing[0]!r} that its record names: audit the study again")
    return heats


def _arrays_in(path: Path) -> dict[str, Float[np.ndarray, "grid_rows grid_columns"]]:
    # The file is opened here, for numpy leaves it open where it turns out to be no archive.
    with path.open("rb") as stream:
        stored = np.load(stream, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise OutputError(f"{path} is no stored heat (a single array, no archive): audit the study again")
        return {name: np.asarray(stored[name], dtype=np.float32) for name in stored}


def _read_picture(folder: Path, name: str) -> bytes:
    _check_plain(name, what="picture", file=folder / "record.json")
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise OutputError(f"{folder / name} cannot be read ({error.strerror}): audit the study again") from error


def _check_plain(name: str, *, what: str, file: Path) -> None:
    """Refuse a name that could lead out of its folder: records may come from elsewhere."""
    if not _PLAIN_NAME.fullmatch(name):
        raise OutputError(f"{file} has the {what} {name!r}, which is no plain file name: audit the study again")
