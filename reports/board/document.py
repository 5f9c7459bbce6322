"""The content of the document, section by section, ready to be typeset: texts and figures, nothing to compute."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.board.checklists import FilledChecklist
from reports.board.figures import Axis, FindingBars, GroupBar, finding_bars, group_bars
from reports.board.flow import FlowStep, flow_steps
from reports.board.inputs import BoardInputs
from reports.grounding import grounding_rows, grounding_summary
from reports.outcomes import cohort_summary, method_name, overall_hits
from reports.page import format_number, format_time
from reports.planned import AnswerRow, PlannedView, planned_view
from reports.run_record import Estimate, RunRecord
from reports.score_catalogue import FEW_PATIENTS, FEW_PHRASES
from reports.subgroup_table import subgroup_tests
from reports.texts import counted, text
from reports.verdicts import Rule, StepView, VerdictView, verdict_views

__all__ = ["BoardDocument", "Fact", "StepRow", "VerdictPart", "board_document", "document_title"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A name with its value; ``is_code`` for checksums."""

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One test of the rule of the verdict."""

    name: str
    sentence: str
    figure: str
    limit: str
    outcome: str
    answer: str
    decides: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictPart:
    """The verdict on the audited method, with its tests and its rule."""

    method: str
    word: str
    is_good: bool
    meaning: str
    action: str
    because: tuple[str, ...]  # shown where the record has no tests
    tests: tuple[StepRow, ...]
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedQuestion:
    """One planned question with its answer."""

    name: str
    asked: str
    figure: str
    margin: str
    p: str
    size: str
    outcome: str
    answer: str  # "yes" for a planned question that was answered or shown


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardDocument:
    """Everything that the template sets."""

    title: str
    subtitle: str
    notices: tuple[str, ...]
    answers: tuple[Fact, ...]  # what the three answers mean
    summary: tuple[str, ...]
    flow: tuple[FlowStep, ...]
    facts: tuple[Fact, ...]  # model, terms, method and settings
    verdict: VerdictPart | None
    other_verdicts: tuple[Fact, ...]  # of further methods
    grounding_summary: str
    axes: tuple[Axis, Axis, Axis]
    findings: tuple[FindingBars, ...]
    more_findings: str
    groups: tuple[GroupBar, ...]
    more_groups: str
    few: str
    intervals: str
    limits: tuple[str, ...]
    plan: tuple[str, ...]  # sentences
    planned: tuple[PlannedQuestion, ...]
    checksums: tuple[Fact, ...]
    checklists: tuple[FilledChecklist, ...] = ()


def document_title(run: RunRecord) -> str:
    """Return the title of the document on a run."""
    return text("board.title", model=run.model.name)


def board_document(inputs: BoardInputs, *, checklists: Sequence[FilledChecklist] = ()) -> BoardDocument:
    """Put the document together from a run and its files.

    It holds no key of a study or patient, no file name and no text of a report, whatever the pages show.
    """
    run = inputs.run
    axes, findings, more_findings = finding_bars(run)
    groups, more_groups = group_bars(run)
    views, planned = verdict_views(run), planned_view(run)
    own = next((view for view, record in zip(views, run.verdicts, strict=True) if record.method == run.method), None)
    return BoardDocument(
        title=document_title(run),
        subtitle=text(
            "board.subtitle",
            moment=format_time(run.rescored or run.finished),
            version=run.software.get("m2ib-audit", text("parts.not_set")),
        ),
        notices=_notices(run),
        answers=tuple(
            Fact(name=text(f"board.answer_{name}.name"), value=text(f"board.answer_{name}.means"))
            for name in ("recognises", "relies", "localises")
        ),
        summary=tuple(
            cohort_summary(run, studies=run.counts.get("audited", 0), phrases=run.counts.get("phrases audited", 0))
        ),
        flow=flow_steps(inputs),
        facts=_facts(run),
        verdict=None if own is None else _verdict(own),
        other_verdicts=tuple(Fact(name=view.method, value=view.word) for view in views if view is not own),
        grounding_summary=grounding_summary(grounding_rows(run)) or "",
        axes=axes,
        findings=findings,
        more_findings=text("board.more_findings", count=more_findings) if more_findings else "",
        groups=groups,
        more_groups=text("board.more_groups", count=more_groups) if more_groups else "",
        few=text("board.few", phrases=FEW_PHRASES, patients=FEW_PATIENTS),
        intervals=run.intervals,
        limits=_limits(inputs),
        plan=_plan(planned),
        planned=() if planned is None else tuple(_planned_row(row, planned) for row in planned.rows),
        checksums=(
            Fact(name=text("parts.weights"), value=run.model.sha256, is_code=True),
            *(() if planned is None else (Fact(name=text("board.protocol"), value=planned.sha256, is_code=True),)),
            *(Fact(name=name, value=value, is_code=True) for name, value in inputs.checksums.items()),
        ),
        checklists=tuple(checklists),
    )


def _plan(planned: PlannedView | None) -> tuple[str, ...]:
    if planned is None:
        return (text("board.no_protocol"),)
    rest = text("board.rest_exploratory") if planned.is_planned else text("board.all_exploratory")
    return planned.standing, planned.rule, rest


def _planned_row(row: AnswerRow, planned: PlannedView) -> PlannedQuestion:
    return PlannedQuestion(
        name=row.name,
        asked=row.asked,
        figure=_with_interval(row.estimate, digits=3),
        margin=format_number(row.margin, 3),
        p=row.p,
        size=row.size,
        outcome=row.outcome,
        answer="yes" if row.is_good and planned.is_planned else "unknown",
    )


def _notices(run: RunRecord) -> tuple[str, ...]:
    notices = [text("parts.not_for_diagnosis")]
    if run.model.is_phantom or run.phantom_images:
        notices.append(text("parts.phantom"))
    if run.not_done:
        notices.append(text("parts.unfinished", studies=counted("study", run.not_done)))
    return tuple(notices)


def _facts(run: RunRecord) -> tuple[Fact, ...]:
    model = run.model
    settings = ", ".join(
        f"{name} {text('parts.not_set') if value is None else value}" for name, value in run.settings.items()
    )
    software = ", ".join(f"{name} {version}" for name, version in run.software.items())
    return (
        Fact(name=text("common.model"), value=model.name),
        Fact(name=text("parts.family"), value=model.family),
        Fact(name=text("common.source"), value=model.source),
        Fact(name=text("parts.terms"), value=model.terms),
        Fact(name=text("common.method"), value=method_name(run.method)),
        Fact(name=text("board.settings"), value=settings),
        Fact(name=text("common.seed"), value=str(run.seed)),
        Fact(name=text("common.device"), value=run.device),
        Fact(name=text("common.software"), value=software),
        Fact(name=text("common.started"), value=format_time(run.created)),
    )


def _verdict(view: VerdictView) -> VerdictPart:
    return VerdictPart(
        method=view.method,
        word=view.word,
        is_good=view.is_good,
        meaning=view.meaning,
        action=view.action,
        because=view.because,
        tests=tuple(_test(step) for step in view.steps),
        rule=view.rule,
    )


def _test(step: StepView) -> StepRow:
    return StepRow(
        name=step.name,
        sentence=step.sentence,
        figure=step.count or _with_interval(step.figure),
        limit=step.limit,
        outcome=step.outcome,
        answer=step.answer,
        decides=step.decides,
    )


def _with_interval(figure: Estimate | None, digits: int = 2) -> str:
    if figure is None:
        return "–"
    return text(
        "board.with_interval",
        value=format_number(figure.estimate, digits),
        low=format_number(figure.low, digits),
        high=format_number(figure.high, digits),
    )


def _limits(inputs: BoardInputs) -> tuple[str, ...]:
    """List what does not follow from the figures of this run, most general first."""
    run = inputs.run
    own, unscored = overall_hits(run), sum(inputs.unscored.values())
    failed = sum(failure.failed for failure in run.failures)
    limits = [text("board.limit.no_accuracy"), text("board.limit.method", method=method_name(run.method))]
    if run.model.is_phantom or run.phantom_images:
        limits.append(text("board.limit.phantom"))
    limits.append(
        text(
            "board.limit.cohort",
            studies=counted("study", run.counts.get("audited", 0)),
            patients=counted("patient", 0 if own is None else own.patients),
        )
    )
    if unscored:
        limits.append(text("board.limit.unscored", phrases=counted("phrase", unscored)))
    limits.append(text("board.limit.boxes"))
    if failed:
        limits.append(text("board.limit.failed", count=counted("left_out", failed)))
    if run.not_done:
        limits.append(text("board.limit.unfinished", studies=counted("study", run.not_done)))
    limits.append(text("board.limit.multiplicity", tests=subgroup_tests(run)))
    return tuple(limits)
