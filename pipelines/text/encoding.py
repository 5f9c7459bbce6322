"""Bytes of a text file become text, and every doubt about them is written down."""

import binascii
import codecs
from base64 import b64decode
from dataclasses import dataclass

__all__ = ["MAX_FILE_BYTES", "DecodedText", "base64_text", "decode"]

MAX_FILE_BYTES = 1 << 30  # a table of all reports of MIMIC-CXR is a third of this; a hostile file is refused unread

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedText:
    """What a file says, with lines ended by a single newline."""

    text: str
    encoding: str
    doubt: str | None = None  # a sentence, where the encoding had to be guessed


def decode(data: bytes) -> DecodedText:
    """Read bytes by their byte order mark, else as UTF-8, else as Latin-1, which never fails and is a guess.

    Raises:
        ValueError: a byte order mark promises an encoding that the bytes do not hold.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return DecodedText(text=_one_newline(data[len(mark) :].decode(encoding)), encoding=encoding)
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


def _one_newline(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
