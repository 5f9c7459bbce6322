"""The whole report, the sentences not put to the model and the run's verdict have a place on a study's page."""

from made_up_cohort import make_cohort
from made_up_pages import made_up_report
from made_up_records import make_study
from playwright.sync_api import expect

from reports.record import StudyRecord
from reports.run_record import VerdictRecord
from reports.study_page import render_study

VERDICT = VerdictRecord(method="m2ib", verdict="not better than a blind map", because=("one",), rule="A rule. 1. Few.")


def test_report_and_sentences_not_put_to_the_model_are_shown(open_page) -> None:
    made = make_study()
    record = made.record.model_copy(update={"report": made_up_report()})
    page = open_page(render_study(record, heats=made.heats, pictures=made.pictures))
    assert page.locator(".report-text").inner_text() == record.report.text  # markup in it stays text
    rows = page.locator(".not-put tbody tr")
    assert [row.inner_text().split("\t") for row in rows.all()] == [
        ["No pneumothorax.", "pneumothorax", "absent"],
        ["Old rib fractures.", "pneumothorax", "historical"],
        ["Small effusion.", "pneumothorax", "present"],
    ]


def test_the_verdict_on_the_run_is_named_and_leads_to_what_it_rests_on(open_page) -> None:
    made, run = make_study(), make_cohort(1, verdicts=(VERDICT,)).run
    page = open_page(render_study(made.record, heats=made.heats, pictures=made.pictures, run=run))
    section = page.locator(".background")
    expect(section).to_contain_text("M2IB: not better than a blind map.")
    assert section.get_by_role("link").get_attribute("href") == "../../index.html#verdict-title"


def test_a_record_of_version_0_1_0_shows_nothing_there(open_page) -> None:
    made = make_study()
    old = made.record.model_dump(mode="json", exclude={"report"})
    record = StudyRecord.model_validate(old)
    page = open_page(render_study(record, heats=made.heats, pictures=made.pictures))
    assert record.report is None
    assert page.locator(".background").count() == 0
