"""What pages say of a phrase's words, and of word heat over all phrases."""

import pytest

from reports.record import Score, ScoredPhrase, TokenHeat
from reports.score_catalogue import (
    LEAVE_ONE_WORD_OUT,
    UNIFORM_WORDS,
    UNTRAINED,
    WORDS_ON_FINDING,
    WORDS_ON_PLACE,
    names_of,
)
from reports.word_tables import word_score_rows, word_table
from tests.reports.made_up_cohort import make_cohort
from tests.reports.made_up_comparison import DIFFERENCE


def token(word: str, nats: float, kind: str, *, fall: float | None, untrained: float | None = None) -> TokenHeat:
    return TokenHeat(word=word, nats=nats, kind=kind, fall=fall, untrained=untrained)  # type: ignore[arg-type]


def phrase(*tokens: TokenHeat, **shares: float) -> ScoredPhrase:
    scores = tuple(
        Score(method=method, score=score, value=shares[key], outcome="scored")
        for key, method, score in (
            ("finding", "m2ib", WORDS_ON_FINDING),
            ("place", "m2ib", WORDS_ON_PLACE),
            ("uniform", UNIFORM_WORDS, WORDS_ON_FINDING),
            ("uniform_place", UNIFORM_WORDS, WORDS_ON_PLACE),
        )
        if key in shares
    )
    return ScoredPhrase(
        text=" ".join(each.word for each in tokens),
        section="findings",
        finding="nodule",
        context="present",
        cosine=0.4,
        heat="heat",
        total_nats=1.0,
        peak_nats=1.0,
        hottest=None,
        tokens=tokens,
        token_total_nats=1.0,
        scores=scores,
    )


A, LEFT, NODULE = ("a", 8.0), ("left", 3.0), ("nodule", 1.0)


def words(*, untrained: tuple[float | None, float | None, float | None]) -> ScoredPhrase:
    kinds, falls = ("other", "place", "finding"), (-0.1, 0.2, 0.5)
    tokens = (
        token(word, nats, kind, fall=fall, untrained=before)
        for (word, nats), kind, fall, before in zip((A, LEFT, NODULE), kinds, falls, untrained, strict=True)
    )
    return phrase(*tokens, finding=0.08, place=0.25, uniform=1 / 3, uniform_place=1 / 3)


def test_the_shares_and_the_word_with_the_largest_fall_are_told() -> None:
    table = word_table(words(untrained=(None, None, None)), method="m2ib")
    assert table is not None
    assert not table.has_untrained
    assert [line.is_largest_fall for line in table.lines] == [False, False, True]
    assert [line.kind for line in table.lines] == ["neither", "side or zone", "the finding"]
    shares, largest = table.sentences
    assert "33%" in shares
    assert "67%" in shares
    assert "nodule" in largest
    assert "0.50" in largest


@pytest.mark.parametrize(
    ("untrained", "told"),
    [
        pytest.param((800.0, 300.0, 100.0), True, id="the-order-of-the-heat"),
        pytest.param((100.0, 300.0, 800.0), False, id="another-order"),
        pytest.param((800.0, 300.0, None), False, id="not-of-every-word"),
    ],
)
def test_heat_in_the_order_of_the_norms_is_told_so(untrained: tuple[float, float, float | None], told: bool) -> None:
    table = word_table(words(untrained=untrained), method="m2ib")
    assert table is not None
    assert any("norms" in sentence for sentence in table.sentences) is told


def test_a_word_that_lowers_the_cosine_is_not_told_to_be_needed() -> None:
    table = word_table(
        phrase(token("a", 1.0, "other", fall=-0.2), token("nodule", 1.0, "finding", fall=-0.1)), method="m2ib"
    )
    assert table is not None
    assert table.sentences == ()
    assert not any(line.is_largest_fall for line in table.lines)


def test_phrases_without_words_and_of_older_records_have_no_table() -> None:
    assert word_table(phrase(), method="m2ib") is None
    assert word_table(phrase(TokenHeat(word="nodule", nats=1.0)), method="m2ib") is None


def test_the_cohort_has_a_row_of_each_score_beside_its_references() -> None:
    run = make_cohort(2).run
    (plain, *_) = (each for each in run.summaries if each.method == "m2ib" and each.finding is None)
    over = DIFFERENCE.model_copy(update={"reference": UNIFORM_WORDS})
    of_words = [
        plain.model_copy(update={"score": score, "method": method, "estimate": estimate, "averaging": "micro"})
        for score in names_of("words")
        for method, estimate in (("m2ib", 0.5), (UNIFORM_WORDS, 0.25), (LEAVE_ONE_WORD_OUT, 0.75))
    ]
    of_words[0] = of_words[0].model_copy(update={"differences": (over,)})
    rows = word_score_rows(run.model_copy(update={"summaries": (*run.summaries, *of_words)}))
    assert [row.summary.score for row in rows] == list(names_of("words"))
    assert {row.method for row in rows} == {"M2IB"}
    assert rows[0].references == (0.25, None, 0.75)
    assert rows[0].over_uniform == over
    assert rows[0].over_untrained is None
    assert [row.better for row in rows] == ["higher", "higher", "lower", "lower", "higher"]
    assert UNTRAINED not in {row.summary.method for row in rows}
