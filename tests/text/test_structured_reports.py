"""DICOM structured reports give their text under its headings, and measurement groups as sentences."""

from pathlib import Path

import pytest
from highdicom import sr
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from pipelines.study import Context, Phrase, Report, ReportStatus, Side
from pipelines.text.phrases import phrases_of
from pipelines.text.reports import read_reports

BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"
KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"


def code(value: str, meaning: str, scheme: str = "DCM") -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def content(kind: str, name: tuple[str, str], relationship: str = "CONTAINS", **values: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relationship, kind
    item.ConceptNameCodeSequence = code(*name)
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def container(name: tuple[str, str], *items: Dataset) -> Dataset:
    return content("CONTAINER", name, ContinuityOfContent="SEPARATE", ContentSequence=list(items))


def number(name: str, value: str, unit: str) -> Dataset:
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, code(unit, unit, "UCUM")
    return content("NUM", ("1", name), MeasuredValueSequence=[measured])


def write(path: Path, *items: Dataset, sop_class: str = BASIC_TEXT, **values: object) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.9"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyInstanceUID, dataset.AccessionNumber, dataset.Modality = "1.2.3", "A1", "SR"
    dataset.ValueType, dataset.ConceptNameCodeSequence = "CONTAINER", code("126000", "Report")
    dataset.ContentSequence = list(items)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def read(path: Path) -> Report:
    table = read_reports(path)
    assert (len(table.reports), table.left_out) == (1, ())
    return table.reports[0]


@pytest.mark.parametrize("coded", [True, False], ids=["known codes", "meanings only"])
def test_a_basic_text_report_has_its_sections(tmp_path: Path, coded: bool) -> None:
    names = (
        [("121060", "Anamnese"), ("121070", "Befunde"), ("121072", "Beurteilung")]
        if coded
        else [("x1", "History"), ("x2", "Findings"), ("x3", "Impressions")]
    )
    texts = ("Known nodule.", "Épanchement à gauche.", "Effusion.")
    items = [
        container(name, content("TEXT", ("x", "Paragraph"), TextValue=text))
        for name, text in zip(names, texts, strict=True)
    ]
    report = read(write(tmp_path / "r.dcm", *items))
    expected = {True: ("HISTORY", "FINDINGS", "IMPRESSION"), False: ("HISTORY", "FINDINGS", "IMPRESSIONS")}[coded]
    assert report.text == "\n\n".join(f"{title}:\n{text}" for title, text in zip(expected, texts, strict=True))
    assert (report.study_instance_uid, report.accession_number) == ("1.2.3", "A1")


def test_a_measurement_group_is_one_sentence_with_side_and_size(tmp_path: Path) -> None:
    site = content(
        "CODE",
        ("363698007", "Finding Site"),
        "HAS CONCEPT MOD",
        ConceptCodeSequence=code("39607008", "lung", "SCT"),
        ContentSequence=[
            content(
                "CODE",
                ("272741003", "Laterality"),
                "HAS CONCEPT MOD",
                ConceptCodeSequence=code("7771000", "Left", "SCT"),
            )
        ],
    )
    group = container(
        ("125007", "Measurement Group"),
        content("TEXT", ("112039", "Tracking Identifier"), "HAS OBS CONTEXT", TextValue="Lesion 1"),
        content("CODE", ("121071", "Finding"), ConceptCodeSequence=code("27925004", "Nodule", "SCT")),
        site,
        number("Diameter", "12", "mm"),
    )
    report = read(write(tmp_path / "r.dcm", container(("126010", "Imaging Measurements"), group)))
    assert report.text == "Nodule in left lung, Diameter 12 mm."
    assert phrases_of(report.text) == (
        Phrase(text=report.text, section="findings", finding="nodule", context=Context.PRESENT, side=Side.LEFT),
    )


def test_the_study_that_the_evidence_names_comes_before_the_reports_own(tmp_path: Path) -> None:
    evidence = Dataset()
    evidence.StudyInstanceUID = "1.2.77"
    item = content("TEXT", ("121071", "Finding"), TextValue="Mass.")
    path = write(tmp_path / "r.dcm", item, CurrentRequestedProcedureEvidenceSequence=[evidence])
    assert read(path).study_instance_uid == "1.2.77"


def test_the_issuer_of_the_accession_number_is_kept(tmp_path: Path) -> None:
    issuer = Dataset()
    issuer.UniversalEntityID = "2.16.1"
    item = content("TEXT", ("121071", "Finding"), TextValue="Mass.")
    assert read(write(tmp_path / "r", item, IssuerOfAccessionNumberSequence=[issuer])).accession_issuer == "2.16.1"


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"CompletionFlag": "PARTIAL"}, ReportStatus.PRELIMINARY),
        ({"CompletionFlag": "COMPLETE", "PreliminaryFlag": "PRELIMINARY"}, ReportStatus.PRELIMINARY),
        ({"CompletionFlag": "COMPLETE"}, ReportStatus.FINAL),
    ],
    ids=["partial", "preliminary", "complete"],
)
def test_a_structured_report_says_how_far_it_got(
    tmp_path: Path, values: dict[str, object], status: ReportStatus
) -> None:
    item = content("TEXT", ("121071", "Finding"), TextValue="Mass.")
    assert read(write(tmp_path / "r.dcm", item, **values)).status is status


def test_a_later_report_of_the_same_accession_replaces_the_earlier(tmp_path: Path) -> None:
    for name, words, time in (("a", "New mass.", "120000"), ("b", "Old mass.", "110000")):
        item = content("TEXT", ("121071", "Finding"), TextValue=words)
        write(tmp_path / name, item, ContentDate="20240101", ContentTime=time)
    assert [report.text for report in read_reports(tmp_path).reports] == ["FINDINGS:\nNew mass."]


def test_content_nested_without_end_is_cut_and_not_followed(tmp_path: Path) -> None:
    item = content("TEXT", ("121071", "Finding"), TextValue="Deep mass.")
    for _ in range(60):
        item = container(("x", "Level"), item)
    shallow = content("TEXT", ("121071", "Finding"), TextValue="Mass.")
    assert read(write(tmp_path / "r.dcm", shallow, item)).text == "FINDINGS:\nMass."


def test_a_key_object_selection_is_no_report(tmp_path: Path) -> None:
    item = content("TEXT", ("113012", "Key Object Description"), TextValue="Mass.")
    write(tmp_path / "k.dcm", item, sop_class=KEY_OBJECT)
    (tmp_path / "a.txt").write_text("FINDINGS: nodule.", encoding="utf-8")
    assert [report.stem for report in read_reports(tmp_path).reports] == ["a"]


@pytest.mark.parametrize("name", ["reportsi.dcm", "test-SR.dcm"])
def test_a_real_structured_report_is_read(name: str) -> None:
    report = read(Path(str(get_testdata_file(name))))
    assert {"reportsi.dcm": "Enter text", "test-SR.dcm": "Diameter 3 cm"}[name] in report.text


def test_a_measurement_report_that_highdicom_wrote_is_read(tmp_path: Path) -> None:
    image = dcmread(str(get_testdata_file("CT_small.dcm")))
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(uid="1.2.3"),
    )
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=generate_uid(entropy_srcs=["t"]), identifier="Lesion 1"),
        source_images=[
            sr.SourceImageForMeasurementGroup(
                referenced_sop_class_uid=image.SOPClassUID, referenced_sop_instance_uid=image.SOPInstanceUID
            )
        ],
        finding_type=codes.SCT.Nodule,
        finding_sites=[sr.FindingSite(anatomic_location=codes.SCT.Lung, laterality=codes.SCT.Right)],
        measurements=[sr.Measurement(name=codes.SCT.Diameter, value=12.0, unit=codes.UCUM.Millimeter)],
    )
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_person_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=[group],
    )
    written = sr.ComprehensiveSR(
        evidence=[image],
        content=report[0],
        series_number=1,
        series_instance_uid=generate_uid(entropy_srcs=["s"]),
        sop_instance_uid=generate_uid(entropy_srcs=["i"]),
        instance_number=1,
        manufacturer="maker",
    )
    written.save_as(tmp_path / "hd.dcm")
    found = read(tmp_path / "hd.dcm")
    assert found.text == "Nodule in right Lung, Diameter 12.0 mm."
    assert found.study_instance_uid == image.StudyInstanceUID
    assert [(phrase.finding, phrase.side) for phrase in phrases_of(found.text)] == [("nodule", Side.RIGHT)]
