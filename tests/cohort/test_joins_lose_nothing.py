"""Whatever the order of the files: each joins the same, nothing is lost or met twice, and no two issuers are mixed."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_image import made_up_image

from pipelines.cohort import Cohort, match
from pipelines.study import Exclusion, Image, Report
from pipelines.text.joining import join_reports
from pipelines.text.reports import ReportTable

IMAGE = made_up_image("dicom/image.dcm", sop_instance_uid="1.2.1.1", study_instance_uid="1.2.1", accession_number="A1")
ISSUERS = ["", "North", "South"]
NUMBERS = ["", "A1", "A2"]
STUDIES = ["1.1", "1.2", "1.3"]


TEXTS = ["Left pleural effusion.", "Nodule.", "The lungs are clear."]  # some say the same, one gives nothing to audit
STEMS = [None, "x", "y", "1.1", "1.9.0", "A1"]

# Few numbers, names and folders, so that they collide. Plain values: the run-time check of types draws at random when a
# Report is made, which hypothesis does not allow within a strategy.
ImageValues = tuple[str, str, str, str, str]
ReportValues = tuple[str | None, str | None, str | None, str | None, str]
image_values = st.lists(st.tuples(*map(st.sampled_from, (STUDIES, NUMBERS, ISSUERS, "xyz", "xyz"))), max_size=6)
report_values = st.lists(
    st.tuples(*map(st.sampled_from, ([None, None, *STUDIES, "1.4"], [None, *NUMBERS], [None, *ISSUERS], STEMS, TEXTS))),
    max_size=6,
)


def many_images(values: list[ImageValues]) -> list[Image]:
    return [
        replace(
            IMAGE,
            path=Path(f"dicom/{folder}/{index}/{stem}.dcm")
            if index % 2
            else Path(f"dicom/{index}/{folder}/{stem}.dcm"),
            sop_instance_uid=f"1.9.{index}",
            study_instance_uid=study,
            accession_number=number,
            accession_issuer=issuer,
        )
        for index, (study, number, issuer, stem, folder) in enumerate(values)
    ]


def many_reports(values: list[ReportValues]) -> list[Report]:
    return [
        Report(
            source=f"reports/{index}.txt",
            text=text,
            study_instance_uid=study,
            accession_number=number,
            accession_issuer=issuer,
            stem=stem,
        )
        for index, (study, number, issuer, stem, text) in enumerate(values)
    ]


def matched(images: list[Image], reports: list[Report]) -> Cohort:
    return match(images, ReportTable(reports=tuple(reports), left_out=()))


def joins(cohort: Cohort) -> set[tuple[str, str, str, frozenset[Path]]]:
    return {
        (
            study.study_instance_uid,
            study.report.source,
            study.report_joined_by,
            frozenset(case.image.path for case in study.cases),
        )
        for study in cohort.studies
    }


@given(images=image_values, reports=report_values, seed=st.integers(0, 99))
def test_the_order_of_files_changes_no_join(images: list[ImageValues], reports: list[ReportValues], seed: int) -> None:
    films, texts = many_images(images), many_reports(reports)
    cohort = matched(films, texts)
    order = random.Random(seed)
    shuffled = matched(order.sample(films, len(films)), order.sample(texts, len(texts)))
    assert joins(shuffled) == joins(cohort)
    assert set(shuffled.left_out) == set(cohort.left_out)
    assert shuffled.joins == cohort.joins


@given(images=image_values, reports=report_values)
def test_every_image_and_report_takes_part_or_is_listed_once(
    images: list[ImageValues], reports: list[ReportValues]
) -> None:
    films, texts = many_images(images), many_reports(reports)
    cohort = matched(films, texts)
    taking_part = [study.report.source for study in cohort.studies]
    taking_part += [str(case.image.path) for study in cohort.studies for case in study.cases]
    met = Counter(taking_part + [left.source for left in cohort.left_out])
    assert met == Counter([str(image.path) for image in films] + [report.source for report in texts])
    assert all(left.reason for left in cohort.left_out)


@given(images=image_values, reports=report_values)
def test_no_report_joins_the_accession_number_of_another_issuer(
    images: list[ImageValues], reports: list[ReportValues]
) -> None:
    films, texts = many_images(images), many_reports(reports)
    cohort = matched(films, texts)
    for study in cohort.studies:
        if not study.report_joined_by.startswith("AccessionNumber"):
            continue
        own, number = study.report.accession_issuer or "", study.report.accession_number
        holders = {
            (image.study_instance_uid, image.accession_issuer) for image in films if image.accession_number == number
        }
        if study.report_joined_by == "AccessionNumber and issuer":
            assert own
            assert {uid for uid, issuer in holders if issuer == own} == {study.study_instance_uid}
        else:
            assert {uid for uid, _ in holders} == {study.study_instance_uid}
            assert not own or "" in {issuer for _, issuer in holders}


def accessions(*issuers: str) -> dict[str, list[Image]]:
    """Studies 1.1, 1.2, ... that have one accession number from these issuers."""
    return {
        f"1.{index}": [replace(IMAGE, study_instance_uid=f"1.{index}", accession_issuer=issuer)]
        for index, issuer in enumerate(issuers, start=1)
    }


def numbered(issuer: str | None, source: str = "r.txt") -> Report:
    return Report(source=source, text=f"Nodule in {source}.", accession_number="A1", accession_issuer=issuer)


@pytest.mark.parametrize(
    ("of_images", "of_report", "joined"),
    [
        (["North", "South"], "South", {"1.2": "AccessionNumber and issuer"}),
        (["North", "South"], " SOUTH ", {"1.2": "AccessionNumber and issuer"}),
        (["North", ""], "North", {"1.1": "AccessionNumber and issuer"}),
        (["North"], None, {"1.1": "AccessionNumber"}),
        ([""], "North", {"1.1": "AccessionNumber"}),
        ([""], None, {"1.1": "AccessionNumber"}),
        (["North", "South"], None, "does not state the issuer"),
        (["South", ""], "North", "one of their issuers is unknown"),
        (["South"], "North", "of another issuer"),
        (["North", "North"], "North", "number and issuer match 2 studies"),
    ],
    ids=str,
)
def test_a_number_joins_within_its_issuer_or_where_it_is_one_of_a_kind(
    of_images: list[str], of_report: str | None, joined: dict[str, str] | str
) -> None:
    found = join_reports(accessions(*of_images), [numbered(of_report)])
    if isinstance(joined, str):
        [left] = found.left_out
        assert (found.by_study, left.failed) == ({}, True)
        assert joined in left.reason
        assert "give the report a StudyInstanceUID" in left.reason
    else:
        assert {uid: each.by for uid, each in found.by_study.items()} == joined
        assert found.left_out == ()


def test_reports_of_two_issuers_share_no_study_even_where_they_say_the_same() -> None:
    reports = [replace(numbered(issuer, f"{issuer}.txt"), text="Nodule.") for issuer in ("North", "South")]
    found = join_reports(accessions(""), reports)
    assert (found.by_study, found.ambiguous) == ({}, {"1.1"})
    assert [left.source for left in found.left_out] == ["North.txt", "South.txt"]
    assert all("several issuers" in left.reason and left.failed for left in found.left_out)


@pytest.mark.parametrize("failed", [False, True], ids=["by rule", "failed"])
def test_a_report_of_a_file_that_is_left_out_falls_with_it(failed: bool) -> None:
    leg = Exclusion(source="dicom/leg.dcm", stage="header", reason="a leg", failed=failed)
    reports = [Report(source=f"{stem}.txt", text="Nodule.", stem=stem) for stem in ("leg", "arm")]
    of_leg, of_arm = join_reports(accessions(""), reports, [leg]).left_out
    assert (of_leg.failed, "is not audited" in of_leg.reason) == (failed, True)
    assert (of_arm.failed, "no image has the report's name" in of_arm.reason) == (True, True)


def test_a_file_name_comes_before_a_folder_and_each_is_named() -> None:
    studies = {
        "1.1": [replace(IMAGE, study_instance_uid="1.1", path=Path("dicom/b/a.dcm"))],
        "1.2": [replace(IMAGE, study_instance_uid="1.2", path=Path("dicom/c/b.dcm"))],
    }
    reports = [Report(source=f"{stem}.txt", text=stem, stem=stem) for stem in ("b", "c", "a")]
    found = join_reports(studies, reports)
    assert {left.source for left in found.left_out} == {"b.txt", "c.txt"}  # b is 1.2 by its file, c by its folder
    assert {uid: (each.report.stem, each.by) for uid, each in found.by_study.items()} == {"1.1": ("a", "file name")}
    by_folder = join_reports(studies, reports[1:])
    assert {uid: each.by for uid, each in by_folder.by_study.items()} == {"1.2": "folder", "1.1": "file name"}
