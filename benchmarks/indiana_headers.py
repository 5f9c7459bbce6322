"""The headers of the Indiana collection, as rows of a table in torchxrayvision's wheel, made DICOM files again."""

import ast
import io
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from pydicom import config
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from pipelines.dicom.grayscale import apply_voi

__all__ = ["TABLE", "header_rows", "window_sources", "write_headers"]

TABLE = "nlmcxr_dicom_metadata.csv.gz"

_KEYWORDS = {name: (keyword, vr) for vr, _, name, _, keyword in DicomDictionary.values()}
_CODE = re.compile(r"Code Value\s+SH: '([^']+)'")
_NUMBERS = {"US", "SS", "UL", "SL", "FL", "FD"}


def header_rows(wheel: Path) -> pd.DataFrame:
    """Read the table, every value as text, "" where the header has none."""
    with zipfile.ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith(TABLE))
        content = packed.read(name)
    return pd.read_csv(io.BytesIO(content), compression="gzip", dtype=str, keep_default_na=False)


def write_headers(rows: pd.DataFrame, folder: Path) -> Iterator[Path]:
    """Write a file a row, with one pixel word in the place of the pixels."""
    names = [name for name in rows.columns if name in _KEYWORDS]
    for number, row in enumerate(rows[names].to_dict("records")):
        dataset = Dataset()
        for name, value in row.items():
            if value:
                _put(dataset, *_KEYWORDS[str(name)], value)
        dataset.PixelData = b"\0\0"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        path = folder / f"{number:05d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        yield path


def window_sources(rows: pd.DataFrame) -> Counter[str]:
    """Count what decides the window: the processing step, and of how many it is the first.

    The table keeps of a VOI LUT its descriptor alone: a straight ramp stands in for the data.
    """
    stored = np.arange(2**14, dtype=np.float64)
    found: Counter[str] = Counter()
    names = ["LUT Descriptor", "Window Center", "Window Width"]
    for row in rows[names].itertuples(index=False):
        dataset = FileDataset("", {}, file_meta=FileMetaDataset())
        dataset.PixelRepresentation = 0
        for value, name in zip(row, names, strict=True):
            if value:
                _put(dataset, *_KEYWORDS[name], value)
        if "LUTDescriptor" in dataset:
            item = Dataset()
            entries, first, bits = (int(number) for number in dataset.LUTDescriptor)
            item.add_new("LUTDescriptor", "US", [entries, first, bits])
            item.add_new("LUTData", "US", np.linspace(0, 2**bits - 1, entries).astype(int).tolist())
            dataset.VOILUTSequence = Sequence([item])
        _, step = apply_voi(dataset, stored, np.ones(stored.size, dtype=np.int64))
        found[f"{step.step}, {step.detail.split(':')[0].split(' in ')[0]}"] += 1
    return found


def _put(dataset: Dataset, keyword: str, vr: str, value: str) -> None:
    """Set one element; a sequence keeps the code that it prints, and no more is asked of one."""
    vr = vr.rsplit(" or ", maxsplit=1)[-1]
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")  # real values break the rules of their representation
        if vr == "SQ":
            code = _CODE.search(value)
            item = Dataset()
            if code:
                item.CodeValue = code[1]
            setattr(dataset, keyword, Sequence([item] if code else []))
            return
        parts = [str(part) for part in ast.literal_eval(value)] if value.startswith("[") else [value]
        if vr in _NUMBERS:
            numbers = [float(part) if vr in {"FL", "FD"} else int(float(part)) for part in parts]
            dataset.add_new(keyword, vr, numbers if len(numbers) > 1 else numbers[0])
        elif vr not in {"OB", "OW", "UN"}:
            dates = [part.removesuffix(".0") for part in parts] if vr in {"DA", "IS", "TM"} else parts
            dataset.add_new(keyword, vr, dates if len(dates) > 1 else dates[0])
