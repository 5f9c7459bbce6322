"""Every byte of a folder, in whatever way a secret may be written or packed there."""

import base64
import binascii
import html
import io
import json
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pandas as pd
from PIL import Image

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")
_DEEPEST = 4


def found(secrets: Iterable[str], named: Iterable[tuple[str, bytes]]) -> list[tuple[str, str]]:
    """Give each secret that is met, with where: as it stands, escaped for JSON, HTML or a URL, in any case."""
    spellings = {secret: _spellings(secret) for secret in secrets}
    hits = []
    for name, data in named:
        for place, content in _unpacked(name, data, depth=0):
            lower, text = content.lower(), content.decode("utf-8", "ignore").casefold()
            hits += [
                (secret, place)
                for secret, forms in spellings.items()
                if secret.casefold() in text or any(form in lower for form in forms)
            ]
    return sorted(set(hits))


def files_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Give the name and content of every file; names are searched as content is."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        yield f"name of {name}", name.encode()
        if path.is_file():
            yield name, path.read_bytes()


def _spellings(secret: str) -> set[bytes]:
    forms = {secret, json.dumps(secret)[1:-1], html.escape(secret), quote(secret), quote(secret, safe="")}
    forms |= {secret.encode("utf-16-le").decode("latin-1"), secret.encode("utf-16-be").decode("latin-1")}
    return {form.encode("latin-1", "replace").lower() for form in forms} | {secret.encode().lower()}


def _unpacked(place: str, data: bytes, *, depth: int) -> Iterator[tuple[str, bytes]]:
    """Give content, and all that is packed in it."""
    yield place, data
    if depth == _DEEPEST:
        return
    for inner, content in _packed(place, data):
        yield from _unpacked(f"{place} > {inner}", content, depth=depth + 1)


def _packed(place: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                yield entry.filename, repr((entry.filename, entry.comment, entry.extra)).encode()
                yield entry.filename, archive.read(entry)
    elif data[:4] == b"PAR1":
        frame = pd.read_parquet(io.BytesIO(data))
        yield "parquet", frame.to_csv().encode() + repr(frame.attrs).encode()
    elif data[:16] == b"SQLite format 3\0":
        database = sqlite3.connect(":memory:")
        database.deserialize(data)
        yield "sqlite", "\n".join(database.iterdump()).encode()
        database.close()
    elif data[:8] == b"\x89PNG\r\n\x1a\n" or data[:3] == b"\xff\xd8\xff":
        with Image.open(io.BytesIO(data)) as picture:
            said = dict(picture.info) | dict(picture.getexif())
            yield "picture", repr(said).encode()
        yield from (("PNG chunk", chunk) for chunk in _compressed_chunks(data))
    elif b"<" in data[:200] or place.endswith((".html", ".json", ".jsonl", ".csv")):
        if b"&" in data:
            yield "HTML", html.unescape(data.decode("utf-8", "replace")).encode()
        if b"%" in data:
            yield "URL", unquote_to_bytes(data)
        if b"\\u" in data:
            yield "JSON", re.sub(rb"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)).encode("utf-8", "replace"), data)
        for match in _BASE64.finditer(data):
            try:
                yield "base64", base64.b64decode(match[0] + b"=" * (-len(match[0]) % 4))
            except binascii.Error:
                continue


def _compressed_chunks(data: bytes) -> Iterator[bytes]:
    place = 8
    while data[:4] == b"\x89PNG" and place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        if kind in {b"zTXt", b"iTXt", b"iCCP"}:
            for start in range(len(body)):
                try:
                    yield zlib.decompress(body[start:])
                    break
                except zlib.error:
                    continue
        place += length + 12
