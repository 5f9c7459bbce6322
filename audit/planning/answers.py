"""Answers the questions of a protocol from the scores of a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from audit.metrics.against_blind import filled, hits_with_blind
from audit.metrics.hypotheses import difference_of_groups, holm, p_value
from audit.metrics.statistics import Interval, paired_difference, patient_interval, recorded
from audit.metrics.subgroups import NOT_KNOWN, ImageFacts, groups_of
from reports.protocol_record import (
    NonInferiorityQuestion,
    PrecisionQuestion,
    Protocol,
    Question,
    SubgroupQuestion,
    SuperiorityQuestion,
)
from reports.run_record import PlannedAnswer, ProtocolRecord
from reports.score_catalogue import BLIND_METHODS

__all__ = ["MarginTest", "above_all", "answer_questions", "answered", "holm_over_questions"]

_LEAST_PATIENTS = 2  # of a subgroup


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginTest:
    """A statistic with its interval, and the two-sided p-value against a limit."""

    interval: Interval
    p: float
    reference: str


def answered(
    record: ProtocolRecord, scores: pd.DataFrame, facts: Mapping[str, ImageFacts], *, own_boxes: bool = True
) -> ProtocolRecord:
    """Return a protocol's record with the answers from the scores.

    Args:
        record: of the run.
        scores: the run's score table.
        facts: by ``image`` of the table.
        own_boxes: whether the scores are those against the run's own boxes.
    """
    answers = answer_questions(record.content, scores, facts)
    return record.model_copy(update={"answers": answers, "own_boxes": own_boxes})


def answer_questions(
    protocol: Protocol, scores: pd.DataFrame, facts: Mapping[str, ImageFacts]
) -> tuple[PlannedAnswer, ...]:
    """Answer each question; p-values are adjusted for the number of tested questions, as the protocol says."""
    hits = hits_with_blind(scores, protocol.method)
    found = [_asked(question, hits, facts, protocol.alpha) for question in protocol.questions]
    if protocol.multiplicity == "holm":
        adjusted = holm_over_questions(protocol, {answer.question: answer.p for answer in found})
        found = [answer.model_copy(update={"p": adjusted.get(answer.question)}) for answer in found]
    return tuple(
        _decided(question, answer, protocol.alpha) for question, answer in zip(protocol.questions, found, strict=True)
    )


def holm_over_questions(protocol: Protocol, found: Mapping[str, float | None]) -> dict[str, float]:
    """Adjust p-values for the number of tested questions of a protocol, which are all but precision.

    A tested question without a p-value counts as one that was not shown.

    Args:
        protocol: with the questions.
        found: p-values by question.

    Returns:
        The adjusted p-values of the questions that have one.
    """
    tested = [question.name for question in protocol.questions if not isinstance(question, PrecisionQuestion)]
    plain = [1.0 if (p := found.get(name)) is None else p for name in tested]
    return {name: adjusted for name, adjusted in zip(tested, holm(plain), strict=True) if found.get(name) is not None}


def above_all(
    values: Float[np.ndarray, " cases"],
    references: Mapping[str, Float[np.ndarray, " cases"]],
    patients: Int[np.ndarray, " cases"],
    *,
    limit: float,
    alpha: float,
) -> MarginTest:
    """Test whether hits are above those of every reference by more than ``limit``, on the same cases.

    Non-inferiority of a model is the same test with one reference and the margin below 0. The p-value is the largest
    over the references (intersection-union test), and 1 where an estimate is not above the limit.

    Args:
        values: of the cases.
        references: by name, of the same cases; NaN where one was not scored.
        patients: number of the patient of each case.
        limit: of the differences.
        alpha: two-sided error rate; the interval has the level 1 - alpha.

    Source: Berger 1982, "Multiparameter hypothesis testing and acceptance sampling" (intersection-union test).
    """
    tests = []
    for name, reference in references.items():
        both = ~np.isnan(reference)
        interval_of: Callable[[float], Interval] = partial(
            _difference, values[both], reference[both], patients[both].tolist()
        )
        interval = interval_of(1.0 - alpha)
        p = p_value(interval_of, limit) if interval.estimate > limit else 1.0
        tests.append(MarginTest(interval=interval, p=p, reference=name))
    closest = min(tests, key=lambda test: (test.interval.estimate, test.interval.low))
    return MarginTest(interval=closest.interval, p=max(test.p for test in tests), reference=closest.reference)


def _difference(values: np.ndarray, reference: np.ndarray, patients: list[int], level: float) -> Interval:
    return paired_difference(values, reference, patients, level=level)


def _asked(question: Question, hits: pd.DataFrame, facts: Mapping[str, ImageFacts], alpha: float) -> PlannedAnswer:
    """Return estimate and p-value of a question, not yet adjusted nor decided, or the reason why there are none."""
    none = PlannedAnswer(question=question.name, outcome="not answered")
    if isinstance(question, NonInferiorityQuestion):
        return none.model_copy(update={"reason": "needs two models"})
    if hits.empty:
        return none.model_copy(update={"reason": "no scored phrase"})
    values = hits["value"].to_numpy(dtype=float)
    patients = np.unique(hits["patient"].to_numpy(), return_inverse=True)[1]
    if isinstance(question, PrecisionQuestion):
        interval = patient_interval(values, patients.tolist(), level=1.0 - alpha)
        return none.model_copy(update={"estimate": recorded(interval)})
    if isinstance(question, SuperiorityQuestion):
        references = filled({name: hits[name].to_numpy(dtype=float) for name in BLIND_METHODS})
        if not references:
            return none.model_copy(update={"reason": "no blind map"})
        test = above_all(values, references, patients, limit=question.margin, alpha=alpha)
        update = {"estimate": recorded(test.interval), "p": test.p, "reference": test.reference}
        return none.model_copy(update=update)
    return none.model_copy(update=_gap(question, hits, facts, values, patients, alpha))


def _gap(
    question: SubgroupQuestion,
    hits: pd.DataFrame,
    facts: Mapping[str, ImageFacts],
    values: Float[np.ndarray, " cases"],
    patients: Int[np.ndarray, " cases"],
    alpha: float,
) -> dict[str, object]:
    groups = groups_of(hits, facts, question.attribute).to_numpy()
    known = groups != NOT_KNOWN
    in_group = (groups == question.group)[known]
    values, patients = values[known], patients[known]
    if min(len(np.unique(patients[chosen])) for chosen in (in_group, ~in_group)) < _LEAST_PATIENTS:
        return {"reason": "too few patients"}

    def interval_of(level: float) -> Interval:
        return difference_of_groups(values, in_group, patients.tolist(), level=level)

    return {"estimate": recorded(interval_of(1.0 - alpha)), "p": p_value(interval_of, 0.0)}


def _decided(question: Question, answer: PlannedAnswer, alpha: float) -> PlannedAnswer:
    if answer.estimate is None:
        return answer
    low, high = answer.estimate.low, answer.estimate.high
    is_significant = answer.p is not None and answer.p <= alpha
    outcome = "shown" if is_significant else "not shown"
    if isinstance(question, PrecisionQuestion):
        outcome = "answered" if (high - low) / 2.0 <= question.half_width else "less precise than planned"
    elif isinstance(question, SubgroupQuestion) and is_significant:
        outcome = "gap found"
    elif isinstance(question, SubgroupQuestion):
        is_within = -question.margin < low and high < question.margin
        outcome = "no gap as large as the margin" if is_within else "undecided"
    return answer.model_copy(update={"outcome": outcome})
