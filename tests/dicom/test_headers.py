"""What a header says, and what is done with headers that say nothing, too much or nonsense."""

import logging
from datetime import date
from pathlib import Path

import pytest
from pydicom import config
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from pipelines.dicom.headers import inspect_file, read_image_header
from pipelines.errors import DicomError
from pipelines.study import Exclusion, Image, View

CODE = {"PA": "272479007", "AP (SNOMED RT)": "R-10206", "lateral": "399173006", "oblique": "399182000"}


def code(value: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "a view"
    return [item]


def test_a_real_radiograph_is_read():
    image = read_image_header(Path(get_testdata_file("RG1_UNCR.dcm")))
    assert (image.rows, image.columns, image.view, image.view_source) == (1955, 1841, View.PA, "ViewPosition")
    assert image.photometric_interpretation == "MONOCHROME1"
    assert image.sex == "F"
    assert image.age_years == pytest.approx(64.5, abs=0.1)  # born 1940-03-05, imaged 2004-08-26
    assert image.study_date == date(2004, 8, 26)
    assert image.spacing_mm is None, "the file says 0.000 x 0.000, which is not a spacing"
    assert (image.patient_id, image.accession_number) == ("9RG1", "exam Number")
    assert image.manufacturer == "Philips Medical Systems"


@pytest.mark.parametrize(
    ("elements", "view", "source"),
    [
        pytest.param({"ViewPosition": "PA"}, View.PA, "ViewPosition", id="PA"),
        pytest.param({"ViewPosition": "ap"}, View.AP, "ViewPosition", id="lower case"),
        pytest.param({"ViewPosition": "LL"}, View.LATERAL, "ViewPosition", id="left lateral"),
        pytest.param({"ViewPosition": "LARGE LATERAL"}, View.LATERAL, "ViewPosition", id="Indiana's large lateral"),
        pytest.param({"ViewPosition": "AP LLD"}, View.UNKNOWN, "ViewPosition", id="decubitus"),
        pytest.param({"ViewPosition": "RAO", "SeriesDescription": "PA"}, View.UNKNOWN, "ViewPosition", id="oblique"),
        pytest.param(
            {"ViewPosition": "PA", "PatientOrientation": ["A", "F"]}, View.PA, "ViewPosition", id="position first"
        ),
        pytest.param({"ViewCodeSequence": code(CODE["PA"])}, View.PA, "ViewCodeSequence", id="code PA"),
        pytest.param({"ViewCodeSequence": code(CODE["AP (SNOMED RT)"])}, View.AP, "ViewCodeSequence", id="code AP, RT"),
        pytest.param({"ViewCodeSequence": code(CODE["lateral"])}, View.LATERAL, "ViewCodeSequence", id="code lateral"),
        pytest.param({"ViewCodeSequence": code(CODE["oblique"])}, View.UNKNOWN, "ViewCodeSequence", id="code oblique"),
        pytest.param({"PatientOrientation": ["L", "F"]}, View.FRONTAL, "PatientOrientation", id="L/F"),
        pytest.param({"PatientOrientation": ["R", "F"]}, View.FRONTAL, "PatientOrientation", id="R/F"),
        pytest.param({"PatientOrientation": ["A", "F"]}, View.LATERAL, "PatientOrientation", id="A/F"),
        pytest.param({"PatientOrientation": ["P", "F"]}, View.LATERAL, "PatientOrientation", id="P/F"),
        pytest.param({"PatientOrientation": ["F", "L"]}, View.UNKNOWN, "", id="lying picture"),
        pytest.param({"PatientOrientation": ["L"]}, View.UNKNOWN, "", id="half an orientation"),
        pytest.param({"SeriesDescription": "Thorax p.a."}, View.PA, "SeriesDescription", id="p.a."),
        pytest.param({"SeriesDescription": "Chest A/P portable"}, View.AP, "SeriesDescription", id="A/P"),
        pytest.param({"SeriesDescription": "postero-anterior"}, View.PA, "SeriesDescription", id="spelled out"),
        pytest.param({"SeriesDescription": "frontal PA"}, View.PA, "SeriesDescription", id="frontal and PA is PA"),
        pytest.param({"SeriesDescription": "Chest, frontal"}, View.FRONTAL, "SeriesDescription", id="frontal"),
        pytest.param({"StudyDescription": "CHEST LATERAL"}, View.LATERAL, "StudyDescription", id="study text"),
        pytest.param({"StudyDescription": "CHEST PA AND LATERAL"}, View.UNKNOWN, "", id="two views are not guessed"),
        pytest.param({"SeriesDescription": "PATIENT PAUL"}, View.UNKNOWN, "", id="PA inside a word is none"),
        pytest.param({"ViewPosition": "UNK", "PatientOrientation": ["L", "F"]}, View.FRONTAL, "PatientOrientation",
                     id="a position that is none is passed over"),
        pytest.param({}, View.UNKNOWN, "", id="nothing"),
    ],
)  # fmt: skip
def test_the_view_is_decided_by_the_first_element_that_knows(write_dx, elements, view, source):
    image = read_image_header(write_dx(**{"ViewPosition": "", **elements}))
    assert (image.view, image.view_source) == (view, source)


@pytest.mark.parametrize(
    ("elements", "mirrored"),
    [
        pytest.param({}, False, id="nothing said"),
        pytest.param({"PatientOrientation": ["L", "F"]}, False, id="patient's left at the image's right"),
        pytest.param({"PatientOrientation": ["R", "F"]}, True, id="patient's right at the image's right"),
        pytest.param(
            {"PatientOrientation": ["L", "F"], "FieldOfViewHorizontalFlip": "YES"}, False, id="flipped to the usual way"
        ),
        pytest.param({"FieldOfViewHorizontalFlip": "YES"}, True, id="flip alone"),
        pytest.param({"FieldOfViewHorizontalFlip": "NO"}, False, id="no flip"),
        pytest.param({"PatientOrientation": ["A", "F"], "FieldOfViewHorizontalFlip": "YES"}, False, id="lateral"),
    ],
)
def test_the_orientation_says_whether_the_picture_is_mirrored(write_dx, elements, mirrored):
    assert read_image_header(write_dx(**elements)).horizontally_flipped is mirrored


@pytest.mark.parametrize(
    ("elements", "spacing", "source"),
    [
        pytest.param(
            {"PixelSpacing": [0.14, 0.15], "ImagerPixelSpacing": [0.2, 0.2]}, (0.14, 0.15), "PixelSpacing", id="both"
        ),
        pytest.param({"ImagerPixelSpacing": [0.2, 0.21]}, (0.2, 0.21), "ImagerPixelSpacing", id="imager only"),
        pytest.param(
            {"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2), "ImagerPixelSpacing", id="zero"
        ),
        pytest.param({"PixelSpacing": [-0.1, 0.1]}, None, None, id="negative"),
        pytest.param({"PixelSpacing": [0.1]}, None, None, id="one value"),
        pytest.param({}, None, None, id="none"),
    ],
)
def test_spacing_is_taken_only_where_it_is_one(write_dx, elements, spacing, source):
    image = read_image_header(write_dx(**elements))
    assert (image.spacing_mm, image.spacing_source) == (spacing, source)


@pytest.mark.parametrize(
    ("stated", "kind", "spacing"), [([0.2, 0.2], b"DS", (0.2, 0.2)), ([0.25], b"DS", None), ([0.25], b"FD", None)]
)
def test_spacing_of_all_frames_is_taken_from_functional_groups(write_dx, stated, kind, spacing):
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing = stated
    shared.PixelMeasuresSequence = [measures]
    path = write_dx(SharedFunctionalGroupsSequence=[shared])
    head = b"\x28\x00\x30\x00"
    assert path.read_bytes().count(head + b"DS") == 1
    path.write_bytes(path.read_bytes().replace(head + b"DS", head + kind))  # four bytes are no float of eight
    assert read_image_header(path).spacing_mm == spacing


def test_a_sequence_that_is_cut_short_stops_no_scan(write_dx):
    shared = Dataset()
    shared.PixelMeasuresSequence = [Dataset()]
    path = write_dx(SharedFunctionalGroupsSequence=[shared], ImagerPixelSpacing=[0.1, 0.1])
    written = path.read_bytes()
    at = written.index(b"\x00\x52\x29\x92SQ\x00\x00")
    length = int.from_bytes(written[at + 8 : at + 12], "little")
    path.write_bytes(
        written[: at + 8] + (6).to_bytes(4, "little") + written[at + 12 : at + 18] + written[at + 12 + length :]
    )
    assert read_image_header(path).spacing_mm == (0.1, 0.1)


@pytest.mark.parametrize(
    ("elements", "age"),
    [
        pytest.param({"PatientAge": "045Y"}, 45.0, id="years"),
        pytest.param({"PatientAge": "018M"}, 1.5, id="months"),
        pytest.param({"PatientAge": "010W"}, 70 / 365.25, id="weeks"),
        pytest.param({"PatientAge": "003D"}, 3 / 365.25, id="days"),
        pytest.param({"PatientAge": "58"}, 58.0, id="RSNA's bare number"),
        pytest.param({"PatientBirthDate": "19900601", "StudyDate": "20200601"}, 30.0, id="from dates"),
        pytest.param({"PatientAge": "old", "PatientBirthDate": "19900601"}, 30.0, id="dates mend a bad age"),
        pytest.param({"PatientAge": "999Y"}, None, id="too old"),
        pytest.param({"PatientBirthDate": "20300101"}, None, id="born after the study"),
        pytest.param({"PatientBirthDate": "19901399"}, None, id="no such date"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_age_is_stated_or_counted_or_not_known(write_dx, elements, age):
    assert read_image_header(write_dx(**elements)).age_years == (age if age is None else pytest.approx(age, abs=0.01))


@pytest.mark.parametrize(
    ("sex", "read"),
    [("F", "F"), ("m", "M"), ("O", "O"), ("female", None), ("", None)],
    ids=["F", "lower case", "other", "a word", "blank"],
)
def test_sex_is_one_of_three_or_not_known(write_dx, sex, read):
    assert read_image_header(write_dx(PatientSex=sex)).sex == read


def test_the_character_set_is_honoured(write_dx):
    image = read_image_header(write_dx(SpecificCharacterSet="ISO_IR 192", Manufacturer="Röntgen-Müller 株式会社"))
    assert image.manufacturer == "Röntgen-Müller 株式会社"


def test_an_unknown_character_set_does_not_stop_the_reading(write_dx):
    assert read_image_header(write_dx(SpecificCharacterSet="KLINGON")).patient_id == "P1"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        pytest.param(b"0.14\\0.15", b"0.1x\\NaN ", id="spacing of letters"),
        pytest.param(b"0.14\\0.15", b"9e999\\1.0", id="infinite spacing"),
        pytest.param(b"20200601", b"\xff\xfe\x00\x01\x02\x03\x04\x05", id="binary date"),
        pytest.param(b"045Y", b"\x00\x00\x00\x00", id="zeros for an age"),
        pytest.param(b"ISO_IR 100", b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89", id="binary character set"),
    ],
)
def test_rubbish_reads_as_not_known(write_dx, good, bad):
    path = write_dx(PixelSpacing=[0.14, 0.15], PatientAge="045Y", PatientBirthDate="")
    content = path.read_bytes()
    assert good in content
    path.write_bytes(content.replace(good, bad))
    image = read_image_header(path)
    assert image.rows == 8
    if b"0.14" in good:
        assert image.spacing_mm is None


def test_a_file_without_preamble_is_read(write_dx):
    path = write_dx()
    path.write_bytes(path.read_bytes()[132:])
    assert read_image_header(path).sop_instance_uid == "1.2.3.4"


def test_a_bare_dataset_without_meta_information_is_read(write_dx, tmp_path):
    content = write_dx().read_bytes()
    bare = tmp_path / "bare"
    bare.write_bytes(content[content.index(b"\x08\x00\x05\x00CS") :])
    assert read_image_header(bare).study_instance_uid == "1.2.3"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"FINDINGS: The lungs are clear. " * 20, "not a DICOM file", id="text"),
        pytest.param(b"\x08\x00 is a short text", "not a DICOM file", id="text that starts like a tag"),
        pytest.param(b"\0" * 128 + b"DICM", "SOPClassUID", id="preamble only"),
        pytest.param(b"\0" * 128 + b"DICM" + b"\xff" * 300, "SOPClassUID|cannot be read", id="preamble and noise"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\0" * 300, "not a DICOM file", id="PNG"),
    ],
)
def test_a_file_that_only_is_named_dicom_is_refused_with_its_name(tmp_path, content, sentence):
    path = tmp_path / "picture.dcm"
    path.write_bytes(content)
    with pytest.raises(DicomError, match=sentence) as refused:
        read_image_header(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG1_J2KR.dcm"])
def test_a_truncated_file_is_refused(tmp_path, name, share):
    content = Path(get_testdata_file(name)).read_bytes()
    path = tmp_path / "cut.dcm"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DicomError, match="truncated"):
        read_image_header(path)


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "SOPInstanceUID", "StudyInstanceUID", "PixelData"])
def test_what_an_image_cannot_be_without_is_named(write_dx, keyword):
    named = "pixel data" if keyword == "PixelData" else keyword
    with pytest.raises(DicomError, match=named):
        read_image_header(write_dx(**{keyword: None}))


def test_an_image_without_any_identifier_is_a_study_by_its_file_meta_information(write_dx):
    """VinDr-CXR is published so: its de-identification removes both UIDs from the data set."""
    image = read_image_header(write_dx(SOPInstanceUID=None, StudyInstanceUID=None))
    assert (image.sop_instance_uid, image.study_instance_uid) == ("1.2.3.4", "1.2.3.4")  # as write_dx names it there


@pytest.mark.parametrize(
    ("elements", "word"),
    [
        pytest.param({"PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING", id="intent"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, "FOR PROCESSING", id="class for processing"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "CT Image Storage", id="CT"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}, "Basic Text SR", id="report"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "US"}, "US", id="captured ultrasound"),
    ],
)
def test_other_objects_are_left_out_by_rule(write_dx, elements, word):
    path = write_dx(**elements)
    found = inspect_file(path)
    assert isinstance(found, Exclusion)
    assert not found.failed
    assert word in found.reason
    with pytest.raises(DicomError, match=word):
        read_image_header(path)


def test_reasons_hold_neither_path_nor_identifiers(tmp_path):
    path = tmp_path / "Doe^Jane.dcm"
    path.write_bytes(b"no dicom at all, and long enough to be looked at")
    found = inspect_file(path)
    assert isinstance(found, Exclusion)
    assert found.failed
    assert "Doe" not in found.reason
    assert found.source == str(path)


def test_a_deflated_file_is_read():
    found = inspect_file(Path(get_testdata_file("image_dfl.dcm")))
    assert isinstance(found, Image)
    assert (found.rows, found.columns) == (512, 512)


def test_pydicom_is_left_as_it_was_found(write_dx):
    before = (config.settings.reading_validation_mode, logging.getLogger("pydicom").level)
    read_image_header(write_dx())
    assert (config.settings.reading_validation_mode, logging.getLogger("pydicom").level) == before


def test_a_value_that_does_not_conform_reaches_neither_warnings_nor_logs(write_dx, caplog):
    """pydicom warns and logs "Invalid value for VR ...: 'Doe Jane'": a patient's name in the log of a run."""
    path = write_dx(StudyInstanceUID="Doe Jane", PatientSex="Doe Jane", PatientAge="Doe Jane")
    caplog.clear()  # what writing the file logged
    with caplog.at_level(logging.DEBUG):
        read_image_header(path)
    assert "Doe" not in caplog.text
