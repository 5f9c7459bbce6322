"""Decodes a frame's stored values, after checking in the header that decoding is safe."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Integer
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGExtended12Bit

from pipelines.dicom.bounded import open_bounded
from pipelines.dicom.decoder_process import decode_apart
from pipelines.dicom.source import READ_ERRORS, name_deflated, numbers, refuse_other_format, text
from pipelines.errors import DicomError
from pipelines.input_folder import why_unreadable
from pipelines.limits import MAX_DICOM_VALUE_BYTES, MAX_PIXEL_FILE_BYTES, NEEDS_MORE_MEMORY
from pipelines.quoting import quoted

__all__ = ["MAX_PIXELS", "Encoding", "decode_frame", "read_dataset"]

MAX_PIXELS = 100_000_000  # rows x columns x frames; the largest detectors have about 20 million

_SAMPLES = {
    **dict.fromkeys(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"), 1),
    **dict.fromkeys(("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"), 3),
}

# Keyed by the last parts of the UID 1.2.840.10008.1.2.*
_DECODER_PACKAGES = {
    **dict.fromkeys(("4.50", "4.51", "4.57", "4.70"), "python-gdcm"),
    **dict.fromkeys(("4.80", "4.81"), "pyjpegls"),
    **dict.fromkeys(("4.90", "4.91", "4.201", "4.202", "4.203"), "pylibjpeg pylibjpeg-openjpeg"),
    "5": "pylibjpeg pylibjpeg-rle",
}

_MOST_LOSSY_BITS = 8  # the most that GDCM and Pillow decode of JPEG Extended
_JPEG_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, and SOF55 of JPEG-LS


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """What the header says about the stored values."""

    rows: int
    columns: int
    frames: int
    photometric_interpretation: str
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    transfer_syntax: UID
    high_bit: int  # index of the highest stored bit; above BitsStored - 1, the values are in the upper bits


def read_dataset(path: Path) -> FileDataset:
    """Read a file with its pixel data, without decoding them.

    Raises:
        DicomError: the file cannot be read as DICOM.
    """
    try:
        with open_bounded(path, most_bytes=MAX_PIXEL_FILE_BYTES) as file:
            refuse_other_format(file, path)
            dataset = dcmread(file, force=True)
            name_deflated(dataset, file)
    except MemoryError as error:  # the file is within its limit
        raise DicomError(f"{path}: reading the file {NEEDS_MORE_MEMORY}.") from error
    except READ_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:  # an error of the system, not of the content
            raise DicomError(f"{path}: the file {why_unreadable(error)}") from error
        raise DicomError(
            f"{path}: the file cannot be read ({type(error).__name__}); it is truncated or damaged: export it again."
        ) from error
    _drop_bulk(dataset)
    if "PixelData" not in dataset:
        raise DicomError(f"{path}: the file has no integer pixel data; export it again as a CR or DX image.")
    return dataset


def _drop_bulk(dataset: FileDataset) -> None:
    """Remove large elements that are neither pixels nor overlays: pydicom would parse such a sequence without a limit.

    No element that is read from an image comes near the limit.
    """
    for element in list(dataset.values()):
        of_image = element.tag.group == 0x7FE0 or element.tag.group & 0xFF00 == 0x6000
        if not of_image and isinstance(element, RawDataElement) and len(element.value or b"") > MAX_DICOM_VALUE_BYTES:
            del dataset[element.tag]


def decode_frame(
    dataset: FileDataset, path: Path, *, frame: int = 1, max_pixels: int = MAX_PIXELS
) -> tuple[Integer[np.ndarray, "rows columns *samples"], Encoding]:
    """Decode one frame, counted from 1. Colour is returned as RGB, a palette image as its indices.

    Raises:
        DicomError: there is no such frame; the header claims more than ``max_pixels``; the encoding is not supported;
            or the pixel data do not match the header.

    Source: PS3.3 C.7.6.3 (Image Pixel Module), PS3.5 8 and A (pixel data and transfer syntaxes).
    """
    encoding = _encoding(dataset, path)
    _refuse_unsafe(encoding, path, max_pixels)
    if not 1 <= frame <= encoding.frames:
        raise DicomError(f"{path}: the file has {encoding.frames} frames and no frame {frame}; scan the folder again.")
    _refuse_undecodable(encoding, path)
    try:
        if encoding.transfer_syntax.is_encapsulated:
            _refuse_other_stream(dataset, encoding, path, frame)
            values = decode_apart(path, frame)
        else:
            dataset.file_meta.TransferSyntaxUID = encoding.transfer_syntax
            values = _stored_values(dataset, encoding, frame)
    except MemoryError as error:  # raised in this process; the decoding process reports its own limit differently
        raise DicomError(f"{path}: reading the pixel data {NEEDS_MORE_MEMORY}.") from error
    except (*READ_ERRORS, RuntimeError) as error:
        raise DicomError(
            f"{path}: the pixel data ({encoding.transfer_syntax.name}) cannot be decoded; the file is truncated or "
            "damaged: export it again, or without compression."
        ) from error
    if values.shape[:2] != (encoding.rows, encoding.columns) or values.dtype.kind not in "ui":
        raise DicomError(f"{path}: the pixel data decode to {values.shape}, not to Rows x Columns; export it again.")
    return values, encoding


def _stored_values(
    dataset: FileDataset, encoding: Encoding, frame: int
) -> Integer[np.ndarray, "rows columns *samples"]:
    """Read uncompressed values. Older files store them in the upper bits of their words.

    Some headers claim this although the values are in the lower bits: if no bit above BitsStored is set, the header is
    wrong. pydicom always takes the lower bits.

    Source: PS3.5 8.1.1 (HighBit, which is BitsStored - 1 in newer files).
    """
    shift = encoding.high_bit + 1 - encoding.bits_stored
    if encoding.signed or not 0 < shift <= encoding.bits_allocated - encoding.bits_stored:
        return pixel_array(dataset, index=frame - 1)
    dataset.BitsStored = encoding.high_bit + 1
    values: Integer[np.ndarray, "rows columns *samples"] = pixel_array(dataset, index=frame - 1)
    return values >> shift if values.max() >> encoding.bits_stored else values


def _encoding(dataset: FileDataset, path: Path) -> Encoding:
    """Read the Image Pixel Module; a missing element that decoding needs raises an error that names it."""

    def integer(keyword: str, default: int | None = None) -> int:
        values = numbers(dataset, keyword)
        if values:
            return int(values[0])
        if default is None:
            raise DicomError(f"{path}: {keyword} is missing or not a number; export the image again.")
        return default

    bits_allocated = integer("BitsAllocated")
    return Encoding(
        rows=integer("Rows"),
        columns=integer("Columns"),
        frames=integer("NumberOfFrames", 1),
        photometric_interpretation=text(dataset, "PhotometricInterpretation").upper(),
        samples=integer("SamplesPerPixel", 1),
        bits_allocated=bits_allocated,
        bits_stored=integer("BitsStored", bits_allocated),
        signed=integer("PixelRepresentation", 0) == 1,
        transfer_syntax=_transfer_syntax(dataset),
        high_bit=integer("HighBit", integer("BitsStored", bits_allocated) - 1),
    )


def _transfer_syntax(dataset: FileDataset) -> UID:
    """Read the transfer syntax from the file meta information, or else derive it from the header's own encoding."""
    stated = text(dataset.file_meta, "TransferSyntaxUID")
    if stated:
        return UID(stated)
    implicit, little_endian = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


def _refuse_unsafe(encoding: Encoding, path: Path, max_pixels: int) -> None:
    """Refuse images that need more memory, or another kind of pixel arithmetic, than a radiograph."""
    if min(encoding.rows, encoding.columns, encoding.frames) < 1:
        raise DicomError(f"{path}: Rows, Columns or NumberOfFrames is not positive, so there is no image.")
    pixels = encoding.rows * encoding.columns * encoding.frames
    if pixels > max_pixels:
        raise DicomError(f"{path}: the header claims {pixels:,} pixels; the limit for one file is {max_pixels:,}.")
    samples = _SAMPLES.get(encoding.photometric_interpretation)
    if samples is None or samples != encoding.samples:
        raise DicomError(
            f"{path}: PhotometricInterpretation {quoted(encoding.photometric_interpretation)} with "
            f"{encoding.samples} samples per pixel is not supported; export the image as MONOCHROME2."
        )
    if encoding.bits_allocated not in {8, 16} or not 1 <= encoding.bits_stored <= encoding.bits_allocated:
        raise DicomError(
            f"{path}: {encoding.bits_stored} bits stored in {encoding.bits_allocated} are not supported (at most 16 in "
            "8 or 16); export the image as CR or DX."
        )


def _refuse_undecodable(encoding: Encoding, path: Path) -> None:
    """Refuse a transfer syntax without an installed decoder, and name the package that provides one."""
    syntax = encoding.transfer_syntax
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if available:
        return
    package = _DECODER_PACKAGES.get(syntax.removeprefix("1.2.840.10008.1.2."))
    remedy = f"install it: pip install {package}" if package else "export the image without compression"
    raise DicomError(f"{path}: there is no decoder for the transfer syntax {syntax.name} ({syntax}); {remedy}.")


def _refuse_other_stream(dataset: FileDataset, encoding: Encoding, path: Path, frame: int) -> None:
    """Refuse a stream whose size differs from the header or whose depth no decoder supports, before it is decoded."""
    stream = get_frame(dataset.PixelData, frame - 1, number_of_frames=encoding.frames)
    size = _jpeg_2000_size(stream)
    header = _jpeg_frame_header(stream)
    if header is not None:
        precision, *stated = header
        size = (stated[0], stated[1])
        if precision > _MOST_LOSSY_BITS and not _decodes_twelve_bits(encoding.transfer_syntax):
            raise DicomError(
                f"{path}: lossy JPEG of {precision} bits needs a decoder that is not bundled, because its licence is "
                "the GPL: pip install 'm2ib-audit[extended]', or export the image without compression."
            )
    if size is not None and size != (encoding.rows, encoding.columns):
        raise DicomError(
            f"{path}: the compressed image is {size[0]} x {size[1]}, but the header says {encoding.rows} x "
            f"{encoding.columns}; export the image again."
        )


def _decodes_twelve_bits(syntax: UID) -> bool:
    """Return True if the syntax is not JPEG Extended, or if pylibjpeg-libjpeg is installed to decode it."""
    return syntax != JPEGExtended12Bit or "pylibjpeg" in get_decoder(syntax).available_plugins


def _jpeg_2000_size(stream: bytes) -> tuple[int, int] | None:
    """Read (rows, columns) from a JPEG 2000 stream; None if it is not JPEG 2000.

    Source: ISO/IEC 15444-1 A.5.1 (SIZ).
    """
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(stream) < start + 24:
        return None
    right, bottom, left, top = (int.from_bytes(stream[start + at : start + at + 4]) for at in (8, 12, 16, 20))
    return bottom - top, right - left


def _jpeg_frame_header(stream: bytes) -> tuple[int, int, int] | None:
    """Read (bits, rows, columns) from the frame header of a JPEG or JPEG-LS stream; None if it is neither.

    Source: ISO/IEC 10918-1 B.2.2, ISO/IEC 14495-1 C.2.2.
    """
    at = 2
    while stream[:2] == b"\xff\xd8" and at + 9 <= len(stream) and stream[at] == 0xFF:
        if stream[at + 1] in _JPEG_FRAME_MARKERS:
            rows, columns = int.from_bytes(stream[at + 5 : at + 7]), int.from_bytes(stream[at + 7 : at + 9])
            return stream[at + 4], rows, columns
        if stream[at + 1] == 0xFF:
            at += 1  # a fill byte
        else:
            at += 2 + int.from_bytes(stream[at + 2 : at + 4])
    return None
