"""Reviewers' answers as DICOM objects: valid, with what each reviewer answered about which result of the model."""

import io
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from making import SALT
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage
from typer.testing import CliRunner

from audit.cli.app import app
from audit.privacy.pseudonyms import SALT_VARIABLE
from audit.review.ledger import LEDGER_NAME, Ledger
from reports.dicom_out import ObjectKind, Result, make_results
from reports.dicom_out.identity import items_within
from reports.results_folder import StudyFolder, valid_of
from reports.review_record import ReviewBox, ReviewEntry, subjects_of

MOMENT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
BOX = ReviewBox(x=10.0, y=20.0, width=30.0, height=40.0)


def answer(study: StudyFolder, *, reviewer: str, phrase: int = 0, **answers: object) -> ReviewEntry:
    given = {"verdict": None, **answers}
    subject = subjects_of(study.record)[phrase]
    return ReviewEntry(id=uuid.uuid4().hex, subject=subject, reviewer=reviewer, moment=MOMENT, **given)


def made_of(
    study: StudyFolder, sources: dict[str, Dataset], answers: list[ReviewEntry], **kinds: frozenset[ObjectKind]
) -> list[Result]:
    valid = {image.key: valid_of(study, image) for image in study.record.images}
    return make_results(study, sources=sources, valid=valid, secret=SALT.encode(), answers=answers, **kinds)


def assessments(results: list[Result]) -> list[Dataset]:
    return [result.dataset for result in results if result.kind is ObjectKind.ASSESSMENT]


def evaluations(report: Dataset) -> list[tuple[str, str]]:
    """Names and values of all codes below the measurements."""
    coded = [
        item for item in items_within(report) if item.get("ValueType") == "CODE" and item.RelationshipType == "CONTAINS"
    ]
    return [
        (item.ConceptNameCodeSequence[0].CodeMeaning, item.ConceptCodeSequence[0].CodeMeaning)
        for item in coded
        if item.ConceptNameCodeSequence[0].CodeMeaning != "Finding"
    ]


@pytest.fixture(scope="module")
def study(studies: list[StudyFolder]) -> StudyFolder:
    return studies[0]


def test_each_reviewer_of_an_image_has_a_valid_report(
    study: StudyFolder, sources: dict[str, Dataset], tmp_path: Path, dciodvfy: Callable[[Path], list[str]]
) -> None:
    given = [
        answer(study, reviewer="AB", verdict="disagree", region_needed="unsure", reasons=("wrong-side", "marker")),
        answer(study, reviewer="CD=^E", verdict="agree", comment="as on the film of last year", boxes=(BOX,)),
        answer(study, reviewer="F", comment="a comment alone"),
        answer(study, reviewer="GH"),  # withdrew what it had answered
    ]
    first, second, third = reports = assessments(made_of(study, sources, given))
    for number, report in enumerate(reports):
        path = tmp_path / f"{number}.dcm"
        report.save_as(path, enforce_file_format=True)
        assert dciodvfy(path) == []
        assert (report.SOPClassUID, report.ContentDate) == (Comprehensive3DSRStorage, "20260506")
        assert report.VerificationFlag == "UNVERIFIED"
    assert evaluations(first) == [
        ("Assessment of the result", "Rejected"),
        ("Is the model expected to need the region?", "Undetermined"),
        ("Reason", "Wrong side"),
        ("Reason", "On a marker or writing"),
    ]
    assert evaluations(second) == [
        ("Assessment of the result", "Accepted"),
        ("Assessment of the result", "Supplemented by a region that the reviewer drew"),
    ]
    said = [item for report in reports for item in items_within(report) if item.get("ValueType") == "TEXT"]
    comments = [item.TextValue for item in said if item.ConceptNameCodeSequence[0].CodeMeaning == "Comment"]
    assert comments == ["as on the film of last year", "a comment alone"]
    observers = [[str(item.PersonName) for item in items_within(report) if "PersonName" in item] for report in reports]
    assert observers == [["AB^"], ["CD E^"], ["F^"]]
    (region,) = [item.GraphicData for item in items_within(second) if "GraphicData" in item]
    assert list(region) == [10, 20, 40, 20, 40, 60, 10, 60, 10, 20]
    assert not any("GraphicData" in item for item in items_within(third))
    assert len({report.SOPInstanceUID for report in reports}) == len({report.InstanceNumber for report in reports}) == 3


def test_an_assessment_refers_to_the_report_that_it_assesses(study: StudyFolder, sources: dict[str, Dataset]) -> None:
    given = [answer(study, reviewer="AB", verdict="partly")]
    made = made_of(study, sources, given)
    (report,) = [result.dataset for result in made if result.kind is ObjectKind.REPORT]
    (assessment,) = assessments(made)
    named = {
        str(instance.ReferencedSOPInstanceUID): instance.ReferencedSOPClassUID
        for instance in items_within(assessment)
        if "ReferencedSOPInstanceUID" in instance
    }
    assert named[str(report.SOPInstanceUID)] == report.SOPClassUID
    tracked = [{str(item.UID) for item in items_within(each) if "UID" in item} for each in (assessment, report)]
    assert tracked[0] <= tracked[1]
    (alone,) = made_of(study, sources, given, kinds=frozenset({ObjectKind.ASSESSMENT}))
    assert alone.dataset.SOPInstanceUID == assessment.SOPInstanceUID
    changed = [given[0].model_copy(update={"id": uuid.uuid4().hex, "verdict": "agree"})]
    assert assessments(made_of(study, sources, changed))[0].SOPInstanceUID != assessment.SOPInstanceUID


def test_answers_are_pushed_only_if_asked_for(
    audited: Path, cohort: Path, study: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SALT_VARIABLE, SALT)
    words = ["push", str(audited), "--dicom-dir", str(cohort / "dicom"), "--kind", "sr", "--index", "none"]
    without = CliRunner().invoke(app, [*words, "--assessments", "--dry-run"])
    assert without.exit_code == 1
    assert "holds no verdicts" in without.output
    with closing(Ledger(audited / LEDGER_NAME)) as ledger:
        ledger.append(answer(study, reviewer="AB", verdict="agree"), now=MOMENT)
        old = answer(study, reviewer="OLD", verdict="agree")
        subject = old.subject.model_copy(update={"audited": MOMENT})
        ledger.append(old.model_copy(update={"subject": subject}), now=MOMENT)
    try:
        plain = CliRunner().invoke(app, [*words, "--to-folder", str(tmp_path / "plain")])
        asked = CliRunner().invoke(app, [*words, "--to-folder", str(tmp_path / "asked"), "--assessments"])
    finally:
        for path in audited.glob(f"{LEDGER_NAME}*"):
            path.unlink()
    assert (plain.exit_code, asked.exit_code) == (0, 0), plain.output + asked.output
    assert "2 studies made and not sent: 2 sr\n" in plain.stdout
    assert "2 studies made and not sent: 2 sr, 1 assessment\n" in asked.stdout
    (path,) = (tmp_path / "asked").rglob("assessment-*.dcm")
    assert "AB^" in {str(item.PersonName) for item in items_within(dcmread(path)) if "PersonName" in item}
    assert io.BytesIO(path.read_bytes()).read(132)[-4:] == b"DICM"
