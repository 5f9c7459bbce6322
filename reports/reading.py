"""Reads results back: files after a check of size and checksum, and the heat of a study.

OUT may have been damaged in transfer, edited, or made by somebody else. Therefore a file's size is checked before it is
read, a record's depth, containers and keys are limited, and checksums are compared for the bytes that are used.

Nothing is decompressed before the archive's directory and the array's header describe the result: an array of floating
point numbers, in two dimensions, no larger than the model's input. The result is compared with the record, which states
the sum of each grid.

Source: the NPY format, version 1.0, of the NumPy enhancement proposal 1.
"""

import io
import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ValidationError

from pipelines.errors import DamagedError
from reports.record import SCHEMA_VERSION, ScoredImage, StudyRecord

__all__ = [
    "EMBEDDINGS",
    "HEAT",
    "OF_RUN",
    "OF_STUDY",
    "ExpectedHeat",
    "Limits",
    "checksum",
    "embedding_names",
    "erased_pictures",
    "expected_heats",
    "file_checksum",
    "read_bounded",
    "read_checked",
    "read_embeddings",
    "read_heats",
    "read_model",
]

_MOST_KEYS = 10_000  # of one JSON object; the largest that is written has some hundred

_Read = TypeVar("_Read", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The size limits of a record, and what to do about one that cannot be used."""

    most_bytes: int
    most_containers: int  # JSON objects and arrays
    remedy: str


OF_STUDY = Limits(
    most_bytes=32 << 20, most_containers=1_000_000, remedy="delete its folder and run again, the rest is kept"
)
OF_RUN = Limits(
    most_bytes=128 << 20, most_containers=4_000_000, remedy="repeat the same `m2ib-audit run`, which writes it"
)


def checksum(content: bytes) -> str:
    """SHA-256, in hex."""
    return sha256(content).hexdigest()


def file_checksum(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises:
        DamagedError: it cannot be read, or is not a regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DamagedError(f"{path} cannot be read (it is not a regular file): did a run write this folder?")
            return file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror}): is its folder one that a run made?") from error


def read_bounded(path: Path, *, most_bytes: int, remedy: str = "audit the study again") -> bytes:
    """Read a regular file of at most ``most_bytes``; does not block on a named pipe or device.

    Raises:
        DamagedError: the file is missing, not a regular file, or larger.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise DamagedError(f"{path} cannot be read (it is not a regular file): {remedy}")
            content = stream.read(most_bytes + 1) if found.st_size <= most_bytes else None
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror}): {remedy}") from error
    if content is None or len(content) > most_bytes:
        raise DamagedError(f"{path} is larger than {most_bytes:,} bytes, which no run writes: {remedy}")
    return content


def read_checked(path: Path, checksums: Mapping[str, str] | None, *, most_bytes: int) -> bytes:
    """Read a file of a study and compare its checksum with the record; records of version 0.1.0 have none.

    Raises:
        DamagedError: the file is missing, too large, or was changed since it was written.
    """
    content = read_bounded(path, most_bytes=most_bytes)
    if checksums is not None and checksums.get(path.name) != checksum(content):
        raise DamagedError(f"{path} is not the file that was written (SHA-256 differs): audit the study again")
    return content


def read_model(path: Path, model: type[_Read], limits: Limits) -> _Read:
    """Read a record.

    Raises:
        DamagedError: it is missing, damaged, beyond its limits or of another schema version.
    """
    content = read_bounded(path, most_bytes=limits.most_bytes, remedy=limits.remedy)
    if content.count(b"[") + content.count(b"{") > limits.most_containers:
        raise DamagedError(f"{path} is not a record (more than {limits.most_containers:,} values): {limits.remedy}")
    try:
        data = json.loads(content, object_hook=_of_few_keys)
    except RecursionError as error:
        raise DamagedError(f"{path} is not a record (it is nested too deeply): {limits.remedy}") from error
    except ValueError as error:
        raise DamagedError(f"{path} is not a record: {limits.remedy}") from error
    if not isinstance(data, dict):
        raise DamagedError(f"{path} is not a record: {limits.remedy}")
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DamagedError(
            f"{path} has schema version {version!r:.40}, this program reads {SCHEMA_VERSION!r}: "
            "use the version of m2ib-audit that wrote it, or audit again"
        )
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DamagedError(
            f"{path} is damaged at {place[:200] or 'its top'} ({first['msg'][:200]}): {limits.remedy}"
        ) from error


def _of_few_keys(found: dict[str, object]) -> dict[str, object]:
    if len(found) > _MOST_KEYS:
        raise ValueError(f"an object of {len(found)} keys")
    return found


HEAT = "heat.npz"
EMBEDDINGS = "embeddings.npz"
"""What the model made of each image and phrase: vectors of length 1."""

_FILE_AT_MOST = 128 << 20  # bytes
_INFLATED_AT_MOST = 256 << 20  # bytes, of all grids together
_HEADER_AT_MOST = 4096  # bytes
_LONGEST_EMBEDDING = 1 << 16
_TYPES = {np.dtype(name) for name in ("<f2", "<f4", "<f8")}
_SUM_TOLERANCE = 1e-6  # of the sum of magnitudes: sums differ by rounding between machines
_BROKEN = (ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError)

Grid = Float[np.ndarray, "grid_rows grid_columns"]


@dataclass(frozen=True, slots=True)
class ExpectedHeat:
    """A grid's properties according to the record."""

    side: int  # pixels of the model's square: a grid has at most as many rows and columns
    total: float  # sum over the grid; not finite where the method gave no numbers


def expected_heats(record: StudyRecord) -> dict[str, ExpectedHeat]:
    """List every heat map that a record names: of phrases, further methods and controls, and before the first step."""
    return dict(_named(record))


def _named(record: StudyRecord) -> Iterator[tuple[str, ExpectedHeat]]:
    for image in record.images:
        side = image.placement.size
        for untrained in image.untrained:
            yield untrained.heat, ExpectedHeat(side, untrained.total)
        for phrase in image.phrases:
            yield phrase.heat, ExpectedHeat(side, phrase.total_nats)
            for other in phrase.others:
                yield other.heat, ExpectedHeat(side, other.total)
            for control in phrase.controls:
                yield control.heat, ExpectedHeat(side, control.total)


def read_heats(folder: Path, record: StudyRecord) -> dict[str, Grid]:
    """Read every heat map that a record names, in single precision.

    Raises:
        DamagedError: a heat map is missing, damaged, larger than the model's input, or does not match the record.
    """
    expected, path = expected_heats(record), folder / HEAT
    if not expected and record.files is None:
        return {}
    content = read_checked(path, record.files, most_bytes=_FILE_AT_MOST)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _grids(archive, expected, path)
    except _BROKEN as error:
        raise DamagedError(f"{path} is not stored heat ({error}): audit the study again") from error


def erased_pictures(phrase: str, count: int) -> tuple[str, ...]:
    """Name the pictures with regions erased of a phrase, by the name of its heat."""
    return (f"{phrase}-erased.jpg", f"{phrase}-erased-elsewhere.jpg")[:count]


def embedding_names(image: ScoredImage) -> tuple[str, tuple[str, ...]]:
    """Name the embedding of an image, and those of its phrases."""
    return image.picture.rpartition(".")[0], tuple(phrase.heat for phrase in image.phrases)


def read_embeddings(folder: Path, record: StudyRecord) -> dict[str, Grid]:
    """Read the embeddings of a study's images and phrases, one row each; none of records of older versions.

    A phrase of which words are masked has none.

    Raises:
        DamagedError: the file is missing, damaged, or not the one that was written.
    """
    path = folder / EMBEDDINGS
    if EMBEDDINGS not in (record.files or {}):
        return {}
    content = read_checked(path, record.files, most_bytes=_FILE_AT_MOST)
    of_images, of_phrases = zip(*map(embedding_names, record.images), strict=True)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: info for info in archive.infolist()}
            names = [*of_images, *(name for names in of_phrases for name in names if f"{name}.npy" in members)]
            found = {name: _grid(archive, members[f"{name}.npy"], (1, _LONGEST_EMBEDDING)) for name in names}
    except _BROKEN as error:
        raise DamagedError(f"{path} holds no embeddings ({error}): audit the study again") from error
    if len({row.shape for row in found.values()}) != 1:
        raise DamagedError(f"{path} holds embeddings of different lengths: audit the study again")
    return found


def _grids(archive: zipfile.ZipFile, expected: Mapping[str, ExpectedHeat], path: Path) -> dict[str, Grid]:
    members = {info.filename: info for info in archive.infolist()}
    missing = [name for name in expected if f"{name}.npy" not in members]
    if missing:
        raise DamagedError(f"{path} lacks the heat {missing[0]!r} that its record names: audit the study again")
    declared = sum(members[f"{name}.npy"].file_size for name in expected)
    if declared > _INFLATED_AT_MOST:
        raise DamagedError(f"{path} would inflate to {declared:,} bytes, which no run writes: audit the study again")
    grids = {}
    for name, of_record in expected.items():
        grids[name] = _grid(archive, members[f"{name}.npy"], (of_record.side, of_record.side))
        if not _is_of_record(grids[name], of_record.total):
            raise DamagedError(f"{path} holds another heat {name!r} than its record says: audit the study again")
    return grids


def _grid(archive: zipfile.ZipFile, member: zipfile.ZipInfo, at_most: tuple[int, int]) -> Grid:
    """Read one array, its header first.

    Raises:
        ValueError: it is not a grid of floating point numbers of at most these rows and columns.
    """
    if member.flag_bits & 1:
        raise ValueError(f"{member.filename} is encrypted")
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"{member.filename} is an array of format {version}")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_HEADER_AT_MOST)
        if dtype not in _TYPES or is_fortran or not _fits(shape, at_most):
            raise ValueError(f"{member.filename} is an array of {dtype.str} and shape {shape}")
        size = dtype.itemsize * shape[0] * shape[1]
        content = stream.read(size + 1)  # a byte more, so that the archive's own checksum is compared
    if len(content) != size:
        raise ValueError(f"{member.filename} has not the bytes of its shape {shape}")
    return np.frombuffer(content, dtype=dtype).reshape(shape).astype(np.float32)


def _fits(shape: tuple[int, ...], at_most: tuple[int, int]) -> bool:
    return len(shape) == len(at_most) and all(1 <= length <= most for length, most in zip(shape, at_most, strict=True))


def _is_of_record(grid: Grid, total: float) -> bool:
    if not np.isfinite(total):
        return True  # the method gave no numbers, and the record says so
    if not np.isfinite(grid).all():
        return False
    exact = grid.astype(np.float64)
    return bool(abs(exact.sum() - total) <= _SUM_TOLERANCE * (np.abs(exact).sum() + 1e-30))
