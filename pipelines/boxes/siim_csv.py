"""Pneumothorax masks of the SIIM-ACR challenge: one row per mask, -1 if nothing was drawn.

A mask is a list of pairs: the number of pixels to skip since the end of the previous run, and the run's length. They
run down the columns of an image of 1024 x 1024 px.

Source: Kaggle, "SIIM-ACR Pneumothorax Segmentation", data description (2019).
"""

from collections.abc import Iterator

import numpy as np

from pipelines.boxes.table import RawBox
from pipelines.errors import BoxError
from pipelines.shapes import cropped_run_lengths
from pipelines.text.table import BadRow, columns_of, parse_table, pick_column

__all__ = ["read_siim_csv", "recognise_siim_csv"]

_COLUMNS = ("ImageId", "EncodedPixels")
_SIDE = 1024
_NOTHING_DRAWN = "-1"


def recognise_siim_csv(text: str) -> bool:
    """Return True if the header names both columns of the challenge's masks."""
    columns = columns_of(text)
    return all(pick_column(columns, (column,)) is not None for column in _COLUMNS)


def read_siim_csv(name: str, text: str) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per row; a row of -1 means that nothing was drawn, and yields none."""
    table = parse_table(text)
    image, pixels = (pick_column(table.columns, (column,)) or column for column in _COLUMNS)
    for row in table.rows:
        source = f"{name} row {row.number}"
        if isinstance(row, BadRow):
            yield BoxError(f"{source}: {row.reason}")
        elif row.cells[pixels].strip() != _NOTHING_DRAWN:
            yield _raw_box(source, row.cells[image], row.cells[pixels])


def _raw_box(source: str, image: str, pixels: str) -> RawBox | BoxError:
    try:
        numbers = np.array(pixels.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        return BoxError(f"{source} has EncodedPixels that are not whole numbers: write -1 or pairs of skip and length")
    if not numbers.size or numbers.size % 2 or (numbers < 0).any() or numbers.max() > _SIDE**2:
        return BoxError(f"{source} has EncodedPixels that are not pairs of skip and length: export the row again")
    if numbers.sum() > _SIDE**2:
        return BoxError(f"{source} has EncodedPixels that exceed {_SIDE} x {_SIDE} px: export the row again")
    if not numbers[1::2].any():
        return BoxError(f"{source} has a mask without a pixel: write -1 if nothing was drawn")
    shape = cropped_run_lengths(np.append(numbers, _SIDE**2 - numbers.sum()), _SIDE, _SIDE)
    return RawBox(source=source, image=image, label="pneumothorax", shape=shape, frame=(_SIDE, _SIDE))
