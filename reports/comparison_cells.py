"""The cells and tables of a comparison: what its page and its Markdown print in the same way."""

from collections.abc import Iterable
from dataclasses import dataclass

from reports.page import format_number
from reports.run_record import ScoreDifference
from reports.score_catalogue import excels
from reports.texts import text

__all__ = ["Cell", "ComparisonTable", "TableRow", "digits_of", "is_better", "laid_out", "range_of", "signed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The content of one cell of a table."""

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
    """One table with its explanation."""

    key: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    of_rows: str = "method"  # what the first column holds, in section ``common`` of the texts


def laid_out(
    key: str,
    columns: Iterable[str],
    rows: tuple[TableRow, ...],
    *,
    baseline: str | None = None,
    of_rows: str = "method",
    **values: object,
) -> ComparisonTable:
    """Fill the texts of a table: the title may name the baseline, the note takes ``values``."""
    in_title = {} if baseline is None else {"baseline": baseline}
    return ComparisonTable(
        key=key,
        title=text(f"comparison.table.{key}.title", **in_title),
        note=text(f"comparison.table.{key}.note", **values),
        columns=tuple(columns),
        rows=rows,
        of_rows=of_rows,
    )


def is_better(difference: ScoreDifference | None, *, lower: bool = False) -> bool:
    """Return True if the whole interval of a difference lies on the better side of 0, from enough patients."""
    return difference is not None and excels(difference, higher_is_better=not lower)


def digits_of(value: float | None) -> int:
    """Return how many decimals show a value and its interval."""
    if value is None or value == 0:
        return 3
    return 1 if abs(value) >= 10 else 3 if abs(value) >= 0.01 else 4


def range_of(low: float | None, high: float | None, digits: int) -> str:
    """Format the ends of an interval; empty where there is none."""
    if low is None or high is None:
        return ""
    return text("common.range", low=format_number(low, digits), high=format_number(high, digits))


def signed(value: float, digits: int) -> str:
    """Format a difference with its sign."""
    number = format_number(value, digits)
    return f"+{number}" if value > 0 and number.strip("0.,") else number
