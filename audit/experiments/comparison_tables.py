"""Summarises the scores of all pairs per method: intervals, and differences to a reference and to a baseline."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pandas as pd

from audit.metrics.statistics import paired_difference
from audit.metrics.summary import summarise
from audit.storage.folder import check_writable
from pipelines.errors import OutputError
from reports.comparison_page import Cell, ComparisonTable, comparison_tables, render_comparison, summary_sentences
from reports.comparison_record import ComparedScore, ComparisonRecord
from reports.outcomes import method_name
from reports.run_record import ScoreDifference, ScoreSummary
from reports.score_catalogue import AREA_SHARE, BLIND_METHODS, SCORES, UNIFORM_WORDS, is_reference, shuffled_name
from reports.writing import write_text_atomically

__all__ = ["FILES", "as_markdown", "check_out", "compared_scores", "markdown_table", "table_lines", "write_comparison"]

_CASE = ["image", "phrase", "finding"]
_NO_FINDING = "no finding named"


def compared_scores(table: pd.DataFrame, *, baseline: str) -> tuple[ComparedScore, ...]:
    """Summarise a score table over all phrases (micro, and macro over findings) and for each finding.

    Args:
        table: of :func:`audit.metrics.summary.score_table`.
        baseline: the method that the others' differences are to.
    """
    if table.empty:
        return ()
    summaries = summarise(table)
    pairs = _BaselinePairs(table, baseline)
    best = {place: _best_blind(summaries, place) for place in {_place(summary) for summary in summaries}}
    return tuple(_compared(summary, best[_place(summary)], pairs) for summary in summaries)


_Place = tuple[str, str | None, str]


def _place(summary: ScoreSummary) -> _Place:
    return summary.score, summary.finding, summary.averaging


def _best_blind(summaries: Sequence[ScoreSummary], place: _Place) -> str | None:
    """Return the content-blind reference with the best score."""
    sign = 1 if SCORES[place[0]].higher_is_better else -1
    blind = [
        (sign * each.estimate, each.method)
        for each in summaries
        if _place(each) == place and each.method in BLIND_METHODS and each.estimate is not None
    ]
    return max(blind)[1] if blind else None


def _compared(summary: ScoreSummary, blind: str | None, pairs: "_BaselinePairs") -> ComparedScore:
    spec = SCORES[summary.score]
    reference = {
        "localisation": blind,
        "shortcut": AREA_SHARE,
        "faithfulness": shuffled_name(summary.method),
        "words": UNIFORM_WORDS,
    }.get(spec.kind)
    return ComparedScore(
        **summary.model_dump(exclude={"differences"}),
        is_reference=is_reference(summary.method),
        kind=spec.kind,
        lower_is_better=not spec.higher_is_better,
        to_reference=next((each for each in summary.differences if each.reference == reference), None),
        to_baseline=pairs.difference(summary),
    )


class _BaselinePairs:
    """Each method's values next to the baseline's, on the cases where both were scored."""

    def __init__(self, table: pd.DataFrame, baseline: str) -> None:
        self._baseline = baseline
        plain = table.loc[table["value"].notna(), [*_CASE, "patient", "method", "score", "value"]]
        plain = plain.astype(dict.fromkeys(("image", "finding", "patient", "method", "score"), "str"))
        plain = plain.assign(finding=plain["finding"].fillna(_NO_FINDING))
        self._joined = {str(score): dict(self._join(rows)) for score, rows in plain.groupby("score", sort=False)}

    def _join(self, of_score: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        theirs = of_score.loc[of_score["method"] == self._baseline, [*_CASE, "value"]]
        for method, rows in of_score.groupby("method", sort=False):
            if method != self._baseline and not is_reference(str(method)):
                yield str(method), rows.merge(theirs, on=_CASE, suffixes=("", "_baseline"))

    def difference(self, summary: ScoreSummary) -> ScoreDifference | None:
        """Return a method minus the baseline over the phrases of a summary; None if it cannot be measured."""
        pairs = self._joined.get(summary.score, {}).get(summary.method)
        if pairs is None:
            return None
        chosen = pairs if summary.finding is None else pairs[pairs["finding"] == summary.finding]
        if chosen.empty:
            return None
        found = paired_difference(
            chosen["value"].to_numpy(dtype=float),
            chosen["value_baseline"].to_numpy(dtype=float),
            chosen["patient"].tolist(),
            groups=chosen["finding"].tolist() if summary.averaging == "macro" else None,
        )
        if not found.is_bounded:
            return None
        return ScoreDifference(
            reference=self._baseline,
            estimate=found.estimate,
            low=found.low,
            high=found.high,
            scored=found.values,
            patients=found.patients,
        )


def as_markdown(record: ComparisonRecord) -> str:
    """Format all tables, and the methods that cannot explain the model, as Markdown."""
    return "\n".join([f"# Methods compared on {_plain(record.model.name)}", "", *table_lines(record)]) + "\n"


def table_lines(record: ComparisonRecord) -> Iterator[str]:
    """Yield the lines below the title."""
    yield " ".join(summary_sentences(record))
    yield ""
    yield f"Model: {_plain(record.model.name)} ({_plain(record.model.terms)}). Seed {record.seed}. Not for diagnosis."
    if record.phantom_images or record.model.is_phantom:
        yield "Phantoms: this says nothing about patients."
    for table in comparison_tables(record):
        yield ""
        yield from markdown_table(table)
    refused = [method for method in record.methods if method.refused is not None]
    if refused:
        yield ""
        yield "## Not compared"
        yield ""
        yield from (f"- {method_name(method.name)}: {_plain(method.refused or '')}" for method in refused)


def markdown_table(table: ComparisonTable) -> Iterator[str]:
    """Yield the lines of one table: title, note, rows."""
    yield f"## {table.title}"
    yield ""
    yield table.note
    yield ""
    yield f"| Method | {' | '.join(table.columns)} |"
    yield f"|---|{'---|' * len(table.columns)}"
    for row in table.rows:
        name = f"*{row.name}*" if row.is_reference else row.name
        yield f"| {name} | {' | '.join(_cell(cell) for cell in row.cells)} |"


def _cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.is_strong else _plain(cell.text)
    return f"{text}<br>{cell.beside}" if cell.beside else text


def _plain(text: str) -> str:
    """Escape characters that Markdown would interpret."""
    return "".join(f"\\{letter}" if letter in "\\|*_`<>[]" else letter for letter in text.replace("\n", " "))


FILES = ("comparison.csv", "comparison.json", "comparison.md", "comparison.parquet", "index.html", "scores.parquet")
"""What a comparison writes; it replaces nothing else."""

_DIFFERENCE = ("reference", "estimate", "low", "high", "scored")


def check_out(out: Path, *, overwrite: bool, files: Collection[str] = FILES) -> None:
    """Check, before any work and without leaving a trace, whether OUT can be created or written.

    Args:
        out: folder to write to.
        overwrite: whether an earlier comparison may be replaced.
        files: names of what a comparison of the same kind holds.

    Raises:
        OutputError: it cannot, or it contains other files, or a comparison and ``overwrite`` is not set.
    """
    held = _held(out)
    if not held:
        check_writable(out, overwrite=False)
        return
    foreign = [name for name in held if name not in files]
    if foreign:
        raise OutputError(f"--out {out} holds other files ({foreign[0]}): name an empty or a new folder")
    if not overwrite:
        raise OutputError(
            f"--out {out} holds a comparison already: name another folder, or pass --overwrite to replace it"
        )


def _held(out: Path) -> list[str]:
    if not out.is_dir():
        return []
    try:
        return sorted(path.name for path in out.iterdir())
    except OSError as error:
        raise OutputError(f"--out {out} cannot be read ({error.strerror}): name another folder") from error


def write_comparison(out: Path, record: ComparisonRecord, scores: pd.DataFrame) -> Path:
    """Write everything and return the page's path; ``comparison.json`` is written last.

    Args:
        out: folder; created if it does not exist.
        record: of the comparison.
        scores: of every pair.

    Raises:
        OutputError: OUT cannot be written.
    """
    table = comparison_table(record)
    page = out / "index.html"
    try:
        out.mkdir(parents=True, exist_ok=True)
        scores.to_parquet(out / "scores.parquet", index=False)
        table.to_parquet(out / "comparison.parquet", index=False)
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}): is the disk full?") from error
    write_text_atomically(out / "comparison.csv", table.to_csv(index=False))
    write_text_atomically(out / "comparison.md", as_markdown(record))
    write_text_atomically(page, render_comparison(record))
    write_text_atomically(out / "comparison.json", record.model_dump_json(indent=1) + "\n")
    return page


def comparison_table(record: ComparisonRecord) -> pd.DataFrame:
    """Return one row per method, score, finding and averaging; each row repeats the cost of its method."""
    costs = {method.name: method for method in record.methods}
    rows = []
    for score in record.scores:
        row = score.model_dump(exclude={"to_reference", "to_baseline"})
        for name, difference in (("reference", score.to_reference), ("baseline", score.to_baseline)):
            values = difference.model_dump() if difference is not None else dict.fromkeys(_DIFFERENCE)
            row |= {name: values["reference"]}
            row |= {f"minus_{name}_{part}": values[part] for part in _DIFFERENCE[1:]}
        cost = costs.get(score.method)
        row["seconds_image"] = cost and cost.seconds_image
        row["seconds_with_words"] = cost and cost.seconds_with_words
        row["memory_mb"] = cost and cost.memory_mb
        rows.append(row)
    return pd.DataFrame(rows)
