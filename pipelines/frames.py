"""Of a file with several frames the first is an image to audit, or each of them is."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from enum import StrEnum

from pipelines.dicom.decode import MAX_PIXELS
from pipelines.study import Image

__all__ = ["Frames", "each_frame"]


class Frames(StrEnum):
    """Which frames of a file are audited."""

    FIRST = "first"
    EACH = "each"


def each_frame(images: Iterable[Image]) -> Iterator[Image]:
    """Give an image for each frame of each file, in their order.

    A file that promises more pixels than are read of one stays one image: it cannot be audited, and is listed once.
    """
    for image in images:
        if image.rows * image.columns * image.frames > MAX_PIXELS:
            yield image
        else:
            yield from (replace(image, frame=number) for number in range(1, image.frames + 1))
