"""What an audit answers of a reporting checklist or a model card, by name; None where this run does not answer it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from reports.board.inputs import BoardInputs
from reports.grounding import grounding_rows, grounding_summary
from reports.outcomes import cohort_summary, control_words, method_name, overall_hits
from reports.page import format_number, format_percent, format_percents
from reports.planned import planned_sizes, planned_summary
from reports.run_record import RunRecord
from reports.score_catalogue import HUMAN, PERCENTILE, POINTING, RELIANCE, names_on_pages, score_name
from reports.subgroup_table import subgroup_rows
from reports.texts import counted, text
from reports.verdicts import evidence_sentences, verdict_views

__all__ = ["ANSWERS", "AuditAnswer", "answer_to"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditAnswer:
    """One answer: its value, and where it stands."""

    value: str
    where: str


def answer_to(name: str, inputs: BoardInputs) -> AuditAnswer | None:
    """Return an answer of this run; None if the run does not have it.

    Raises:
        KeyError: no answer has the name.
    """
    value = ANSWERS[name](inputs)
    return None if value is None else AuditAnswer(value=value, where=text(f"board.where.{name}"))


def _technology(inputs: BoardInputs) -> str:
    return text("board.answer.technology", model=inputs.run.model.name, family=inputs.run.model.family)


def _summary(inputs: BoardInputs) -> str:
    run = inputs.run
    counts = run.counts
    return " ".join(cohort_summary(run, studies=counts.get("audited", 0), phrases=counts.get("phrases audited", 0)))


def _cohort(inputs: BoardInputs) -> str:
    counts = inputs.run.counts
    return text(
        "board.answer.cohort",
        files=counted("image_file", counts.get("files", 0)),
        reports=counted("report", counts.get("reports", 0)),
        studies=counted("study", counts.get("studies", 0)),
    )


def _exclusions(inputs: BoardInputs) -> str:
    failed = sum(failure.failed for failure in inputs.run.failures)
    return text("board.answer.exclusions", failed=failed, left_out=len(inputs.run.failures) - failed)


def _listed(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _criteria(inputs: BoardInputs) -> str | None:
    settings = inputs.run.config.get("inputs")
    return text("board.answer.criteria", settings=_listed(settings)) if settings else None


def _preprocessing(inputs: BoardInputs) -> str:
    return text("board.answer.preprocessing", fit=inputs.run.settings.get("fit") or text("parts.not_set"))


def _sampling(inputs: BoardInputs) -> str | None:
    fewest = [control.phrases for control in inputs.run.controls if control.method == inputs.run.method]
    return text("board.answer.sampling", phrases=counted("phrase", max(fewest))) if fewest else None


def _unscored(inputs: BoardInputs) -> str | None:
    own = overall_hits(inputs.run)
    if own is None:
        return None
    reasons = "; ".join(f"{counted('phrase', count)}: {reason}" for reason, count in inputs.unscored.items())
    return text("board.answer.unscored", unscored=own.unscored, phrases=own.scored + own.unscored) + (
        f" {reasons}." if reasons else ""
    )


def _reference(inputs: BoardInputs) -> str | None:
    boxes = inputs.run.counts.get("boxes")
    return text("board.answer.reference", boxes=counted("box", boxes)) if boxes else None


def _readers(inputs: BoardInputs) -> str | None:
    own = next(
        (
            each
            for each in inputs.run.summaries
            if (each.method, each.score, each.finding, each.averaging) == (HUMAN, POINTING, None, "micro")
        ),
        None,
    )
    if own is None or own.estimate is None:
        return None
    return text("board.answer.readers", share=format_percent(own.estimate), phrases=counted("phrase", own.scored))


def _model(inputs: BoardInputs) -> str:
    model = inputs.run.model
    return text("board.answer.model", name=model.name, source=model.source, sha256=model.sha256)


def _software(inputs: BoardInputs) -> str:
    return f"{_listed(inputs.run.software)}; {inputs.run.device}"


def _metrics(inputs: BoardInputs) -> str | None:
    names = [s.score for s in inputs.run.summaries if s.method == inputs.run.method and s.finding is None]
    names += [test.test for test in inputs.run.cosine_tests if test.finding is None]
    main = [name for name in dict.fromkeys(names) if name in {*names_on_pages(), PERCENTILE, RELIANCE}]
    if not main:
        return None
    listed = ", ".join(score_name(name) for name in main)
    return text("board.answer.metrics", names=listed, count=len(set(names)) - len(main))


def _rule(inputs: BoardInputs) -> str | None:
    verdicts = [verdict for verdict in inputs.run.verdicts if verdict.method == inputs.run.method]
    return text("board.answer.rule", tests=len(verdicts[0].steps)) if verdicts and verdicts[0].steps else None


def _controls(inputs: BoardInputs) -> str | None:
    names = dict.fromkeys(control_words(control.control)[0] for control in inputs.run.controls)
    return ", ".join(names) or None


def _method(inputs: BoardInputs) -> str:
    run = inputs.run
    return f"{method_name(run.method)} ({_listed(run.settings)}), {text('common.seed')} {run.seed}"


def _evidence(inputs: BoardInputs) -> str | None:
    return " ".join(evidence_sentences(inputs.run)) or None


def _characteristics(inputs: BoardInputs) -> str | None:
    groups = [row for row in inputs.run.subgroups if row.method == inputs.run.method]
    by_patient = [row for row in groups if row.attribute in {"view", "sex", "age"}]
    listed = (
        f"{row.attribute} {row.value}: {counted('phrase', row.scored)}, {counted('patient', row.patients)}"
        for row in by_patient
    )
    return "; ".join(listed) or None


def _devices(inputs: BoardInputs) -> str | None:
    groups = [row for row in inputs.run.subgroups if row.method == inputs.run.method]
    makers = (f"{row.value}: {counted('phrase', row.scored)}" for row in groups if row.attribute == "manufacturer")
    return "; ".join(makers) or None


def _performance(inputs: BoardInputs) -> str | None:
    parts = [_hits(inputs.run), _recognition(inputs.run), grounding_summary(grounding_rows(inputs.run))]
    return " ".join(part for part in parts if part) or None


def _hits(run: RunRecord) -> str | None:
    own = overall_hits(run)
    if own is None or own.estimate is None or own.low is None or own.high is None:
        return None
    low, high = format_percents(own.low, own.high)
    return text("board.answer.hits", share=format_percent(own.estimate), low=low, high=high)


def _recognition(run: RunRecord) -> str | None:
    found = next((test for test in run.cosine_tests if (test.test, test.finding) == (PERCENTILE, None)), None)
    if found is None:
        return None
    result = found.result
    return text(
        "board.answer.recognition",
        value=format_number(result.estimate),
        low=format_number(result.low),
        high=format_number(result.high),
    )


def _subgroups(inputs: BoardInputs) -> str | None:
    rows = [row for row in subgroup_rows(inputs.run) if row.summary.method == inputs.run.method]
    names = Counter(row.summary.attribute for row in rows)
    return ", ".join(f"{name} ({count})" for name, count in names.items()) or None


def _outcomes(inputs: BoardInputs) -> str | None:
    own = overall_hits(inputs.run)
    if own is None or own.estimate is None:
        return None
    hits = round(own.estimate * own.scored)
    return text("board.answer.outcomes", hits=hits, misses=own.scored - hits, unscored=own.unscored)


def _implications(inputs: BoardInputs) -> str | None:
    views = verdict_views(inputs.run)
    own = [view for view, record in zip(views, inputs.run.verdicts, strict=True) if record.method == inputs.run.method]
    return f"{own[0].word}. {own[0].meaning} {own[0].action}".strip() if own else None


def _fixed(name: str) -> Callable[[BoardInputs], str | None]:
    return lambda _inputs: text(f"board.answer.{name}")


ANSWERS: Final[Mapping[str, Callable[[BoardInputs], str | None]]] = MappingProxyType(
    {
        "technology": _technology,
        "summary": _summary,
        "question": _fixed("question"),
        "cohort": _cohort,
        "criteria": _criteria,
        "exclusions": _exclusions,
        "flow": _exclusions,
        "preprocessing": _preprocessing,
        "sampling": _sampling,
        "masking": lambda inputs: text("common.shown" if inputs.run.patient_data_shown else "board.answer.masking"),
        "unscored": _unscored,
        "devices": _devices,
        "reference": _reference,
        "readers": _readers,
        "sample_size": lambda inputs: planned_sizes(inputs.run),
        "protocol": lambda inputs: planned_summary(inputs.run),
        "model": _model,
        "inputs": _fixed("inputs"),
        "output": _fixed("output"),
        "software": _software,
        "metrics": _metrics,
        "intervals": lambda inputs: inputs.run.intervals,
        "rule": _rule,
        "controls": _controls,
        "method": _method,
        "evidence": _evidence,
        "characteristics": _characteristics,
        "performance": _performance,
        "subgroups": _subgroups,
        "outcomes": _outcomes,
        "cases": lambda inputs: text("board.answer.cases") if inputs.run.recognised else None,
        "limits": _fixed("limits"),
        "implications": _implications,
        "availability": _fixed("availability"),
        "log": _fixed("log"),
    }
)
"""The answers by name; the checklists in ``reports/texts/checklists`` refer to them."""
