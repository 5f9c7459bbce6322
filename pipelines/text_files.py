"""Reads the text files of hospitals: several encodings, plain or compressed, and JSON, within limits.

A file is unpacked in pieces and refused at the first piece beyond the limit. Only one copy of its content is made.
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

_TWO_BYTES_FROM, _FOUR_BYTES_FROM = 0xC4, 0xF0  # UTF-8 lead bytes from which a str needs 2 or 4 bytes per character
_CHECKED_AT_ONCE = 2**20

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedText:
    """The text of a file, with lines ended by a single newline."""

    text: str
    encoding: str
    doubt: str | None = None  # a message, if the encoding had to be guessed


class TextTooLargeError(ValueError):
    """The text would take more memory than is allowed for a file."""


def decode(data: bytes | bytearray) -> DecodedText:
    """Decode bytes by their byte order mark, else as UTF-8, else as Latin-1, which never fails and is a guess.

    Raises:
        TextTooLargeError: the text would take more than ``MAX_TEXT_MEMORY``.
        ValueError: the byte order mark contradicts the encoding.
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
            f"byte {error.start} is not UTF-8, so the file was read as Latin-1; save it as UTF-8 if letters look wrong"
        )
        return DecodedText(text=_one_newline(data.decode("latin-1")), encoding="latin-1", doubt=doubt)


def base64_text(encoded: str) -> str:
    """Decode base64 text from a message; "" if it is not valid."""
    try:
        text = decode(b64decode(encoded, validate=False)).text
    except (binascii.Error, ValueError):
        return ""
    return "" if "\x00" in text else text


def _memory_of(data: bytes | bytearray) -> int:
    """Return an upper bound of a text's memory in bytes: the widest character determines the size of all."""
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
_GZIP_FRAMING = 16 + zlib.MAX_WBITS  # tells zlib that a gzip header and trailer surround the data
_ZIP_ENTRY = b"PK\x01\x02"  # signature of each file's entry in an archive's directory
_ZIP_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})  # other methods let the file set their memory
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
            raise failure(f"{path} has {size:,} bytes, more than the limit of {at_most:,}: split the file")
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
            raise failure(f"{path} unpacks to more than the limit of {at_most:,} bytes: split the file")
    return data


def _gunzipped(path: Path, stream: BinaryIO, failure: type[InputError]) -> Iterator[bytes]:
    """Yield the content of a gzip file, which consists of members that are compressed separately; zeros may pad it."""
    packed = stream.read(_AT_ONCE)
    for _ in range(MAX_GZIP_MEMBERS):
        inflater = zlib.decompressobj(_GZIP_FRAMING)
        while not inflater.eof:
            if not packed:
                packed = stream.read(_AT_ONCE)
                if not packed:
                    raise EOFError("it is truncated")
            yield inflater.decompress(packed, _AT_ONCE)
            packed = inflater.unconsumed_tail
        packed = inflater.unused_data.lstrip(b"\0")
        while not packed:
            packed = stream.read(_AT_ONCE)
            if not packed:
                return
            packed = packed.lstrip(b"\0")
    raise failure(f"{path} has more than {MAX_GZIP_MEMBERS:,} gzip members: unpack it and give the file inside")


def _unzipped(path: Path, stream: BinaryIO, at_most: int, failure: type[InputError]) -> bytearray:
    if _count(stream, _ZIP_ENTRY) > MAX_ZIP_ENTRIES:
        raise failure(f"{path} holds more than {MAX_ZIP_ENTRIES:,} files: unpack it and give the folder")
    with zipfile.ZipFile(stream) as archive:
        # macOS adds a metadata file for each file, which is ignored.
        names = [info for info in archive.infolist() if not info.is_dir() and "__MACOSX/" not in info.filename]
        if len(names) != 1:
            raise failure(f"{path} holds {len(names):,} files: unpack it and give the folder")
        if names[0].compress_type not in _ZIP_METHODS:
            raise NotImplementedError("compressed by another method than deflate")
        with archive.open(names[0]) as member:
            return _collected(path, iter(lambda: member.read(_AT_ONCE), b""), at_most, failure)


def _count(stream: BinaryIO, mark: bytes) -> int:
    """Count the occurrences of a marker in a file; the file is at its beginning before and after."""
    count, kept = 0, b""
    while part := stream.read(_AT_ONCE):
        count += (kept + part).count(mark)
        kept = part[1 - len(mark) :]
    stream.seek(0)
    return count


def read_packed_text(
    path: Path, *, at_most: int = MAX_ANNOTATION_BYTES, failure: type[InputError] = BoxError
) -> DecodedText:
    """Read a file's text, unpacked if its first bytes say that it is compressed.

    Raises:
        InputError: of the class ``failure``: the file cannot be opened or unpacked, holds more than ``at_most`` bytes
            or several files, or no text.
    """
    try:
        decoded = decode(read_unpacked(path, failure=failure, at_most=at_most))
    except TextTooLargeError as error:
        raise failure(f"{path} holds text that would take too much memory: split the file") from error
    except ValueError as error:
        raise failure(f"{path} has a byte order mark that contradicts its encoding: save it as UTF-8") from error
    if "\x00" in decoded.text:
        raise failure(f"{path} holds zero bytes, so it is not a text file: give the table itself")
    return decoded


# CPython's memory in bytes for a value that starts with each character. A comma counts as a number and its list slot.
_BYTES_OF = {"{": 232, "[": 88, '"': 32, ",": 32, ":": 8}
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_WHOLE_NUMBER = 18  # digits; longer numbers are read as floats, which are infinite from 309 digits on


class JsonLimitError(ValueError):
    """A text is too large or too deeply nested to be parsed; the message says which, and what to do."""


def parse_json(text: str) -> Any:
    """Parse JSON text within the limits.

    Raises:
        JsonLimitError: its values would take more than ``MAX_JSON_MEMORY`` or are nested deeper than
            ``MAX_JSON_DEPTH``.
        ValueError: it is not JSON.
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
    """Return an upper bound of the memory in bytes of a text and its values, without parsing it."""
    return len(text) + sum(size * text.count(character) for character, size in _BYTES_OF.items())


def _without_lone_surrogates(value: Any) -> Any:
    """Replace unpaired surrogates, which cannot be written in UTF-8, by U+FFFD."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        value[:] = map(_without_lone_surrogates, value)  # in place: a second copy could take too much memory
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
