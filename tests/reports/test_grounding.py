"""What a study's page says of the images with regions erased."""

import pytest
from made_up_pages import erased_study, scored_against_others

from reports.study_page import render_study

OWN_BOXES = "the regions that were erased are those of the run"


@pytest.mark.parametrize("of_run", [True, False], ids=["in a run", "alone"])
def test_regions_erased_for_the_runs_own_boxes_are_not_shown_for_others(of_run: bool) -> None:
    made, run = erased_study()
    others, _ = scored_against_others(made, run)
    own, other = (
        render_study(each.record, heats=each.heats, pictures=each.pictures, run=run if of_run else None)
        for each in (made, others)
    )
    assert own.count("Marked region erased") == 2
    assert OWN_BOXES not in own
    assert ("Reliance on the region" in own) is of_run
    for said in ("Marked region erased", "Equal area erased", "Reliance on the region", "without the marked region"):
        assert said not in other
    assert other.count(OWN_BOXES) == other.count("with a blank image") == own.count("with a blank image") == 3
