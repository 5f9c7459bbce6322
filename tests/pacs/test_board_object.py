"""The document for a board in the archive: a valid object, of no patient, the same when it is pushed again."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from made_up_board import board_run
from making import SALT
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from audit.pacs.pushing import PushSettings, push
from audit.privacy.pseudonyms import SALT_VARIABLE
from reports.dicom_out import encapsulated_pdf

PDF = b"%PDF-1.7 of an odd length"


def wrapped(pdf: bytes = PDF, secret: bytes = b"a salt") -> Dataset:
    return encapsulated_pdf(pdf, board_run(), title="Audit of phantom", secret=secret)


def read_back(dataset: Dataset) -> Dataset:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return dcmread(stream)


def test_the_validator_finds_no_error(tmp_path: Path, dciodvfy: Callable[[Path], list[str]]) -> None:
    path = tmp_path / "board.dcm"
    wrapped().save_as(path, enforce_file_format=True)
    assert dciodvfy(path) == []


def test_the_document_is_in_it_byte_for_byte_and_of_no_patient() -> None:
    found = read_back(wrapped())
    assert found.EncapsulatedDocument[: found.EncapsulatedDocumentLength] == PDF
    assert found.SOPClassUID == EncapsulatedPDFStorage
    assert (found.PatientID, found.PatientBirthDate, found.QualityControlSubject) == ("M2IB-AUDIT", "", "YES")


def test_the_same_document_is_the_same_object_and_another_is_another_of_the_same_study() -> None:
    one, again, changed, other_salt = wrapped(), wrapped(), wrapped(PDF + b"!"), wrapped(secret=b"another")
    assert one == again
    assert one.SOPInstanceUID != changed.SOPInstanceUID
    assert one.StudyInstanceUID == changed.StudyInstanceUID
    assert one.StudyInstanceUID != other_salt.StudyInstanceUID


def test_it_is_pushed_with_the_results_where_that_is_asked_for(
    audited: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SALT_VARIABLE, SALT)
    settings = PushSettings(out=audited, dicom_dir=cohort / "dicom", kinds=frozenset(), to_folder=tmp_path, board=True)
    pushed = push(settings, None)
    assert (pushed.documents, pushed.failed) == (1, [])
    found = dcmread(tmp_path / "board.dcm")
    assert found.EncapsulatedDocument.startswith(b"%PDF-")
    assert push(PushSettings(out=audited, dicom_dir=cohort / "dicom", kinds=frozenset()), None).documents == 0
