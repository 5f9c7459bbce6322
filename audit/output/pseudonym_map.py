"""The file, study, image and patient of each key: for the owner of the files, never stored in OUT."""

import csv
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from audit.pipeline.inputs import Inputs
from audit.pipeline.scoring_context import PatientPseudonyms
from audit.privacy.pseudonyms import Pseudonyms
from audit.privacy.redaction import name_of_source
from pipelines.cohort import each_frame
from pipelines.dicom.headers import inspect_file
from pipelines.errors import InputError, OutputError
from pipelines.images.collection import collect_images
from pipelines.images.picture_file import looks_like_picture
from pipelines.input_folder import entries_under
from pipelines.quoting import defused, printable
from pipelines.study import DICOM, Exclusion, Image

__all__ = ["KeyRow", "keys_of_files", "keys_of_inputs", "write_key_list"]


@dataclass(frozen=True, slots=True, order=True)
class KeyRow:
    """A key and what it stands for."""

    key: str
    kind: str  # "file", "study", "image" or "patient"
    stands_for: str


def keys_of_files(paths: Iterable[Path], keys: Pseudonyms) -> Iterator[KeyRow]:
    """Return the keys of files and of all files in folders; for a radiograph also those of study, image and patient.

    An image file says whose it is only together with its folder: give the folder that a run was given.

    Raises:
        InputError: a path is neither a file nor a folder.
    """
    for given in paths:
        if given.is_file():
            yield from _of_file(given, keys)
        elif given.is_dir():
            paths_of_files = []
            for entry in entries_under(given, stage="scan", with_hidden=True):
                if isinstance(entry, Exclusion):
                    yield _file_row(entry.source, keys)
                else:
                    paths_of_files.append(entry.path)
                    yield from _of_file(entry.path, keys)
            for image in collect_images(given).images if any(map(_is_picture, paths_of_files)) else ():
                if image.file_format != DICOM:
                    yield from _of_frames(image, keys)
        else:
            raise InputError(f"{given} is neither a file nor a folder: give the files that a run was given")


def _is_picture(path: Path) -> bool:
    with suppress(OSError):
        return looks_like_picture(path)
    return False


def keys_of_inputs(inputs: Inputs, keys: Pseudonyms) -> list[KeyRow]:
    """Yield every key that a run's outputs may contain."""
    sources = [item.source for item in inputs.left_out] + [study.report.source for study in inputs.studies]
    rows = {_file_row(source, keys) for source in sources}
    for image in inputs.images:
        rows |= {_file_row(str(image.path), keys), *_of_image(image, keys)}
    return sorted(rows)


def write_key_list(path: Path, rows: Iterable[KeyRow]) -> None:
    """Write a table of keys that only its owner can read.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        path.unlink(missing_ok=True)  # an older one may be readable by others
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["key", "kind", "stands_for"])
            table.writerows([defused(cell) for cell in astuple(row)] for row in rows)
    except OSError as error:
        raise OutputError(
            f"output.key-list {path} cannot be written ({error.strerror}): name a file in a folder of your own"
        ) from error


def _of_file(path: Path, keys: Pseudonyms) -> Iterator[KeyRow]:
    yield _file_row(str(path), keys)
    found = inspect_file(path)
    if isinstance(found, Image):
        yield from _of_frames(found, keys)


def _of_frames(found: Image, keys: Pseudonyms) -> Iterator[KeyRow]:
    for image in each_frame([found]):
        yield from _of_image(image, keys)


def _file_row(source: str, keys: Pseudonyms) -> KeyRow:
    name = name_of_source(source)
    return KeyRow(keys.file_key(name), "file", printable(source))


def _of_image(image: Image, keys: Pseudonyms) -> list[KeyRow]:
    return [
        KeyRow(keys.key("image", image.instance), "image", image.instance),
        KeyRow(keys.key("study", image.study_instance_uid), "study", image.study_instance_uid),
        KeyRow(PatientPseudonyms(keys)(image), "patient", image.patient_id or "no PatientID: a patient of its own"),
    ]
