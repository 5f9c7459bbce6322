"""Reads an image file of any common format: DICOM as a radiologist sees it, other formats as they are displayed.

DICOM is read by :mod:`pipelines.dicom.pixels` and becomes grey. PNG, JPEG, TIFF and other formats are read by Pillow:
grey stays grey, and everything else becomes R, G, B, because models of natural images were trained on colour. Grey of
more than 8 bits (the PNGs of radiographs) is stretched from its own minimum to its own maximum, because such files do
not state which of their 65,536 values they use.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image as Pillow

from pipelines.dicom.decode import MAX_PIXELS
from pipelines.dicom.pixels import read_pixels
from pipelines.dicom.source import looks_like_dicom
from pipelines.errors import InputError
from pipelines.images.opening import WHITE_IS_ZERO, decoding_step, has_deep_grey, is_white_zero, opened_picture, upright
from pipelines.limits import MAX_PICTURE_PIXELS
from pipelines.study import PixelStep

__all__ = ["FORMATS", "RANGE", "Picture", "as_picture", "picture_of", "read_image"]

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP")
"""Formats read by Pillow. Others are refused: some (EPS) start a program to render the file."""

RANGE = "range"
"""The processing step of an image of more than 8 bits that was stretched over its own range."""

_GREY_MODES = ("1", "L")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image as it is displayed, with its processing steps."""

    display: Float[np.ndarray, "rows columns *colours"]  # float32, 0 to 1; [rows, columns], or [rows, columns, 3]: RGB
    valid: Bool[np.ndarray, "rows columns"]  # False in a radiograph's padding and outside its collimated field
    steps: tuple[PixelStep, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.display.shape[0], self.display.shape[1]


def read_image(path: str | Path, *, max_pixels: int | None = None) -> Picture:
    """Read a DICOM, PNG, JPEG, TIFF, WebP, GIF or BMP file; the format is detected from the content.

    Of several frames the first is read. EXIF orientation is applied; transparency is dropped.

    Args:
        path: the file.
        max_pixels: limit of rows x columns; a larger file is refused before it is decoded. Default ``MAX_PIXELS`` for
            DICOM and ``MAX_PICTURE_PIXELS`` for the others.

    Raises:
        InputError: the file is missing, damaged, too large or of another format (:class:`DicomError` for DICOM).
    """
    path = Path(path)
    try:
        is_dicom = looks_like_dicom(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check that the file is there") from error
    if is_dicom:
        pixels = read_pixels(path, max_pixels=max_pixels or MAX_PIXELS)
        return Picture(display=pixels.display, valid=pixels.valid, steps=pixels.steps)
    display, steps = _read_with_pillow(path, max_pixels or MAX_PICTURE_PIXELS)
    return Picture(display=display, valid=np.ones(display.shape[:2], dtype=bool), steps=steps)


def as_picture(image: Picture | np.ndarray) -> Picture:
    """Convert an array to a picture; a picture is returned unchanged.

    Raises:
        InputError: the array is neither [rows, columns] nor [rows, columns, 3], or its values are not 0 to 1.
    """
    if isinstance(image, Picture):
        return image
    if image.ndim not in {2, 3} or image.shape[2:] not in {(), (3,)} or image.size == 0:
        raise InputError(
            f"an array of shape {image.shape} is not an image: give [rows, columns] (grey) or [rows, columns, 3] (RGB)"
        )
    if image.dtype.kind not in "fb" or not (image.min() >= 0 and image.max() <= 1):
        raise InputError(
            f"image values must be floats from 0 to 1, not {image.dtype} from {image.min()} to {image.max()}: divide "
            "8 bits by 255"
        )
    display = np.ascontiguousarray(image, dtype=np.float32)
    steps = (PixelStep(step="array", detail="values of 0 to 1, as they were given"),)
    return Picture(display=display, valid=np.ones(display.shape[:2], dtype=bool), steps=steps)


def _read_with_pillow(
    path: Path, max_pixels: int
) -> tuple[Float[np.ndarray, "rows columns *colours"], tuple[PixelStep, ...]]:
    with opened_picture(path, FORMATS, max_pixels=max_pixels) as opened:
        steps = [decoding_step(opened)]
        if getattr(opened, "n_frames", 1) > 1:
            steps.append(PixelStep(step="frame", detail=f"first of {opened.n_frames} frames"))  # type: ignore[attr-defined] # formats of one frame have none
        picture, turned = upright(opened)
        steps += turned
        if has_deep_grey(picture):
            stretched, step = _stretched(np.asarray(picture, dtype=np.float64), path)
            steps.append(step)
            if is_white_zero(opened):
                stretched = np.float32(1.0) - stretched
                steps.append(WHITE_IS_ZERO)
            return stretched, tuple(steps)
        mode = "L" if picture.mode in _GREY_MODES else "RGB"
        if picture.mode not in {mode, "1"}:
            steps.append(PixelStep(step="colour", detail=f"{picture.mode} converted to RGB, transparency dropped"))
        values = np.asarray(picture.convert(mode), dtype=np.float32) / np.float32(255.0)
        return values, tuple(steps)


def _stretched(
    stored: Float[np.ndarray, "rows columns"], path: Path
) -> tuple[Float[np.ndarray, "rows columns"], PixelStep]:
    """Scale grey of any range to 0 to 1; a constant image becomes black."""
    if not np.isfinite(stored).all():
        raise InputError(f"{path}: it holds values that are not numbers; save it again without them")
    low, high = float(stored.min()), float(stored.max())
    detail = f"{low:g} to {high:g}, the picture's own range, to 0 to 1"
    display = (stored - low) / (high - low) if high > low else np.zeros_like(stored)
    return display.astype(np.float32), PixelStep(step=RANGE, detail=detail)


_LONGEST_SIDE = 2560  # px, the number of rows of the best reading displays
_QUALITY = 90  # an error of about one grey level of 256; a radiograph of 2,000 x 2,000 px takes 300 to 500 kB


def picture_of(display: Float[np.ndarray, "rows columns"]) -> bytes:
    """Encode display values of [0, 1] as an 8-bit grey JPEG, long side at most 2,560 px."""
    picture = Pillow.fromarray(np.round(np.clip(display, 0.0, 1.0) * 255.0).astype(np.uint8))
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Pillow.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=_QUALITY)
    return encoded.getvalue()
