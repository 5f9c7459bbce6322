"""The heat of a study, read from ``heat.npz`` within bounds that the study's record gives.

Nothing is inflated before the archive's directory and the array's own header say what would come out: a plain array of
floating point numbers, in two dimensions, no larger than the square that the model sees. What comes out is held against
the record, which says what each grid sums to.

Source: the NPY format, version 1.0, of the NumPy enhancement proposal 1.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pipelines.errors import DamagedError
from reports.reading import read_checked
from reports.record import StudyRecord

__all__ = ["HEAT", "ExpectedHeat", "expected_heats", "read_heats"]

HEAT = "heat.npz"

_FILE_AT_MOST = 128 << 20  # bytes
_INFLATED_AT_MOST = 256 << 20  # bytes, of all grids together
_HEADER_AT_MOST = 4096  # bytes
_TYPES = {np.dtype(name) for name in ("<f2", "<f4", "<f8")}
_SUM_TOLERANCE = 1e-6  # of the sum of magnitudes: sums differ by rounding between machines
_BROKEN = (ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError)

Grid = Float[np.ndarray, "grid_rows grid_columns"]


@dataclass(frozen=True, slots=True)
class ExpectedHeat:
    """What a record says of a grid."""

    side: int  # pixels of the model's square: a grid has at most as many rows and columns
    total: float  # sum over the grid; not finite where the method gave no numbers


def expected_heats(record: StudyRecord) -> dict[str, ExpectedHeat]:
    """List every heat that a record names: of its phrases, further methods and controls."""
    return dict(_named(record))


def _named(record: StudyRecord) -> Iterator[tuple[str, ExpectedHeat]]:
    for image in record.images:
        side = image.placement.size
        for phrase in image.phrases:
            yield phrase.heat, ExpectedHeat(side, phrase.total_nats)
            for other in phrase.others:
                yield other.heat, ExpectedHeat(side, other.total)
            for control in phrase.controls:
                yield control.heat, ExpectedHeat(side, control.total)


def read_heats(folder: Path, record: StudyRecord) -> dict[str, Grid]:
    """Read every heat that a record names, in single precision.

    Raises:
        DamagedError: a heat is missing, damaged, larger than the model's square, or not the one of the record.
    """
    expected, path = expected_heats(record), folder / HEAT
    if not expected and record.files is None:
        return {}
    content = read_checked(path, record.files, most_bytes=_FILE_AT_MOST)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _grids(archive, expected, path)
    except _BROKEN as error:
        raise DamagedError(f"{path} is no stored heat ({error}): audit the study again") from error


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
        grids[name] = _grid(archive, members[f"{name}.npy"], of_record.side)
        if not _is_of_record(grids[name], of_record.total):
            raise DamagedError(f"{path} holds another heat {name!r} than its record says: audit the study again")
    return grids


def _grid(archive: zipfile.ZipFile, member: zipfile.ZipInfo, side: int) -> Grid:
    """Read one array, its header first.

    Raises:
        ValueError: it is no grid of at most ``side`` x ``side`` floating point numbers.
    """
    if member.flag_bits & 1:
        raise ValueError(f"{member.filename} is encrypted")
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"{member.filename} is an array of format {version}")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_HEADER_AT_MOST)
        if dtype not in _TYPES or is_fortran or len(shape) != 2 or not all(1 <= length <= side for length in shape):
            raise ValueError(f"{member.filename} is an array of {dtype.str} and shape {shape}")
        size = dtype.itemsize * shape[0] * shape[1]
        content = stream.read(size + 1)  # a byte more, so that the archive's own checksum is compared
    if len(content) != size:
        raise ValueError(f"{member.filename} has not the bytes of its shape {shape}")
    return np.frombuffer(content, dtype=dtype).reshape(shape).astype(np.float32)


def _is_of_record(grid: Grid, total: float) -> bool:
    if not np.isfinite(total):
        return True  # the method gave no numbers, and the record says so
    if not np.isfinite(grid).all():
        return False
    exact = grid.astype(np.float64)
    return bool(abs(exact.sum() - total) <= _SUM_TOLERANCE * (np.abs(exact).sum() + 1e-30))
