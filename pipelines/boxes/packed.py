"""Tables and annotation files as they are published: as they are, or packed by gzip or zip."""

import gzip
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from pipelines.errors import BoxError, InputError
from pipelines.text.encoding import MAX_FILE_BYTES, DecodedText, decode, read_text

__all__ = ["read_packed_text"]

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


def read_packed_text(path: Path, *, at_most: int = MAX_FILE_BYTES, failure: type[InputError] = BoxError) -> DecodedText:
    """Read a file's text, unpacked where its first bytes say that it is packed.

    Raises:
        InputError: of the class ``failure``: the file cannot be opened or unpacked, holds more than ``at_most`` bytes
            or several files, or no text.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise failure(f"{path} cannot be read ({error.strerror}): check that the file is there and readable") from error
    if start.startswith(_GZIP):
        return _text(path, _ungzipped(path, at_most, failure), failure)
    if start == _ZIP:
        return _text(path, _unzipped(path, at_most, failure), failure)
    return read_text(path, failure=failure)


def _ungzipped(path: Path, at_most: int, failure: type[InputError]) -> bytes:
    try:
        with gzip.open(path) as stream:
            return _bounded(path, stream.read, at_most, failure)
    except (OSError, EOFError, zlib.error) as error:
        raise failure(f"{path} cannot be unpacked ({error}): copy or download it again") from error


def _unzipped(path: Path, at_most: int, failure: type[InputError]) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            # macOS adds a twin of each file that holds no data of its own.
            names = [info for info in archive.infolist() if not info.is_dir() and "__MACOSX/" not in info.filename]
            if len(names) != 1:
                raise failure(f"{path} holds {len(names)} files: give an archive with the table alone")
            with archive.open(names[0]) as stream:
                return _bounded(path, stream.read, at_most, failure)
    except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise failure(f"{path} cannot be unpacked ({error}): unpack it and give the file inside") from error


def _bounded(path: Path, read: Callable[[int], bytes], at_most: int, failure: type[InputError]) -> bytes:
    """Read a stream that may claim any size: a bomb is refused before it has filled the memory."""
    data = read(at_most + 1)
    if len(data) > at_most:
        raise failure(f"{path} unpacks to more than the {at_most:,} bytes that are read: split the file")
    return data


def _text(path: Path, data: bytes, failure: type[InputError]) -> DecodedText:
    try:
        decoded = decode(data)
    except ValueError as error:
        raise failure(f"{path} starts with a byte order mark and is not encoded so: save it as UTF-8") from error
    if "\x00" in decoded.text:
        raise failure(f"{path} holds zero bytes, so it is no text file: give the table itself")
    return decoded
