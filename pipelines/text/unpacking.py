"""The bytes of a file, unpacked where its first bytes say that gzip or zip packed them.

A file is unpacked piece by piece and refused at the first piece too many. Only one copy of what it holds is made.
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from pipelines.errors import InputError
from pipelines.limits import MAX_GZIP_MEMBERS, MAX_TEXT_BYTES, MAX_ZIP_ENTRIES

__all__ = ["read_unpacked"]

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_GZIP_FRAMING = 16 + zlib.MAX_WBITS  # zlib's way to say that a gzip header and trailer surround the data
_ZIP_ENTRY = b"PK\x01\x02"  # how the directory of an archive begins the entry of each file
_ZIP_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})  # the others take memory that the file asks for
_AT_ONCE = 2**18


def read_unpacked(path: Path, *, failure: type[InputError], at_most: int = MAX_TEXT_BYTES) -> bytearray:
    """Read a whole file of the user.

    Raises:
        InputError: of the class ``failure``: the file cannot be opened or unpacked, or holds more than ``at_most``
            bytes or several files.

    Source: RFC 1952 (gzip); PKWARE, APPNOTE 4.3 (zip).
    """
    try:
        size = path.stat().st_size
        if size > at_most:
            raise failure(f"{path} has {size:,} bytes, more than the {at_most:,} that are read: split the file")
        with path.open("rb") as stream:
            start = stream.read(len(_ZIP))
            stream.seek(0)
            if start.startswith(_GZIP):
                return _collected(path, _gunzipped(path, stream, failure), at_most, failure)
            if start.startswith(_ZIP):
                return _unzipped(path, stream, at_most, failure)
            return _collected(path, iter(lambda: stream.read(_AT_ONCE), b""), at_most, failure)
    except (EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise failure(f"{path} cannot be unpacked ({error}): unpack it and give the file inside") from error
    except OSError as error:
        raise failure(f"{path} cannot be read ({error.strerror}): check that the file is there and readable") from error


def _collected(path: Path, parts: Iterable[bytes], at_most: int, failure: type[InputError]) -> bytearray:
    data = bytearray()
    for part in parts:
        data += part
        if len(data) > at_most:
            raise failure(f"{path} unpacks to more than the {at_most:,} bytes that are read: split the file")
    return data


def _gunzipped(path: Path, stream: BinaryIO, failure: type[InputError]) -> Iterator[bytes]:
    """Give what a gzip file holds. It is a row of members, each packed on its own; zeros may fill it up."""
    packed = stream.read(_AT_ONCE)
    for _ in range(MAX_GZIP_MEMBERS):
        inflater = zlib.decompressobj(_GZIP_FRAMING)
        while not inflater.eof:
            if not packed:
                packed = stream.read(_AT_ONCE)
                if not packed:
                    raise EOFError("it is cut short")
            yield inflater.decompress(packed, _AT_ONCE)
            packed = inflater.unconsumed_tail
        packed = inflater.unused_data.lstrip(b"\0")
        while not packed:
            packed = stream.read(_AT_ONCE)
            if not packed:
                return
            packed = packed.lstrip(b"\0")
    raise failure(f"{path} is packed in more than {MAX_GZIP_MEMBERS:,} pieces: unpack it and give the file inside")


def _unzipped(path: Path, stream: BinaryIO, at_most: int, failure: type[InputError]) -> bytearray:
    if _count(stream, _ZIP_ENTRY) > MAX_ZIP_ENTRIES:
        raise failure(f"{path} holds more than {MAX_ZIP_ENTRIES:,} files: unpack it and give the folder")
    with zipfile.ZipFile(stream) as archive:
        # macOS adds a twin of each file that holds no data of its own.
        names = [info for info in archive.infolist() if not info.is_dir() and "__MACOSX/" not in info.filename]
        if len(names) != 1:
            raise failure(f"{path} holds {len(names):,} files: unpack it and give the folder")
        if names[0].compress_type not in _ZIP_METHODS:
            raise NotImplementedError("packed by another method than deflate")
        with archive.open(names[0]) as member:
            return _collected(path, iter(lambda: member.read(_AT_ONCE), b""), at_most, failure)


def _count(stream: BinaryIO, mark: bytes) -> int:
    """Count a mark in a file, which stands at its beginning before and after."""
    count, kept = 0, b""
    while part := stream.read(_AT_ONCE):
        count += (kept + part).count(mark)
        kept = part[1 - len(mark) :]
    stream.seek(0)
    return count
