"""The bytes of a file, unpacked where its first bytes say that gzip or zip packed them."""

import gzip
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from pipelines.errors import InputError
from pipelines.text.encoding import MAX_FILE_BYTES

__all__ = ["read_unpacked"]

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


def read_unpacked(path: Path, *, failure: type[InputError], at_most: int = MAX_FILE_BYTES) -> bytes:
    """Read a whole file of the user.

    Raises:
        InputError: of the class ``failure``: the file cannot be opened or unpacked, or holds more than ``at_most``
            bytes or several files.
    """
    try:
        size = path.stat().st_size
        if size > at_most:
            raise failure(f"{path} has {size:,} bytes, more than the {at_most:,} that are read: split the file")
        data = path.read_bytes()
    except OSError as error:
        raise failure(f"{path} cannot be read ({error.strerror}): check that the file is there and readable") from error
    try:
        if data.startswith(_GZIP):
            with gzip.open(path) as stream:
                return _bounded(path, stream.read, at_most, failure)
        return _unzipped(path, at_most, failure) if data.startswith(_ZIP) else data
    except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise failure(f"{path} cannot be unpacked ({error}): unpack it and give the file inside") from error


def _unzipped(path: Path, at_most: int, failure: type[InputError]) -> bytes:
    with zipfile.ZipFile(path) as archive:
        # macOS adds a twin of each file that holds no data of its own.
        names = [info for info in archive.infolist() if not info.is_dir() and "__MACOSX/" not in info.filename]
        if len(names) != 1:
            raise failure(f"{path} holds {len(names)} files: unpack it and give the folder")
        with archive.open(names[0]) as stream:
            return _bounded(path, stream.read, at_most, failure)


def _bounded(path: Path, read: Callable[[int], bytes], at_most: int, failure: type[InputError]) -> bytes:
    """Read a stream that may claim any size: a bomb is refused before it has filled the memory."""
    data = read(at_most + 1)
    if len(data) > at_most:
        raise failure(f"{path} unpacks to more than the {at_most:,} bytes that are read: split the file")
    return data
