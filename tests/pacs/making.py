"""Results of a study that was audited."""

from pathlib import Path

from pydicom.dataset import Dataset

from reports.dicom_out import Result, make_results
from reports.folder import StudyFolder, read_valid

SALT = "a salt for tests only"  # as the tests of the other folders have it


def results_of(
    study: StudyFolder, sources: dict[str, Dataset], audited: Path, secret: bytes = SALT.encode()
) -> list[Result]:
    folder = audited / "studies" / study.record.key
    valid = {image.key: read_valid(folder, image) for image in study.record.images}
    return make_results(study, sources=sources, valid=valid, secret=secret)
