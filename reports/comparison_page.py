"""The page of a comparison: every method beside maps that never look, with what it costs; one file."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.comparison_record import ComparedScore, ComparisonRecord
from reports.comparison_tables import comparison_tables, setting_sentence, summary_sentences
from reports.page import render_page
from reports.words import CONTENT_BLIND, ON_PAGES, method_name, score_name

__all__ = ["render_comparison"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRow:
    """One method's or reference's estimate."""

    name: str
    is_subject: bool
    score: ComparedScore


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """One score over all phrases, the highest method first, references below."""

    name: str
    reference: float | None  # the best content-blind estimate
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
    return render_page("comparison.html", script="vendor/chart.min.js", data={}, context=context, also=("chart.js",))


def _charts(record: ComparisonRecord) -> tuple[BarChart, ...]:
    charts = []
    for name in ON_PAGES:
        scores = [s for s in record.scores if (s.score, s.finding, s.averaging) == (name, None, "micro")]
        if any(score.estimate is not None for score in scores):
            charts.append(_chart(name, scores))
    return tuple(charts)


def _chart(name: str, scores: Sequence[ComparedScore]) -> BarChart:
    blind = [s.estimate for s in scores if s.method in CONTENT_BLIND and s.estimate is not None]
    ranked = sorted(scores, key=lambda score: (score.is_reference, -(score.estimate or 0.0)))
    return BarChart(
        name=score_name(name),
        reference=max(blind, default=None),
        rows=tuple(
            BarRow(name=method_name(score.method), is_subject=not score.is_reference, score=score) for score in ranked
        ),
    )
