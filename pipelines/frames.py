"""Of a file with several frames the first is an image to audit, or each of them is."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from enum import StrEnum

from pipelines.dicom.decode import MAX_PIXELS
from pipelines.study import Image

__all__ = ["Frames", "each_frame", "is_taken_apart"]

_MOST_FRAMES = 1000  # of one file: a header of a few bytes can promise a hundred million


class Frames(StrEnum):
    """Which frames of a file are audited."""

    FIRST = "first"
    EACH = "each"


def each_frame(images: Iterable[Image]) -> Iterator[Image]:
    """Give an image for each frame of each file, in their order; a file that is not taken apart stays one image."""
    for image in images:
        if is_taken_apart(image):
            yield from (replace(image, frame=number) for number in range(1, image.frames + 1))
        else:
            yield image


def is_taken_apart(image: Image) -> bool:
    """Whether a file's frames may become images: not where it promises more of them, or more pixels, than are read."""
    return image.frames <= _MOST_FRAMES and image.rows * image.columns * image.frames <= MAX_PIXELS
