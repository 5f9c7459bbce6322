"""The planned questions of a run and their answers, as the cohort page and the terminal show them."""

from collections.abc import Iterator
from dataclasses import dataclass

from reports.outcomes import reference_name
from reports.page import format_p
from reports.protocol_record import (
    NonInferiorityQuestion,
    PrecisionQuestion,
    Question,
    SuperiorityQuestion,
)
from reports.run_record import Estimate, PlannedAnswer, ProtocolRecord, RunRecord
from reports.texts import counted, text

__all__ = ["AnswerRow", "PlannedView", "planned_lines", "planned_sizes", "planned_summary", "planned_view"]

_GOOD = {"answered", "shown", "no gap as large as the margin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """One planned question and its answer."""

    name: str
    asked: str
    estimate: Estimate | None
    margin: float
    p: str  # adjusted; a dash where nothing is tested
    size: str  # planned against reached
    outcome: str
    is_good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedView:
    """The planned questions of a run."""

    standing: str  # whether the protocol came before the results
    rule: str
    rows: tuple[AnswerRow, ...]
    sha256: str
    is_planned: bool


def planned_view(run: RunRecord) -> PlannedView | None:
    """Return the planned questions of a run; None if it had no protocol."""
    protocol = run.protocol
    if protocol is None:
        return None
    alpha, level = f"{protocol.content.alpha:g}", _points(1.0 - protocol.content.alpha)
    return PlannedView(
        standing=text(f"protocol.standing.{_standing(protocol)}"),
        rule=text(f"protocol.rule_{protocol.content.multiplicity}", alpha=alpha, level=level),
        rows=tuple(_row(*pair) for pair in _pairs(protocol)),
        sha256=protocol.sha256,
        is_planned=_standing(protocol) == "before",
    )


def planned_lines(run: RunRecord) -> Iterator[str]:
    """Yield one line for each planned question, for a terminal."""
    if run.protocol is None:
        return
    if _standing(run.protocol) != "before":
        yield text(f"protocol.standing.{_standing(run.protocol)}")
    for question, answer in _pairs(run.protocol):
        row = _row(question, answer)
        yield text("protocol.line", name=row.name, outcome=row.outcome)


def planned_summary(run: RunRecord) -> str | None:
    """Say in sentences whether a protocol came first, its checksum, and its answers; None without a protocol."""
    if run.protocol is None:
        return None
    sentences = [text(f"protocol.standing.{_standing(run.protocol)}")]
    sentences += [f"{line}." for line in planned_lines(run) if line not in sentences]
    return " ".join([*sentences, text("protocol.checksum", sha256=run.protocol.sha256)])


def planned_sizes(run: RunRecord) -> str | None:
    """List the planned number of patients of each question; None if a protocol has no sizes."""
    asked = () if run.protocol is None else run.protocol.content.questions
    sized = [(question.name, question.size.patients) for question in asked if question.size is not None]
    listed = ", ".join(text("protocol.planned_size", name=name, patients=counted("patient", n)) for name, n in sized)
    return listed or None


def _standing(protocol: ProtocolRecord) -> str:
    if not protocol.own_boxes:
        return "other_boxes"
    return "before" if protocol.before_results else "after"


def _pairs(protocol: ProtocolRecord) -> Iterator[tuple[Question, PlannedAnswer]]:
    answers = {answer.question: answer for answer in protocol.answers}
    for question in protocol.content.questions:
        yield question, answers.get(question.name, PlannedAnswer(question=question.name, outcome="not answered"))


def _row(question: Question, answer: PlannedAnswer) -> AnswerRow:
    outcome = text(f"protocol.outcome.{answer.outcome}")
    if answer.reason is not None:
        outcome = text("protocol.not_answered", outcome=outcome, reason=text(f"protocol.reason.{answer.reason}"))
    reached = text("protocol.nothing") if answer.estimate is None else f"{answer.estimate.patients:,}"
    planned = text("protocol.nothing") if question.size is None else f"{question.size.patients:,}"
    return AnswerRow(
        name=question.name,
        asked=_asked(question, answer),
        estimate=answer.estimate,
        margin=question.half_width if isinstance(question, PrecisionQuestion) else question.margin,
        p=format_p(answer.p),
        size=text("protocol.size", reached=reached, planned=planned),
        outcome=outcome,
        is_good=answer.outcome in _GOOD,
    )


def _asked(question: Question, answer: PlannedAnswer) -> str:
    if isinstance(question, PrecisionQuestion):
        return text("protocol.asked.precision", width=_points(question.half_width))
    if isinstance(question, SuperiorityQuestion):
        best = "" if answer.reference is None else text("protocol.best", reference=reference_name(answer.reference))
        return text("protocol.asked.superiority", margin=_points(question.margin), best=best)
    margin = _points(question.margin)
    if isinstance(question, NonInferiorityQuestion):
        return text("protocol.asked.non-inferiority", model=question.model, other=question.compared_with, margin=margin)
    return text("protocol.asked.gap", attribute=question.attribute, group=question.group, margin=margin)


def _points(share: float) -> str:
    return f"{100.0 * share:g}"
