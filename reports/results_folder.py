"""The folder OUT: reads records back, and renders every page again from them; pages are written atomically."""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image as Picture

from pipelines.errors import DamagedError
from reports.cohort_page import render_cohort
from reports.overlay import check_picture, picture_size, thumbnail
from reports.reading import (
    OF_RUN,
    OF_STUDY,
    checksum,
    file_checksum,
    read_checked,
    read_embeddings,
    read_heats,
    read_model,
)
from reports.record import FailedStudyRecord, ScoredImage, StudyRecord
from reports.review_page import neighbours_on_disk
from reports.run_record import RunRecord
from reports.study_page import render_study
from reports.writing import replaced, write_text_atomically

__all__ = [
    "EMBEDDED_THUMBNAILS",
    "FAILED",
    "PAGES",
    "RECORD",
    "RUN",
    "THUMBNAIL",
    "RenderedFolder",
    "StudyFolder",
    "damaged_tables",
    "foreign_folder",
    "is_study_key",
    "read_failed",
    "read_pages_list",
    "read_record",
    "read_run",
    "read_study",
    "render_pages",
    "study_folders",
    "study_thumbnail",
    "valid_of",
]

EMBEDDED_THUMBNAILS = 1000
"""Above this many studies each thumbnail lies beside its study's page: within the cohort page each costs some 5 kB."""

THUMBNAIL = "thumbnail.png"

_STUDY_KEY = re.compile(r"[0-9a-f]{16}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")

RECORD, FAILED, RUN = "record.json", "failed.json", "run.json"
PAGE, PAGES = "index.html", "pages.sha256"

_PICTURE_AT_MOST = 128 << 20  # bytes
_SIDE_AT_MOST = 65_535  # px: the largest that DICOM's Rows and Columns say
_PIXELS_AT_MOST = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFolder:
    """One finished study in OUT/studies, with everything that its page needs."""

    record: StudyRecord
    heats: dict[str, Float[np.ndarray, "grid_rows grid_columns"]]  # nats, by ScoredPhrase.heat
    pictures: dict[str, bytes]  # JPEG (PNG in older runs), by ScoredImage.picture and ErasedRecord.pictures
    masks: dict[str, bytes]  # PNG, by ScoredImage.valid
    embeddings: dict[str, Float[np.ndarray, "1 dim"]] = field(default_factory=dict)  # by name


def read_run(out: Path) -> RunRecord:
    """Read ``run.json`` of an OUT folder.

    Raises:
        DamagedError: the file is missing, damaged, or of another schema version.
    """
    return read_model(out / RUN, RunRecord, OF_RUN)


def read_study(folder: Path) -> StudyFolder:
    """Read one study's record, heat, pictures and masks; each is compared with the checksum in the record.

    Raises:
        DamagedError: a file is missing, damaged, changed since it was written, or of another schema version.
    """
    record = read_record(folder)
    study = StudyFolder(
        record=record,
        heats=read_heats(folder, record),
        pictures={
            **{image.picture: _read_picture(folder, image, record.files) for image in record.images},
            **{name: _read_from_folder(folder, name, record.files) for name in _erased(record)},
        },
        masks={
            image.valid: _read_from_folder(folder, image.valid, record.files)
            for image in record.images
            if image.valid is not None
        },
        embeddings=read_embeddings(folder, record),
    )
    for image in record.images if record.files is None else ():
        valid_of(study, image)
    return study


def _erased(record: StudyRecord) -> Iterator[str]:
    """Name the pictures with regions erased."""
    for image in record.images:
        for phrase in image.phrases:
            yield from () if phrase.erased is None else phrase.erased.pictures


def read_record(folder: Path) -> StudyRecord:
    """Read only one study's record.

    Raises:
        DamagedError: the file is missing, damaged, of another schema version, or of a study of another folder.
    """
    path = folder / RECORD
    record = read_model(path, StudyRecord, OF_STUDY)
    if record.key != folder.name:
        key = f"the key {record.key}" if is_study_key(record.key) else "a key that no run gives"
        raise DamagedError(
            f"{path} has {key}, not its folder's name: rename the folder to the key, or audit the study again"
        )
    _check_plain(record.key, what="key", file=path)
    _check_sizes(record, path)
    return record


def is_study_key(name: str) -> bool:
    """Return True if a name has the form of a study's folder; any other name was given by a person."""
    return _STUDY_KEY.fullmatch(name) is not None


def read_failed(folder: Path) -> FailedStudyRecord:
    """Read the note that none of a study's images could be audited.

    Raises:
        DamagedError: the file is missing, damaged, or of another schema version.
    """
    return read_model(folder / FAILED, FailedStudyRecord, OF_STUDY)


def study_folders(out: Path) -> list[Path]:
    """List the folders of finished studies, which have a record, by name."""
    return sorted(record.parent for record in (out / "studies").glob(f"*/{RECORD}"))


def foreign_folder(folder: Path) -> str:
    """Return a message that a folder among the studies was not written by a run; mask its name before showing it."""
    return f"{folder} is not a study of a run, because its name is not a study's key: move it out of OUT"


def study_thumbnail(study: StudyFolder) -> bytes | None:
    """Make a study's thumbnail for the cohort page: its first image under the heat of its first phrase."""
    if not study.record.images:
        return None
    image = next((image for image in study.record.images if image.phrases), study.record.images[0])
    return thumbnail(
        study.pictures[image.picture],
        heats=study.heats,
        show=image.phrases[0].heat if image.phrases else None,
        placement=image.placement,
    )


def valid_of(study: StudyFolder, image: ScoredImage) -> Bool[np.ndarray, "rows columns"]:
    """Return the mask of valid pixels of an image: False behind collimators and in padding.

    Raises:
        DamagedError: the mask is not an image, or has another size than the image.
    """
    if image.valid is None:
        return np.ones((image.rows, image.columns), dtype=bool)
    name = f"the mask {image.valid} of study {study.record.key}"
    try:
        with Picture.open(io.BytesIO(study.masks[image.valid]), formats=["PNG"]) as picture:
            size = picture.size
            mask = np.asarray(picture, dtype=bool) if size == (image.columns, image.rows) else None
    except (OSError, ValueError, SyntaxError, Picture.DecompressionBombError) as error:
        raise DamagedError(f"{name} is not an image ({error}): audit the study again") from error
    if mask is None or mask.ndim != 2:
        raise DamagedError(
            f"{name} has {size[0]} x {size[1]} px, its image {image.columns} x {image.rows}: audit the study again"
        )
    return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFolder:
    """The result of rendering the pages again."""

    page: Path  # over all studies
    studies: int  # study pages made
    damaged: tuple[str, ...]  # a sentence each; their pages stay as they were


def damaged_tables(out: Path, run: RunRecord) -> tuple[str, ...]:
    """Return a message for each table in ``run.json`` that is missing or was changed since it was written."""
    faults = []
    for name, expected in (run.files or {}).items():
        try:
            is_intact = file_checksum(out / name) == expected
        except DamagedError:
            is_intact = False
        if not is_intact:
            faults.append(f"{name} is not the table that was written: `m2ib-audit score` makes the tables again")
    return tuple(faults)


def read_pages_list(content: bytes) -> dict[str, str]:
    """Read the list of pages: checksums by path within OUT; invalid lines are ignored."""
    lines = (line.split("  ", 1) for line in content.decode("ascii", errors="replace").splitlines())
    return {line[1]: line[0] for line in lines if len(line) == 2}


def render_pages(
    out: Path,
    run: RunRecord,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    check: Callable[[Path], None] = lambda _folder: None,
    known: Mapping[str, str] = MappingProxyType({}),
) -> RenderedFolder:
    """Render every page of an OUT folder again from its records, heat and pictures; needs no model and no DICOM.

    A study that cannot be read is omitted from the cohort page and does not stop the others. So is a folder whose name
    is not a study's key; no page links to it. The checksums of all pages go to ``pages.sha256``, in the form of
    ``sha256sum``.

    Args:
        out: the folder.
        run: its ``run.json``.
        progress: called after each study.
        check: raises DamagedError for the folder of a study that must not be trusted.
        known: checksums of pages and thumbnails that need not be written again, by their path within OUT.

    Raises:
        OutputError: a page cannot be written.
    """
    page, listed = out / PAGE, out / PAGES
    with replaced(listed) as temporary, temporary.open("x", encoding="ascii", newline="\n") as lines:
        pages = _Pages(run, study_folders(out), progress, check=check, known=known, write_line=lines.write)
        text = render_cohort(run, pages.records(), thumbnails=pages.thumbnails)
        write_text_atomically(page, text)
        lines.write(f"{checksum(text.encode())}  {PAGE}\n")
    return RenderedFolder(page=page, studies=pages.made, damaged=tuple(pages.damaged))


class _Pages:
    """Iterates over the studies once, renders their pages and yields their records."""

    def __init__(
        self,
        run: RunRecord,
        folders: Sequence[Path],
        progress: Callable[[int, int], None],
        *,
        check: Callable[[Path], None],
        known: Mapping[str, str],
        write_line: Callable[[str], object],
    ) -> None:
        self._run, self._progress = run, progress
        self._folders = [folder for folder in folders if is_study_key(folder.name)]
        self._check, self._known, self._write_line = check, known, write_line
        self._keys = [folder.name for folder in self._folders]
        self._embedded = len(self._folders) <= EMBEDDED_THUMBNAILS
        self.thumbnails: dict[str, bytes | str] = {}
        self.damaged = [foreign_folder(folder) for folder in folders if not is_study_key(folder.name)]
        self.made = 0

    def records(self) -> Iterator[StudyRecord]:
        for done, folder in enumerate(self._folders, start=1):
            try:
                record = self._record(folder, done - 1)
            except DamagedError as error:
                self.damaged.append(str(error))
            else:
                yield record
            self._progress(done, len(self._folders))

    def _record(self, folder: Path, place: int) -> StudyRecord:
        study = read_study(folder)
        self._check(folder)
        beside = neighbours_on_disk(self._keys, place)
        page = render_study(study.record, heats=study.heats, pictures=study.pictures, run=self._run, beside=beside)
        write_text_atomically(folder / PAGE, page)
        self._list(folder / PAGE, page.encode())
        self.made += 1
        picture = study_thumbnail(study) if self._embedded else self._linked_thumbnail(study, folder / THUMBNAIL)
        if picture is not None:
            self.thumbnails[study.record.key] = picture
        return study.record

    def _list(self, path: Path, content: bytes) -> None:
        self._write_line(f"{checksum(content)}  {_within_out(path)}\n")

    def _linked_thumbnail(self, study: StudyFolder, path: Path) -> str | None:
        """Write a study's thumbnail unless a known one is newer than the record; return its name."""
        kept = self._stored_thumbnail(path)
        picture = kept or study_thumbnail(study)
        if picture is None:
            return None
        if kept is None:
            with replaced(path) as temporary:
                temporary.write_bytes(picture)
        self._list(path, picture)
        return path.name

    def _stored_thumbnail(self, path: Path) -> bytes | None:
        expected = self._known.get(_within_out(path))
        if expected is None or not path.is_file():
            return None
        if path.stat().st_mtime_ns < path.with_name(RECORD).stat().st_mtime_ns:
            return None
        content = path.read_bytes()
        return content if checksum(content) == expected else None


def _within_out(path: Path) -> str:
    return "/".join(path.parts[-3:])


def _read_picture(folder: Path, image: ScoredImage, files: Mapping[str, str] | None) -> bytes:
    """Read an image file; without a known checksum it is decoded completely to check it."""
    picture = _read_from_folder(folder, image.picture, files)
    width, height = picture_size(picture, name=str(folder / image.picture))
    if files is None:
        check_picture(picture, name=str(folder / image.picture))
        if min(abs(width * image.rows / image.columns - height), abs(height * image.columns / image.rows - width)) > 1:
            raise DamagedError(
                f"{folder / image.picture} is {width} x {height} px, its image {image.columns} x {image.rows}: "
                "audit the study again"
            )
    return picture


def _read_from_folder(folder: Path, name: str, files: Mapping[str, str] | None) -> bytes:
    _check_plain(name, what="picture", file=folder / RECORD)
    return read_checked(folder / name, files, most_bytes=_PICTURE_AT_MOST)


def _check_sizes(record: StudyRecord, file: Path) -> None:
    """Refuse images and grids larger than any run writes, because memory use depends on the sizes in the record."""
    for image in record.images:
        sides = (image.rows, image.columns, image.placement.rows, image.placement.columns)
        squares = (image.placement.size, image.placement.resized_rows, image.placement.resized_columns)
        if (
            not all(1 <= side <= _SIDE_AT_MOST for side in (*sides, *squares))
            or max(image.rows * image.columns, image.placement.rows * image.placement.columns) > _PIXELS_AT_MOST
        ):
            raise DamagedError(f"{file} has an image of {image.columns} x {image.rows} px: audit the study again")


def _check_plain(name: str, *, what: str, file: Path) -> None:
    """Refuse a name that could leave its folder, because records may come from elsewhere."""
    if not _PLAIN_NAME.fullmatch(name):
        raise DamagedError(
            f"{file} has the {what} {name[:200]!r}, which is not a plain file name: audit the study again"
        )
