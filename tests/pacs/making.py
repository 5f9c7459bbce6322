"""Results of a study that was audited."""

from pathlib import Path

from pydicom.dataset import Dataset

from reports.dicom_out import Result, make_results
from reports.results_folder import StudyFolder, valid_of

SALT = "a salt for tests only"  # as the tests of the other folders have it


def results_of(
    study: StudyFolder, sources: dict[str, Dataset], audited: Path, secret: bytes = SALT.encode()
) -> list[Result]:
    valid = {image.key: valid_of(study, image) for image in study.record.images}
    return make_results(study, sources=sources, valid=valid, secret=secret)
