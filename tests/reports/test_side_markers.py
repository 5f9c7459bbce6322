"""A side marker that contradicts the header is named on its study's page."""

from dataclasses import replace

import pytest
from made_up_records import EFFUSION, make_study

from pipelines.study import SideMarker
from reports.record import StudyRecord
from reports.study_page import render_study


@pytest.mark.parametrize("flipped", [False, True], ids=["not flipped", "flipped"])
@pytest.mark.parametrize("letter", ["L", "R"])
@pytest.mark.parametrize("at_left", [True, False], ids=["left", "right"])
def test_a_study_page_says_that_a_marker_contradicts_the_header(letter: str, *, at_left: bool, flipped: bool) -> None:
    made = make_study("a", (EFFUSION,))
    marker = SideMarker(letter=letter, at_left=at_left)
    image = replace(made.record.images[0], side_marker=marker, horizontally_flipped=flipped)
    record = made.record.model_copy(update={"images": (image,)})
    page = render_study(record, heats=made.heats, pictures=made.pictures)
    side = "left" if at_left else "right"
    said = f"The side marker {letter} stands on the {side} of the image"
    assert (said in page) is (((letter == "R") == at_left) == flipped)
    assert StudyRecord.model_validate_json(record.model_dump_json()).images[0].side_marker == marker


def test_a_page_says_nothing_where_no_marker_was_read() -> None:
    made = make_study("a", (EFFUSION,))
    assert "The side marker" not in render_study(made.record, heats=made.heats, pictures=made.pictures)
