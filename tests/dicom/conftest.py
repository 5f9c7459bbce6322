"""Small radiographs written by the tests: a valid DX image, of which each test changes what it is about."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

WriteDx = Callable[..., Path]


def dx_dataset(values: np.ndarray, syntax: UID = ExplicitVRLittleEndian) -> Dataset:
    """A DX image FOR PRESENTATION with these stored values (rows x columns; int16 is signed)."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.3.1"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.StudyDate = "20200601"
    dataset.StudyTime = "120000"
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.PatientID = "P1"
    dataset.PatientName = "Phantom^One"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "F"
    dataset.StudyID = "1"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.AccessionNumber = "A1"
    dataset.ReferringPhysicianName = ""
    dataset.ViewPosition = "PA"
    dataset.SamplesPerPixel = 1 if values.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if values.ndim == 2 else "RGB"
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8 * values.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW" if values.itemsize == 2 else "OB"
    return dataset


@pytest.fixture
def write_dx(tmp_path: Path) -> WriteDx:
    """Write a DX image and return its path; keywords set elements, None deletes one."""

    def write(
        values: np.ndarray | None = None,
        *,
        name: str = "image.dcm",
        syntax: UID = ExplicitVRLittleEndian,
        **elements: Any,
    ) -> Path:
        grey = np.arange(64, dtype=np.uint16).reshape(8, 8) * 64 if values is None else values
        dataset = dx_dataset(grey, syntax)
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            for keyword, value in elements.items():
                if value is None:
                    delattr(dataset, keyword)
                else:
                    setattr(dataset, keyword, value)
            if "BitsStored" in elements and "HighBit" not in elements:
                dataset.HighBit = dataset.BitsStored - 1
            dataset.file_meta.MediaStorageSOPInstanceUID = elements.get("SOPInstanceUID", "1.2.3.4") or "1.2.3.4"
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def lookup_table() -> Callable[..., Dataset]:
    """Make an item of a Modality or VOI LUT Sequence."""

    def make(outputs: list[int], *, first: int = 0, bits: int = 16, signed: bool = False) -> Dataset:
        item = Dataset()
        item.add_new("LUTDescriptor", "SS" if signed else "US", [len(outputs), first, bits])
        item.add_new("LUTData", "US", outputs)
        item.ModalityLUTType = "US"
        return item

    return make
