"""Images, reports and boxes join by what they say of themselves; the rest is listed with its reason."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_image import made_up_image

from pipelines.boxes import BoxRow, BoxTable
from pipelines.cohort import Cohort, join
from pipelines.errors import CohortError
from pipelines.study import Box, Context, Image, Report
from pipelines.text.reports import ReportTable

TEXT = "FINDINGS: Left pleural effusion. No pneumothorax."
IMAGE = made_up_image(
    "dicom/study1/im1.dcm", sop_instance_uid="1.2.1.1", study_instance_uid="1.2.1", accession_number="A1"
)
OTHER = replace(
    IMAGE,
    path=Path("dicom/study2/im2.dcm"),
    sop_instance_uid="1.2.2.1",
    study_instance_uid="1.2.2",
    accession_number="A2",
)
BOX = Box(x=10, y=20, width=30, height=40, label="pleural effusion")


def table(*reports: Report) -> ReportTable:
    return ReportTable(reports=reports, left_out=())


def report(source: str = "r.csv row 2", text: str = TEXT, **keys: str) -> Report:
    return Report(source=source, text=text, **keys)


def boxes(*rows: BoxRow) -> BoxTable:
    return BoxTable(rows=rows, left_out=())


def row(image: str, box: Box = BOX, frame: tuple[int, int] | None = None, source: str = "boxes.csv row 7") -> BoxRow:
    return BoxRow(image=image, box=box, frame=frame, source=source)


def joined_boxes(cohort: Cohort) -> dict[str, tuple[Box, ...]]:
    return {case.image.sop_instance_uid: case.boxes for study in cohort.studies for case in study.cases}


@pytest.mark.parametrize(
    ("keys", "joined_by"),
    [
        ({"study_instance_uid": "1.2.1", "accession_number": "A2", "stem": "im2"}, "StudyInstanceUID"),
        ({"accession_number": "A1", "stem": "im2"}, "AccessionNumber"),
        ({"accession_number": "unknown", "stem": "im1"}, "file name"),
        ({"stem": "im1"}, "file name"),
        ({"stem": "IM1"}, "file name"),
        ({"stem": "study1"}, "folder"),
        ({"stem": "1.2.1"}, "file name"),
        ({"stem": "1.2.1.1"}, "file name"),
        ({"stem": "A1"}, "file name"),
    ],
    ids=str,
)
def test_a_report_joins_by_its_strongest_key(keys: dict[str, str], joined_by: str) -> None:
    cohort = join([IMAGE, OTHER], table(report(**keys)))
    (study,) = cohort.studies
    assert (study.study_instance_uid, study.report_joined_by) == ("1.2.1", joined_by)


def test_a_mimic_study_number_joins_its_folder() -> None:
    image = replace(IMAGE, path=Path("files/p10/p10000032/s50414267/02aa.dcm"))
    for stem in ("s50414267", "50414267"):
        assert len(join([image], table(report(stem=stem))).studies) == 1


def test_several_images_of_a_study_are_cases_of_one_report() -> None:
    lateral = replace(IMAGE, sop_instance_uid="1.2.1.2", path=Path("dicom/study1/im9.dcm"))
    (study,) = join([IMAGE, lateral], table(report(stem="study1"))).studies
    assert [case.image for case in study.cases] == [IMAGE, lateral]


def test_what_a_report_denies_is_kept_apart_from_what_it_affirms() -> None:
    (study,) = join([IMAGE], table(report(stem="im1"))).studies
    assert {phrase.context for phrase in study.cases[0].phrases} == {Context.PRESENT}
    assert {phrase.context for phrase in study.cases[0].absent} == {Context.ABSENT}


def test_a_study_whose_report_names_nothing_abnormal_takes_part() -> None:
    text = "The lungs are clear. No pneumothorax. No acute cardiopulmonary process."
    cohort = join([IMAGE], table(report(text=text, stem="im1")))
    ((case,),) = (study.cases for study in cohort.studies)
    assert (case.phrases, cohort.left_out) == ((), ())
    assert [phrase.finding for phrase in case.absent] == [
        "pneumothorax",
        "lung opacity",
        "acute cardiopulmonary abnormality",
    ]


def test_a_box_of_a_denied_finding_refutes_the_denial() -> None:
    drawn = boxes(row("im1", replace(BOX, label="pneumothorax")))
    (study,) = join([IMAGE], table(report(text="No pneumothorax. No effusion.", stem="im1")), drawn).studies
    assert [phrase.finding for phrase in study.cases[0].absent] == ["pleural effusion"]


def test_two_different_reports_leave_their_study_out_and_no_other() -> None:
    first, second = report("a.txt", stem="im1"), report("b.txt", "Nodule.", stem="study1")
    cohort = join([IMAGE, OTHER], table(first, second, report("c.txt", stem="im2")))
    assert [study.study_instance_uid for study in cohort.studies] == ["1.2.2"]
    *reports, image = cohort.left_out
    assert [(left.source, left.failed) for left in reports] == [("a.txt", True), ("b.txt", True)]
    assert (image.source, image.failed) == (str(IMAGE.path), True)
    for left in reports:
        assert "a.txt, b.txt" in left.reason
        assert "keep the one" in left.reason


def test_two_reports_that_say_the_same_count_as_one() -> None:
    cohort = join([IMAGE], table(report("a.txt", stem="im1"), report("b.txt", TEXT + "\n", stem="study1")))
    [(study, left)] = zip(cohort.studies, cohort.left_out, strict=True)
    assert (study.report.source, left.source, left.failed) == ("a.txt", "b.txt", False)
    assert "identical report" in left.reason


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"study_instance_uid": "9.9", "stem": "im1"}, ["StudyInstanceUID", "DICOM"]),
        ({"accession_number": "ZZ"}, ["accession number", "DICOM"]),
        ({"stem": "elsewhere"}, ["name", "DICOM"]),
        ({"stem": "shared"}, ["fits 2 studies", "StudyInstanceUID"]),
    ],
    ids=["unknown UID", "unknown accession", "unknown name", "name of two studies"],
)
def test_a_report_without_one_image_is_listed_and_never_guessed(keys: dict[str, str], words: list[str]) -> None:
    images = [replace(image, path=Path("shared") / image.path.name) for image in (IMAGE, OTHER)]
    cohort = join(images, table(report(stem="im2"), report("orphan.txt", **keys)))
    orphan = next(left for left in cohort.left_out if left.source == "orphan.txt")
    assert orphan.failed
    assert [word for word in words if word not in orphan.reason] == []
    assert [study.study_instance_uid for study in cohort.studies] == ["1.2.2"]


def test_a_study_without_report_is_listed_with_its_mend() -> None:
    (left,) = join([IMAGE, OTHER], table(report(stem="im1"))).left_out
    assert (left.source, left.failed) == (str(OTHER.path), True)
    assert "no report belongs to this study" in left.reason
    assert "give its report" in left.reason


def test_a_report_without_known_finding_leaves_its_study_out_by_rule() -> None:
    cohort = join([IMAGE, OTHER], table(report(stem="im1"), report("n.txt", "Mild scoliosis.", stem="im2")))
    assert [(left.source, left.failed) for left in cohort.left_out] == [("n.txt", False), (str(OTHER.path), False)]
    assert all("neither name nor deny" in left.reason for left in cohort.left_out)


@pytest.mark.parametrize(
    ("images", "reports", "match"),
    [
        ([], table(report(stem="im1")), r"0 images, 1 reports and 0 boxes: give --dicom-dir"),
        ([IMAGE], table(), r"1 images, 0 reports and 0 boxes: give --reports"),
        ([IMAGE], table(report(stem="x")), "no report joined a study; name each report file"),
        ([IMAGE], table(report(text="Scoliosis.", stem="im1")), "1 reports joined .* neither name nor deny"),
        ([IMAGE], table(report(stem="im1"), report(text="Mass.", stem="im1")), "several different reports"),
    ],
    ids=["no image", "no report", "nothing joins", "no finding", "two reports"],
)
def test_nothing_to_audit_says_what_was_seen_and_the_mend(
    images: list[Image], reports: ReportTable, match: str
) -> None:
    with pytest.raises(CohortError, match=match):
        join(images, reports)


@pytest.mark.parametrize(
    "reference",
    [
        *("1.2.1.1", "im1", "im1.png", "study1/im1.dcm", "/data/dicom/study1/im1.dcm", "dicom\\study1\\im1.dcm"),
        *("study1_im1", "dicom_study1_im1", "Study1_IM1.png"),
    ],
)
def test_a_box_joins_its_image(reference: str) -> None:
    cohort = join([IMAGE, OTHER], table(report(stem="im1"), report(stem="im2")), boxes(row(reference)))
    assert joined_boxes(cohort) == {"1.2.1.1": (BOX,), "1.2.2.1": ()}
    assert cohort.left_out == ()


def test_folders_decide_where_two_images_have_one_name() -> None:
    twins = [replace(image, path=image.path.with_name("im.dcm")) for image in (IMAGE, OTHER)]
    reports = table(report(stem="study1"), report(stem="study2"))
    cohort = join(twins, reports, boxes(row("study2/im.dcm"), row("im", source="boxes.csv row 8")))
    assert joined_boxes(cohort) == {"1.2.1.1": (), "1.2.2.1": (BOX,)}
    (left,) = cohort.left_out
    assert left.failed
    assert "boxes.csv row 8: 2 images have the name" in left.reason


def test_folders_written_into_one_name_decide_too_and_only_whole() -> None:
    twins = [replace(image, path=Path(f"p{n}/study1/view1.dcm")) for n, image in enumerate((IMAGE, OTHER), start=1)]
    reports = table(report(accession_number="A1"), report(source="r.csv row 3", accession_number="A2"))
    placed = boxes(row("p2_study1_view1"), row("study1_view1", source="row 3"), row("p12_study1_view1", source="row 4"))
    cohort = join(twins, reports, placed)
    assert joined_boxes(cohort) == {"1.2.1.1": (), "1.2.2.1": (BOX,)}
    assert [left.reason[:24] for left in cohort.left_out] == ["row 3: 2 images have the", "row 4: no audited image "]


def test_boxes_in_folders_that_no_image_lies_in_say_so() -> None:
    twins = [replace(image, path=image.path.with_name("im.dcm")) for image in (IMAGE, OTHER)]
    reports = table(report(stem="study1"), report(stem="study2"))
    (left,) = join(twins, reports, boxes(row("elsewhere/study2/im.dcm"))).left_out
    assert "boxes.csv row 7: the images of this name are in other folders than the boxes say" in left.reason
    assert left.failed


def test_a_name_that_the_box_file_uses_in_two_folders_needs_its_folder() -> None:
    cohort = join([IMAGE], table(report(stem="im1")), boxes(row("study1/im1.dcm"), row("study5/im1.dcm")))
    assert joined_boxes(cohort) == {"1.2.1.1": (BOX,)}
    assert [left.failed for left in cohort.left_out] == [False]


def test_boxes_of_other_images_are_listed_once_for_each_image() -> None:
    others = [row("im7", source=f"boxes.csv row {number}") for number in range(3, 10)]
    cohort = join([IMAGE], table(report(stem="im1")), boxes(row("im1"), *others))
    (left,) = cohort.left_out
    assert not left.failed
    assert "boxes.csv row 3" in left.reason
    assert "and 2 more: no audited image" in left.reason


def test_boxes_of_which_none_joins_are_a_failure() -> None:
    (left,) = join([IMAGE], table(report(stem="im1")), boxes(row("im7"))).left_out
    assert left.failed


def test_a_box_is_rescaled_from_its_frame() -> None:
    box = Box(x=5, y=10, width=20, height=30, label="nodule", reader="R", phrase="p")
    cohort = join([IMAGE], table(report(stem="im1")), boxes(row("im1", box, frame=(50, 400))))
    assert joined_boxes(cohort)["1.2.1.1"] == (replace(box, x=2.5, y=20, width=10, height=60),)


def test_a_box_over_the_edge_is_clipped_and_noted() -> None:
    cohort = join([IMAGE], table(report(stem="im1")), boxes(row("im1", replace(BOX, x=-10, y=80))))
    assert joined_boxes(cohort)["1.2.1.1"] == (replace(BOX, x=0, y=80, width=20, height=20),)
    (note,) = cohort.left_out
    assert not note.failed
    assert "x -10 to 20, y 80 to 120) extends past the edge of its image of 200 x 100 px" in note.reason


def test_an_overhang_of_rounding_is_clipped_without_a_word() -> None:
    cohort = join([IMAGE], table(report(stem="im1")), boxes(row("im1", replace(BOX, y=60.6))))
    assert cohort.left_out == ()
    assert joined_boxes(cohort)["1.2.1.1"][0].height == pytest.approx(39.4)


def test_a_box_outside_its_image_is_a_failure_that_names_row_box_and_size() -> None:
    cohort = join([IMAGE], table(report(stem="im1")), boxes(row("im1", replace(BOX, x=500))))
    assert joined_boxes(cohort) == {"1.2.1.1": ()}
    (left,) = cohort.left_out
    assert left.failed
    for words in ("boxes.csv row 7", "x 500 to 530", "200 x 100 px", "correct the box"):
        assert words in left.reason


@given(x=st.floats(-300, 300), y=st.floats(-300, 300), width=st.floats(0.01, 500), height=st.floats(0.01, 500))
@settings(deadline=None)
def test_a_placed_box_lies_inside_its_image_and_inside_what_was_drawn(
    x: float, y: float, width: float, height: float
) -> None:
    drawn = Box(x=x, y=y, width=width, height=height, label="nodule")
    cohort = join([IMAGE], table(report(stem="im1")), boxes(row("im1", drawn)))
    for box in joined_boxes(cohort)["1.2.1.1"]:
        assert max(0, x) <= box.x
        assert max(0, y) <= box.y
        assert box.x + box.width <= min(200, x + width) + 1e-9
        assert box.y + box.height <= min(100, y + height) + 1e-9
        assert min(box.width, box.height) > 0


def test_what_the_readers_left_out_is_kept() -> None:
    lost = join([IMAGE], table(report(stem="x"), report(stem="im1"))).left_out
    again = join([IMAGE], ReportTable(reports=(report(stem="im1"),), left_out=lost)).left_out
    assert again == lost
