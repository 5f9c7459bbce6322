"""Opens a file for pydicom with limits on its size, its inflated size and the number of reads.

pydicom makes one or two reads and one object per element. Without limits, a file of a few megabytes that consists of
empty elements, or a few kilobytes that inflate to such a file, takes minutes and gigabytes. pydicom also inflates a
deflated data set as a whole, without a limit. This module inflates it instead, up to a limit.
"""

import os
import zlib
from dataclasses import dataclass
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from pipelines.errors import DicomError
from pipelines.limits import (
    MAX_DICOM_BYTES,
    MAX_DICOM_READS,
    MAX_DICOM_VALUE_BYTES,
    MAX_HEADER_BYTES,
    MAX_INFLATED_BYTES,
)

__all__ = ["BoundedFile", "open_bounded"]

_EXPLICIT_LONG = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"}
_SMALL = 2**12
_MOST_META_ELEMENTS = 64  # the standard defines 21 elements of group 0002
_TRANSFER_SYNTAX = b"\x02\x00\x10\x00"


class BoundedFile(BufferedReader):
    """A file that allows at most ``MAX_DICOM_READS`` reads, each of a stated size.

    Attributes:
        size: size in bytes, after inflating.
        deflated: whether the data set was deflated. If so, it is presented as explicit VR little endian.
    """

    def __init__(self, raw: FileIO | BytesIO, path: Path, *, largest_read: int) -> None:
        super().__init__(raw)
        self.deflated = isinstance(raw, BytesIO)
        self.size = os.fstat(raw.fileno()).st_size if isinstance(raw, FileIO) else len(raw.getbuffer())
        self._path = path
        self._largest_read = largest_read
        self._reads = 0
        self._left = MAX_HEADER_BYTES if largest_read <= MAX_DICOM_VALUE_BYTES else self.size * MAX_DICOM_READS
        self._read = super().read

    @property
    def name(self) -> str:
        """The path, as pydicom expects it; also for an inflated file, which exists in memory only."""
        return str(self._path)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like an ordinary file.

        Raises:
            DicomError: the file was read too often, or a read is too large. Also if pydicom asks for the whole rest of
                the file: it then found a deflated data set that :func:`open_bounded` did not find, and would inflate
                it without a limit.
        """
        self._reads += 1
        self._left -= size or 0
        # The common case comes first: this runs once or twice for every element of every file.
        if size is not None and 0 <= size <= _SMALL and self._reads <= MAX_DICOM_READS and self._left >= 0:
            return self._read(size)
        return self._read(self._allowed(size))

    def _allowed(self, size: int | None) -> int:
        """Return how many bytes may be read, or raise."""
        if self._reads > MAX_DICOM_READS:
            raise DicomError(
                f"{self._path}: the header has more elements than {MAX_DICOM_READS:,} reads can reach, the limit for "
                "one file; remove it from the folder."
            )
        if size is None or size < 0:
            raise DicomError(
                f"{self._path}: the data set is deflated, but its file meta information is damaged; export the image "
                "again, or export it without compression."
            )
        if size > self._largest_read and self.tell() + size <= self.size:
            raise DicomError(
                f"{self._path}: one element of the header holds {size:,} bytes; the limit is {self._largest_read:,}: "
                "remove it from the folder."
            )
        if self._left < 0 and self.tell() + size <= self.size:
            raise DicomError(
                f"{self._path}: the header has more than {MAX_HEADER_BYTES:,} bytes, the limit for one file; take it "
                "out of the folder."
            )
        return min(size, self.size)  # a wrong length must not allocate more than the file holds

    def peek_at(self, start: int, size: int) -> bytes:
        """Read ``size`` bytes at ``start`` without counting the read; the file position is after them."""
        self.seek(start)
        return self._read(min(size, self.size))


def open_bounded(path: Path, *, largest_read: int = MAX_DICOM_BYTES, most_bytes: int | None = None) -> BoundedFile:
    """Open a file that may be DICOM; a deflated data set is inflated up to ``MAX_INFLATED_BYTES``.

    Args:
        path: the file.
        largest_read: limit in bytes for a single read. ``MAX_DICOM_VALUE_BYTES`` is enough for a header, and then the
            sum of all reads is limited to ``MAX_HEADER_BYTES``.
        most_bytes: limit in bytes for the file; ``MAX_DICOM_BYTES`` by default.

    Raises:
        DicomError: the file, or its inflated data set, is larger than any radiograph; or its data set is truncated.
        OSError: the file cannot be read.
        zlib.error: the deflated data set is damaged.

    Source: PS3.10 7.1 (file meta information), PS3.5 A.5 (deflated explicit VR little endian).
    """
    file = BoundedFile(FileIO(path), path, largest_read=largest_read)
    try:
        _refuse_too_large(file.size, most_bytes or MAX_DICOM_BYTES, path, "the file is")
        found = _transfer_syntax(file)
        file.seek(0)
        if found is None or found.uid != DeflatedExplicitVRLittleEndian.encode():
            return file
        head = file.peek_at(0, found.dataset_start)
        dataset = _inflate(file.peek_at(found.dataset_start, file.size), path)
    except BaseException:
        file.close()
        raise
    file.close()
    plain = ExplicitVRLittleEndian.encode().ljust(found.value_length, b"\0")
    meta = head[: found.value_start] + plain + head[found.value_start + found.value_length :]
    return BoundedFile(BytesIO(meta + dataset), path, largest_read=largest_read)


@dataclass(frozen=True, slots=True)
class _TransferSyntax:
    """The transfer syntax, and the file offsets of its value and of the data set."""

    uid: bytes
    value_start: int
    value_length: int
    dataset_start: int


def _transfer_syntax(file: BoundedFile) -> _TransferSyntax | None:
    """Find TransferSyntaxUID in the file meta information; None if it is missing or malformed.

    Like pydicom, this assumes that the data set starts at the first element of another group, and ignores File Meta
    Information Group Length.
    """
    uid = None
    start = value_start = value_length = 0
    at = 132 if file.peek_at(128, 4) == b"DICM" else 0
    for _ in range(_MOST_META_ELEMENTS):
        header = file.peek_at(at, 12)
        if len(header) < 8 or header[:2] != b"\x02\x00":
            break
        long = header[4:6] in _EXPLICIT_LONG
        length = int.from_bytes(header[8:12] if long else header[6:8], "little")
        at += 12 if long else 8
        if header[:4] == _TRANSFER_SYNTAX:
            value_start, value_length = at, length
            uid = file.peek_at(at, min(length, 64)).strip(b"\0 ")
        at += length
        start = at
    return None if uid is None else _TransferSyntax(uid, value_start, value_length, start)


def _inflate(deflated: bytes, path: Path) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(deflated, MAX_INFLATED_BYTES + 1)
    _refuse_too_large(len(inflated), MAX_INFLATED_BYTES, path, "the deflated data set inflates to")
    if not inflater.eof:
        raise DicomError(f"{path}: the deflated data set is truncated; export or copy it again.")
    return inflated


def _refuse_too_large(size: int, limit: int, path: Path, what: str) -> None:
    if size > limit:
        raise DicomError(
            f"{path}: {what} more than {limit / 2**20:g} MiB, the limit for one radiograph; remove it from the folder."
        )
