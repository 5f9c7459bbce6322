"""Opens image files other than DICOM with Pillow, within limits, and brings them upright."""

import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from pipelines.errors import InputError
from pipelines.limits import MAX_PICTURE_PIXELS, MAX_PIXEL_FILE_BYTES
from pipelines.study import PixelStep

__all__ = [
    "WHITE_IS_ZERO",
    "decoding_step",
    "has_deep_grey",
    "is_white_zero",
    "opened_picture",
    "orientation_of",
    "upright",
]

WHITE_IS_ZERO = PixelStep(step="polarity", detail="inverted: TIFF's PhotometricInterpretation is WhiteIsZero")
"""The processing step of a TIFF whose zeros are white."""

_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")  # grey of more than 8 bits, or of floats
_ORIENTATION, _PHOTOMETRIC = 0x0112, 262  # EXIF; TIFF 6.0, section 3
_WHITE_IS_ZERO = 0
# What Pillow raises, depending on the format, for bytes that are truncated or contradict their header.
_PILLOW_ERRORS = (
    *(OSError, ValueError, TypeError, LookupError, ArithmeticError, SyntaxError, EOFError, struct.error, MemoryError),
    Pillow.DecompressionBombError,
)


@contextmanager
def opened_picture(
    path: Path, formats: Sequence[str], *, max_pixels: int = MAX_PICTURE_PIXELS
) -> Iterator[Pillow.Image]:
    """Open an image file in one of Pillow's formats; its pixels are decoded when they are first used.

    Raises:
        InputError: the file is of another format, or has more than ``max_pixels`` or 512 MiB; or, when it is opened or
            used, its content is truncated or damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning may print file content; the size is checked here
            size = path.stat().st_size
            if size > MAX_PIXEL_FILE_BYTES:
                raise InputError(
                    f"{path}: {size:,} bytes are more than the limit of {MAX_PIXEL_FILE_BYTES:,} for one file; make it "
                    "smaller"
                )
            with Pillow.open(path, formats=list(formats)) as picture:
                if picture.width * picture.height > max_pixels:
                    raise InputError(
                        f"{path}: {picture.width} x {picture.height} pixels are more than the limit of "
                        f"{max_pixels:,} for one file; make it smaller"
                    )
                yield picture
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path}: neither DICOM nor one of {', '.join(formats)}, or its beginning is damaged; save it again in one "
            "of these formats"
        ) from error
    except _PILLOW_ERRORS as error:
        raise InputError(
            f"{path}: the image cannot be decoded ({type(error).__name__}); it is truncated, damaged or too large: "
            "copy or save it again"
        ) from error


def decoding_step(picture: Pillow.Image) -> PixelStep:
    """Return the processing step that names the format and Pillow's mode."""
    return PixelStep(step="decoding", detail=f"{picture.format}, Pillow's mode {picture.mode}")


def has_deep_grey(picture: Pillow.Image) -> bool:
    """Return True for grey of more than 8 bits, or of floats."""
    return picture.mode in _DEEP_MODES


def is_white_zero(picture: Pillow.Image) -> bool:
    """Return True for a TIFF whose zeros are white. Pillow inverts 8 bits itself, and leaves deep grey to its caller.

    Source: TIFF 6.0, section 3 (PhotometricInterpretation).
    """
    return picture.format == "TIFF" and picture.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO  # type: ignore[attr-defined] # of TIFF alone


def orientation_of(picture: Pillow.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if there is none. From 5 on, rows and columns are exchanged.

    EXIF data behind the pixels of a PNG are ignored, because finding them takes as long as decoding the pixels.
    """
    if picture.format == "PNG" and not {"exif", "Raw profile type exif"} & picture.info.keys():
        return 1
    orientation = picture.getexif().get(_ORIENTATION, 1)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def upright(picture: Pillow.Image) -> tuple[Pillow.Image, tuple[PixelStep, ...]]:
    """Apply the EXIF orientation, and return the processing step if there is one to apply."""
    orientation = orientation_of(picture)
    if orientation == 1:
        return picture, ()
    return ImageOps.exif_transpose(picture), (PixelStep(step="orientation", detail=f"EXIF orientation {orientation}"),)
