"""Rows of a CSV or TSV file, with what is wrong with each: shared by the tables of reports and of boxes."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipelines.quoting import quoted

__all__ = ["BadRow", "Row", "Table", "column_key", "parse_table", "pick_column", "plain_stem", "spoken_columns"]

_DELIMITERS = (",", "\t", ";", "|")
_LONGEST_CELL = 1 << 24  # characters; csv's own limit of 131,072 is less than some reports with addenda
_COLUMN_NAME = re.compile(r"[A-Za-z][\w./-]{0,39}(?: [\w./-]{1,20}){0,2}\Z")
_NOT_LETTERS = re.compile(r"[^a-z0-9]+")
_FILE_SUFFIX = re.compile(
    r"\.(?:dcm|dicom|dic|ima|png|jpe?g|tiff?|bmp|nii|txt|text|rpt|hl7|csv|tsv|tab|gz|zip|xml|json)\Z", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row, its cells by column name as the header spells it. ``number`` counts as spreadsheets do: header is 1."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row whose cells cannot be told apart, and a sentence that says why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A parsed table: its header and its rows, good and bad, in the order of the file."""

    columns: tuple[str, ...]
    rows: tuple[Row | BadRow, ...]


def column_key(column: str) -> str:
    """Reduce a column's name to its letters and digits, so that "Study Instance UID" is "study_instance_uid"."""
    return _NOT_LETTERS.sub("", column.casefold())


def pick_column(columns: Iterable[str], names: Iterable[str]) -> str | None:
    """Find the first of ``names`` (best first) among ``columns``, whatever its case and punctuation."""
    by_key: dict[str, str] = {}
    for column in columns:
        by_key.setdefault(column_key(column), column)
    return next((by_key[column_key(name)] for name in names if column_key(name) in by_key), None)


def spoken_columns(columns: Iterable[str]) -> str:
    """List a table's columns for a message, without what may be data: a first row that is no header is not repeated."""
    named = [column for column in columns if _COLUMN_NAME.match(column)]
    return f"its columns are {quoted(', '.join(named[:20]))}" if named else "its first row names no columns"


def plain_stem(reference: str) -> str:
    """Give the file name of a reference without folder and file suffix: "p10/s5/02aa.dcm" is "02aa".

    Only suffixes of files are taken off: the last number of a UID looks like one and is none.
    """
    name = reference.replace("\\", "/").rstrip("/").rsplit("/", maxsplit=1)[-1].strip()
    while _FILE_SUFFIX.search(name) and not name.startswith("."):
        name = _FILE_SUFFIX.sub("", name)
    return name


def parse_table(text: str) -> Table:
    """Read delimited text, its delimiter taken from the header line. Blank rows count, and are left out.

    Source: RFC 4180, read strictly; a quote that is opened and not closed makes a bad row and swallows no other.
    """
    header = next((line for line in text.split("\n") if line.strip()), "")
    delimiter = max(_DELIMITERS, key=header.count)
    numbered = _records(text, delimiter)
    first = next((cells for _, cells in numbered if not isinstance(cells, str)), [])
    columns = tuple(cell.strip() for cell in first)
    rows: list[Row | BadRow] = []
    for number, cells in numbered:
        if isinstance(cells, str):
            rows.append(BadRow(number=number, reason=cells))
        elif len(cells) > len(columns) and not any(cell.strip() for cell in cells[len(columns) :]):
            rows.append(_row(number, columns, cells))  # spreadsheets leave empty cells behind the last column
        elif len(cells) != len(columns):
            reason = (
                f"it has {len(cells)} cells and the header has {len(columns)}: put text that holds a "
                f"{_spoken(delimiter)} in double quotes"
            )
            rows.append(BadRow(number=number, reason=reason))
        else:
            rows.append(_row(number, columns, cells))
    return Table(columns=columns, rows=tuple(rows))


def _row(number: int, columns: tuple[str, ...], cells: list[str]) -> Row:
    # Of two columns of the same name the first counts, as for pick_column.
    return Row(number=number, cells=dict(reversed(list(zip(columns, map(str.strip, cells), strict=False)))))


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Give the number of each record that is not blank, with its cells or, as a string, what is wrong with it."""
    previous_limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        number = 0
        while True:
            number += 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield number, f"it cannot be read ({error}): close every double quote, and write a quote in text twice"
                continue
            if any(cell.strip() for cell in cells):
                yield number, cells
    finally:
        csv.field_size_limit(previous_limit)


def _spoken(delimiter: str) -> str:
    return {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}[delimiter]
