"""Write a comparison's folder: tables for programs, a table for a paper, a page for a browser."""

from pathlib import Path

import pandas as pd

from audit.comparison.markdown import as_markdown
from audit.engine.out_folder import check_writable
from pipelines.errors import OutputError
from reports.comparison_page import render_comparison
from reports.comparison_record import ComparisonRecord
from reports.writing import write_text_atomically

__all__ = ["FILES", "check_out", "write_comparison"]

FILES = ("comparison.csv", "comparison.json", "comparison.md", "comparison.parquet", "index.html", "scores.parquet")
"""What a comparison writes; it replaces nothing else."""

_DIFFERENCE = ("reference", "estimate", "low", "high", "scored")


def check_out(out: Path, *, overwrite: bool) -> None:
    """Find out, before any work and without leaving a trace, whether OUT can be made or written.

    Raises:
        OutputError: it cannot, it holds a comparison that ``overwrite`` does not give up, or other files.
    """
    held = _held(out)
    if not held:
        check_writable(out, overwrite=False)
        return
    foreign = [name for name in held if name not in FILES]
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
    """Write everything and return the page's path; ``comparison.json`` comes last.

    Args:
        out: folder; made if it is not there.
        record: of the comparison.
        scores: every pair's.

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
    """Lay out the scores, a row a method, score, finding and averaging; what a method costs stands in each row."""
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
