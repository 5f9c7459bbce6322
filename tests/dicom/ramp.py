"""A picture of every 12-bit value, and what the processing steps say of one."""

import numpy as np

from pipelines.dicom.pixels import Pixels

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def detail(pixels: Pixels, step: str) -> str:
    [found] = [item.detail for item in pixels.steps if item.step == step]
    return found
