"""DICOM objects that tests send: results of a study that was audited, and small ones."""

from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from reports.dicom_out import Result, make_results
from reports.results_folder import StudyFolder, valid_of

SALT = "a salt for tests only"  # as the tests of the other folders have it


def results_of(
    study: StudyFolder, sources: dict[str, Dataset], audited: Path, secret: bytes = SALT.encode()
) -> list[Result]:
    valid = {image.key: valid_of(study, image) for image in study.record.images}
    return make_results(study, sources=sources, valid=valid, secret=secret)


def small_object(uid: str, study: str = "1.2", *, pixels: int = 0) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = ComputedRadiographyImageStorage, uid
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = study, f"{study}.3", "CR"
    if pixels:
        made.add_new("PixelData", "OW", bytes(pixels))
    return made
