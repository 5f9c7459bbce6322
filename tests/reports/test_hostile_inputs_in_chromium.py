"""Hostile words in every header, report and box, through a whole run: on the pages they are words, and nothing runs."""

import csv
from pathlib import Path

import pytest
from pydicom import dcmread
from run_configs import run_config

from audit.execution.run import run
from pipelines.phantom.cohort import make_cohort

MEGABYTE = "nodule " * 150_000
MOST_OF_A_REPORT = 40_000  # characters; a longer one is refused by a sentence of its own
WORDS = [
    pytest.param("<script>window.hacked=1;alert(1)</script>", id="script"),
    pytest.param("</script><script>window.hacked=1</script>", id="end of script"),
    pytest.param('"><img src=x onerror=window.hacked=1>', id="event handler"),
    pytest.param("javascript:window.hacked=1", id="address"),
    pytest.param("\u202eleft\u2066 RTL \u200f", id="right to left"),
    pytest.param(MEGABYTE, id="a megabyte"),
]


def spoil(folder: Path, words: str) -> None:
    """Put ``words`` wherever a file of the cohort holds text that is not needed to read it."""
    kept = {"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PhotometricInterpretation"}
    kept |= {"Modality", "ViewPosition", "SpecificCharacterSet", "BodyPartExamined", "TransferSyntaxUID"}
    most = {"SH": 16}
    for path in (folder / "dicom").rglob("*.dcm"):
        dataset = dcmread(path)
        for element in dataset:
            if element.VR in {"LO", "SH", "PN", "LT", "ST", "UT", "UC"} and element.keyword not in kept:
                element.value = words[: most.get(element.VR, 60)]
        for keyword in ("StudyDescription", "SeriesDescription", "Manufacturer", "PatientName", "InstitutionName"):
            setattr(dataset, keyword, words[:60])
        dataset.PatientComments = words[:10_000]
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.save_as(path)
    for path in (folder / "reports").rglob("*.txt"):
        said = words[:MOST_OF_A_REPORT]
        path.write_text(f"FINDINGS: There is a left {said} nodule. Right pleural effusion. {said}", encoding="utf-8")
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (folder / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], "phrase"])
        writer.writeheader()
        for number, row in enumerate(rows):
            label = words if number % 2 else row["label"]
            writer.writerow(row | {"label": label, "reader": words, "phrase": words})


@pytest.mark.filterwarnings("ignore:a phrase of .* words is longer than the model's context")
@pytest.mark.filterwarnings("ignore:The number of PN components")  # of what the test itself writes
@pytest.mark.parametrize("words", WORDS)
def test_nothing_that_is_written_in_the_inputs_runs_on_the_pages(tmp_path: Path, open_page, words: str) -> None:
    make_cohort(tmp_path / "cohort", count=1, seed=4, columns=160)
    spoil(tmp_path / "cohort", words)
    result = run(
        run_config(
            dicom_dir=tmp_path / "cohort" / "dicom",
            reports=tmp_path / "cohort" / "reports",
            boxes=(tmp_path / "cohort" / "boxes.csv",),
            out=tmp_path / "out",
            model="phantom",
            device="cpu",
            steps=2,
            samples=2,
            controls=0,
        )
    )
    page = open_page(result.page)
    assert page.locator("a.study-link").count() == 1
    assert page.evaluate("window.hacked") is None
    (study,) = (tmp_path / "out" / "studies").iterdir()
    page = open_page(study / "index.html")
    page.wait_for_selector(".reading[data-ready]", state="attached")
    assert page.locator(".card").count() >= 1
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.querySelectorAll('main script, main img[onerror], [onload]').length") == 0
