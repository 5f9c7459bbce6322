"""Bytes of a text file become text, and every doubt about them is written down."""

import binascii
import codecs
from base64 import b64decode
from dataclasses import dataclass

import numpy as np

from pipelines.limits import MAX_TEXT_MEMORY

__all__ = ["DecodedText", "TextTooLargeError", "base64_text", "decode"]

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
