"""Scores summarised over a cohort: what counts, what is left over a reference, and which threshold is chosen."""

import numpy as np
import pytest

from audit.metrics.overlap import LEVELS
from audit.metrics.statistics import paired_difference
from audit.metrics.summary import iou_at_cohort_threshold, score_table, summarise
from reports.run_record import ScoreSummary
from reports.score_catalogue import COHORT_IOU, MEAN_HEAT_CORRELATION, POINTING, WORDS_RANK


def row(patient: str, value: float | None, *, finding: str = "nodule", method: str = "m2ib") -> dict[str, object]:
    outcome = "unscored" if value is None else "hit" if value else "miss"
    shared = {
        "study": patient,
        "image": patient,
        "patient": patient,
        "phrase": 0,
        "finding": finding,
        "context": "present",
    }
    return {
        **shared,
        "side": None,
        "zone": None,
        "method": method,
        "score": POINTING,
        "value": value,
        "outcome": outcome,
        "reason": None,
    }


def test_unscored_cases_never_enter_a_denominator_and_are_counted() -> None:
    table = score_table([row("a", 1.0), row("b", 0.0), row("c", None), row("d", 1.0, finding="edema")])
    found = {(s.averaging, s.finding): s for s in summarise(table)}
    micro = found["micro", None]
    assert (micro.estimate, micro.scored, micro.unscored, micro.patients) == (pytest.approx(2 / 3), 3, 1, 3)
    assert found["macro", None].estimate == pytest.approx(0.75)
    assert found["micro", "nodule"].estimate == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("score", "values", "least", "most"),
    [
        (WORDS_RANK, (1.0, 1.0, 1.0, 4.0), 1.0, np.inf),
        (WORDS_RANK, (1.0, 1.0, 1.0, 1.0), 1.0, np.inf),
        (MEAN_HEAT_CORRELATION, (0.99, 0.98, 0.99, -0.6), -1.0, 1.0),
    ],
)
def test_an_interval_ends_within_what_its_score_may_be(
    score: str, values: tuple[float, ...], least: float, most: float
) -> None:
    rows = [{**row(name, value), "score": score} for name, value in zip("abcd", values, strict=True)]
    for summary in summarise(score_table(rows)):
        assert least <= summary.low <= summary.estimate <= summary.high <= most


def test_a_score_that_nobody_could_measure_has_no_estimate() -> None:
    (micro, *_) = summarise(score_table([row("a", None)]))
    assert (micro.estimate, micro.low, micro.scored, micro.unscored) == (None, None, 0, 1)


def test_a_box_lost_to_cropping_is_lost_to_the_references_as_well() -> None:
    rows = [row("a", 1.0), row("b", None), row("a", 0.0, method="centre"), row("b", 1.0, method="centre")]
    found = {s.method: s for s in summarise(score_table(rows)) if s.averaging == "micro" and s.finding is None}
    assert (found["centre"].estimate, found["centre"].scored, found["centre"].unscored) == (0.0, 1, 1)
    assert found["m2ib"].estimate == 1.0


def test_references_alone_keep_their_values() -> None:
    (micro, *_) = summarise(score_table([row("a", 1.0, method="centre")]))
    assert (micro.estimate, micro.scored) == (1.0, 1)


def test_the_order_of_the_rows_does_not_matter() -> None:
    rng = np.random.default_rng(6)
    rows = [row(str(i // 2), float(rng.random() < 0.4), finding=("edema", "nodule")[i % 3 == 0]) for i in range(40)]
    forward, backward = (summarise(score_table(order)) for order in (rows, rows[::-1]))
    for one, other in zip(forward, backward, strict=True):
        assert (one.method, one.finding, one.scored) == (other.method, other.finding, other.scored)
        assert (one.estimate, one.low, one.high) == pytest.approx((other.estimate, other.low, other.high))


def test_a_phrase_without_a_finding_counts_in_the_whole_and_in_no_finding() -> None:
    found = summarise(score_table([row("a", 1.0), row("b", 0.0) | {"finding": None}]))
    assert [(s.averaging, s.finding, s.estimate) for s in found] == [
        ("micro", None, 0.5),
        ("macro", None, 0.5),
        ("micro", "nodule", 1.0),
    ]


def ladder(patient: str, *ious: float, method: str = "m2ib") -> dict[str, object]:
    levels = (*ious, *(0.0,) * (len(LEVELS) - len(ious)))
    return row(patient, None, method=method) | {"score": COHORT_IOU, "levels": levels}


def test_the_cohorts_threshold_is_chosen_on_the_other_patients() -> None:
    """By hand: for a, b and c the others do best at level 1; for d they do at level 0, where d itself has 0.1."""
    rows = [ladder("a", 0.3, 0.4), ladder("b", 0.3, 0.4), ladder("c", 0.9, 0.2), ladder("d", 0.1, 0.8)]
    table = score_table(rows)
    assert table["value"].tolist() == pytest.approx([0.4, 0.4, 0.2, 0.1])
    assert set(table["outcome"]) == {"scored"}
    assert table["reason"].isna().all()


def test_the_threshold_agrees_with_a_loop_over_patients() -> None:
    rng = np.random.default_rng(2)
    ious, patients = rng.random((40, 12)), [str(p) for p in rng.integers(0, 9, 40)]
    expected = []
    for own, patient in zip(ious, patients, strict=True):
        others = ious[[name != patient for name in patients]]
        expected.append(own[int(others.mean(0).argmax())])
    assert iou_at_cohort_threshold(ious, patients) == pytest.approx(expected)


def test_each_method_has_its_own_threshold() -> None:
    rows = [ladder("a", 0.5, 0.1), ladder("b", 0.5, 0.1), ladder("a", 0.1, 0.5, method="centre")]
    rows.append(ladder("b", 0.1, 0.4, method="centre"))
    assert score_table(rows)["value"].tolist() == pytest.approx([0.5, 0.5, 0.5, 0.4])


def test_a_patient_alone_has_nobody_to_choose_a_threshold() -> None:
    table = score_table([ladder("a", 0.5), ladder("a", 0.7)])
    assert table["value"].isna().all()
    assert set(table["outcome"]) == {"unscored"}
    assert table["reason"].str.startswith("no other patient").all()


def summary_of(rows: list[dict[str, object]], *, finding: str | None = None, averaging: str = "micro") -> ScoreSummary:
    found = summarise(score_table(rows))
    return next(s for s in found if (s.method, s.finding, s.averaging) == ("m2ib", finding, averaging))


def test_the_difference_to_a_reference_is_paired_over_patients() -> None:
    """The same figures from the function that measures one pair, on the cases where both were scored."""
    rng = np.random.default_rng(1)
    own, theirs = rng.random(30), rng.random(30)
    rows = [row(str(i // 2), float(own[i])) | {"phrase": i} for i in range(30)]
    rows += [row(str(i // 2), float(theirs[i]), method="centre") | {"phrase": i} for i in range(24)]
    rows += [row(str(i // 2), None, method="centre") | {"phrase": i} for i in range(24, 30)]
    (difference,) = summary_of(rows).differences
    expected = paired_difference(own[:24], theirs[:24], [str(i // 2) for i in range(24)])
    assert (difference.reference, difference.scored, difference.patients) == ("centre", 24, 12)
    assert (difference.estimate, difference.low, difference.high) == pytest.approx(
        (expected.estimate, expected.low, expected.high)
    )


def test_a_difference_is_given_for_each_finding_and_for_their_mean() -> None:
    rows = [row("a", 1.0), row("b", 1.0), row("c", 0.0, finding="edema")]
    rows += [row(p, 0.5, method="centre", finding=f) for p, f in (("a", "nodule"), ("b", "nodule"), ("c", "edema"))]
    assert [
        summary_of(rows, finding=finding, averaging=averaging).differences[0].estimate
        for finding, averaging in ((None, "micro"), (None, "macro"), ("nodule", "micro"), ("edema", "micro"))
    ] == pytest.approx([1 / 6, 0.0, 0.5, -0.5])


def test_references_have_no_difference_and_readers_are_a_reference() -> None:
    rows = [row("a", 1.0), row("b", 0.0), row("a", 1.0, method="another reader"), row("a", 1.0, method="centre")]
    found = {s.method: s for s in summarise(score_table(rows)) if s.averaging == "micro" and s.finding is None}
    assert [d.reference for d in found["m2ib"].differences] == ["centre", "another reader"]
    assert found["centre"].differences == found["another reader"].differences == ()


def test_phrases_of_no_finding_are_paired_as_well() -> None:
    rows = [row("a", 1.0) | {"finding": None}, row("a", 0.0, method="centre") | {"finding": None}]
    (difference,) = summary_of(rows).differences
    assert (difference.estimate, difference.scored) == (1.0, 1)


def test_a_reference_that_is_known_for_few_phrases_is_compared_on_all_of_them() -> None:
    """The class-mean box hits the one phrase it is known for; on the other three it is what the centre is."""
    rows = [row(p, 1.0) for p in "abcd"] + [row(p, float(p == "b"), method="centre") for p in "abcd"]
    rows += [row(p, 1.0 if p == "a" else None, method="class-mean box") for p in "abcd"]
    found = {s.method: s for s in summarise(score_table(rows)) if s.averaging == "micro" and s.finding is None}
    assert (found["class-mean box"].estimate, found["class-mean box"].scored) == (0.5, 4)
    assert [(d.estimate, d.scored) for d in found["m2ib"].differences] == [(0.75, 4), (0.5, 4)]
