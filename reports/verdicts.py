"""The verdict on a run and its evidence on the cohort page: controls, total heat, faithfulness."""

import re
from dataclasses import dataclass

from reports.outcomes import control_words, method_name
from reports.page import format_number, format_percent, format_percents
from reports.reliance import Answer
from reports.run_record import (
    ControlSummary,
    Estimate,
    EvidenceRecord,
    RunRecord,
    ScoreDifference,
    ScoreSummary,
    StepOutcome,
    VerdictRecord,
    VerdictStep,
)
from reports.score_catalogue import (
    AREA_SHARE,
    FEW_PATIENTS,
    SCORES,
    ScoreKind,
    ScoreSpec,
    excels,
    is_reference,
    kind_of,
    shuffled_name,
)
from reports.texts import all_texts, counted, text

__all__ = [
    "ControlSummaryRow",
    "FaithfulnessRow",
    "Rule",
    "ShortcutRow",
    "StepView",
    "VerdictView",
    "control_rows",
    "evidence_sentences",
    "faithfulness_rows",
    "shortcut_rows",
    "verdict_views",
]

_SENTENCE_END = re.compile(r"(?<=\.) ")
_COUNTS_FROM = 10.0  # a limit from here on is a number of cases; others are shares, differences and multiples of an SD


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The rule of a verdict: general conditions, and the numbered steps in order."""

    before: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One test of the rule of a verdict."""

    name: str
    sentence: str
    figure: Estimate | None
    count: str  # of cases, which has no interval; empty for other figures
    limit: str
    answer: Answer  # "yes" for a test that was passed
    outcome: str  # in words
    decides: bool  # the verdict follows from it


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictView:
    """One method's verdict in words."""

    method: str
    word: str
    is_good: bool
    meaning: str
    because: tuple[str, ...]  # sentences
    steps: tuple[StepView, ...]  # empty in runs of older versions
    action: str  # what the reader should do; empty in runs of older versions
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSummaryRow:
    """One control of one method."""

    method: str
    name: str
    instead: str
    summary: ControlSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class FaithfulnessRow:
    """One faithfulness score next to that of the same heat with its cells shuffled."""

    method: str
    name: str
    better: str  # "lower" or "higher"
    summary: ScoreSummary
    difference: ScoreDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortcutRow:
    """One score of heat in irrelevant areas or on the named side, next to the share of plain area."""

    method: str
    name: str
    meaning: str
    better: str  # "lower" or "higher"
    summary: ScoreSummary
    area: float | None  # the same share of plain area; None where no phrase has both
    difference: ScoreDifference | None
    word: str  # "better", "worse" or "no different"; empty for few patients, or where no phrase has both


def verdict_views(run: RunRecord) -> tuple[VerdictView, ...]:
    """Describe each method's verdict; empty for a run of an older version."""
    return tuple(_verdict_view(verdict) for verdict in run.verdicts)


def _verdict_view(verdict: VerdictRecord) -> VerdictView:
    return VerdictView(
        method=method_name(verdict.method),
        word=text(f"judgement.word.{verdict.verdict}"),
        is_good=verdict.verdict == "grounded",
        meaning=text(f"judgement.meaning.{verdict.verdict}"),
        because=tuple(_sentence(reason) for reason in verdict.because),
        steps=tuple(_step_view(step) for step in verdict.steps),
        action=verdict.action,
        rule=_rule(verdict.rule),
    )


def _step_view(step: VerdictStep) -> StepView:
    answers: dict[StepOutcome, Answer] = {"passed": "yes", "failed": "no"}
    is_count = step.limit is not None and step.limit >= _COUNTS_FROM
    return StepView(
        name=text(f"judgement.test.{step.test}"),
        sentence=_sentence(step.sentence),
        figure=step.figure,
        count=format_number(step.figure.estimate, 0) if is_count and step.figure else "",
        limit=format_number(step.limit, 0 if is_count else 2),
        answer=answers.get(step.outcome, "unknown"),
        outcome=text(f"judgement.outcome.{step.outcome}"),
        decides=step.decides,
    )


def _rule(rule: str) -> Rule:
    """Split a rule at "1. ", "2. " and so on, in consecutive order."""
    parts = [""]
    for sentence in _SENTENCE_END.split(rule):
        if sentence.strip(". ") == str(len(parts)):
            parts.append("")
        else:
            parts[-1] = f"{parts[-1]} {sentence}".strip()
    before, *steps = parts
    return Rule(before=before, steps=tuple(steps))


def control_rows(run: RunRecord) -> tuple[ControlSummaryRow, ...]:
    """List the controls of every method, in the order of the record."""
    rows = []
    for summary in run.controls:
        name, instead = control_words(summary.control)
        rows.append(ControlSummaryRow(method=method_name(summary.method), name=name, instead=instead, summary=summary))
    return tuple(rows)


def evidence_sentences(run: RunRecord) -> tuple[str, ...]:
    """Describe for each method whether its total heat separates right from wrong phrases."""
    return tuple(_evidence_sentence(evidence) for evidence in run.evidence)


def _evidence_sentence(evidence: EvidenceRecord) -> str:
    unit = "" if evidence.unit == "dimensionless" else f" {evidence.unit}"
    share = evidence.exceeds
    low, high = format_percents(share.low, share.high)
    sentence = text(
        "evidence.exceeds",
        method=method_name(evidence.method),
        share=format_percent(share.estimate),
        phrases=counted("phrase", share.cases),
        low=low,
        high=high,
    )
    if not evidence.tells:
        return f"{sentence} {text('evidence.tells_nothing')}"
    return f"{sentence} {text('evidence.tells', floor=f'{format_number(evidence.floor, 1)}{unit}')}"


def faithfulness_rows(run: RunRecord) -> tuple[FaithfulnessRow, ...]:
    """List the scores that have a value for the shuffled heat."""
    rows = []
    for summary in _overall(run, "faithfulness"):
        beside = next((d for d in summary.differences if d.reference == shuffled_name(summary.method)), None)
        if beside is not None:
            spec = SCORES[summary.score]
            rows.append(
                FaithfulnessRow(
                    method=method_name(summary.method),
                    name=spec.label,
                    better=_better(spec),
                    summary=summary,
                    difference=beside,
                )
            )
    return tuple(rows)


def _overall(run: RunRecord, kind: ScoreKind) -> list[ScoreSummary]:
    """List the summaries of one kind of score over all phrases (micro average)."""
    return [
        each for each in run.summaries if (each.finding, each.averaging, kind_of(each.score)) == (None, "micro", kind)
    ]


def _better(spec: ScoreSpec) -> str:
    return "higher" if spec.higher_is_better else "lower"


def shortcut_rows(run: RunRecord) -> tuple[ShortcutRow, ...]:
    """List the results for markers, collimation, chest, sides and zones."""
    overall = _overall(run, "shortcut")
    areas = {each.score: each.estimate for each in overall if each.method == AREA_SHARE}
    return tuple(
        _shortcut_row(summary, areas.get(summary.score))
        for summary in overall
        if not is_reference(summary.method) and summary.estimate is not None
    )


def _shortcut_row(summary: ScoreSummary, area: float | None) -> ShortcutRow:
    spec = SCORES[summary.score]
    difference = next((each for each in summary.differences if each.reference == AREA_SHARE), None)
    word = ""
    if difference is not None and difference.patients >= FEW_PATIENTS:
        is_better = excels(difference, higher_is_better=spec.higher_is_better)
        is_worse = excels(difference, higher_is_better=not spec.higher_is_better)
        word = "better" if is_better else "worse" if is_worse else "no different"
    return ShortcutRow(
        method=method_name(summary.method),
        name=spec.label,
        meaning=text(f"shortcut.{spec.name}") if f"shortcut.{spec.name}" in all_texts() else "",
        better=_better(spec),
        summary=summary,
        area=area,
        difference=difference,
        word=word,
    )


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:]}."
