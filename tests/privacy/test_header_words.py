"""Whatever a text element of a header says is masked where the report repeats it."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pipelines.dicom.identifiers import identifiers_in, read_identifiers
from pipelines.phantom.cohort import make_cohort
from pipelines.study import Identifiers
from pipelines.text import mask_report

NAMES = (
    *("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "ResponsiblePerson"),
    *("ReferringPhysicianName", "ConsultingPhysicianName", "PhysiciansOfRecord", "PerformingPhysicianName"),
    *("NameOfPhysiciansReadingStudy", "OperatorsName", "RequestingPhysician", "ScheduledPerformingPhysicianName"),
    *("HumanPerformerName", "PersonName", "VerifyingObserverName", "OrderEnteredBy", "ReviewerName"),
    *("ContentCreatorName", "InterpretationRecorder", "InterpretationAuthor", "DistributionName"),
)
PLACES = (
    *("PatientAddress", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName"),
    *("RequestingService", "CurrentPatientLocation", "PatientInstitutionResidence", "RegionOfResidence"),
)
TEXTS = (
    *("PatientComments", "ImageComments", "StudyComments", "AdditionalPatientHistory", "StudyDescription"),
    *("SeriesDescription", "ProtocolName", "RequestedProcedureDescription", "ReasonForStudy", "VisitComments"),
    *("AdmittingDiagnosesDescription", "Occupation", "PatientState", "SpecialNeeds", "TextComments", "Allergies"),
    *("RequestedProcedureComments", "AcquisitionComments", "DerivationDescription", "ContrastBolusAgent"),
    *("InstitutionCodeSequence", "LensMake", "CountryOfResidence", "ScheduledStationAETitle", "DeviceDescription"),
)
NUMBERS = (
    *("PatientID", "AccessionNumber", "StudyID", "PatientTelephoneNumbers", "DeviceSerialNumber", "AdmissionID"),
    *("MedicalRecordLocator", "RequestedProcedureID", "FillerOrderNumberImagingServiceRequest", "IssuerOfPatientID"),
    *("PlacerOrderNumberImagingServiceRequest", "PerformedProcedureStepID", "ScheduledProcedureStepID", "PlateID"),
)


def header(keyword: str, value: str) -> Dataset:
    dataset = Dataset()
    if dictionary_VR(keyword) == "SQ":
        inner = Dataset()
        inner.CodeMeaning = value
        setattr(dataset, keyword, Sequence([inner]))
    else:
        setattr(dataset, keyword, value)
    return dataset


def shown(dataset: Dataset, report: str) -> str:
    return mask_report(report, identifiers_in(dataset)).text


@pytest.mark.parametrize("keyword", NAMES)
@pytest.mark.parametrize("report", ["the young man has an effusion", "YOUNG LUNG, LONG LINE", "Long line, young lung."])
def test_a_persons_name_is_masked_though_it_is_a_word_of_reports(keyword: str, report: str) -> None:
    masked = shown(header(keyword, "Young^Long"), report).casefold()
    assert "young" not in masked
    assert "long" not in masked


@pytest.mark.parametrize("keyword", PLACES)
def test_a_place_is_masked(keyword: str) -> None:
    masked = shown(header(keyword, "North Field"), "Seen at north field clinic; NORTH FIELD; a field in the lung.")
    assert masked == "Seen at [name] clinic; [name]; a field in the lung."


@pytest.mark.parametrize("keyword", TEXTS)
def test_a_comment_is_masked_with_each_word_that_is_not_of_reports(keyword: str) -> None:
    report = "The gardener has a nodule. The nodule of the gardener, whom Young told, is small."
    masked = shown(header(keyword, "GARDENER Young"), report)
    assert masked == "The [name] has a nodule. The nodule of the [name], whom [name] told, is small."


@pytest.mark.parametrize("keyword", NUMBERS)
@pytest.mark.parametrize("number", ["42", "7A", "K7", "19-3"])
def test_a_short_number_is_masked(keyword: str, number: str) -> None:
    assert number not in shown(header(keyword, number), f"The film {number} has an effusion, and {number.lower()} too.")


def test_nested_and_private_elements_are_read(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=1, seed=3, columns=160, brief=True)
    path = next((tmp_path / "dicom").glob("*.dcm"))
    dataset = dcmread(path)
    inner, deep = Dataset(), Dataset()
    deep.TextValue = "gardener"
    inner.ContentSequence = Sequence([deep])
    dataset.ContentSequence = Sequence([inner])
    block = dataset.private_block(0x0099, "MAKER", create=True)
    block.add_new(0x01, "LO", "plumber")
    block.add_new(0x02, "UN", b"\0\0carpenters\0")
    block.add_new(0x03, "SQ", Sequence([header("PersonName", "Green")]))
    dataset.save_as(path)
    for known in (identifiers_in(dcmread(path)), read_identifiers(path)):
        masked = mask_report("The gardener, the plumber, the carpenters and a green drain.", known).text
        assert masked == "The [name], the [name], the [name] and a [name] drain."


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("BodyPartExamined", "CHEST"),
        ("SeriesDescription", "CHEST PA AND LATERAL"),
        ("StudyDescription", "XR CHEST 2 VIEWS, PNEUMONIA LEFT"),
        ("PatientName", "Heart^No^Left"),
        ("PatientComments", "no pneumothorax; effusion in the left lung may be chronic"),
        ("InstitutionalDepartmentName", "Radiology"),
        ("InstanceNumber", "12"),
        ("PatientID", "12"),
    ],
)
def test_words_of_findings_and_measurements_stay(keyword: str, value: str) -> None:
    report = (
        "Chest, PA and lateral, 2 views. No pneumothorax. The heart is large. Left effusion, may be pneumonia. "
        "A 12 mm nodule at T12. Discussed with Radiology."
    )
    assert shown(header(keyword, value), report) == report


def test_what_two_headers_say_is_joined() -> None:
    both = Identifiers(names=("A",), places=("B",)) | Identifiers(names=("C", "A"), others=("D",))
    assert both == Identifiers(names=("A", "C"), places=("B",), others=("D",))
