"""Opens a file that may be DICOM, and reads its header safely.

pydicom must read invalid values without a warning: its warnings contain the values, and a value may name a patient.
"""

import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_CUR
from math import isfinite
from pathlib import Path

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pydicom.valuerep import PersonName

from pipelines.dicom.bounded import BoundedFile, open_bounded
from pipelines.errors import DicomError, InputError
from pipelines.input_folder import why_unreadable
from pipelines.limits import MAX_DICOM_VALUE_BYTES

__all__ = [
    "READ_ERRORS",
    "accession_issuer",
    "element",
    "items",
    "looks_like_dicom",
    "name_deflated",
    "numbers",
    "read_elements",
    "read_header",
    "reason_without_path",
    "refuse_other_format",
    "text",
    "texts",
    "tolerant_reading",
]

_MAX_FRAGMENTS = 100_000
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_TAGS = {0x7FE00008, 0x7FE00009, 0x7FE00010}  # Float, Double Float and (integer) Pixel Data
_ITEM = 0xFFFEE000

# What pydicom raises, depending on its version, for bytes that are not DICOM or for a value that contradicts its VR.
_VALUE_ERRORS = (
    *(ValueError, TypeError, LookupError, ArithmeticError, NotImplementedError, AttributeError),
    *(struct.error, BytesLengthException),
)
READ_ERRORS = (*_VALUE_ERRORS, InvalidDicomError, EOFError, OSError, zlib.error, RecursionError, MemoryError)


def reason_without_path(error: InputError, path: Path) -> str:
    """Remove the path from an error's message: pages show reasons, and a path may name a patient."""
    reason = str(error).removeprefix(f"{path}: ")
    return reason[:1].upper() + reason[1:]


@contextmanager
def tolerant_reading() -> Iterator[None]:
    """Let pydicom read non-conforming values without warnings or log lines that contain the value."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def looks_like_dicom(path: Path) -> bool:
    """Return True if the file starts like DICOM: "DICM" after the preamble, or an element of group 0002 or 0008.

    Raises:
        OSError: the file cannot be read.

    Source: PS3.10 7.1; files without a preamble predate it or were written by a network receiver.
    """
    with path.open("rb") as file:
        return _is_dicom(file.read(132))


def refuse_other_format(file: BoundedFile, path: Path) -> None:
    """Refuse a file that does not start like DICOM; otherwise rewind it to its beginning.

    Raises:
        DicomError: it is not a DICOM file.
    """
    if not _is_dicom(file.peek_at(0, 132)):
        raise DicomError(f"{path}: this is not a DICOM file, despite its name; remove it from the folder.")
    file.seek(0)


def _is_dicom(head: bytes) -> bool:
    return head[128:] == b"DICM" or _starts_with_an_element(head)


def _starts_with_an_element(head: bytes) -> bool:
    """Return True for a tag of group 0002 or 0008 in either byte order, followed by a VR or a short length."""
    if len(head) < 16:
        return False
    little = head[0] in {0x02, 0x08} and head[1] == 0 and head[3] in {0x00, 0x01}
    big = head[0] == 0 and head[1] in {0x02, 0x08} and head[2] in {0x00, 0x01}
    implicit_length = int.from_bytes(head[4:8], "little") < 1024
    return (little and implicit_length) or ((little or big) and re.fullmatch(rb"[A-Z]{2}", head[4:6]) is not None)


@dataclass(slots=True)
class _PixelElement:
    """A stop condition for pydicom that records where it stopped."""

    length: int | None = None
    implicit: bool = False

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        if tag not in _PIXEL_TAGS:
            return False
        self.length, self.implicit = length, vr is None
        return True


def read_elements(path: Path, keywords: Iterable[str]) -> tuple[FileDataset, bool]:
    """Read the named header elements, without the pixel data.

    Returns:
        The data set, and whether pixel data follow it.

    Raises:
        DicomError: the file is not DICOM, cannot be parsed, or ends before its pixel data do.
    """
    return _read(path, [Tag(keyword) for keyword in keywords])


def read_header(path: Path) -> FileDataset:
    """Read all header elements, without the pixel data.

    Raises:
        DicomError: the file is not DICOM, cannot be parsed, or ends before its pixel data do.
    """
    return _read(path, None)[0]


def _read(path: Path, tags: list[BaseTag | int] | None) -> tuple[FileDataset, bool]:
    pixels = _PixelElement()
    try:
        with open_bounded(path, largest_read=MAX_DICOM_VALUE_BYTES) as file:
            if file.size == 0:
                raise DicomError(f"{path}: the file is empty; export or copy it again.")
            refuse_other_format(file, path)
            dataset = read_partial(file, stop_when=pixels, force=True, specific_tags=tags)
            name_deflated(dataset, file)
            _refuse_truncated(file, pixels, path)
    except READ_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:  # an error of the system, not of the content
            raise DicomError(f"{path}: the file {why_unreadable(error)}") from error
        raise DicomError(
            f"{path}: the header cannot be read ({type(error).__name__}); the file is truncated or damaged: "
            "export or copy it again."
        ) from error
    return dataset, pixels.length is not None


def name_deflated(dataset: FileDataset, file: BoundedFile) -> None:
    """Restore the file's original transfer syntax in a data set that was read from its inflated form."""
    if file.deflated:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def _refuse_truncated(file: BoundedFile, pixels: _PixelElement, path: Path) -> None:
    """Check that the pixel data element is complete by following its lengths, without reading the pixels."""
    if pixels.length is None:
        return
    file.seek(8 if pixels.implicit else 12, SEEK_CUR)
    end = file.tell()
    if pixels.length != _UNDEFINED_LENGTH:
        end += pixels.length
    else:
        for _ in range(_MAX_FRAGMENTS):
            header = file.read(8)
            if len(header) < 8:
                break  # some writers omit the sequence delimiter
            group, element, length = struct.unpack("<HHL", header)
            if group << 16 | element != _ITEM:
                break
            end = file.tell() + length
            file.seek(end)
    if end > file.size:
        raise DicomError(
            f"{path}: the file is truncated: its pixel data should end at byte {end} and the file has {file.size}; "
            "export or copy it again."
        )


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Read the values of a text element; empty if it is absent or unreadable."""
    try:
        value = dataset.get(keyword)
    except READ_ERRORS:
        return ()
    if isinstance(value, MultiValue | list | tuple):
        return tuple(str(item).strip("\0 ") for item in value)
    if isinstance(value, str | UID | PersonName | int | float):
        return (str(value).strip("\0 "),)
    return ()


def text(dataset: Dataset, keyword: str) -> str:
    """Read a text element as one string, its values separated by backslashes; "" if it is unknown."""
    return "\\".join(texts(dataset, keyword))


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Read the values of a numeric element; empty if it is absent, or if any value is not a finite number."""
    try:
        value = dataset.get(keyword)
        items = value if isinstance(value, MultiValue | list | tuple) else () if value in {None, ""} else (value,)
        found = tuple(float(item) for item in items)
    except READ_ERRORS:
        return ()
    return found if all(isfinite(item) for item in found) else ()


def items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Read the items of a sequence; empty if it is absent or unreadable."""
    try:
        value = dataset.get(keyword)
    except READ_ERRORS:
        return ()
    return tuple(value) if isinstance(value, Sequence) else ()


def element(dataset: Dataset, keyword: str) -> DataElement | None:
    """Return an element; None if it is absent or unreadable."""
    try:
        return dataset.get(Tag(keyword))
    except READ_ERRORS:
        return None


def accession_issuer(dataset: Dataset) -> str:
    """Return who issued the accession number: the universal identifier, else the local one; "" if both are unknown.

    Source: PS3.3 table 10-17, HL7v2 Hierarchic Designator Macro.
    """
    issuers = items(dataset, "IssuerOfAccessionNumberSequence")
    return next(
        (
            text(item, key)
            for item in issuers[:1]
            for key in ("UniversalEntityID", "LocalNamespaceEntityID")
            if text(item, key)
        ),
        "",
    )
