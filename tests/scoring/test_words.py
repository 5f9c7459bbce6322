"""The kinds of a phrase's words, and the scores of word heat, against sums and ranks by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from audit.metrics.words import (
    NO_FINDING_WORD,
    NO_HEAT,
    NO_OTHER_WORD,
    NO_PLACE_WORD,
    TOO_FEW_WORDS,
    WordKind,
    WordReferences,
    kinds_of_words,
    mean_rank,
    score_words,
    spearman,
)
from reports.score_catalogue import (
    LEAVE_ONE_WORD_OUT,
    UNIFORM_WORDS,
    UNTRAINED,
    WORDS_AS_LEFT_OUT,
    WORDS_ON_FINDING,
    WORDS_ON_OTHERS,
    WORDS_ON_PLACE,
    WORDS_RANK,
)

_F, _P, _O = WordKind.FINDING, WordKind.PLACE, WordKind.OTHER


@pytest.mark.parametrize(
    ("sentence", "finding", "kinds"),
    [
        pytest.param(
            "There is a left lower lobe consolidation.", "consolidation", (_O, _O, _O, _P, _P, _P, _F), id="lobe"
        ),
        pytest.param("Right-sided pleural effusion.", "pleural effusion", (_P, _F, _F), id="two-words-of-a-finding"),
        pytest.param("The heart is enlarged.", "cardiomegaly", (_O, _F, _F, _F), id="a-finding-of-a-clause"),
        pytest.param("Nodule and left effusion.", "nodule", (_F, _O, _P, _O), id="another-finding"),
        pytest.param("Bilateral pneumothoraces.", "pneumothorax", (_P, _F), id="both-sides"),
        pytest.param("L basilar atelectasis", "atelectasis", (_P, _P, _F), id="a-capital-is-a-side"),
        pytest.param("A nodule.", None, (_O, _O), id="no-finding"),
    ],
)
def test_each_word_names_the_finding_or_a_place_or_neither(
    sentence: str, finding: str | None, kinds: tuple[WordKind, ...]
) -> None:
    assert kinds_of_words(sentence, finding, sentence.split()) == kinds


def test_a_word_that_the_tokeniser_writes_otherwise_names_nothing_and_moves_no_other_word() -> None:
    assert kinds_of_words("No left nodule", "nodule", ["n0", "left", "nodule"]) == (_O, _P, _F)


KINDS = (_O, _P, _F, _F)
REFERENCES = WordReferences(
    words=("a", "left", "pleural", "effusion"),
    pieces=(1, 1, 2, 4),
    falls=(-0.1, 0.1, 0.2, 0.7),
    untrained=(5.0, 3.0, 1.0, 1.0),
)


def scores(heat: tuple[float, ...], kinds: tuple[WordKind, ...] = KINDS) -> dict[tuple[str, str], float | str | None]:
    found = score_words(kinds, [("m2ib", heat)], REFERENCES)
    return {(each.method, each.score): each.reason if each.value is None else each.value for each in found}


def test_the_shares_are_sums_over_the_words_of_a_kind() -> None:
    found = scores((4.0, 2.0, 1.0, 3.0))
    assert found["m2ib", WORDS_ON_FINDING] == pytest.approx(0.4)
    assert found["m2ib", WORDS_ON_PLACE] == pytest.approx(0.2)
    assert found["m2ib", WORDS_ON_OTHERS] == pytest.approx(0.4)


def test_the_references_are_scored_on_the_same_words() -> None:
    found = scores((4.0, 2.0, 1.0, 3.0))
    assert found[UNIFORM_WORDS, WORDS_ON_FINDING] == pytest.approx(6 / 8)
    assert found[UNTRAINED, WORDS_ON_FINDING] == pytest.approx(2 / 10)
    assert found[LEAVE_ONE_WORD_OUT, WORDS_ON_FINDING] == pytest.approx(0.9)
    assert found[LEAVE_ONE_WORD_OUT, WORDS_ON_OTHERS] == 0.0
    assert (UNIFORM_WORDS, WORDS_AS_LEFT_OUT) not in found
    assert (LEAVE_ONE_WORD_OUT, WORDS_AS_LEFT_OUT) not in found


def test_the_rank_counts_hotter_words_and_that_of_uniform_heat_is_its_mean_over_all_orders() -> None:
    found = scores((4.0, 2.0, 1.0, 3.0))
    assert found["m2ib", WORDS_RANK] == 2.0
    assert found[LEAVE_ONE_WORD_OUT, WORDS_RANK] == 1.0
    assert found[UNIFORM_WORDS, WORDS_RANK] == pytest.approx(5 / 3)


def test_the_agreement_is_the_rank_correlation_with_the_falls() -> None:
    found = scores((4.0, 2.0, 1.0, 3.0))
    assert found["m2ib", WORDS_AS_LEFT_OUT] == pytest.approx(spearmanr((4, 2, 1, 3), REFERENCES.falls)[0])
    assert found[UNTRAINED, WORDS_AS_LEFT_OUT] == pytest.approx(spearmanr((5, 3, 1, 1), REFERENCES.falls)[0])


def test_heat_below_zero_is_no_share_and_no_heat_has_none() -> None:
    assert scores((-4.0, 2.0, 1.0, 1.0))["m2ib", WORDS_ON_FINDING] == pytest.approx(0.5)
    found = scores((0.0, 0.0, 0.0, 0.0))
    assert found["m2ib", WORDS_ON_FINDING] == NO_HEAT
    assert found["m2ib", WORDS_AS_LEFT_OUT] == TOO_FEW_WORDS


def test_a_kind_that_the_phrase_does_not_have_is_not_scored() -> None:
    found = scores((4.0, 2.0, 1.0, 3.0), kinds=(_O, _O, _O, _O))
    assert found["m2ib", WORDS_ON_FINDING] == found["m2ib", WORDS_RANK] == NO_FINDING_WORD
    assert found["m2ib", WORDS_ON_PLACE] == NO_PLACE_WORD
    assert scores((4.0, 2.0, 1.0, 3.0), kinds=(_P, _P, _F, _F))["m2ib", WORDS_ON_OTHERS] == NO_OTHER_WORD


def test_without_a_bottleneck_there_is_no_untrained_one() -> None:
    references = WordReferences(words=("a", "nodule"), pieces=(1, 1), falls=(0.0, 0.5), untrained=None)
    assert UNTRAINED not in {score.method for score in score_words((_O, _F), [("chefer", (1.0, 2.0))], references)}


def test_as_many_values_as_words_are_needed() -> None:
    with pytest.raises(ValueError, match="4 words need as many values"):
        score_words(KINDS, [("m2ib", (1.0, 2.0))], REFERENCES)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6).flatmap(
        lambda values: st.tuples(
            st.just(values), st.lists(st.booleans(), min_size=len(values), max_size=len(values)).filter(any)
        )
    )
)
def test_the_rank_of_tied_words_is_the_mean_over_all_orders(case: tuple[list[int], list[bool]]) -> None:
    values, chosen = np.array(case[0], dtype=float), np.array(case[1])
    generator = np.random.default_rng(0)
    ranks = []
    for _ in range(4000):
        order = np.lexsort((generator.random(len(values)), -values))
        ranks.append(1 + int(np.argmax(chosen[order])))
    assert mean_rank(values, chosen) == pytest.approx(np.mean(ranks), abs=0.15)


def test_a_rank_needs_a_chosen_word() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mean_rank(np.ones(2), np.zeros(2, dtype=bool))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=8))
def test_the_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array(values, dtype=float) for values in zip(*pairs, strict=True))
    found = spearman(one, other)
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(one, other)[0])
        assert not math.isnan(found)
