"""The page of a comparison of models or methods, and its tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reports.comparison_cells import Cell, ComparisonTable, TableRow, digits_of, is_better, laid_out, range_of, signed
from reports.comparison_record import ComparedMethod, ComparedScore, ComparisonRecord
from reports.method_cards import method_cards
from reports.method_checks import check_tables
from reports.outcomes import method_name, reference_name
from reports.page import format_number, render_page
from reports.run_record import ScoreDifference
from reports.score_catalogue import (
    BLIND_METHODS,
    FEW_PATIENTS,
    POINTING,
    SCORES,
    ScoreKind,
    names_of,
    names_on_pages,
    score_name,
)
from reports.texts import counted, text

__all__ = [
    "Cell",
    "ComparisonTable",
    "TableRow",
    "comparison_tables",
    "render_comparison",
    "setting_sentence",
    "summary_sentences",
]


_AsCell = Callable[[ComparedScore | None], Cell]


def comparison_tables(record: ComparisonRecord) -> tuple[ComparisonTable, ...]:
    """Return all tables with measured values; tables without a value are omitted."""
    tables = [
        _table(record, ("localisation", "micro"), "place"),
        _table(record, ("localisation", "macro"), "place-macro"),
        _differences(record, "to_reference", "blind"),
        _differences(record, "to_baseline", "baseline"),
        _faithfulness(record),
        _table(record, ("shortcut", "micro"), "shortcuts"),
        _words(record),
        *check_tables(record.sanity),
        _costs(record),
    ]
    return tuple(table for table in tables if table is not None)


def setting_sentence(method: ComparedMethod) -> str:
    """Format a method's settings, with defaults where they differ."""
    return ", ".join(_setting(method, name) for name in method.settings) or text("comparison.no_settings")


def _setting(method: ComparedMethod, name: str) -> str:
    shown, value = name.replace("_", " "), method.settings[name]
    if name not in method.own_settings:
        return text("comparison.setting", name=shown, value=value)
    return text("comparison.setting_with_own", name=shown, value=value, own=method.own_settings[name])


def summary_sentences(record: ComparisonRecord) -> tuple[str, ...]:
    """Summarise the comparison in a few sentences."""
    methods = counted("method", sum(method.refused is None for method in record.methods))
    studies = counted("study", record.counts["compared"])
    scored = [
        score
        for score in _chosen(record, "localisation", "micro")
        if score.score == POINTING and not score.is_reference and score.estimate is not None
    ]
    if not scored:
        return text("summary.comparison_unscored", methods=methods, studies=studies), text("summary.none_scored")
    best = max(scored, key=lambda score: score.estimate or 0.0)
    pairs = counted("scored_phrase", best.scored)
    sentences = [
        text("summary.comparison", methods=methods, studies=studies, scored=pairs),
        text("summary.comparison_best", method=method_name(best.method), estimate=format_number(best.estimate)),
    ]
    if best.to_reference is not None:
        above = sum(is_better(score.to_reference) for score in scored)
        reference = reference_name(best.to_reference.reference)
        few = best.to_reference.patients
        if few < FEW_PATIENTS:
            patients = counted("patient", few)
            sentences.append(text("summary.comparison_few", patients=patients, reference=reference))
        else:
            sentences.append(text("summary.comparison_above", above=above, methods=len(scored), reference=reference))
    return tuple(sentences)


def _chosen(record: ComparisonRecord, kind: ScoreKind, averaging: str) -> list[ComparedScore]:
    return [
        score
        for score in record.scores
        if score.kind == kind and score.averaging == averaging and score.finding is None
    ]


def _names(scores: Sequence[ComparedScore]) -> list[str]:
    """List the scores with values: first those against boxes (those on other pages first), then the others."""
    held = list(dict.fromkeys(score.score for score in scores if score.estimate is not None and not score.is_reference))
    by_boxes = sorted(names_of("localisation"), key=lambda name: not SCORES[name].on_page)
    return sorted(held, key=lambda name: by_boxes.index(name) if name in by_boxes else len(by_boxes))


def _rows(
    record: ComparisonRecord, scores: Sequence[ComparedScore], names: Sequence[str], cell: _AsCell, *, references: bool
) -> tuple[TableRow, ...]:
    by_place = {(score.method, score.score): score for score in scores}
    beside = list(dict.fromkeys(score.method for score in scores if score.is_reference)) if references else []
    methods = [(method.name, False) for method in record.methods if method.refused is None]
    return tuple(
        TableRow(
            name=method_name(method),
            is_reference=is_reference,
            cells=tuple(cell(by_place.get((method, name))) for name in names),
        )
        for method, is_reference in (*methods, *((name, True) for name in beside))
    )


def _table(record: ComparisonRecord, chosen: tuple[ScoreKind, str], key: str) -> ComparisonTable | None:
    """Format estimates with their intervals."""
    kind, averaging = chosen
    scores = _chosen(record, kind, averaging)
    names = _names(scores)
    if not names:
        return None
    columns = [f"{score_name(name)}{_arrow(scores, name) if kind == 'shortcut' else ''}" for name in names]
    rows = _rows(record, scores, names, _estimate, references=True)
    if key == "place":  # whose note tells what bold means for the others too
        return laid_out(key, columns, rows, few=FEW_PATIENTS)
    return laid_out(key, columns, rows)


def _differences(record: ComparisonRecord, to: str, key: str) -> ComparisonTable | None:
    """Format differences of localisation scores over all phrases."""
    scores = _chosen(record, "localisation", "micro")
    found = {score.score: getattr(score, to) for score in scores if getattr(score, to) is not None}
    names = [name for name in _names(scores) if name in found]
    if not names:
        return None
    rows = _rows(
        record,
        scores,
        names,
        lambda score: _difference(getattr(score, to), lower=score.lower_is_better) if score else Cell(text="–"),
        references=False,
    )
    measured = tuple(row for row in rows if any(cell.beside for cell in row.cells))  # the baseline has none to itself
    if to == "to_baseline":
        baseline = method_name(record.baseline)
        return laid_out(key, map(score_name, names), measured, baseline=baseline, few=FEW_PATIENTS)
    over = {name: reference_name(found[name].reference) for name in names}
    columns = (text("comparison.over", score=score_name(name), reference=over[name]) for name in names)
    return laid_out(key, columns, measured, few=FEW_PATIENTS)


def _faithfulness(record: ComparisonRecord) -> ComparisonTable | None:
    scores = [score for score in _chosen(record, "faithfulness", "micro") if not score.is_reference]
    names = _names(scores)
    if not names:
        return None
    columns = (f"{score_name(name)}{_arrow(scores, name)}" for name in names)
    rows = _rows(record, scores, names, _beside_shuffled, references=False)
    sample = counted("phrase", record.counts.get("faithfulness sample", 0))
    return laid_out("faithfulness", columns, rows, sample=sample)


def _words(record: ComparisonRecord) -> ComparisonTable | None:
    """Format the scores of word heat beside their references."""
    scores = _chosen(record, "words", "micro")
    names = _names(scores)
    if not names:
        return None
    columns = (f"{score_name(name)}{_arrow(scores, name)}" for name in names)
    rows = _rows(record, scores, names, _estimate, references=True)
    measured = tuple(row for row in rows if any(cell.beside for cell in row.cells))  # not every method explains words
    return laid_out("words", columns, measured, sample=counted("phrase", record.counts.get("phrases with words", 0)))


def _costs(record: ComparisonRecord) -> ComparisonTable:
    rows = []
    for method in record.methods:
        if method.refused is not None:
            continue
        words = format_number(method.seconds_with_words, 3) if method.explains_words else text("comparison.no_words")
        cells = (format_number(method.seconds_image, 3), words, format_number(method.memory_mb, 0))
        row = tuple(Cell(text=cell) for cell in (*cells, setting_sentence(method)))
        rows.append(TableRow(name=method_name(method.name), is_reference=False, cells=row))
    columns = (
        text("comparison.seconds_image"),
        text("comparison.seconds_with_words"),
        text("comparison.memory"),
        text("comparison.settings"),
    )
    pairs = counted("pair", max((method.pairs for method in record.methods), default=0))
    return laid_out("cost", columns, tuple(rows), pairs=pairs, device=record.device, memory=record.memory)


def _arrow(scores: Sequence[ComparedScore], name: str) -> str:
    return " ↓" if any(score.lower_is_better for score in scores if score.score == name) else " ↑"


def _estimate(score: ComparedScore | None) -> Cell:
    if score is None or score.estimate is None:
        return Cell(text="–")
    strong = is_better(score.to_reference, lower=score.lower_is_better)
    digits = digits_of(score.estimate)
    beside = range_of(score.low, score.high, digits)
    return Cell(text=format_number(score.estimate, digits), beside=beside, is_strong=strong)


def _difference(found: ScoreDifference | None, *, lower: bool) -> Cell:
    if found is None:
        return Cell(text="–")
    digits = digits_of(found.estimate)
    beside = range_of(found.low, found.high, digits)
    return Cell(text=signed(found.estimate, digits), beside=beside, is_strong=is_better(found, lower=lower))


def _beside_shuffled(score: ComparedScore | None) -> Cell:
    if score is None or score.estimate is None:
        return Cell(text="–")
    digits, found = digits_of(score.estimate), score.to_reference
    estimate = format_number(score.estimate, digits)
    if found is None:
        return Cell(text=estimate)
    beside = f"{signed(found.estimate, digits)} ({range_of(found.low, found.high, digits)})"
    return Cell(text=estimate, beside=beside, is_strong=is_better(found, lower=score.lower_is_better))


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
    """Render the page: one self-contained HTML file that needs no network."""
    context = {
        "record": record,
        "summary": summary_sentences(record),
        "cards": method_cards(record),
        "charts": _charts(record),
        "tables": comparison_tables(record),
        "refused": [(method_name(method.name), method.refused) for method in record.methods if method.refused],
        "settings": {method_name(m.name): setting_sentence(m) for m in record.methods if m.refused is None},
        "seconds": (record.finished - record.created).total_seconds(),
    }
    return render_page(
        "comparison.html", script="vendor/chart.min.js", data={}, context=context, also=("chart.js", "save.js")
    )


def _charts(record: ComparisonRecord) -> tuple[BarChart, ...]:
    charts = []
    for name in names_on_pages():
        scores = [s for s in record.scores if (s.score, s.finding, s.averaging) == (name, None, "micro")]
        if any(score.estimate is not None for score in scores):
            charts.append(_chart(name, scores))
    return tuple(charts)


def _chart(name: str, scores: Sequence[ComparedScore]) -> BarChart:
    blind = [s.estimate for s in scores if s.method in BLIND_METHODS and s.estimate is not None]
    best = max if SCORES[name].higher_is_better else min
    ranked = sorted(scores, key=lambda score: (score.is_reference, -(score.estimate or 0.0)))
    return BarChart(
        name=score_name(name),
        reference=best(blind, default=None),
        rows=tuple(
            BarRow(name=method_name(score.method), is_subject=not score.is_reference, score=score) for score in ranked
        ),
    )
