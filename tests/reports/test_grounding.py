"""What a study's page says of the images with regions erased."""

import pytest
from made_up_pages import erased_study, scored_against_others

from reports.grounding import recall_sentence, recognised
from reports.run_record import CosineTest, Estimate, PhraseTest
from reports.score_catalogue import RECALL
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


@pytest.mark.parametrize(("sd", "shown"), [(0.2, True), (2e-6, True), (1e-6, False), (float("nan"), False)])
def test_reliance_in_units_of_rounding_is_not_shown(sd: float, shown: bool) -> None:
    made, run = erased_study()
    changed = run.model_copy(update={"cosine_sd": sd})
    page = render_study(made.record, heats=made.heats, pictures=made.pictures, run=changed)
    assert "The cosine falls by" in page
    assert ("Reliance on the region" in page) is shown


def test_what_a_share_is_of_is_stated() -> None:
    made, run = erased_study()
    (image,) = made.record.images
    tests = (PhraseTest(percentile=1.0, images=1), PhraseTest(percentile=0.5, images=1200), PhraseTest(percentile=0.5))
    said = [recognised(phrase, test) for phrase, test in zip(image.phrases, tests, strict=False)]
    said = [each.replace(chr(160), " ").replace(chr(0x202F), " ") for each in said]
    assert said[0] == "Cosine 0.31: ranks this image above 100 % of 1 image of other patients without the finding."
    assert "50 % of 1,200 images of other patients" in said[1]
    assert "50 % of the images of other patients" in said[2]
    result = Estimate(estimate=0.5, low=0.4, high=0.6, cases=2000, patients=1500)
    recalls = tuple(
        CosineTest(kind="recognition", test=RECALL.format(rank), finding=None, result=result, chance=0.01)
        for rank in (1, 5, 10)
    )
    recall = recall_sentence(run.model_copy(update={"cosine_tests": recalls}))
    assert recall.startswith("Of 2,000 images of 1,500 patients, each compared with its own report")
