"""Images that appear mirrored or rotated are named on their study's page, and listed on the cohort page."""

import pytest
from made_up_cohort import make_cohort
from made_up_records import EFFUSION, make_study

from pipelines.study import Orientation
from reports.cohort_page import render_cohort
from reports.study_page import render_study

TITLE = "Images that appear mirrored or rotated"


@pytest.mark.parametrize(
    ("lies", "said"),
    [
        (Orientation.MIRRORED, "appears to be mirrored left to right"),
        (Orientation.ROTATED_270, "appears to be rotated by 90 degrees counterclockwise"),
        (Orientation.UPRIGHT, "says that this image is flipped left to right, but it appears not to be"),
    ],
)
def test_a_study_page_says_how_an_image_appears(lies: Orientation, said: str) -> None:
    made = make_study("a", (EFFUSION,), lies=lies)
    page = render_study(made.record, heats=made.heats, pictures=made.pictures)
    assert said in page


def test_a_page_says_nothing_of_an_image_that_lies_as_it_should_or_of_which_it_is_not_known() -> None:
    made = make_study("a", (EFFUSION,))
    assert 'class="image-warning"' not in render_study(made.record, heats=made.heats, pictures=made.pictures)
    assert TITLE not in render_cohort(make_cohort(1).run, [made.record])


def test_the_cohort_page_lists_every_image_that_appears_turned_with_its_page() -> None:
    studies = [
        make_study("aa", (EFFUSION,)).record,
        make_study("bb", (EFFUSION,), (EFFUSION,), lies=Orientation.MIRRORED).record,
        make_study("cc", (EFFUSION,), lies=Orientation.ROTATED_180).record,
    ]
    page = render_cohort(make_cohort(1).run, studies)
    listed = page[page.index('id="turned-title"') : page.index('id="studies-title"')]
    assert listed.count("<li>") == 3
    assert listed.count("studies/bb/index.html") == 2
    assert "image 2: mirrored left to right" in listed
    assert "image 1: rotated by 180 degrees" in listed
    assert "studies/aa/" not in listed
