"""What of a header names a patient, a person or a place: to be found again in the words of the report.

Nothing of it is kept or shown; it lives as long as the image is worked on.

Source: PS3.15 table E.1-1 (attributes of the Basic Application Confidentiality Profile), those of people and places.
"""

from collections.abc import Iterator
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from pipelines.dicom.source import READ_ERRORS, items, read_elements, texts, tolerant_reading
from pipelines.errors import DicomError
from pipelines.study import Identifiers

__all__ = ["identifiers_in", "read_identifiers"]

_NAMES = (
    *("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "ResponsiblePerson"),
    *("ReferringPhysicianName", "ConsultingPhysicianName", "PhysiciansOfRecord", "PerformingPhysicianName"),
    *("NameOfPhysiciansReadingStudy", "OperatorsName", "RequestingPhysician", "ScheduledPerformingPhysicianName"),
)
_PLACES = (
    *("PatientAddress", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName"),
    *("RequestingService", "CurrentPatientLocation", "PatientInstitutionResidence"),
)
_NUMBERS = (
    *("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "PatientTelephoneNumbers", "DeviceSerialNumber"),
    *("MilitaryRank", "MedicalRecordLocator", "AdmissionID", "StudyInstanceUID", "SOPInstanceUID"),
    *("SeriesInstanceUID", "PatientInsurancePlanCodeSequence", "RequestAttributesSequence"),
)
_SHORTEST_NAME, _SHORTEST_OTHER = 3, 4  # letters: shorter ones are words of any report


def identifiers_in(dataset: Dataset) -> Identifiers:
    """Gather what names somebody or some place; a header that cannot be read names nothing."""
    try:
        return Identifiers(
            names=tuple(dict.fromkeys(_names(dataset))),
            others=tuple(dict.fromkeys(_others(dataset))),
        )
    except READ_ERRORS:
        return Identifiers()


def read_identifiers(path: Path) -> Identifiers:
    """Gather them from a file; one that cannot be read any more names nothing."""
    wanted = (*_NAMES, *_PLACES, *_NUMBERS, "SpecificCharacterSet", "OtherPatientIDsSequence")
    known = [keyword for keyword in wanted if _is_known(keyword)]
    try:
        with tolerant_reading():
            return identifiers_in(read_elements(path, known)[0])
    except (DicomError, *READ_ERRORS):
        return Identifiers()


def _is_known(keyword: str) -> bool:
    try:
        return bool(Tag(keyword))
    except ValueError:
        return False


def _names(dataset: Dataset) -> Iterator[str]:
    """Give the parts of people's names, in every script that they are written in."""
    for keyword in _NAMES:
        for value in texts(dataset, keyword):
            for part in value.replace("=", "^").replace("^", " ").replace(",", " ").split():
                if sum(map(str.isalpha, part)) >= _SHORTEST_NAME:
                    yield part


def _others(dataset: Dataset) -> Iterator[str]:
    """Give numbers and places, whole and between commas."""
    values = [value for keyword in (*_NUMBERS, *_PLACES) for value in texts(dataset, keyword)]
    values += [value for item in items(dataset, "OtherPatientIDsSequence") for value in texts(item, "PatientID")]
    for value in values:
        for part in (value, *value.split(",")):
            if len(part.strip()) >= _SHORTEST_OTHER:
                yield part.strip()
