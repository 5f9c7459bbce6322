"""The kinds of files that hold a radiograph: DICOM, and image files.

To add a kind, write one file with a recogniser and two readers, and add one line to :data:`SOURCES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.dicom.headers import inspect_file
from pipelines.dicom.pixels import Pixels, read_pixels
from pipelines.dicom.source import looks_like_dicom
from pipelines.images.picture_file import inspect_picture_file, looks_like_picture, read_picture_pixels
from pipelines.input_folder import APPLE_DOUBLE, is_apple_double, why_unreadable
from pipelines.study import DICOM, Exclusion, Image

__all__ = ["SOURCES", "ImageSource", "inspect_path", "read_radiograph"]

_DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".dic", ".ima"})
_NEITHER = "Not DICOM, PNG, JPEG or TIFF; skipped."


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """A kind of file that holds a radiograph."""

    recognise: Callable[[Path], bool]  # by the first bytes; raises OSError
    inspect: Callable[[Path], Image | Exclusion]  # reads the header, and no pixels
    read: Callable[[Image], Pixels]  # raises InputError


SOURCES: dict[str, ImageSource] = {
    DICOM: ImageSource(
        recognise=looks_like_dicom,
        inspect=inspect_file,
        read=lambda image: read_pixels(image.path, frame=image.frame),
    ),
    "image file": ImageSource(recognise=looks_like_picture, inspect=inspect_picture_file, read=read_picture_pixels),
}


def inspect_path(path: Path) -> Image | Exclusion:
    """Read one file's header, or return why the file is excluded. The content decides which kind of file it is.

    A file that has the suffix of DICOM and no known content is read as DICOM, which names what is wrong with it.
    """
    try:
        if is_apple_double(path):
            return Exclusion(source=str(path), stage="scan", reason=APPLE_DOUBLE, failed=False)
        kind = next((kind for kind in SOURCES.values() if kind.recognise(path)), None)
    except OSError as error:
        return Exclusion(source=str(path), stage="scan", reason=f"The file {why_unreadable(error)}", failed=True)
    if kind is not None:
        return kind.inspect(path)
    if path.suffix.lower() in _DICOM_SUFFIXES:
        return inspect_file(path)
    return Exclusion(source=str(path), stage="scan", reason=_NEITHER, failed=False)


def read_radiograph(image: Image) -> Pixels:
    """Decode the pixels of an image, in the frame that it names.

    Raises:
        InputError: the file cannot be read (:class:`DicomError` for DICOM).
    """
    kind = SOURCES[DICOM] if image.file_format == DICOM else SOURCES["image file"]
    return kind.read(image)
