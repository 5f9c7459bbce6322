"""A protocol of every kind of question, with every answer that a run can give."""

from typing import get_args

from reports.protocol_record import (
    NonInferiorityQuestion,
    PlannedSize,
    PrecisionQuestion,
    Protocol,
    Question,
    SubgroupQuestion,
    SuperiorityQuestion,
)
from reports.run_record import AnswerWord, Estimate, NoAnswer, PlannedAnswer, ProtocolRecord

ESTIMATE = Estimate(estimate=0.21, low=0.12, high=0.3, cases=240, patients=120)


def _question(place: int) -> Question:
    name = f"question {place}"
    return (
        PrecisionQuestion(
            kind="precision", name=name, half_width=0.05, size=PlannedSize(patients=90, studies=100, phrases=150)
        ),
        SuperiorityQuestion(kind="superiority", name=name, margin=0.0),
        NonInferiorityQuestion(kind="non-inferiority", name=name, margin=0.1),
        SubgroupQuestion(kind="subgroup gap", name=name, attribute="sex", group="female", margin=0.15),
    )[place % 4]


def make_protocol(*, multiplicity: str = "holm", before_results: bool = True, own_boxes: bool = True) -> ProtocolRecord:
    given = [(outcome, None) for outcome in get_args(AnswerWord)]
    given += [("not answered", reason) for reason in get_args(NoAnswer)]
    questions = tuple(_question(place) for place in range(len(given)))
    return ProtocolRecord(
        sha256="d" * 64,
        content=Protocol(method="m2ib", alpha=0.05, power=0.8, multiplicity=multiplicity, questions=questions),
        before_results=before_results,
        own_boxes=own_boxes,
        answers=tuple(
            PlannedAnswer(
                question=question.name,
                outcome=outcome,
                estimate=None if reason else ESTIMATE,
                p=None if reason or question.kind == "precision" else 0.00001,
                reference="random" if question.kind == "superiority" else None,
                reason=reason,
            )
            for question, (outcome, reason) in zip(questions, given, strict=True)
        ),
    )
