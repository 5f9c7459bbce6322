"""Accession numbers join within their issuer, and images that a report names join it."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_up_image import made_up_image

from pipelines.cohort import join
from pipelines.errors import CohortError
from pipelines.study import Report
from pipelines.text.joining import join_reports
from pipelines.text.reports import ReportTable

IMAGE = made_up_image(
    "dicom/1/7_IM-2263-1001.dcm",
    sop_instance_uid="1.2.1.1",
    study_instance_uid="1.2.1",
    patient_id="",
    accession_number="A1",
    rows=10,
    columns=10,
    accession_issuer="2.16.1",
)
OTHER = replace(
    IMAGE,
    path=Path("dicom/2/8_IM-0001-1001.dcm"),
    sop_instance_uid="1.2.2.1",
    study_instance_uid="1.2.2",
    accession_issuer="2.16.2",
)
STUDIES = {"1.2.1": [IMAGE], "1.2.2": [OTHER]}


def report(**parts: object) -> Report:
    return Report(source="r", text="nodule", **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of_report", "study"),
    [("2.16.1", "1.2.1"), ("2.16.2", "1.2.2"), (None, None), ("2.16.3", None)],
    ids=["first issuer", "second issuer", "no issuer fits both", "another issuer"],
)
def test_an_accession_number_joins_within_its_issuer(of_report: str | None, study: str | None) -> None:
    joined = join_reports(STUDIES, [report(accession_number="A1", accession_issuer=of_report)])
    assert list(joined.by_study) == ([] if study is None else [study])
    assert len(joined.left_out) == (study is None)


def test_another_issuer_is_named_as_the_reason() -> None:
    joined = join_reports(STUDIES, [report(accession_number="A1", accession_issuer="2.16.3", stem="7_IM-2263-1001")])
    assert "another issuer" in joined.left_out[0].reason


def test_an_image_without_an_issuer_contradicts_none() -> None:
    joined = join_reports(
        {"1.2.1": [replace(IMAGE, accession_issuer="")]}, [report(accession_number="A1", accession_issuer="X")]
    )
    assert joined.by_study["1.2.1"].by == "AccessionNumber"


@pytest.mark.parametrize("names", [("7_IM-2263-1001",), ("gone", "1.2.1.1")], ids=["file stem", "SOP Instance UID"])
def test_a_report_joins_by_the_images_it_names(names: tuple[str, ...]) -> None:
    joined = join_reports(STUDIES, [report(stem="CXR7", image_names=names)])
    assert (list(joined.by_study), joined.by_study["1.2.1"].by) == (["1.2.1"], "file name")


def test_a_report_that_names_images_of_two_studies_joins_none() -> None:
    joined = join_reports(STUDIES, [report(image_names=("7_IM-2263-1001", "8_IM-0001-1001"))])
    assert (len(joined.by_study), "fits 2 studies" in joined.left_out[0].reason) == (0, True)


def test_what_is_of_the_past_is_not_put_to_the_model() -> None:
    text = "Prior granulomatous disease. No mass. Unchanged nodule."
    reports = ReportTable(reports=(Report(source="r", text=text, study_instance_uid="1.2.1"),), left_out=())
    (study,) = join([IMAGE], reports).studies
    assert [phrase.finding for phrase in study.cases[0].phrases] == ["nodule"]
    assert [phrase.finding for phrase in study.cases[0].absent] == ["mass"]


def test_a_report_of_the_past_alone_gives_nothing_to_audit() -> None:
    reports = ReportTable(
        reports=(Report(source="r", text="History of mass.", study_instance_uid="1.2.1"),), left_out=()
    )
    with pytest.raises(CohortError, match="neither name nor deny a known finding"):
        join([IMAGE], reports)
