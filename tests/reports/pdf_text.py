"""Reads the text of a PDF as typst writes it: two-byte glyphs, a table from glyphs to characters for each font."""

import re
import zlib

__all__ = ["pages_of", "text_of_pdf"]

_OBJECT = re.compile(rb"(\d+) 0 obj\n(.*?)endobj", re.DOTALL)
_STREAM = re.compile(rb"stream\n(.*?)\nendstream", re.DOTALL)
_SHOWN = re.compile(rb"/(f\d+) [\d.]+ Tf|\(((?:[^()\\]|\\.)*)\)|(ET)", re.DOTALL)
_ESCAPED = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def pages_of(pdf: bytes) -> list[str]:
    """Give the text of each page, a line for each run of glyphs."""
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    return [_page(body, objects) for body in objects.values() if b"/Type/Page/" in body]


def text_of_pdf(pdf: bytes) -> str:
    """Give the text of all pages."""
    return "\n".join(pages_of(pdf))


def _page(page: bytes, objects: dict[int, bytes]) -> str:
    resources = objects[_reference(rb"/Resources", page)]
    fonts = {
        name: _characters(objects[int(number)], objects)
        for name, number in re.findall(rb"/(f\d+) (\d+) 0 R", resources)
    }
    shown, characters = [], {}
    for font, glyphs, end in _SHOWN.findall(_inflated(objects[_reference(rb"/Contents", page)])):
        if font:
            characters = fonts[font]
        elif end:
            shown.append("\n")
        else:
            codes = _ESCAPED.sub(_unescaped, glyphs)
            shown += [characters.get(codes[place : place + 2], "") for place in range(0, len(codes), 2)]
    return "".join(shown)


def _characters(font: bytes, objects: dict[int, bytes]) -> dict[bytes, str]:
    table = _inflated(objects[_reference(rb"/ToUnicode", font)])
    pairs = re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]+)>", table)
    return {bytes.fromhex(code.decode()): bytes.fromhex(text.decode()).decode("utf-16-be") for code, text in pairs}


def _reference(name: bytes, body: bytes) -> int:
    found = re.search(name + rb" (\d+) 0 R", body)
    assert found is not None, (name, body)
    return int(found[1])


def _inflated(body: bytes) -> bytes:
    found = _STREAM.search(body)
    assert found is not None
    return zlib.decompress(found[1])


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes([int(code, 8)]) if code.isdigit() else _LETTERS.get(code, code)
