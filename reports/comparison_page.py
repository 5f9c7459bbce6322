"""The page of a comparison: every method beside maps that never look, with what it costs; one file, no script."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.chart import Axis, Mark, axis_over, mark_of
from reports.comparison_record import ComparedScore, ComparisonRecord
from reports.comparison_tables import comparison_tables, setting_sentence, summary_sentences
from reports.page import render_page
from reports.record import ScoreSummary
from reports.words import CONTENT_BLIND, ON_PAGES, method_name, score_name

__all__ = ["render_comparison"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRow:
    """One method's or reference's estimate."""

    name: str
    is_subject: bool
    score: ComparedScore
    mark: Mark | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """One score over all phrases, the highest method first, references below."""

    name: str
    axis: Axis
    reference: float | None  # place of the best content-blind estimate on the axis
    rows: tuple[BarRow, ...]


def render_comparison(record: ComparisonRecord) -> str:
    """Make the page: one HTML file that needs no other file and no network."""
    context = {
        "record": record,
        "summary": summary_sentences(record),
        "charts": _charts(record),
        "tables": comparison_tables(record),
        "refused": [(method_name(method.name), method.refused) for method in record.methods if method.refused],
        "settings": {method_name(m.name): setting_sentence(m) for m in record.methods if m.refused is None},
        "seconds": (record.finished - record.created).total_seconds(),
    }
    return render_page("comparison.html", script="cohort.js", data={}, context=context)


def _charts(record: ComparisonRecord) -> tuple[BarChart, ...]:
    charts = []
    for name in ON_PAGES:
        scores = [s for s in record.scores if (s.score, s.finding, s.averaging) == (name, None, "micro")]
        if any(score.estimate is not None for score in scores):
            charts.append(_chart(name, scores))
    return tuple(charts)


def _chart(name: str, scores: Sequence[ComparedScore]) -> BarChart:
    summaries = {score.method: _summary(score) for score in scores}
    axis = axis_over(list(summaries.values()))
    blind = [s.estimate for s in scores if s.method in CONTENT_BLIND and s.estimate is not None]
    ranked = sorted(scores, key=lambda score: (score.is_reference, -(score.estimate or 0.0)))
    return BarChart(
        name=score_name(name),
        axis=axis,
        reference=axis.place(max(blind)) if blind else None,
        rows=tuple(
            BarRow(
                name=method_name(score.method),
                is_subject=not score.is_reference,
                score=score,
                mark=mark_of(summaries[score.method], axis),
            )
            for score in ranked
        ),
    )


def _summary(score: ComparedScore) -> ScoreSummary:
    """Give a compared score the form that charts take."""
    shared = score.model_dump(include=set(ScoreSummary.model_fields) - {"differences"})
    return ScoreSummary.model_validate(shared)
