"""Turns a DICOM file into the image that a radiologist would see, and records every processing step."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Integer
from pydicom.dataset import FileDataset
from pydicom.pixels.processing import apply_color_lut

from pipelines.dicom.decode import MAX_PIXELS, Encoding, decode_frame, read_whole
from pipelines.dicom.exposed_area import find_valid_pixels
from pipelines.dicom.grayscale import apply_modality, apply_polarity, apply_voi, little_endian_palette
from pipelines.dicom.headers import lift_functional_groups
from pipelines.dicom.identifiers import identifiers_in
from pipelines.dicom.source import READ_ERRORS, text, tolerant_reading
from pipelines.errors import DicomError
from pipelines.study import Identifiers, PixelStep

__all__ = ["PixelStep", "Pixels", "read_pixels"]

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # of R, G, B; ITU-R BT.601, as in PS3.3 C.7.6.3.1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """A radiograph as it is displayed: dense tissue bright, lungs dark."""

    display: Float[np.ndarray, "rows columns"]  # float32, 0 to 1
    valid: Bool[np.ndarray, "rows columns"]  # False in padding, behind the shutter and outside the collimated field
    receipt: tuple[PixelStep, ...]
    identifiers: Identifiers = field(default_factory=Identifiers)  # of the header, to be masked in the report
    stated_burned_in: bool = False  # BurnedInAnnotation is YES (PS3.3 C.7.6.1)


def read_pixels(path: Path, *, frame: int = 1, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a frame of a file and convert it to display values.

    Args:
        path: the DICOM file.
        frame: number of the frame, counted from 1.
        max_pixels: limit for rows x columns x frames; a larger file is refused before it is decoded.

    Raises:
        DicomError: the file cannot be read, has no such frame, claims too many pixels, or needs a decoder that is not
            installed.

    Source: PS3.4 N.2 (the order of the grayscale transformations), PS3.3 C.11.1 and C.11.2.
    """
    with tolerant_reading():
        dataset = read_whole(path)
        values, encoding = decode_frame(dataset, path, frame=frame, max_pixels=max_pixels)
        lift_functional_groups(dataset, frame)
        steps = [PixelStep(step="decoding", detail=_describe(encoding))]
        if encoding.frames > 1:
            steps.append(PixelStep(step="frame", detail=f"{frame} of {encoding.frames}"))
        if values.ndim == 3 or encoding.photometric_interpretation == "PALETTE COLOR":
            pixels = _from_colour(dataset, values, steps, path, encoding.bits_stored)
        else:
            pixels = _from_grey(dataset, values, steps)
        return replace(
            pixels,
            identifiers=identifiers_in(dataset),
            stated_burned_in=text(dataset, "BurnedInAnnotation").upper() == "YES",
        )


def _from_grey(dataset: FileDataset, stored: Integer[np.ndarray, "rows columns"], steps: list[PixelStep]) -> Pixels:
    valid, masks = find_valid_pixels(dataset, stored)
    limits = np.iinfo(stored.dtype)
    index = stored if limits.min == 0 else stored.astype(np.int32) - limits.min
    counts = np.bincount(index[valid], minlength=limits.max - limits.min + 1)
    table, modality = apply_modality(dataset, np.arange(limits.min, limits.max + 1, dtype=np.float64))
    table, voi = apply_voi(dataset, table, counts)
    table, polarity = apply_polarity(dataset, table)
    display = table.astype(np.float32)[index]
    return Pixels(display=display, valid=valid, receipt=(*steps, modality, *masks, voi, polarity))


def _from_colour(
    dataset: FileDataset,
    values: Integer[np.ndarray, "rows columns *samples"],
    steps: list[PixelStep],
    path: Path,
    bits: int,
) -> Pixels:
    """Compute the luminance of a colour image, which is a secondary capture and is shown as stored.

    Modality and VOI transformations do not apply to colour (PS3.3 C.11.1, C.11.2: monochrome only). Full scale is that
    of the stored ``bits`` (more if the values need it), or that of the palette's entries.
    """
    if values.ndim == 2:
        try:
            values = apply_color_lut(values, little_endian_palette(dataset))
        except READ_ERRORS as error:
            raise DicomError(f"{path}: the colour palette cannot be read; export it as MONOCHROME2.") from error
        steps = [*steps, PixelStep(step="palette", detail="palette colour looked up")]
        bits = 8 * values.itemsize
    valid, masks = find_valid_pixels(dataset, values[..., 0])
    full_scale = np.float32(2**bits - 1 if values.max() < 2**bits else np.iinfo(values.dtype).max)
    display = np.clip(values.astype(np.float32) @ _LUMA / full_scale, 0.0, 1.0)
    luminance = PixelStep(step="luminance", detail="0.299 R + 0.587 G + 0.114 B of a colour picture")
    return Pixels(display=display, valid=valid, receipt=(*steps, *masks, luminance))


def _describe(encoding: Encoding) -> str:
    sign = "signed" if encoding.signed else "unsigned"
    return f"{encoding.transfer_syntax.name}, {encoding.bits_stored} of {encoding.bits_allocated} bits, {sign}"
