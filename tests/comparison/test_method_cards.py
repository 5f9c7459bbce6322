"""The cards of a comparison's methods, and the tables of the check of methods."""

import pytest
from made_up_comparison import DIFFERENCE, make_comparison
from made_up_rare_pages import compared_over

from audit.experiments.comparison_tables import as_markdown
from reports.comparison_page import comparison_tables, render_comparison
from reports.comparison_record import ComparisonRecord
from reports.method_cards import method_cards
from reports.score_catalogue import SCORES, UNIFORM_WORDS, UNTRAINED, WORDS_ON_FINDING, mean_heat_name, untrained_name


def facts_of(record: ComparisonRecord, method: str) -> dict[str, str]:
    return next(dict(card.facts) for card in method_cards(record) if card.name == method)


@pytest.fixture
def record() -> ComparisonRecord:
    made = make_comparison(scored=True)
    words = [
        made.scores[0].model_copy(
            update={"method": method, "score": WORDS_ON_FINDING, "kind": "words", "estimate": estimate}
            | {"is_reference": method != "m2ib", "to_reference": None}
        )
        for method, estimate in (("m2ib", 0.31), (UNIFORM_WORDS, 0.12), (UNTRAINED, 0.05))
    ]
    return made.model_copy(update={"scores": (*made.scores, *words)})


def test_a_card_says_what_a_method_is_and_costs_and_how_it_does_beside_the_best_blind_map(record) -> None:
    first, second = method_cards(record)  # the third refuses the model
    assert (first.name, second.name) == ("M2IB", "NIB")
    assert first.about.startswith("Information bottleneck")
    facts = facts_of(record, "M2IB")
    assert facts["Cost per pair"] == "0.50 s, with words 0.70 s"
    assert facts["Pointing game"] == (
        "0.40 (0.30 to 0.50); better than the best blind map, centre of the image: +0.20 (0.10 to 0.30)"
    )


def test_a_method_whose_difference_may_be_0_is_not_called_better(record) -> None:
    unclear = DIFFERENCE.model_copy(update={"low": -0.1})
    scores = tuple(
        score.model_copy(update={"to_reference": unclear}) if score.to_reference else score for score in record.scores
    )
    facts = facts_of(record.model_copy(update={"scores": scores}), "NIB")
    assert "; not shown to be better than the best blind map, centre of the image: +0.20 (" in facts["Pointing game"]


def test_a_card_has_the_references_that_are_made_from_its_own_method(record) -> None:
    references = tuple(
        record.scores[0].model_copy(
            update={"method": name, "is_reference": True, "to_reference": None, "estimate": 0.3}
        )
        for name in (mean_heat_name("m2ib"), mean_heat_name("nib"), untrained_name("m2ib"))
    )
    compared = record.model_copy(update={"scores": (*record.scores, *references)})
    own = "; mean heat on other images 0.30; untrained bottleneck 0.30"
    assert facts_of(compared, "M2IB")["Pointing game"] == facts_of(record, "M2IB")["Pointing game"] + own
    assert facts_of(compared, "NIB")["Pointing game"].count("mean heat") == 1


def test_a_card_has_the_word_scores_beside_uniform_and_untrained_words(record) -> None:
    assert facts_of(record, "M2IB")[SCORES[WORDS_ON_FINDING].label] == (
        "0.31 (0.30 to 0.50); Uniform words 0.12; Untrained bottleneck 0.05"
    )
    assert SCORES[WORDS_ON_FINDING].label not in facts_of(record, "NIB")


def test_a_card_has_the_verdict_on_each_tower_with_its_figures(record) -> None:
    facts = facts_of(record, "M2IB")
    assert facts["Image tower randomised"] == (
        "passes: SSIM 0.20 (0.10 to 0.30), below that of random pairs, 0.25 (0.10 to 0.30); the intervals overlap"
    )
    assert facts["Text tower randomised"] == (
        "fails: SSIM 0.60 (0.50 to 0.70), not below that of random pairs, 0.25 (0.10 to 0.30)"
    )
    assert facts["Moved by 2 px"] == (
        "SSIM 0.60 (0.50 to 0.70); rank correlation \N{EN DASH}; peaks 0.20 (0.10 to 0.30) px apart"
    )
    assert facts["Max-sensitivity"] == "0.20 (0.10 to 0.30)"
    assert not any("tower" in name for name in facts_of(record, "NIB"))  # which was not checked


def test_the_page_and_the_markdown_have_every_stage_and_the_rule(record) -> None:
    tables = {table.key: table for table in comparison_tables(record)}
    randomised = tables["randomised"]
    assert randomised.columns == (
        "Random pairs of maps, SSIM",
        "Image tower, 1 of 2 blocks",
        "Image tower, 2 of 2 blocks",
        "Text tower, 1 of 2 blocks",
        "Text tower, 2 of 2 blocks",
        "Image tower, result",
        "Text tower, result",
    )
    (row,) = randomised.rows
    assert [cell.text for cell in row.cells] == ["0.25", "0.20", "0.20", "0.60", "0.60", "passes", "fails"]
    assert "Arun et al. 2021" in randomised.note
    assert len(tables["repeated"].columns) == len(tables["repeated"].rows[0].cells) == 10
    assert randomised.note in as_markdown(record)
    page = render_comparison(record)
    assert "Heat under a randomised model" in page
    assert "was not checked" not in page
    assert "add --sanity 20" in render_comparison(record.model_copy(update={"sanity": ()}))


def test_a_comparison_of_version_0_1_0_has_no_check_and_is_still_read(record) -> None:
    older = record.model_dump(mode="json", exclude={"sanity"})
    assert ComparisonRecord.model_validate(older).sanity == ()


def test_a_comparison_on_few_patients_says_that_they_are_few() -> None:
    page = render_comparison(compared_over(patients=4))
    said = "4 patients: too few to say whether"
    assert f"{said} a method beats the best blind map" in page
    assert f"{said} it is better than the best blind map" in page
    for words in ("significantly beat", "not shown to be better", "; better than the best blind map"):
        assert words not in page
