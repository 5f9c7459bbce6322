"""Reads radiographs from image files (PNG, JPEG, TIFF), which state neither polarity nor window nor patient.

Greys of 8 bits are shown as the file has them. Deeper greys are stretched between percentiles, as a DICOM file without
a window. An image that is recognised as inverted is inverted again, and the processing steps say so.
"""

from pathlib import Path, PurePath

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image as Pillow

from pipelines.dicom.grayscale import apply_percentiles
from pipelines.dicom.pixels import Pixels
from pipelines.dicom.source import reason_without_path
from pipelines.errors import InputError
from pipelines.images.opening import (
    WHITE_IS_ZERO,
    decoding_step,
    has_deep_grey,
    is_white_zero,
    opened_picture,
    orientation_of,
    upright,
)
from pipelines.images.polarity import is_inverted
from pipelines.study import Exclusion, Identifiers, Image, PixelStep, View

__all__ = ["inspect_picture_file", "looks_like_picture", "read_picture_pixels"]

_FORMATS = ("PNG", "JPEG", "TIFF")
# Signatures of PNG, JPEG and TIFF (TIFF 6.0, section 2; with + BigTIFF).
_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SMALLEST_SIDE = 64  # px; smaller pictures are icons
_MOST_PAGES = 1000  # of a TIFF
_DEEP_VALUES = 2**16
_SWAPPED_FROM = 5  # EXIF orientations that exchange rows and columns


def looks_like_picture(path: Path) -> bool:
    """Return True if the file starts like PNG, JPEG or TIFF.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(max(map(len, _STARTS))).startswith(_STARTS)


def inspect_picture_file(path: Path) -> Image | Exclusion:
    """Read size and pages of an image file without decoding its pixels, or return why the file is excluded.

    Patient, study, view, sex, age and spacing are unknown: :mod:`pipelines.images.tables` adds them.
    """
    try:
        with opened_picture(path, _FORMATS) as picture:
            file_format = "JPEG" if picture.format == "MPO" else str(picture.format)  # a JPEG with further pictures
            columns, rows = picture.size
            if orientation_of(picture) >= _SWAPPED_FROM:
                rows, columns = columns, rows
            frames = _pages(picture, path)
    except InputError as error:
        return Exclusion(source=str(path), stage="header", reason=reason_without_path(error, path), failed=True)
    if min(rows, columns) < _SMALLEST_SIDE:
        reason = f"The image of {columns} x {rows} px is too small for a radiograph; skipped."
        return Exclusion(source=str(path), stage="header", reason=reason, failed=False)
    return Image(
        path=path,
        file_format=file_format,
        sop_instance_uid=path.name,
        study_instance_uid=path.name,
        patient_id="",
        accession_number="",
        rows=rows,
        columns=columns,
        view=View.UNKNOWN,
        view_source="",
        spacing_mm=None,
        spacing_source=None,
        sex=None,
        age_years=None,
        series_description="",
        horizontally_flipped=False,
        frames=frames,
    )


def _pages(picture: Pillow.Image, path: Path) -> int:
    """Count the pages of a TIFF one by one, because a file may describe millions in a few bytes."""
    if picture.format != "TIFF":
        return 1
    for number in range(1, _MOST_PAGES + 1):
        try:
            picture.seek(number)
        except EOFError:
            return number
    raise InputError(f"{path}: the TIFF has more than {_MOST_PAGES:,} pages; save each radiograph in a file of its own")


def read_picture_pixels(image: Image) -> Pixels:
    """Decode an image file, in the page that ``image`` names, and convert it to display values.

    Raises:
        InputError: the file is damaged, too large, of another format, or another image than the one inspected.
    """
    path = image.path
    with opened_picture(path, _FORMATS) as picture:
        steps = [decoding_step(picture)]
        if image.frames > 1:
            picture.seek(image.frame - 1)
            steps.append(PixelStep(step="frame", detail=f"page {image.frame} of {image.frames}"))
        turned, orientation = upright(picture)
        steps += orientation
        if turned.size != (image.columns, image.rows):
            raise InputError(
                f"{path}: {turned.width} x {turned.height} px where {image.columns} x {image.rows} px were expected; "
                "its pages differ in size, or it changed while it was read: save each radiograph in a file of its own"
            )
        valid: Bool[np.ndarray, "rows columns"] = np.ones((image.rows, image.columns), dtype=bool)
        white_is_zero = is_white_zero(picture)
        if has_deep_grey(turned):
            display, window = _deep_display(turned, path)
            display = np.float32(1.0) - display if white_is_zero else display
        else:
            display, valid, window = _flat_display(turned)
        polarity = WHITE_IS_ZERO if white_is_zero else _polarity(display, image)
        if polarity.detail.startswith("inverted") and not white_is_zero:
            display = np.float32(1.0) - display
    return Pixels(display=display, valid=valid, steps=(*steps, *window, polarity), identifiers=_identifiers_of(image))


def _deep_display(picture: Pillow.Image, path: Path) -> tuple[Float[np.ndarray, "rows columns"], tuple[PixelStep, ...]]:
    """Stretch grey of more than 8 bits, of which the file states neither depth nor window."""
    values = np.asarray(picture)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: it holds values that are not numbers; save it again without them")
    low, high = float(values.min()), float(values.max())
    table = np.arange(_DEEP_VALUES, dtype=np.float64)
    if values.dtype.kind in "iu" and low >= 0 and high < _DEEP_VALUES:
        index = values.astype(np.uint16)
        what = f"{max(1, int(high).bit_length())} bits in use"
    else:
        span = (high - low) or 1.0
        index = np.round((values.astype(np.float64) - low) / span * (_DEEP_VALUES - 1)).astype(np.uint16)
        table = low + table * span / (_DEEP_VALUES - 1)
        what = f"values from {low:g} to {high:g}"
    counts = np.bincount(index.ravel(), minlength=_DEEP_VALUES)
    shown, step = apply_percentiles(table, counts, because=f"{what}, and the file states no window")
    return shown.astype(np.float32)[index], (step,)


def _flat_display(
    picture: Pillow.Image,
) -> tuple[Float[np.ndarray, "rows columns"], Bool[np.ndarray, "rows columns"], tuple[PixelStep, ...]]:
    """Show 8 bits as the file has them; colour becomes luminance, and transparent pixels are not part of the image."""
    steps: tuple[PixelStep, ...] = ()
    valid: Bool[np.ndarray, "rows columns"] = np.ones(picture.size[::-1], dtype=bool)
    if picture.mode in {"LA", "PA", "RGBA"} or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        seen = np.asarray(picture.getchannel("A")) > 0
        valid = seen if seen.any() else valid
        hidden = 1.0 - float(valid.mean())
        steps = (PixelStep(step="transparency", detail=f"{hidden:.1%} of the picture is transparent and masked"),)
    if picture.mode not in {"1", "L"}:
        steps = (*steps, PixelStep(step="luminance", detail="0.299 R + 0.587 G + 0.114 B"))
        picture = picture.convert("RGB")
    display = np.asarray(picture.convert("L"), dtype=np.float32) / np.float32(255.0)
    return display, valid, (*steps, PixelStep(step="window", detail="as in the file: 8 bits, 0 to 255"))


def _polarity(display: Float[np.ndarray, "rows columns"], image: Image) -> PixelStep:
    """Describe the polarity, which the file does not state."""
    inverted = is_inverted(display) if image.view.is_frontal else None
    if inverted is None:
        return PixelStep(step="polarity", detail="as in the file: it is unknown whether it is inverted")
    if inverted:
        return PixelStep(step="polarity", detail="inverted: in the file the mediastinum is darker than the lungs")
    return PixelStep(step="polarity", detail="as in the file: the mediastinum is brighter than the lungs")


def _identifiers_of(image: Image) -> Identifiers:
    """Return what may identify the patient: names of the table of images, numbers, and names of file and folders."""
    below = PurePath(image.sop_instance_uid)
    others = (image.patient_id, image.study_instance_uid, image.accession_number, below.stem, *below.parts[:-1])
    return Identifiers(names=image.people, others=tuple(dict.fromkeys(filter(None, others))))
