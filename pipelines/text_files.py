"""Text files as hospitals keep them: several encodings, plain or compressed, and JSON within limits.

A file is unpacked piece by piece and refused at the first piece too many. Only one copy of what it holds is made.
"""

import binascii
import codecs
import json
import re
import zipfile
import zlib
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pipelines.errors import BoxError, InputError
from pipelines.limits import (
    MAX_ANNOTATION_BYTES,
    MAX_GZIP_MEMBERS,
    MAX_JSON_DEPTH,
    MAX_JSON_MEMORY,
    MAX_TEXT_BYTES,
    MAX_TEXT_MEMORY,
    MAX_ZIP_ENTRIES,
)

__all__ = [
    "DecodedText",
    "JsonLimitError",
    "TextTooLargeError",
    "base64_text",
    "decode",
    "json_memory",
    "parse_json",
    "read_packed_text",
    "read_unpacked",
]

_TWO_BYTES_FROM, _FOUR_BYTES_FROM = 0xC4, 0xF0  # first bytes of UTF-8 whose letters make each letter of a str take more
_CHECKED_AT_ONCE = 2**20

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedText:
    """What a file says, with lines ended by a single newline."""

    text: str
    encoding: str
    doubt: str | None = None  # a sentence, where the encoding had to be guessed


class TextTooLargeError(ValueError):
    """The text would take more memory than a file may."""


def decode(data: bytes | bytearray) -> DecodedText:
    """Read bytes by their byte order mark, else as UTF-8, else as Latin-1, which never fails and is a guess.

    Raises:
        TextTooLargeError: the text would take more than ``MAX_TEXT_MEMORY``.
        ValueError: a byte order mark promises an encoding that the bytes do not hold.
    """
    if 4 * len(data) > MAX_TEXT_MEMORY and _memory_of(data) > MAX_TEXT_MEMORY:
        raise TextTooLargeError("the text would take too much memory")
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return DecodedText(text=_one_newline(str(memoryview(data)[len(mark) :], encoding)), encoding=encoding)
    try:
        return DecodedText(text=_one_newline(data.decode("utf-8")), encoding="utf-8")
    except UnicodeDecodeError as error:
        doubt = (
            f"byte {error.start} is no UTF-8, so the file was read as Latin-1; save it as UTF-8 if letters look wrong"
        )
        return DecodedText(text=_one_newline(data.decode("latin-1")), encoding="latin-1", doubt=doubt)


def base64_text(encoded: str) -> str:
    """Read text that a message carries in base64; "" where it holds none."""
    try:
        text = decode(b64decode(encoded, validate=False)).text
    except (binascii.Error, ValueError):
        return ""
    return "" if "\x00" in text else text


def _memory_of(data: bytes | bytearray) -> int:
    """Bound the bytes that a text takes in memory: the widest letter says how many each of them takes."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return 2 * len(data)
    widest, letters = 0, 0
    for start in range(0, len(data), _CHECKED_AT_ONCE):
        part = np.frombuffer(data, np.uint8, min(_CHECKED_AT_ONCE, len(data) - start), start)
        widest = max(widest, int(part.max()))
        letters += int(np.count_nonzero((part & 0xC0) != 0x80))
    return letters * (4 if widest >= _FOUR_BYTES_FROM else 2 if widest >= _TWO_BYTES_FROM else 1)


def _one_newline(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


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


def read_packed_text(
    path: Path, *, at_most: int = MAX_ANNOTATION_BYTES, failure: type[InputError] = BoxError
) -> DecodedText:
    """Read a file's text, unpacked where its first bytes say that it is packed.

    Raises:
        InputError: of the class ``failure``: the file cannot be opened or unpacked, holds more than ``at_most`` bytes
            or several files, or no text.
    """
    try:
        decoded = decode(read_unpacked(path, failure=failure, at_most=at_most))
    except TextTooLargeError as error:
        raise failure(f"{path} holds text that would take too much memory: split the file") from error
    except ValueError as error:
        raise failure(f"{path} starts with a byte order mark and is not encoded so: save it as UTF-8") from error
    if "\x00" in decoded.text:
        raise failure(f"{path} holds zero bytes, so it is no text file: give the table itself")
    return decoded


# Bytes that CPython takes for what begins with a character. A comma stands for a number and its place in a list.
_BYTES_OF = {"{": 232, "[": 88, '"': 32, ",": 32, ":": 8}
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_WHOLE_NUMBER = 18  # digits; one of more is read as a float, which is infinite from 309 digits on


class JsonLimitError(ValueError):
    """A text is too large or too deeply nested to be parsed; the message says which, and how to mend it."""


def parse_json(text: str) -> Any:
    """Parse a text.

    Raises:
        JsonLimitError: its values would take more than ``MAX_JSON_MEMORY`` or are nested deeper than
            ``MAX_JSON_DEPTH``.
        ValueError: it is no JSON.
    """
    memory = json_memory(text)
    if memory > MAX_JSON_MEMORY:
        megabytes, most = memory / 2**20, MAX_JSON_MEMORY / 2**20
        raise JsonLimitError(
            f"its values would take about {megabytes:,.0f} MiB of memory, more than {most:,.0f}: split the file"
        )
    try:
        value = json.loads(text, parse_int=_number)
    except RecursionError as error:
        raise JsonLimitError(_too_deep()) from error
    _refuse_deep(value)
    return _without_lone_surrogates(value) if _ESCAPED_SURROGATE.search(text) else value


def json_memory(text: str) -> int:
    """Estimate from above, without parsing, the bytes that a text and its values take."""
    return len(text) + sum(size * text.count(character) for character, size in _BYTES_OF.items())


def _without_lone_surrogates(value: Any) -> Any:
    """Put U+FFFD in the place of halves of a character, which no file or stream in UTF-8 takes."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        value[:] = map(_without_lone_surrogates, value)  # in place: a second copy could be too much
    elif isinstance(value, dict):
        for name in list(value):
            value[_SURROGATE.sub("\ufffd", name)] = _without_lone_surrogates(value.pop(name))
    return value


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST_WHOLE_NUMBER else float(digits)


def _refuse_deep(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_JSON_DEPTH):
        if not level:
            return
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    if level:
        raise JsonLimitError(_too_deep())


def _too_deep() -> str:
    return f"its values are nested deeper than {MAX_JSON_DEPTH} levels: export the file again"
