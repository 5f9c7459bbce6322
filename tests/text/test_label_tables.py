"""Labels of public sets become one sentence each, and a radiologist's report comes before them."""

from pathlib import Path

import pytest
from made_up_image import made_up_image

from pipelines.cohort import join
from pipelines.study import Context, Report
from pipelines.text.phrases import phrases_of
from pipelines.text.reports import ReportTable, read_reports

NIH = "Image Index,Finding Labels,Follow-up #,Patient ID\n"
CHEXPERT = "Path,Sex,Cardiomegaly,Edema,Pneumonia,Pneumothorax,Pleural Effusion,Fracture\n"
MIMIC = "subject_id,study_id,Atelectasis,Cardiomegaly,Edema,Fracture,Pneumonia\n"
PADCHEST = "ImageID,StudyID,Report,Labels\n"
VINDR = "image_id,rad_id,Cardiomegaly,Consolidation,Nodule/Mass,Pneumothorax,Pulmonary fibrosis\n"
VINDR_BOXES = "image_id,class_name,rad_id,x_min,y_min,x_max,y_max\n"


def read(folder: Path, text: str) -> tuple[Report, ...]:
    (folder / "labels.csv").write_text(text)
    return read_reports(folder / "labels.csv").reports


def claims(report: Report) -> dict[str | None, Context]:
    return {phrase.finding: phrase.context for phrase in phrases_of(report.text)}


@pytest.mark.parametrize(
    ("text", "stem", "expected"),
    [
        (
            f"{NIH}00000001_000.png,Cardiomegaly|Effusion,0,1\n",
            "00000001_000",
            {"cardiomegaly": Context.PRESENT, "pleural effusion": Context.PRESENT},
        ),
        (f"{NIH}00000002_000.png,No Finding,0,2\n", "00000002_000", {}),
        (
            f"{CHEXPERT}train/patient1/study1/view1_frontal.jpg,Male,1.0,-1.0,,0.0,,\n",
            "view1_frontal",
            {"cardiomegaly": Context.PRESENT, "edema": Context.UNCERTAIN, "pneumothorax": Context.ABSENT},
        ),
        (f"{MIMIC}10000032,50414267,1.0,,,,\n", "50414267", {"atelectasis": Context.PRESENT}),
        (
            f"{PADCHEST}a_b.png,1,cambi,\"['pulmonary fibrosis', 'normal', 'kyphosis']\"\n",
            "a_b",
            {"fibrosis": Context.PRESENT},
        ),
        (
            f"{VINDR}50a4,R1,0,1,0,0,0\n50a4,R2,1,0,0,0,0\n",
            "50a4",
            {
                "cardiomegaly": Context.PRESENT,
                "consolidation": Context.PRESENT,
                "lung lesion": Context.ABSENT,
                "pneumothorax": Context.ABSENT,
                "fibrosis": Context.ABSENT,
            },
        ),
        (
            f"{VINDR_BOXES}50a4,Cardiomegaly,R1,1,2,3,4\n50a4,No finding,R2,,,,\n50a4,Cardiomegaly,R3,1,2,3,5\n",
            "50a4",
            {"cardiomegaly": Context.PRESENT},
        ),
    ],
    ids=["NIH", "nothing found", "CheXpert", "MIMIC", "PadChest", "two readers", "boxes of three readers"],
)
def test_labels_become_sentences(tmp_path: Path, text: str, stem: str, expected: dict[str, Context]) -> None:
    [report] = read(tmp_path, text)
    assert report.stem == stem
    assert report.from_labels
    assert "not a radiologist's report" in report.text
    assert claims(report) == expected


def test_a_table_with_text_is_a_table_of_reports(tmp_path: Path) -> None:
    [report] = read(tmp_path, f"report,{CHEXPERT}Small mass.,a.png,Male,1.0,,,,,\n")
    assert (report.text, report.from_labels) == ("Small mass.", False)


def test_a_bad_row_is_listed_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"{NIH}a.png,Mass,0,1\nb.png,Mass\n")
    found = read_reports(tmp_path / "labels.csv")
    assert len(found.reports) == 1
    assert [item.source.endswith("row 3") for item in found.left_out] == [True]


def test_a_report_is_used_instead_of_the_labels_of_its_study() -> None:
    written = Report(source="a.txt", text="FINDINGS: Nodule.", stem="film")
    labels = Report(source="l.csv row 2", text="FINDINGS: Mass.", stem="film", from_labels=True)
    cohort = join([made_up_image()], ReportTable(reports=(labels, written), left_out=()))
    assert cohort.studies[0].report is written
    assert [(item.source, item.failed) for item in cohort.left_out] == [("l.csv row 2", False)]


def test_folders_of_a_reference_decide_where_images_have_one_name() -> None:
    images = [
        made_up_image(
            f"/data/train/patient{n}/study1/view1_frontal.jpg", sop_instance_uid=f"{n}", study_instance_uid=f"{n}"
        )
        for n in (1, 2)
    ]
    path = "CheXpert-v1.0-small/train/patient2/study1/view1_frontal.jpg"
    report = Report(source="l.csv row 2", text="FINDINGS: Mass.", stem="view1_frontal", image_names=(path,))
    cohort = join(images, ReportTable(reports=(report,), left_out=()))
    assert [study.study_instance_uid for study in cohort.studies] == ["2"]
