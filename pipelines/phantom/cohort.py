"""Writes a folder of phantoms like one from a hospital: DX DICOM files, text reports, a box table."""

import csv
import errno
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

from pipelines.errors import OutputError
from pipelines.phantom.render import Phantom, RenderedPhantom, render, sample_phantom, with_tags
from pipelines.phantom.wording import report_of

__all__ = ["PHANTOM_MANUFACTURER", "make_cohort", "phantom_dataset"]

PHANTOM_MANUFACTURER = "m2ib-audit phantom"  # marks an image as synthetic, which pages report
_FILM_WIDTH_MM = 350.0
_WHITE = 4095  # 12 bit


def make_cohort(
    out: Path, *, count: int, seed: int, columns: int = 640, tagged: bool = False, brief: bool = False
) -> None:
    """Write ``count`` phantoms to ``out/dicom``, ``out/reports`` and ``out/boxes.csv``; same seed, same bytes.

    Each phantom has one to four findings. Phantom ``i`` depends only on ``seed`` and ``i``. Every third file is
    MONOCHROME1, every fourth is compressed (JPEG 2000 lossless).

    Args:
        out: folder to write to.
        count: number of phantoms.
        seed: seed of the phantoms and of the wording of their reports.
        columns: width of the images, px.
        tagged: put a tag for every finding on the image (see :mod:`pipelines.phantom.render`).
        brief: write reports with an impression only, which names findings without side and zone.

    Raises:
        OutputError: ``out`` already holds a cohort, or cannot be written.
    """
    dicom, reports, boxes = out / "dicom", out / "reports", out / "boxes.csv"
    if boxes.exists() or any(folder.is_dir() and any(folder.iterdir()) for folder in (dicom, reports)):
        raise OutputError(f"{out}: there is already a cohort; name another folder, or remove this one")
    try:
        dicom.mkdir(parents=True, exist_ok=True)
        reports.mkdir(exist_ok=True)
        with boxes.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["image", "label", "x", "y", "width", "height", "reader"])
            for index in range(count):
                rng = np.random.default_rng([seed, index])
                phantom = sample_phantom(rng, at_least=1)
                phantom = with_tags(phantom) if tagged else phantom
                radiograph = render(phantom, columns=columns)
                stem = f"phantom-{index + 1:05d}"
                dataset = phantom_dataset(radiograph, phantom, seed=seed, index=index)
                dataset.save_as(dicom / f"{stem}.dcm", enforce_file_format=True)
                (reports / f"{stem}.txt").write_text(report_of(phantom, rng, brief=brief), encoding="utf-8")
                table.writerows(
                    [dataset.SOPInstanceUID, b.label, *(round(v, 2) for v in (b.x, b.y, b.width, b.height)), b.reader]
                    for b in radiograph.boxes
                )
    except OSError as error:
        raise OutputError(
            f"{out}: cannot be written ({errno.errorcode.get(error.errno or 0, 'unknown')}: {error.strerror}); "
            "name a folder that you may write to, with room on its disk"
        ) from error


def phantom_dataset(radiograph: RenderedPhantom, phantom: Phantom, *, seed: int, index: int) -> Dataset:
    """Create a For Presentation DX object (PS3.3 A.26) of a rendered phantom."""
    rows, columns = radiograph.image.shape
    inverted = index % 3 == 2
    stored = np.round(radiograph.image * _WHITE).astype(np.uint16)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    _identify(dataset, seed, index)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.PatientOrientation = ["L", "F"]
    dataset.ImageLaterality = "U"
    dataset.Manufacturer = PHANTOM_MANUFACTURER
    dataset.BurnedInAnnotation = "NO"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.LossyImageCompression = "00"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", -1 if inverted else 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.WindowCenter, dataset.WindowWidth = (_WHITE + 1) / 2, _WHITE + 1
    spacing = round(_FILM_WIDTH_MM / columns, 4)
    dataset.ImagerPixelSpacing = [spacing, spacing]
    dataset.ImageComments = f"Synthetic phantom, {len(phantom.lesions)} planted findings; not a patient"
    dataset.PixelData = (_WHITE - stored if inverted else stored).tobytes()
    if index % 4 == 3:
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    return dataset


def _identify(dataset: Dataset, seed: int, index: int) -> None:
    """Derive the object identifiers from the seed, so that the same cohort has the same identifiers."""

    def uid(level: str) -> str:
        return generate_uid(entropy_srcs=["m2ib-audit phantom", level, str(seed), str(index)])

    rng = np.random.default_rng([seed, index, 1])
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study"), uid("series")
    dataset.SOPInstanceUID = uid("instance")
    dataset.PatientID = f"PHANTOM-{seed}-{index + 1:05d}"
    dataset.PatientName = f"Phantom^{index + 1:05d}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = str(rng.choice(["F", "M"]))
    dataset.PatientAge = f"{int(rng.integers(20, 90)):03d}Y"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20260101"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "120000"
    dataset.StudyID = str(index + 1)
    dataset.AccessionNumber = f"P{seed}-{index + 1}"[:16]
    dataset.ReferringPhysicianName = ""
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.PatientID = dataset.PatientID[:64]
