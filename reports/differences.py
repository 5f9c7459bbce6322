"""What is left of a method's scores over those of a reference: one table, with the outcome in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.record import RunRecord, ScoreDifference, ScoreSummary
from reports.texts import counted, text
from reports.words import CONTENT_BLIND, FEW_PATIENTS, OF_PLACE, reference_name, score_name

__all__ = ["DifferenceRow", "DifferenceTable", "difference_table", "exceeds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow:
    """One score of the audited method, and what is left of it over each reference."""

    name: str
    summary: ScoreSummary
    cells: tuple[ScoreDifference | None, ...]  # one a reference; None where no phrase has both
    outcome: str  # in words
    is_above: bool  # over every content-blind reference


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceTable:
    """Every score over all phrases against every reference."""

    references: tuple[str, ...]  # as a sentence names them
    rows: tuple[DifferenceRow, ...]
    has_reader: bool  # among the references


def difference_table(run: RunRecord) -> DifferenceTable | None:
    """Lay out a run's differences; None where it has none."""
    own = [
        summary
        for summary in run.summaries
        if (summary.method, summary.finding, summary.averaging) == (run.method, None, "micro")
        and summary.score in OF_PLACE
        and summary.differences
    ]
    references = tuple(dict.fromkeys(each.reference for summary in own for each in summary.differences))
    if not references:
        return None
    return DifferenceTable(
        references=tuple(reference_name(reference) for reference in references),
        rows=tuple(_row(summary, references) for summary in own),
        has_reader="another reader" in references,
    )


def exceeds(difference: ScoreDifference) -> bool:
    """Whether the whole interval of a difference lies above 0, over enough patients for that to mean anything."""
    return difference.low > 0.0 and difference.patients >= FEW_PATIENTS


def _row(summary: ScoreSummary, references: Sequence[str]) -> DifferenceRow:
    by_reference = {difference.reference: difference for difference in summary.differences}
    blind = [difference for difference in summary.differences if difference.reference in CONTENT_BLIND]
    unbeaten = [reference_name(difference.reference) for difference in blind if not exceeds(difference)]
    fewest = min((difference.patients for difference in blind), default=0)
    if blind and fewest < FEW_PATIENTS:
        outcome = text("difference.few", patients=counted("patient", fewest))
    elif not blind:
        outcome = text("difference.no_reference")
    elif unbeaten:
        outcome = text("difference.not_above", references=", ".join(unbeaten))
    else:
        outcome = text("difference.above")
    return DifferenceRow(
        name=score_name(summary.score),
        summary=summary,
        cells=tuple(by_reference.get(reference) for reference in references),
        outcome=outcome,
        is_above=bool(blind) and not unbeaten,
    )
