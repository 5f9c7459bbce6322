"""A real archive: phantoms are stored, pulled, audited, and their results found beside them."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from orthanc import Orthanc
from pydicom import dcmread
from pydicom.dataset import FileDataset
from typer.testing import CliRunner, Result

from audit.cli import app
from pipelines.images.scan import scan_folder

WAYS = {
    "dicomweb": ("dicomweb", {}),
    "c-get": ("dimse", {"retrieve": "get"}),
    "c-move": ("dimse", {"retrieve": "move"}),
}
DAY = "2026-01-01"


def lead(orthanc: Orthanc, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment that leads to the archive."""
    name, more = WAYS[way]
    for key, value in getattr(orthanc, name)(**more).items():
        monkeypatch.setenv(key, value)


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def pulled(folder: Path) -> dict[str, FileDataset]:
    return {str(d.SOPInstanceUID): d for d in map(dcmread, sorted(folder.glob("*/*/*.dcm")))}


@pytest.mark.parametrize("way", WAYS)
def test_pulled_films_are_the_originals_in_their_own_encoding(
    orthanc: Orthanc, cohort: Path, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(orthanc, way, monkeypatch)
    done = call("pull", "--into", tmp_path / "in", "--from", DAY)
    assert done.exit_code == 0, done.output
    assert "4 instances fetched, 0 existed already, 0 failed" in done.stderr
    originals = {str(d.SOPInstanceUID): d for d in map(dcmread, (cohort / "dicom").iterdir())}
    found = pulled(tmp_path / "in")
    assert found == originals
    assert Counter(d.file_meta.TransferSyntaxUID for d in found.values()) == Counter(
        d.file_meta.TransferSyntaxUID for d in originals.values()
    )
    assert not (tmp_path / "in" / "pull-failures.csv").exists()
    assert len(scan_folder(tmp_path / "in").images) == 4


@pytest.mark.parametrize("way", WAYS)
def test_a_pull_that_was_cut_short_fetches_what_is_missing_and_no_more(
    orthanc: Orthanc, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(orthanc, way, monkeypatch)
    into = tmp_path / "in"
    call("pull", "--into", into, "--from", DAY)
    whole = {path: path.read_bytes() for path in into.glob("*/*/*.dcm")}
    lost, cut, other, kept = sorted(whole)
    lost.unlink()
    cut.write_bytes(whole[cut][:-100])
    other.write_bytes(whole[kept])
    left = kept.with_name(f"{kept.name}.part")
    left.write_bytes(b"half")
    before = kept.stat().st_mtime_ns
    done = call("pull", "--into", into, "--from", DAY)
    assert "3 instances fetched, 1 existed already, 0 failed" in done.stderr
    assert {path: path.read_bytes() for path in into.glob("*/*/*")} == whole
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("way", ["dicomweb", pytest.param("c-get", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("words", "count"),
    [
        pytest.param(["--from", "2025-12-31", "--to", "20260102"], 4, id="days around"),
        pytest.param(["--from", "2025-12-01", "--to", "2025-12-31"], 0, id="days before"),
        pytest.param(["--from", DAY, "--modality", "CR"], 0, id="another modality"),
        pytest.param(["--from", DAY, "--modality", "cr", "--modality", "dx"], 4, id="two modalities"),
        pytest.param(["--from", DAY, "--body-part", "hand"], 0, id="another part"),
        pytest.param(["--from", DAY, "--body-part", "Chest"], 4, id="the part"),
    ],
)
def test_films_are_chosen_by_day_modality_and_part(
    orthanc: Orthanc, way: str, words: list[str], count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(orthanc, way, monkeypatch)
    done = call("pull", "--into", tmp_path, *words)
    assert done.exit_code == 0, done.output
    assert len(pulled(tmp_path)) == count


def test_a_blank_part_is_taken_unless_named_parts_are_asked_for(
    orthanc: Orthanc, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(orthanc, "dicomweb", monkeypatch)
    orthanc.clear()
    for path, part in zip(sorted((cohort / "dicom").iterdir()), ("CHEST", "", "HAND", "CHEST AP"), strict=True):
        film = dcmread(path)
        film.BodyPartExamined = part
        film.save_as(tmp_path / "film.dcm")
        orthanc.ask("/instances", (tmp_path / "film.dcm").read_bytes(), "POST")
    words = ["--from", DAY, "--body-part", "CHEST"]
    call("pull", "--into", tmp_path / "any", *words)
    call("pull", "--into", tmp_path / "named", *words, "--named-part")
    parts = [{d.BodyPartExamined for d in pulled(tmp_path / name).values()} for name in ("any", "named")]
    assert parts == [{"CHEST", "", "CHEST AP"}, {"CHEST", "CHEST AP"}]


@pytest.mark.parametrize("way", ["dicomweb", pytest.param("c-get", marks=pytest.mark.slow)])
def test_results_lie_beside_the_originals_once_however_often_they_are_pushed(
    orthanc: Orthanc, cohort: Path, audited: Path, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(orthanc, way, monkeypatch)
    before = orthanc.files()
    first = call("push", audited, "--dicom-dir", cohort / "dicom")
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("2 studies sent: ")
    once = orthanc.files()
    assert call("push", audited, "--dicom-dir", cohort / "dicom").exit_code == 0
    assert orthanc.files() == once
    assert before.items() <= once.items()
    films = {str(d.StudyInstanceUID): d for d in map(dcmread, (cohort / "dicom").iterdir())}
    by_study: dict[str, Counter[str]] = {}
    for uid in once.keys() - before.keys():
        (tmp_path / "one.dcm").write_bytes(once[uid])
        result = dcmread(tmp_path / "one.dcm")
        film = films[str(result.StudyInstanceUID)]
        assert (result.PatientID, result.PatientName) == (film.PatientID, film.PatientName)
        by_study.setdefault(str(result.StudyInstanceUID), Counter())[result.Modality] += 1
    assert len(by_study) == 2
    for counts in by_study.values():
        assert counts == {"OT": counts["OT"], "PR": counts["OT"], "SEG": 1, "SR": 1}
        assert counts["OT"] >= 1


def test_a_pull_after_a_push_brings_no_result_of_our_own(
    orthanc: Orthanc, cohort: Path, audited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(orthanc, "dicomweb", monkeypatch)
    call("push", audited, "--dicom-dir", cohort / "dicom")
    done = call("pull", "--into", tmp_path, "--from", DAY, "--modality", "DX", "--modality", "OT", "--with-reports")
    assert done.exit_code == 0, done.output
    assert {d.Modality for d in pulled(tmp_path).values()} == {"DX"}


@pytest.mark.parametrize("way", ["dicomweb", "c-get", pytest.param("c-move", marks=pytest.mark.slow)])
def test_radiologists_structured_reports_come_along_when_asked(
    orthanc: Orthanc, cohort: Path, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = dcmread(next((cohort / "dicom").iterdir()))
    report = basic_text_report(film)
    report.save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    orthanc.ask("/instances", (tmp_path / "sr.dcm").read_bytes(), "POST")
    lead(orthanc, way, monkeypatch)
    call("pull", "--into", tmp_path / "without", "--from", DAY)
    call("pull", "--into", tmp_path / "with", "--from", DAY, "--with-reports")
    came = pulled(tmp_path / "with").keys() - pulled(tmp_path / "without").keys()
    assert came == {report.SOPInstanceUID}


def basic_text_report(film: FileDataset) -> FileDataset:
    """A report as a radiology system writes it."""
    report = dcmread_copy(film)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    report.SeriesInstanceUID = "1.2.3.5"
    report.Modality, report.Manufacturer = "SR", "Another Maker"
    for keyword in ("PixelData", "Rows", "Columns", "BodyPartExamined"):
        delattr(report, keyword)
    return report


def dcmread_copy(film: FileDataset) -> FileDataset:
    film.decompress() if film.file_meta.TransferSyntaxUID.is_compressed else None
    return film


@pytest.mark.parametrize("command", ["pull", "push"])
def test_wrong_credentials_give_one_sentence_without_them(
    orthanc: Orthanc, cohort: Path, audited: Path, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(orthanc, "dicomweb", monkeypatch)
    monkeypatch.setenv("M2IB_AUDIT_DICOMWEB_PASSWORD", "no-such-secret")
    words = {
        "pull": ["pull", "--into", tmp_path / "in", "--from", DAY],
        "push": ["push", audited, "--dicom-dir", cohort / "dicom"],
    }
    done = call(*words[command])
    assert done.exit_code == 1
    assert done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    assert "refuses the credentials: set user and password, or token (HTTP 401)" in sentence
    assert "no-such-secret" not in sentence


def test_an_archive_that_does_not_know_the_title_says_so_in_one_sentence(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(orthanc, "c-get", monkeypatch)
    monkeypatch.setenv("M2IB_AUDIT_DIMSE_AE_TITLE", "ANOTHER")
    done = call("pull", "--into", tmp_path / "in", "--from", DAY)
    assert done.exit_code == 1
    (sentence,) = done.stderr.splitlines()
    assert "ANOTHER at 127.0.0.1" in sentence
    assert "does not accept M2IB-AUDIT" in sentence


def test_a_move_to_an_unknown_destination_is_listed_with_its_mend(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(orthanc, "c-move", monkeypatch)
    monkeypatch.setenv("M2IB_AUDIT_DIMSE_OWN_AE_TITLE", "NOBODY")
    done = call("pull", "--into", tmp_path / "in", "--from", DAY)
    assert done.exit_code == 3
    assert "0 instances fetched, 0 existed already, 4 failed" in done.stderr
    rows = list(csv.DictReader((tmp_path / "in" / "pull-failures.csv").read_text().splitlines()))
    assert len(rows) == 4
    assert all("did not send it" in row["reason"] and row["instance"] for row in rows)
    monkeypatch.setenv("M2IB_AUDIT_DIMSE_OWN_AE_TITLE", "M2IB-AUDIT")
    again = call("pull", "--into", tmp_path / "in", "--from", DAY)
    assert again.exit_code == 0, again.output
    assert not (tmp_path / "in" / "pull-failures.csv").exists()


def test_pulled_films_are_audited_and_their_results_found_in_the_archive(
    orthanc: Orthanc, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(orthanc, "c-get", monkeypatch)
    original = cohort / "dicom" / "phantom-00003.dcm"
    orthanc.clear()
    orthanc.ask("/instances", original.read_bytes(), "POST")
    call("pull", "--into", tmp_path / "in", "--from", DAY)
    film = dcmread(original, stop_before_pixels=True)
    report = tmp_path / f"{film.SOPInstanceUID}.txt"  # phantoms' reports join by their images' names
    report.write_text((cohort / "reports" / "phantom-00003.txt").read_text())
    run = call(
        "run", "--dicom-dir", tmp_path / "in", "--reports", report, "--model", "phantom",
        "--controls", "0", "--device", "cpu", "--out", tmp_path / "OUT",
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    pushed = call("push", tmp_path / "OUT", "--dicom-dir", tmp_path / "in", "--kind", "seg", "--kind", "sr")
    assert pushed.exit_code == 0, pushed.output
    assert pushed.stdout.strip() == "1 study sent: 1 seg, 1 sr"
    assert len(orthanc.files()) == 3
