"""Boxes of NIH ChestX-ray14 (``BBox_List_2017.csv``): one row per box, in the 1,024 x 1,024 px of the released PNG.

The header writes the four numbers as ``Bbox [x,y,w,h],,,``: nine columns because of its commas, but six cells per row.

Source: Wang et al. 2017, "ChestX-ray8", and the files of the NIH Clinical Center's release.
"""

from collections.abc import Iterator

from pipelines.boxes.table import RawBox
from pipelines.errors import BoxError
from pipelines.text.table import BadRow, column_key, first_line, parse_table

__all__ = ["read_nih_csv", "recognise_nih_csv"]

_FRAME = (1024, 1024)
_STARTS = ("imageindex", "findinglabel", "bboxx")
_HEADER = "Image Index,Finding Label,x,y,w,h"


def recognise_nih_csv(text: str) -> bool:
    """Return True if the header is that of NIH's list of boxes."""
    columns = first_line(text).split(",")
    return tuple(column_key(column) for column in columns[:3]) == _STARTS


def read_nih_csv(name: str, text: str) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per row; an image's name starts with its patient's number."""
    _, _, rows = text.lstrip().partition("\n")
    for row in parse_table(f"{_HEADER}\n{rows}").rows:
        source = f"{name} row {row.number}"
        if isinstance(row, BadRow):
            yield BoxError(f"{source}: {row.reason}")
            continue
        cells = row.cells
        yield RawBox(
            source=source,
            image=cells["Image Index"],
            label=cells["Finding Label"],
            x=cells["x"],
            y=cells["y"],
            width=cells["w"],
            height=cells["h"],
            frame=_FRAME,
            patient=cells["Image Index"].partition("_")[0],
        )
