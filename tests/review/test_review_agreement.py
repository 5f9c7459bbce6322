"""Agreement beyond chance against worked examples, an independent library and the asymptotic theory."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from audit.review.agreement import Agreement, Judged, agreements
from reports.review_record import VERDICTS

# Ten subjects, fourteen raters, five categories: the worked example of the article "Fleiss' kappa" in Wikipedia.
FOURTEEN_RATERS = (
    (0, 0, 0, 0, 14),
    (0, 2, 6, 4, 2),
    (0, 0, 3, 5, 6),
    (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0),
    (3, 2, 6, 3, 0),
    (2, 5, 3, 2, 2),
    (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
)
VERDICT = st.sampled_from(VERDICTS)


def of_pairs(pairs: list[tuple[str, str]], *, heats_a_patient: int = 1) -> list[Judged]:
    return [
        Judged(patient=f"p{place // heats_a_patient}", finding="nodule", verdicts={"A": one, "B": other})
        for place, (one, other) in enumerate(pairs)
    ]


def over_all(found: tuple[Agreement, ...], statistic: str) -> Agreement:
    (one,) = (each for each in found if each.statistic == statistic and each.finding is None)
    return one


def test_two_readers_of_fifty_proposals_agree_as_in_the_worked_example():
    # Wikipedia, "Cohen's kappa": 20 both yes, 5 and 10 apart, 15 both no; kappa 0.4.
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    found = over_all(agreements(of_pairs(pairs), verdicts=("yes", "no")), "Cohen's kappa")
    assert found.kappa == pytest.approx(0.4, abs=1e-12)
    assert found.agree == pytest.approx(0.7)
    assert (found.heats, found.patients) == (50, 50)


def test_fourteen_raters_agree_as_in_the_worked_example():
    judged = []
    for subject, counts in enumerate(FOURTEEN_RATERS):
        given = [str(category) for category, count in enumerate(counts) for _ in range(count)]
        judged.append(
            Judged(patient=str(subject), finding=None, verdicts={f"R{place:02}": g for place, g in enumerate(given)})
        )
    found = over_all(agreements(judged, verdicts=tuple("01234")), "Fleiss' kappa")
    assert found.kappa == pytest.approx(0.210, abs=5e-4)
    assert found.agree == pytest.approx(0.378, abs=5e-4)


@settings(max_examples=40)
@given(st.lists(st.tuples(VERDICT, VERDICT), min_size=2, max_size=40))
def test_cohens_kappa_is_scikit_learns(pairs):
    found = agreements(of_pairs(pairs))
    for statistic, weights in (("Cohen's kappa", None), ("Cohen's kappa, linear weights", "linear")):
        ours = over_all(found, statistic).kappa
        if len({verdict for pair in pairs for verdict in pair}) == 1:
            assert ours is None
            continue
        theirs = cohen_kappa_score(*zip(*pairs, strict=True), labels=list(VERDICTS), weights=weights)
        assert ours == pytest.approx(theirs, abs=1e-9)


@settings(max_examples=40)
@given(st.lists(st.tuples(VERDICT, VERDICT, VERDICT), min_size=1, max_size=20))
def test_fleiss_kappa_is_what_counting_pairs_gives(triples):
    judged = [
        Judged(patient=str(place), finding=None, verdicts=dict(zip("ABC", triple, strict=True)))
        for place, triple in enumerate(triples)
    ]
    found = over_all(agreements(judged), "Fleiss' kappa")
    same = [one == other for triple in triples for one, other in combinations(triple, 2)]
    pool = [verdict for triple in triples for verdict in triple]
    by_chance = sum((pool.count(verdict) / len(pool)) ** 2 for verdict in VERDICTS)
    assert found.agree == pytest.approx(np.mean(same))
    if by_chance == 1:
        assert found.kappa is None
    else:
        assert found.kappa == pytest.approx((np.mean(same) - by_chance) / (1 - by_chance), abs=1e-9)


@settings(max_examples=40)
@given(st.lists(st.tuples(VERDICT, VERDICT), min_size=2, max_size=30), st.permutations(VERDICTS))
def test_plain_kappa_does_not_depend_on_what_verdicts_are_called_or_who_is_first(pairs, names):
    renamed = dict(zip(VERDICTS, names, strict=True))
    plain = over_all(agreements(of_pairs(pairs)), "Cohen's kappa").kappa
    other = [(renamed[second], renamed[first]) for first, second in pairs]
    assert over_all(agreements(of_pairs(other)), "Cohen's kappa").kappa == pytest.approx(plain, nan_ok=True)


def test_the_interval_is_as_wide_as_the_asymptotic_one():
    # Fleiss, Cohen and Everitt 1969, "Large sample standard errors of kappa and weighted kappa", equation 13.
    generator = np.random.default_rng(1)
    first = generator.integers(3, size=600)
    second = np.where(generator.random(600) < 0.6, first, generator.integers(3, size=600))
    pairs = [(VERDICTS[one], VERDICTS[other]) for one, other in zip(first, second, strict=True)]
    found = over_all(agreements(of_pairs(pairs)), "Cohen's kappa")
    table = np.zeros((3, 3))
    np.add.at(table, (first, second), 1 / 600)
    rows, columns = table.sum(1), table.sum(0)
    agree, chance = np.trace(table), float(rows @ columns)
    a = sum(table[i, i] * ((1 - chance) - (columns[i] + rows[i]) * (1 - agree)) ** 2 for i in range(3))
    b = sum(table[i, j] * (columns[i] + rows[j]) ** 2 for i in range(3) for j in range(3) if i != j)
    variance = a + (1 - agree) ** 2 * b - (agree * chance - 2 * chance + agree) ** 2
    error = math.sqrt(variance / 600) / (1 - chance) ** 2
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.08)
    assert found.low < found.kappa < found.high


def test_heats_of_one_patient_are_drawn_together():
    generator = np.random.default_rng(2)
    pairs = [(VERDICTS[one], VERDICTS[other]) for one, other in generator.integers(3, size=(30, 2))]
    pairs += [(each, each) for each in VERDICTS for _ in range(10)]
    alone = over_all(agreements(of_pairs(pairs)), "Cohen's kappa")
    fivefold = [pair for pair in pairs for _ in range(5)]
    together = over_all(agreements(of_pairs(fivefold, heats_a_patient=5)), "Cohen's kappa")
    assert together.kappa == pytest.approx(alone.kappa)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    apart = over_all(agreements(of_pairs(fivefold)), "Cohen's kappa")
    assert apart.high - apart.low < 0.6 * (alone.high - alone.low)


def test_one_patient_gives_no_interval():
    found = over_all(
        agreements(of_pairs([("agree", "agree"), ("agree", "partly")], heats_a_patient=2)), "Cohen's kappa"
    )
    assert found.kappa is not None
    assert (found.low, found.high) == (None, None)


def test_where_nearly_all_verdicts_are_one_there_is_no_interval():
    pairs = [("agree", "agree")] * 40 + [("agree", "partly")]
    found = over_all(agreements(of_pairs(pairs)), "Cohen's kappa")
    assert found.kappa is not None
    assert (found.low, found.high) == (None, None)


def test_the_same_seed_gives_the_same_interval_and_another_one_another():
    pairs = [(one, other) for one in VERDICTS for other in VERDICTS] * 4
    assert agreements(of_pairs(pairs), seed=3) == agreements(of_pairs(pairs), seed=3)
    assert agreements(of_pairs(pairs), seed=3) != agreements(of_pairs(pairs), seed=4)


def test_heats_that_one_reviewer_left_out_take_part_for_the_others_alone():
    judged = [
        Judged(patient="p", finding="nodule", verdicts={"A": "agree", "B": "agree", "C": "partly"}),
        Judged(patient="q", finding="mass", verdicts={"A": "disagree", "B": "partly"}),
        Judged(patient="r", finding=None, verdicts={"A": "agree"}),
    ]
    found = agreements(judged)
    assert over_all(found, "Fleiss' kappa").heats == 1
    counts = {each.reviewers: each.heats for each in found if each.statistic == "Cohen's kappa" and not each.finding}
    assert counts == {("A", "B"): 2, ("A", "C"): 1, ("B", "C"): 1}
    assert {each.finding for each in found} == {None, "nodule", "mass"}
    assert next(e for e in found if e.finding == "mass" and e.reviewers == ("A", "C")).agree is None


def test_one_reviewer_agrees_with_nobody():
    assert agreements([Judged(patient="p", finding=None, verdicts={"A": "agree"})]) == ()
    assert agreements([]) == ()
