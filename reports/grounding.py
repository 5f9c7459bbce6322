"""Recognition, reliance and localisation as pages show them: per phrase in words, per finding a row of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reports.page import format_number, format_percent
from reports.record import ScoredPhrase
from reports.reliance import Answer
from reports.run_record import CosineTest, Estimate, PhraseTest, RunRecord, ScoreSummary
from reports.score_catalogue import (
    FEW_PATIENTS,
    HUMAN,
    PERCENTILE,
    POINTING,
    RECALL,
    RELIANCE,
    SCORES,
    excels,
    score_name,
)
from reports.texts import counted, text

__all__ = [
    "GroundingCell",
    "GroundingRow",
    "cosine_rows",
    "grounding_rows",
    "grounding_summary",
    "prefers_opposite",
    "recall_sentence",
    "recognised",
    "recognises",
    "sample_sentence",
]

RECOGNISED_FROM: Final = 0.9
"""Share of the images without the finding that a recognised phrase's image is ranked above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundingCell:
    """One of the three answers for one finding."""

    answer: Answer
    result: Estimate | ScoreSummary | None
    note: str  # why the answer is not known; empty otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundingRow:
    """One finding: whether the model recognises it, relies on the marked region, and shows it."""

    finding: str  # "" for all phrases
    recognises: GroundingCell
    relies: GroundingCell
    localises: GroundingCell

    @property
    def cells(self) -> tuple[GroundingCell, GroundingCell, GroundingCell]:
        """The answers in the order of the columns."""
        return self.recognises, self.relies, self.localises


def recognises(test: PhraseTest | None) -> bool | None:
    """Return whether the model recognises one phrase's image: clearly, clearly not, or None.

    It does if the image is ranked above at least :data:`RECOGNISED_FROM` of the images without the finding, and does
    not if it is ranked below half of them. This is the rank whose mean :func:`grounding_rows` shows; comparisons with
    the negation and the other side decide nothing, as there.
    """
    if test is None or test.percentile is None:
        return None
    return True if test.percentile >= RECOGNISED_FROM else False if test.percentile < 0.5 else None


def prefers_opposite(test: PhraseTest | None) -> bool:
    """Return True if the negation of a phrase, or its other side, has a higher cosine than the phrase itself."""
    won = () if test is None else (test.beats_negation, test.beats_other_side)
    return any(value is not None and value < 0.5 for value in won)


def recognised(phrase: ScoredPhrase, test: PhraseTest | None) -> str | None:
    """Say how the phrase's cosine compares; None where the run says nothing of it."""
    if test is None:
        return None
    parts = []
    if test.percentile is not None:
        images = text("grounding.images") if test.images is None else counted("image", test.images)
        parts.append(text("grounding.ranks", share=format_percent(test.percentile), images=images))
    for value, name in ((test.beats_negation, "negation"), (test.beats_other_side, "other_side")):
        if value is not None:
            outcome = "prefers" if value > 0.5 else "not_told" if value == 0.5 else "prefers_opposite"
            parts.append(text(f"grounding.{outcome}_{name}"))
    if not parts:
        return None
    return text("grounding.cosine", cosine=format_number(phrase.cosine, 2), comparisons="; ".join(parts))


def grounding_rows(run: RunRecord) -> tuple[GroundingRow, ...]:
    """List all phrases, then each finding; nothing for a run of an older version.

    An answer is "yes" if the whole 95 % interval lies above chance (of hits: if the paired difference to each reference
    that is not a reader does), "no" if it does not, and "unknown" if it was not measured or on fewer than
    :data:`FEW_PATIENTS` patients.
    """
    tests = {(test.test, test.finding): test for test in run.cosine_tests}
    hits = {
        summary.finding: summary
        for summary in run.summaries
        if (summary.method, summary.score, summary.averaging) == (run.method, POINTING, "micro") and summary.scored
    }
    findings = dict.fromkeys(test.finding for test in run.cosine_tests if test.test in {PERCENTILE, RELIANCE})
    return tuple(
        GroundingRow(
            finding=finding or "",
            recognises=_tested(tests.get((PERCENTILE, finding))),
            relies=_tested(tests.get((RELIANCE, finding))),
            localises=_localised(hits.get(finding)),
        )
        for finding in findings
    )


def _tested(test: CosineTest | None) -> GroundingCell:
    if test is None:
        return GroundingCell(answer="unknown", result=None, note=text("grounding.not_tested"))
    if test.result.patients < FEW_PATIENTS:
        return _of_few(test.result)
    return GroundingCell(answer="yes" if test.result.low > test.chance else "no", result=test.result, note="")


def _localised(summary: ScoreSummary | None) -> GroundingCell:
    if summary is None:
        return GroundingCell(answer="unknown", result=None, note=text("grounding.not_tested"))
    beside = [each for each in summary.differences if each.reference != HUMAN]
    if min([summary.patients, *(each.patients for each in beside)]) < FEW_PATIENTS:
        return _of_few(summary)
    if not beside:
        return GroundingCell(answer="unknown", result=summary, note=text("difference.no_reference"))
    is_above = all(excels(each) for each in beside)
    return GroundingCell(answer="yes" if is_above else "no", result=summary, note="")


def _of_few(result: Estimate | ScoreSummary) -> GroundingCell:
    few = text("difference.few", patients=counted("patient", result.patients))
    return GroundingCell(answer="unknown", result=result, note=few)


def grounding_summary(rows: Sequence[GroundingRow]) -> str | None:
    """Count the findings that are answered with yes, and those that are not; None without findings."""
    of_findings = [row for row in rows if row.finding]
    if not of_findings:
        return None
    recognised_, relied, localised = (
        sum(row.cells[place].answer == "yes" for row in of_findings) for place in range(3)
    )
    said = text(
        "grounding.summary",
        findings=counted("finding", len(of_findings)),
        recognised=recognised_,
        relied=relied,
        localised=localised,
        all=sum(all(cell.answer == "yes" for cell in row.cells) for row in of_findings),
    )
    unknown = sum(any(cell.answer == "unknown" for cell in row.cells) for row in of_findings)
    return f"{said} {text('grounding.summary_open', findings=counted('finding', unknown))}" if unknown else said


def cosine_rows(run: RunRecord) -> tuple[tuple[str, CosineTest], ...]:
    """List every test over all phrases with its name; retrieval has a sentence of its own."""
    return tuple(
        (score_name(test.test), test)
        for test in run.cosine_tests
        if test.finding is None and test.test in SCORES and test.kind != "absence"
    )


def sample_sentence(run: RunRecord) -> str | None:
    """Say that only a part of a large run's images were compared with each other; None if all were."""
    images = run.counts.get("images audited", 0)
    compared = run.counts.get("images compared", images)
    if compared >= images:
        return None
    return text("grounding.sample", compared=counted("image", compared), images=counted("image", images))


def recall_sentence(run: RunRecord) -> str | None:
    """Say how often an image finds its own report among other patients'; None where it was not measured."""
    found = {test.test: test for test in run.cosine_tests}
    tests = [found[name] for rank in (1, 5, 10) if (name := RECALL.format(rank)) in found]
    if len(tests) < 3:
        return None
    first, five, ten = (
        text(
            "grounding.share_of_chance",
            share=format_percent(test.result.estimate),
            chance=format_percent(test.chance),
        )
        for test in tests
    )
    return text(
        "grounding.recall",
        images=counted("image", tests[0].result.cases),
        patients=counted("patient", tests[0].result.patients),
        first=first,
        five=five,
        ten=ten,
    )
