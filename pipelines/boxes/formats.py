"""The formats of annotations, told apart by what a file holds.

To add a format: write one file with a recogniser and a reader, and add one line to :data:`FORMATS`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.boxes.chestx_det_json import read_chestx_det_json, recognise_chestx_det_json
from pipelines.boxes.chexlocalize_json import read_chexlocalize_json, recognise_chexlocalize_json
from pipelines.boxes.coco_json import read_coco_json, recognise_coco_json
from pipelines.boxes.generic_csv import COLUMNS, NEEDED, SIZES, read_generic_csv, recognise_generic_csv
from pipelines.boxes.ms_cxr_csv import read_ms_cxr_csv, recognise_ms_cxr_csv
from pipelines.boxes.nih_csv import read_nih_csv, recognise_nih_csv
from pipelines.boxes.padchest_gr_json import read_padchest_gr_json, recognise_padchest_gr_json
from pipelines.boxes.reflacx_csv import read_reflacx_csv, recognise_reflacx_csv
from pipelines.boxes.rsna_csv import read_rsna_csv, recognise_rsna_csv
from pipelines.boxes.siim_csv import read_siim_csv, recognise_siim_csv
from pipelines.boxes.table import RawBox
from pipelines.boxes.vindr_csv import read_vindr_csv, recognise_vindr_csv
from pipelines.errors import BoxError
from pipelines.text.table import columns_of, spoken_columns

__all__ = ["FORMATS", "BoxFormat", "format_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxFormat:
    """One annotation format: ``recognise`` takes the text, ``read`` the file's name and the text."""

    recognise: Callable[[str], bool]
    read: Callable[[str, str], Iterator[RawBox | BoxError]]


# Tried in this order: MS-CXR's table would pass for a generic one, and CheXlocalize's recogniser reads a whole file.
FORMATS: dict[str, BoxFormat] = {
    "MS-CXR CSV": BoxFormat(recognise=recognise_ms_cxr_csv, read=read_ms_cxr_csv),
    "NIH CSV": BoxFormat(recognise=recognise_nih_csv, read=read_nih_csv),
    "RSNA CSV": BoxFormat(recognise=recognise_rsna_csv, read=read_rsna_csv),
    "VinDr CSV": BoxFormat(recognise=recognise_vindr_csv, read=read_vindr_csv),
    "REFLACX CSV": BoxFormat(recognise=recognise_reflacx_csv, read=read_reflacx_csv),
    "SIIM CSV": BoxFormat(recognise=recognise_siim_csv, read=read_siim_csv),
    "generic CSV": BoxFormat(recognise=recognise_generic_csv, read=read_generic_csv),
    "COCO JSON": BoxFormat(recognise=recognise_coco_json, read=read_coco_json),
    "ChestX-Det JSON": BoxFormat(recognise=recognise_chestx_det_json, read=read_chestx_det_json),
    "PadChest-GR JSON": BoxFormat(recognise=recognise_padchest_gr_json, read=read_padchest_gr_json),
    "CheXlocalize JSON": BoxFormat(recognise=recognise_chexlocalize_json, read=read_chexlocalize_json),
}
"""The formats that are text; DICOM's own are in :mod:`pipelines.boxes.dicom_file`."""


def format_of(path: Path, text: str, format_name: str | None = None) -> BoxFormat:
    """Tell the format of a file's text, or check that it is the one named.

    Raises:
        BoxError: the text is of no known format, or not of the one named, or none has this name.
    """
    if format_name is None:
        known = next((known for known in FORMATS.values() if known.recognise(text)), None)
        if known is None:
            raise BoxError(_unknown(path, text))
        return known
    named = {name.casefold(): known for name, known in FORMATS.items()}.get(format_name.strip().casefold())
    if named is None:
        raise BoxError(f'--format "{format_name}" is none that is known: give one of {", ".join(FORMATS)}')
    if not named.recognise(text):
        raise BoxError(f"{path} is no {format_name}: leave --format away to have its format told by what it holds")
    return named


def _unknown(path: Path, text: str) -> str:
    if not text:
        return f"{path} is empty: give --boxes a file with annotations"
    needed, size = ", ".join(NEEDED), " and ".join(SIZES[0])
    optional = ", ".join(
        name for name in COLUMNS if name not in {*NEEDED, *(each for names in SIZES for each in names)}
    )
    found = columns_of(text)
    its = spoken_columns(found) if len(found) > 1 else "it is no table"
    return (
        f"{path} is of no known format ({', '.join(FORMATS)}): {its}; give a CSV with the columns {needed}, {size} (or "
        f"xmin, ymin, xmax and ymax instead of the last four); {optional} may be missing"
    )
