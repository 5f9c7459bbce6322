"""What pages say of findings that reports deny: a card without heat, a row for each finding, and counts."""

import pytest
from made_up_absence import denying, run_with_denials
from made_up_cohort import make_cohort
from made_up_records import make_study

from reports.absence import absence_rows, absence_summary, absent_views
from reports.cohort_page import render_cohort
from reports.study_page import render_study


def test_the_page_of_a_normal_study_has_a_card_without_heat() -> None:
    made = denying(0.1)
    page = render_study(made.record, heats=made.heats, pictures=made.pictures, run=run_with_denials())
    assert "The report names nothing abnormal. 1 absent phrase on 1 image, without heat." in page
    assert page.count('class="absent-card"') == 1
    assert "No pneumothorax &lt;b&gt;." in page
    assert "The assertion fits 75\u202f% of 8 images of other patients with the finding better than this one." in page
    assert 'class="card' not in page


@pytest.mark.parametrize(
    ("asserted", "short", "outcome"),
    [
        (0.1, "denial preferred", "hit"),
        (0.9, "assertion preferred", "miss"),
        (0.4, "not told apart", "unscored"),
        (float("nan"), "not told apart", "unscored"),
        (None, "not scored", "unscored"),
    ],
)
def test_a_card_says_which_sentence_fits_better(asserted: float | None, short: str, outcome: str) -> None:
    record = denying(asserted).record
    (view,) = absent_views(record.images[0], record, None)
    assert (view.short, view.outcome) == (short, outcome)


def test_a_study_with_findings_shows_what_it_denies_after_its_phrases() -> None:
    made = denying(0.1, normal=False)
    page = render_study(made.record, heats=made.heats, pictures=made.pictures)
    assert 0 < page.index('id="phrase-0-0"') < page.index('class="absent-card"')


def test_the_page_over_all_studies_has_a_section_with_counts_and_a_row_for_each_finding() -> None:
    run = run_with_denials()
    assert [row.finding for row in absence_rows(run)] == ["", "pneumothorax"]
    page = render_cohort(run, [denying(0.1).record])
    summary = "Without any abnormal finding in the report: 12 studies. Denied findings: 40 absent phrases, tested"
    assert summary in str(absence_summary(run))
    assert summary in page
    assert 'id="absence-title"' in page
    assert "Prefers the denial" not in page  # of the tests of present phrases


def test_a_run_of_an_older_version_has_no_such_section() -> None:
    run = make_cohort(1).run
    assert (absence_rows(run), absence_summary(run)) == ((), None)
    assert 'id="absence-title"' not in render_cohort(run, [make_study().record])
