"""Whatever a text element of a header says is masked where the report repeats it."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pipelines.dicom.identifiers import identifiers_in, read_identifiers
from pipelines.phantom.cohort import make_cohort
from pipelines.privacy.masking import mask_report
from pipelines.study import Identifiers

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


def many_elements() -> Dataset:
    dataset = Dataset()
    block = dataset.private_block(0x0099, "MAKER", create=True)
    block.add_new(0x01, "SQ", Sequence([header("PatientComments", "plain") for _ in range(20_001)]))
    return dataset


def much_text() -> Dataset:
    return header("TextValue", "gardener " * 120_000)


def deep_sequences() -> Dataset:
    dataset = header("PersonName", "Young")
    for _ in range(9):
        outer = Dataset()
        outer.ContentSequence = Sequence([dataset])
        dataset = outer
    return dataset


@pytest.mark.parametrize("dataset", [many_elements(), much_text(), deep_sequences()], ids=["elements", "text", "depth"])
def test_a_report_is_masked_whole_where_its_header_says_more_than_is_read(dataset: Dataset) -> None:
    known = identifiers_in(dataset)
    assert not known.complete
    masked = mask_report("No pneumothorax. Small effusion.", known)
    assert masked.text == "[masked]"
    assert masked.masked_words == masked.words == 4
    assert not (Identifiers() | known).complete


def test_a_header_of_more_bytes_than_are_read_masks_the_report_whole(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=1, seed=3, columns=160, brief=True)
    path = next((tmp_path / "dicom").glob("*.dcm"))
    dataset = dcmread(path)
    assert read_identifiers(path).complete
    block = dataset.private_block(0x0099, "MAKER", create=True)
    for place in range(5):
        block.add_new(place, "OB", bytes(2**22 - 2))
    dataset.save_as(path)
    assert mask_report("No effusion.", read_identifiers(path)).text == "[masked]"
    assert mask_report("No effusion.", read_identifiers(tmp_path / "gone.dcm")).text == "[masked]"


def test_long_values_and_large_private_bytes_are_read_to_their_end() -> None:
    dataset = header("TextValue", "nodule " * 20_000 + "gardener")
    block = dataset.private_block(0x0099, "MAKER", create=True)
    block.add_new(0x01, "OB", bytes(200_000) + b"plumber\0")
    known = identifiers_in(dataset)
    assert known.complete
    assert mask_report("The gardener saw the plumber.", known).text == "The [name] saw the [name]."


def test_pixel_data_are_no_text() -> None:
    dataset = Dataset()
    dataset.add_new("PixelData", "OB", b"gardener")
    assert identifiers_in(dataset) == Identifiers()


@pytest.mark.parametrize("stored", [b"IS\x08\x00gardener", b"US\x09\x00gardeners"], ids=["no number", "odd length"])
def test_an_element_that_does_not_conform_is_read_as_it_is_stored(tmp_path: Path, stored: bytes) -> None:
    make_cohort(tmp_path, count=1, seed=3, columns=160, brief=True)
    path = next((tmp_path / "dicom").glob("*.dcm"))
    dataset = dcmread(path)
    dataset.SeriesNumber = "12"
    dataset.save_as(path)
    tag, conforming = b"\x20\x00\x11\x00", b"IS\x02\x0012"
    assert tag + conforming in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(tag + conforming, tag + stored))
    known = read_identifiers(path)
    assert known.complete
    assert any(value.startswith("gardener") for value in known.others)
