"""A run answers the questions of its protocol with the intervals of the product, and no others."""

import numpy as np
import pytest
from made_up_cohort import make_cohort
from made_up_scores import facts_of_patients, scores_of
from test_protocol import PROTOCOL

from audit.metrics.statistics import patient_interval
from audit.planning.answers import above_all, answer_questions, answered
from reports.cohort_page import render_cohort
from reports.planned import planned_sizes, planned_summary
from reports.protocol_record import Protocol
from reports.run_record import PlannedAnswer, ProtocolRecord, RunRecord
from reports.score_catalogue import POINTING

FACTS = facts_of_patients()


def answers(protocol: Protocol = PROTOCOL, **cohort: float) -> dict[str, PlannedAnswer]:
    return {each.question: each for each in answer_questions(protocol, scores_of(**cohort), FACTS)}


def test_a_model_far_above_the_blind_maps_without_a_gap_answers_all_but_the_comparison() -> None:
    found = answers(rate=0.7)
    assert {name: each.outcome for name, each in found.items()} == {
        "hit rate": "less precise than planned",  # 240 phrases have an interval of about 12 points
        "above": "shown",
        "not inferior": "not answered",
        "gap": "undecided",
    }
    assert found["not inferior"].reason == "needs two models"
    assert found["hit rate"].p is None


def test_the_precision_is_that_of_the_interval_over_patients() -> None:
    table = scores_of(rate=0.7)
    own = table[(table["method"] == "m2ib") & (table["score"] == POINTING)]
    interval = patient_interval(own["value"].to_numpy(), own["patient"].astype(str).tolist())
    found = answers(rate=0.7)["hit rate"].estimate
    assert (found.estimate, found.low, found.high) == (interval.estimate, interval.low, interval.high)


def test_a_model_that_is_no_better_than_one_of_the_blind_maps_shows_nothing() -> None:
    found = answers(rate=0.3)["above"]
    assert found.outcome == "not shown"
    assert found.reference in {"random", "centre", "class-mean box", "words-only prior"}


def test_a_gap_of_half_the_hits_is_found() -> None:
    found = answers(rate=0.8, women=0.4)["gap"]
    assert found.outcome == "gap found"
    assert found.estimate.high < 0.0  # women minus men


def test_a_wide_margin_excludes_the_gap_of_a_cohort_without_one() -> None:
    wide = PROTOCOL.questions[3].model_copy(update={"margin": 0.3})
    found = answers(PROTOCOL.model_copy(update={"questions": (wide,)}), rate=0.7)
    assert found["gap"].outcome == "no gap as large as the margin"


def test_holm_counts_every_tested_question_also_one_without_an_answer() -> None:
    plain = answers(PROTOCOL.model_copy(update={"multiplicity": "none"}), rate=0.42)
    adjusted = answers(rate=0.42)
    smallest = min(("above", "gap"), key=lambda name: plain[name].p)
    assert adjusted[smallest].p == pytest.approx(min(3.0 * plain[smallest].p, 1.0))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"method": "nib"}, "no scored phrase"), ({"group": "other"}, "too few patients")],
    ids=["another method", "an empty group"],
)
def test_a_question_that_the_run_cannot_answer_says_why(changes: dict[str, str], reason: str) -> None:
    gap = PROTOCOL.questions[3].model_copy(update={"group": changes.pop("group", "female")})
    found = answers(PROTOCOL.model_copy(update={"questions": (gap,), **changes}), rate=0.7)
    assert (found["gap"].outcome, found["gap"].reason) == ("not answered", reason)


def test_above_all_takes_the_reference_that_is_closest_and_the_largest_p() -> None:
    generator = np.random.default_rng(1)
    patients = np.repeat(np.arange(60), 2)
    values, near, far = ((generator.random(120) < rate).astype(float) for rate in (0.6, 0.45, 0.1))
    both = above_all(values, {"far": far, "near": near}, patients, limit=0.0, alpha=0.05)
    alone = above_all(values, {"near": near}, patients, limit=0.0, alpha=0.05)
    assert (both.reference, both.p, both.interval) == ("near", alone.p, alone.interval)
    beyond = above_all(values, {"near": near}, patients, limit=0.9, alpha=0.05)
    assert beyond.p == 1.0


def run_with(*, before_results: bool = True, own_boxes: bool = True) -> RunRecord:
    record = ProtocolRecord(sha256="d" * 64, content=PROTOCOL, before_results=before_results)
    named = answered(record, scores_of(rate=0.7), FACTS, own_boxes=own_boxes)
    return make_cohort(2, protocol=named).run


def page_of(run: RunRecord) -> str:
    return render_cohort(run, [study.record for study in make_cohort(2).studies])


def test_the_page_says_which_questions_were_planned_and_which_figures_were_not() -> None:
    page = page_of(run_with())
    assert "these questions were planned" in page
    assert "d" * 64 in page
    planned, rest = page.split('id="planned-title"')[1].split("</section>", 1)
    for question in PROTOCOL.questions:
        assert question.name in planned
    unplanned = planned.split("Not planned")[1]
    assert 'href="#scores-title"' in unplanned
    assert "planned-title" not in unplanned
    assert 'id="scores-title"' in rest


def test_a_protocol_that_came_late_or_other_boxes_plan_nothing() -> None:
    late, other = page_of(run_with(before_results=False)), page_of(run_with(own_boxes=False))
    assert "none of these questions counts as planned" in late
    assert "none of these answers is the planned one" in other
    for page in (late, other):
        assert 'class="exceeds"' not in page.split('id="planned-title"')[1].split("</section>", 1)[0]


def test_a_run_without_a_protocol_has_no_such_section() -> None:
    assert "planned-title" not in page_of(make_cohort(2).run)


def test_the_document_for_a_board_names_the_protocol_its_sizes_and_its_answers() -> None:
    summary = planned_summary(run_with())
    assert "these questions were planned" in summary
    assert 'Planned question "above": shown.' in summary
    assert "d" * 64 in summary
    assert planned_sizes(run_with()) == "above: 90 patients"
    without = make_cohort(2).run
    assert (planned_summary(without), planned_sizes(without)) == (None, None)


def test_the_record_survives_run_json() -> None:
    run = run_with()
    assert RunRecord.model_validate_json(run.model_dump_json()) == run
