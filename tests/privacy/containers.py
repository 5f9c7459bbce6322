"""What is packed in a file: all containers that m2ib-audit or its libraries may write, and some that they do not."""

import binascii
import bz2
import hashlib
import html
import io
import lzma
import re
import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pdf_text import text_of_pdf
from PIL import Image
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

__all__ = ["unpacked"]

_DEEPEST = 5
_MOST_BYTES = 1 << 26  # of one thing that is unpacked
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/_-]{60,}\r?\n)*[A-Za-z0-9+/_-]{10,}={0,2}")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){4,}")
_OF_FILES = 64  # characters: so many may hold a file, which is looked into
_ALIGNED_ALONE = 4096  # characters: longer runs are whole files, and begin where they begin
_ZLIB_HEADS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_SHORTEST = 4  # bytes: what fewer are unpacked to says nothing

Named = tuple[str, bytes]


def unpacked(place: str, data: bytes) -> Iterator[Named]:
    """Give content, and all that is packed in it, each with its place ("heat.npz > zip a.npy > array")."""
    for inner, content in _all_within(data):
        yield place + inner, content


@lru_cache(maxsize=1024)  # outputs are searched several times
def _all_within(data: bytes) -> tuple[Named, ...]:
    return tuple(_unpacked("", data, seen=set(), depth=0))


def _unpacked(place: str, data: bytes, *, seen: set[bytes], depth: int) -> Iterator[Named]:
    digest = hashlib.sha256(data).digest()
    if digest in seen:
        return
    seen.add(digest)
    yield place, data
    if depth == _DEEPEST:
        return
    for packer in _PACKERS:
        for inner, content in packer(data):
            if len(content) >= _SHORTEST:
                yield from _unpacked(f"{place} > {inner}", content, seen=seen, depth=depth + 1)


def _zip(data: bytes) -> Iterator[Named]:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        yield "zip comment", archive.comment
        for entry in archive.infolist():
            yield "zip entry", entry.filename.encode() + b"\n" + entry.comment + b"\n" + entry.extra
            yield f"zip {entry.filename}", archive.read(entry)


def _array(data: bytes) -> Iterator[Named]:
    if not data.startswith(b"\x93NUMPY"):
        return
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError:
        return  # of objects: a pickle, whose texts stand in it as they are
    if values.dtype.kind in "US":
        yield "array", "\n".join(map(str, values.ravel())).encode()


def _streams(data: bytes) -> Iterator[Named]:
    """Streams of zlib, wherever they begin, of gzip, and a raw one that is all there is."""
    for head in _ZLIB_HEADS:
        yield from (("zlib", found) for start in _places(data, head) if (found := _inflated(data, start, 15)))
    yield from (("gzip", found) for start in _places(data, b"\x1f\x8b\x08") if (found := _inflated(data, start, 31)))
    if found := _inflated(data, 0, -15):
        yield "deflated", found


def _inflated(data: bytes, start: int, window: int) -> bytes:
    stream = zlib.decompressobj(window)
    try:
        found = stream.decompress(data[start:], _MOST_BYTES)
    except zlib.error:
        return b""
    # Raw streams have no checksum: what ends and leaves something else behind was no stream.
    return found if stream.eof and not (window < 0 and stream.unused_data) else b""


def _other_compressions(data: bytes) -> Iterator[Named]:
    for name, head, unpack in (("bzip2", b"BZh", bz2.decompress), ("xz", b"\xfd7zXZ", lzma.decompress)):
        if data.startswith(head):
            yield name, unpack(data)


def _parquet(data: bytes) -> Iterator[Named]:
    if data[:4] != b"PAR1" or data[-4:] != b"PAR1":
        return
    file = pq.ParquetFile(io.BytesIO(data))
    texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type) or _is_coded(field.type)]
    table = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts).read()
    yield "parquet cells", repr(table.to_pylist()).encode()
    words = [
        chunk.dictionary.to_pylist()
        for column in table.columns
        for chunk in column.chunks
        if isinstance(chunk, pa.DictionaryArray)
    ]
    yield "parquet dictionaries", repr(words).encode()
    found = file.metadata
    said = [(found.metadata, found.created_by), [(field.name, field.metadata) for field in file.schema_arrow]]
    for group in range(found.num_row_groups):
        columns = [found.row_group(group).column(place) for place in range(found.num_columns)]
        said += [
            (column.path_in_schema, column.statistics.min, column.statistics.max)
            for column in columns
            if column.statistics is not None and column.statistics.has_min_max
        ]
    yield "parquet metadata", repr(said).encode()


def _is_coded(kind: pa.DataType) -> bool:
    return pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)


def _sqlite(data: bytes) -> Iterator[Named]:
    """Rows; and all pages without the links at their heads, free ones too: a long text goes over several."""
    if data[:16] != b"SQLite format 3\0":
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.sqlite"
        path.write_bytes(data)
        database = sqlite3.connect(path)
        try:
            yield "sqlite", "\n".join(database.iterdump()).encode()
        finally:
            database.close()
    size = int.from_bytes(data[16:18], "big")
    size = 65536 if size == 1 else size
    yield "sqlite pages", b"".join(data[start + 4 : start + size] for start in range(0, len(data), size))


def _write_ahead_log(data: bytes) -> Iterator[Named]:
    if data[:4] not in {b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"}:
        return
    size = int.from_bytes(data[8:12], "big")
    frames = range(32, len(data), size + 24)
    yield "pages of the log", b"".join(data[start + 28 : start + 24 + size] for start in frames)


def _picture(data: bytes) -> Iterator[Named]:
    """What a picture says beside its pixels."""
    if not data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"RIFF")):
        return
    try:
        with Image.open(io.BytesIO(data)) as picture:
            exif = picture.getexif()
            inner = {f"ifd {place}": dict(exif.get_ifd(place)) for place in (34665, 34853)}
            said = dict(picture.info) | dict(exif) | inner
            yield "picture", "\n".join(map(_as_text, said.values())).encode()
    except OSError:
        return


def _as_text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _dicom(data: bytes) -> Iterator[Named]:
    """The elements of a DICOM file in Unicode, in whatever character set and transfer syntax they are stored."""
    if data[128:132] != b"DICM":
        return
    try:
        yield "DICOM elements", str(dcmread(io.BytesIO(data), force=False)).encode("utf-8", "replace")
    except (InvalidDicomError, OSError, ValueError):
        return


def _escapes(data: bytes) -> Iterator[Named]:
    """Escapes of HTML, URLs, JSON and Python, in text alone: in binary data they would damage what is packed."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    if b"&" in data and b";" in data:
        yield "HTML", html.unescape(data.decode("utf-8", "replace")).encode()
    if b"%" in data:
        yield "URL", unquote_to_bytes(data)
    if b"\\u" in data:
        yield "JSON", re.sub(rb"\\u([0-9a-fA-F]{4})", _of_escape, data)
    if b"\\x" in data:
        yield "escape", re.sub(rb"\\x([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), data)


def _of_escape(found: re.Match[bytes]) -> bytes:
    return chr(int(found[1], 16)).encode("utf-8", "replace")


def _base64(data: bytes) -> Iterator[Named]:
    """Base64 of both alphabets, wherever in a run of letters it begins; what short runs hold is given together."""
    short: list[list[bytes]] = [[], [], [], []]
    for run in _BASE64.finditer(data):
        letters, at_each_start = _read(run[0])
        if len(letters) >= _OF_FILES:
            yield "base64", _decoded(letters)
        for found, decoded in zip(short, at_each_start, strict=False):
            found.append(decoded)
    yield from (("base64", b"\n".join(found)) for found in short if found)


@lru_cache(maxsize=1 << 16)  # pages have their scripts in common
def _read(run: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Give the letters of a run, and what they are from each of the first four on; of a whole file nothing."""
    letters = re.sub(rb"[\r\n=]", b"", run).translate(bytes.maketrans(b"-_", b"+/"))
    starts = range(4) if len(letters) <= _ALIGNED_ALONE else ()
    return letters, tuple(_decoded(letters[start:]) for start in starts)


def _decoded(letters: bytes) -> bytes:
    part = letters[: len(letters) - 1] if len(letters) % 4 == 1 else letters
    return binascii.a2b_base64(part + b"=" * (-len(part) % 4))


def _hex(data: bytes) -> Iterator[Named]:
    runs = [run[0] for run in _HEX.finditer(data)]
    if runs:
        yield "hex", b"\n".join(bytes.fromhex(run.decode()) for run in runs)


def _places(data: bytes, head: bytes) -> Iterator[int]:
    start = data.find(head)
    while start >= 0:
        yield start
        start = data.find(head, start + 1)


def _pdf(data: bytes) -> Iterator[Named]:
    """Text of a PDF, which stands there in numbers of glyphs."""
    if data.startswith(b"%PDF-"):
        yield "text", text_of_pdf(data).encode()


_PACKERS = (
    *(_pdf, _zip, _array, _streams, _other_compressions, _parquet, _sqlite, _write_ahead_log, _picture, _dicom),
    *(_escapes, _hex, _base64),
)
