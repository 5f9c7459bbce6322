"""What pages say of recognition, reliance and localisation, of a phrase and of each finding."""

import re
from dataclasses import replace

import pytest
from made_up_cases import answered_run, with_differences
from made_up_pages import erased_study, scored_against_others

from reports.cohort_page import render_cohort
from reports.grounding import (
    grounding_rows,
    grounding_summary,
    recall_sentence,
    recognised,
    recognises,
    sample_sentence,
)
from reports.reliance import Falls, erased_view, relies_on_region
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
    assert own.count('<figure class="region">') == 5
    assert OWN_BOXES not in own
    assert ("Reliance on the region" in own) is of_run
    for said in ("<figure", "Reliance on the region", "without the marked region"):
        assert said not in other
    assert other.count(OWN_BOXES) == other.count("with a blank image") == own.count("with a blank image") == 6


@pytest.mark.parametrize(("sd", "shown"), [(0.2, True), (2e-6, True), (1e-6, False), (float("nan"), False)])
def test_reliance_in_units_of_rounding_is_not_shown(sd: float, shown: bool) -> None:
    made, run = erased_study()
    changed = run.model_copy(update={"cosine_sd": sd})
    page = render_study(made.record, heats=made.heats, pictures=made.pictures, run=changed)
    assert "the cosine falls by" in page
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


def test_a_run_of_which_only_a_part_was_compared_says_so_on_its_page() -> None:
    run = answered_run()
    assert sample_sentence(run) is None
    all_compared = run.counts | {"images audited": 2000, "images compared": 2000}
    assert sample_sentence(run.model_copy(update={"counts": all_compared})) is None
    large = run.model_copy(update={"counts": all_compared | {"images audited": 5000}})
    sentence = sample_sentence(large)
    assert sentence is not None
    said = sentence.replace(chr(160), " ").replace(chr(0x202F), " ")
    assert said.startswith("Of the 5,000 images of this run, 2,000 images were drawn by their keys")
    assert sentence in render_cohort(large, [])


@pytest.mark.parametrize(
    ("region", "elsewhere", "relies"),
    [
        (0.2, (0.1, 0.15), True),
        (0.2, (0.1, 0.25), None),  # more than on average, not more than at each place
        (0.2, (0.2, 0.2), False),
        (-0.1, (-0.2, -0.3), True),  # the cosine rises less
        (0.1 + 1e-7, (0.1,), False),  # rounding
    ],
)
def test_a_phrase_relies_on_its_region_if_no_other_place_costs_as_much(region, elsewhere, relies) -> None:
    assert relies_on_region(Falls(region=region, elsewhere=elsewhere)) is relies


@pytest.mark.parametrize(
    ("region", "elsewhere", "said"),
    [
        (0.2, (0.1,), "falls by 0.20, more than without each of 1 place of equal area elsewhere (0.10 on average)"),
        (
            0.2,
            (-0.1,),
            "falls by 0.20; without each of 1 place of equal area elsewhere it falls less or rises",
        ),
        (-0.1, (-0.2,), "rises by 0.10, less than without each of 1 place of equal area elsewhere (rise of 0.20"),
        (-0.1, (0.05, -0.35), "rises by 0.10, less than without an equal area elsewhere on average (rise of 0.15"),
        (0.1, (0.2, -0.3), "falls by 0.10, more than without an equal area elsewhere on average (rise of 0.05"),
        (-0.2, (-0.1,), "rises by 0.20, no less than without an equal area elsewhere (rise of 0.10"),
        (-0.2, (0.1,), "rises by 0.20; without an equal area elsewhere it falls by 0.10"),
        (0.1, (0.2,), "falls by 0.10, no more than without an equal area elsewhere (0.20"),
    ],
)
def test_a_rise_of_the_cosine_is_no_fall_by_less_than_nothing(region, elsewhere, said) -> None:
    made, _ = erased_study()
    phrase = made.record.images[0].phrases[0]
    assert phrase.erased is not None
    cosines = {"region": phrase.cosine - region, "elsewhere": tuple(phrase.cosine - fall for fall in elsewhere)}
    changed = replace(phrase, erased=phrase.erased.model_copy(update=cosines))
    view = erased_view(changed, made.pictures, sd=None, study="a", has_own_boxes=True)
    assert view is not None
    assert said in view.lead
    assert "\N{MINUS SIGN}" not in view.lead


@pytest.mark.parametrize(
    ("test", "answer"),
    [
        (None, None),
        (PhraseTest(), None),
        (PhraseTest(percentile=0.95), True),
        (PhraseTest(percentile=0.95, beats_negation=0.0, beats_other_side=0.0), True),
        (PhraseTest(percentile=0.7), None),
        (PhraseTest(percentile=0.4, beats_negation=1.0), False),
        (PhraseTest(beats_negation=0.0), None),
    ],
)
def test_a_phrase_is_recognised_by_the_rank_that_the_table_shows(test: PhraseTest | None, answer: bool | None) -> None:
    assert recognises(test) is answer


def test_each_finding_is_answered_yes_no_or_not_known() -> None:
    def answers(run) -> dict[str, str]:
        return {row.finding: "".join(cell.answer[0] for cell in row.cells) for row in grounding_rows(run)}

    run = answered_run()
    # Without a reference, and on few patients, nothing is known; an interval that holds chance is a no.
    assert answers(run) == {"": "yyu", "pleural effusion": "yyu", "nodule": "nnu", "pneumothorax": "uuu"}
    assert {answer[2] for answer in answers(with_differences(run, 0.1)).values()} == {"y", "u"}
    assert {answer[2] for answer in answers(with_differences(run, -0.1)).values()} == {"n", "u"}
    assert {answer[2] for answer in answers(with_differences(run, 0.1, patients=4)).values()} == {"u"}
    assert {answer[2] for answer in answers(with_differences(run, -0.1, reference="another reader")).values()} == {"u"}
    assert grounding_summary(grounding_rows(with_differences(run, 0.1))) == (
        "Of 3 findings, the model recognises 1, relies on the marked region for 1 and its heat localises 2; "
        "all three hold for 1. Not every answer is known for 1 finding."
    )
    assert grounding_summary(()) is None


def test_the_table_has_a_mark_a_word_and_an_interval_for_each_answer() -> None:
    page = render_cohort(with_differences(answered_run(), 0.1), [])
    table = re.search(r'<table class="plain grounding sortable">.*?</table>', page, re.DOTALL).group()
    assert re.findall(r"<bdi>([^<]*)</bdi></th>", table) == [
        "all phrases",
        "pleural effusion",
        "nodule",
        "pneumothorax",
    ]
    assert table.count('<svg class="mark') == 12
    assert len(re.findall(r"</svg>\s*(?:yes|no|not known)</span>", table)) == 12
    assert "0.85 to 1.05" in table
    assert "4 patients: too few to say" in table
    assert table.count("data-sort=") == 4
