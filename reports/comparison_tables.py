"""A comparison laid out in tables, methods down and scores across: the same for a browser and for a paper."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reports.comparison_record import ComparedMethod, ComparedScore, ComparisonRecord, ScoreKind
from reports.page import shown_number
from reports.record import ScoreDifference
from reports.words import OF_PLACE, counted, method_name, score_name

__all__ = ["Cell", "ComparisonTable", "TableRow", "comparison_tables", "setting_sentence", "summary_sentences"]

_MAIN = OF_PLACE[0]
_MEMORY = "Memory, MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What stands in one place of a table."""

    text: str
    beside: str = ""  # an interval
    is_strong: bool = False  # better than the reference beyond the interval of the difference


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One method or reference."""

    name: str
    is_reference: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonTable:
    """One table with what a reader must know of it."""

    key: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


_AsCell = Callable[[ComparedScore | None], Cell]


def comparison_tables(record: ComparisonRecord) -> tuple[ComparisonTable, ...]:
    """Lay out everything that was measured; a table without a value is left away."""
    baseline = method_name(record.baseline)
    macro = "The mean of the findings' means, each finding counted alike. Otherwise as above."
    tables = [
        _table(record, ("localisation", "micro"), "place", "Where the heat lies, over all phrases", _PLACE),
        _table(record, ("localisation", "macro"), "place-macro", "Where the heat lies, mean over findings", macro),
        _differences(record, "to_reference", "blind", "What is left over the best blind reference", _BLIND),
        _differences(record, "to_baseline", "baseline", f"What is left over {baseline}", _BASELINE),
        _faithfulness(record),
        _table(record, ("shortcut", "micro"), "shortcuts", "Shortcuts, sides and zones", _SHORTCUTS),
        _costs(record),
    ]
    return tuple(table for table in tables if table is not None)


_PLACE = (
    "Estimate and 95 % bootstrap interval over patients; higher is better. Bold: the paired difference to the best "
    "reference that never looks at the image lies above 0 with its whole interval. References stand below."
)
_BLIND = (
    "The method minus the content-blind reference that scores highest, on the same phrases, with the paired 95 % "
    "interval over patients. Bold: above 0 with the whole interval."
)
_BASELINE = (
    "The method minus the baseline on the same phrases, with the paired 95 % interval over patients. Bold: above 0 "
    "with the whole interval. Many differences are shown: some of them leave 0 by chance."
)
_SHORTCUTS = (
    "Beside each method stands the share of plain area: what heat that is the same everywhere gets. Arrows say which "
    "way is better. Bold: better than the area's share with the whole interval."
)


def setting_sentence(method: ComparedMethod) -> str:
    """Print a method's numbers, and its own where others were taken."""
    own = {name: f" (its own number is {value})" for name, value in method.own_settings.items()}
    told = (f"{name.replace('_', ' ')} {value}{own.get(name, '')}" for name, value in method.settings.items())
    return ", ".join(told) or "no numbers"


def summary_sentences(record: ComparisonRecord) -> tuple[str, ...]:
    """Say in a few sentences what the comparison found."""
    studies, compared = record.counts["compared"], [m for m in record.methods if m.refused is None]
    first = f"{counted(len(compared), 'method')} on {counted(studies, 'study', 'studies')}"
    scored = [
        score
        for score in _chosen(record, "localisation", "micro")
        if score.score == _MAIN and not score.is_reference and score.estimate is not None
    ]
    if not scored:
        return (f"{first}.", "No phrase could be scored against a radiologist's box.")
    best = max(scored, key=lambda score: score.estimate or 0.0)
    above = [score for score in scored if _is_better(score.to_reference, lower=False)]
    blind = best.to_reference
    told = [f"{first}, {counted(best.scored, 'scored phrase')}."]
    told.append(
        f"{method_name(best.method)} points into the radiologist's box most often: {shown_number(best.estimate)}."
    )
    if blind is not None:
        told.append(
            f"{len(above)} of {len(scored)} do so more often than the best map that never looks at the image "
            f"({method_name(blind.reference).lower()}) beyond the interval of the difference."
        )
    return tuple(told)


def _chosen(record: ComparisonRecord, kind: ScoreKind, averaging: str) -> list[ComparedScore]:
    return [
        score
        for score in record.scores
        if score.kind == kind and score.averaging == averaging and score.finding is None
    ]


def _names(scores: Sequence[ComparedScore]) -> list[str]:
    """List the scores that hold a value, those of place in their own order."""
    held = list(dict.fromkeys(score.score for score in scores if score.estimate is not None and not score.is_reference))
    return sorted(held, key=lambda name: OF_PLACE.index(name) if name in OF_PLACE else len(OF_PLACE))


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


def _table(
    record: ComparisonRecord, chosen: tuple[ScoreKind, str], key: str, title: str, note: str
) -> ComparisonTable | None:
    """Lay out estimates with their intervals."""
    kind, averaging = chosen
    scores = _chosen(record, kind, averaging)
    names = _names(scores)
    if not names:
        return None
    columns = [f"{score_name(name)}{_arrow(scores, name) if kind == 'shortcut' else ''}" for name in names]
    rows = _rows(record, scores, names, _estimate, references=True)
    return ComparisonTable(key=key, title=title, note=note, columns=tuple(columns), rows=rows)


def _differences(record: ComparisonRecord, to: str, key: str, title: str, note: str) -> ComparisonTable | None:
    """Lay out differences of the scores of place, over all phrases."""
    scores = _chosen(record, "localisation", "micro")
    found = {score.score: getattr(score, to) for score in scores if getattr(score, to) is not None}
    names = [name for name in _names(scores) if name in found]
    if not names:
        return None
    of_reference = to == "to_reference"
    columns = tuple(
        f"{score_name(name)}, over {method_name(found[name].reference).lower()}" if of_reference else score_name(name)
        for name in names
    )
    rows = _rows(
        record, scores, names, lambda score: _difference(getattr(score, to) if score else None), references=False
    )
    measured = tuple(row for row in rows if any(cell.beside for cell in row.cells))  # the baseline has none to itself
    return ComparisonTable(key=key, title=title, note=note, columns=columns, rows=measured)


def _faithfulness(record: ComparisonRecord) -> ComparisonTable | None:
    scores = [score for score in _chosen(record, "faithfulness", "micro") if not score.is_reference]
    names = _names(scores)
    if not names:
        return None
    sample = counted(record.counts.get("faithfulness sample", 0), "phrase")
    return ComparisonTable(
        key="faithfulness",
        title="Faithfulness to the model",
        note=f"What hiding or showing the hottest cells and words does to the model's own cosine, on {sample} drawn by "
        "the seed. Arrows say which way is better. Below each: its difference to the same heat with its cells "
        "shuffled, since a broad heat scores well wherever it lies. Bold: better than shuffled, whole interval.",
        columns=tuple(f"{score_name(name)}{_arrow(scores, name)}" for name in names),
        rows=_rows(record, scores, names, _beside_shuffled, references=False),
    )


def _costs(record: ComparisonRecord) -> ComparisonTable:
    rows = []
    for method in record.methods:
        if method.refused is not None:
            continue
        words = "no words" if not method.explains_words else shown_number(method.seconds_with_words, 3)
        cells = (shown_number(method.seconds_image, 3), words, shown_number(method.memory_mb, 0))
        row = tuple(Cell(text=text) for text in (*cells, setting_sentence(method)))
        rows.append(TableRow(name=method_name(method.name), is_reference=False, cells=row))
    explained = max((method.pairs for method in record.methods), default=0)
    return ComparisonTable(
        key="cost",
        title="What it costs",
        note=f"Mean over {counted(explained, 'pair')} of the time of the method alone, on {record.device}; with words "
        f"over those of the faithfulness sample. Memory: {record.memory}.",
        columns=("Seconds a pair, image", "Seconds a pair, image and words", _MEMORY, "Numbers"),
        rows=tuple(rows),
    )


def _arrow(scores: Sequence[ComparedScore], name: str) -> str:
    return " ↓" if any(score.lower_is_better for score in scores if score.score == name) else " ↑"


def _is_better(difference: ScoreDifference | None, *, lower: bool) -> bool:
    if difference is None:
        return False
    return difference.high < 0 if lower else difference.low > 0


def _digits(value: float | None) -> int:
    return 1 if value is not None and abs(value) >= 10 else 3


def _range(low: float | None, high: float | None, digits: int) -> str:
    return "" if low is None or high is None else f"{shown_number(low, digits)} to {shown_number(high, digits)}"


def _estimate(score: ComparedScore | None) -> Cell:
    if score is None or score.estimate is None:
        return Cell(text="–")
    strong = _is_better(score.to_reference, lower=score.lower_is_better)
    beside = _range(score.low, score.high, 2)
    return Cell(text=shown_number(score.estimate, 3), beside=beside, is_strong=strong)


def _difference(found: ScoreDifference | None) -> Cell:
    if found is None:
        return Cell(text="–")
    text = _signed(found.estimate, 3)
    return Cell(text=text, beside=_range(found.low, found.high, 2), is_strong=_is_better(found, lower=False))


def _beside_shuffled(score: ComparedScore | None) -> Cell:
    if score is None or score.estimate is None:
        return Cell(text="–")
    digits, found = _digits(score.estimate), score.to_reference
    text = shown_number(score.estimate, digits)
    if found is None:
        return Cell(text=text)
    beside = f"{_signed(found.estimate, digits)} ({_range(found.low, found.high, digits)})"
    return Cell(text=text, beside=beside, is_strong=_is_better(found, lower=score.lower_is_better))


def _signed(value: float, digits: int) -> str:
    text = shown_number(value, digits)
    return f"+{text}" if value > 0 and text.strip("0.,") else text
