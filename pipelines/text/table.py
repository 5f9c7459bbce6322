"""Parses the rows of a CSV or TSV file and reports malformed ones; used for tables of reports and of boxes."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipelines.limits import MAX_CELL_CHARACTERS, MAX_COLUMNS, MAX_HEADER_CHARACTERS, MAX_ROWS
from pipelines.quoting import quoted

__all__ = [
    "BadRow",
    "Lines",
    "Row",
    "Table",
    "column_key",
    "columns_of",
    "describe_columns",
    "first_line",
    "folders_of",
    "have_same_tail",
    "parse_table",
    "pick_column",
    "plain_stem",
]

_DELIMITERS = (",", "\t", ";", "|")
_COLUMN_NAME = re.compile(r"[A-Za-z][\w./-]{0,39}(?: [\w./-]{1,20}){0,2}\Z")
_NOT_LETTERS = re.compile(r"[^a-z0-9]+")
_FILE_SUFFIX = re.compile(
    r"\.(?:dcm|dicom|dic|ima|png|jpe?g|tiff?|bmp|nii|txt|text|rpt|hl7|csv|tsv|tab|gz|zip|xml|json)\Z", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row, its cells by column name as in the header. ``number`` counts like a spreadsheet: the header is row 1."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that cannot be split into cells, and the reason."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A parsed table: its header and its rows, valid or not, in file order.

    The rows are parsed on each iteration, because row objects take many times the memory of the text.
    """

    columns: tuple[str, ...]
    rows: Iterable[Row | BadRow]


class LongLineError(csv.Error):
    """A line is longer than any row may be."""


class Lines(Iterator[str]):
    """Iterates over the lines of a text with their line ends, for :func:`csv.reader`.

    A list of lines, or ``io.StringIO``, would take four bytes per character. A line of more than
    ``MAX_CELL_CHARACTERS`` raises :class:`LongLineError` and is skipped.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._start = 0

    def __next__(self) -> str:
        """Return the next line."""
        start = self._start
        if start >= len(self._text):
            raise StopIteration
        self._start = self._text.find("\n", start) + 1 or len(self._text)
        if self._start - start > MAX_CELL_CHARACTERS:
            raise LongLineError
        return self._text[start : self._start]


def first_line(text: str) -> str:
    """Return the first line of a text without its line end, at most as long as a header may be."""
    end = text.find("\n", 0, MAX_HEADER_CHARACTERS)
    return text[: MAX_HEADER_CHARACTERS if end < 0 else end]


def columns_of(text: str) -> tuple[str, ...]:
    """Return the columns that the first line of a text names."""
    return parse_table(first_line(text)).columns


def column_key(column: str) -> str:
    """Normalise a column name to letters and digits, so that "Study Instance UID" is "study_instance_uid"."""
    return _NOT_LETTERS.sub("", column.casefold())


def pick_column(columns: Iterable[str], names: Iterable[str]) -> str | None:
    """Find the first of ``names`` (in order of preference) among ``columns``, ignoring case and punctuation."""
    by_key: dict[str, str] = {}
    for column in columns:
        by_key.setdefault(column_key(column), column)
    return next((by_key[column_key(name)] for name in names if column_key(name) in by_key), None)


def describe_columns(columns: Iterable[str]) -> str:
    """List a table's columns for a message, but not if the first row may be data instead of a header."""
    named = [column for column in columns if _COLUMN_NAME.match(column)]
    return f"its columns are {quoted(', '.join(named[:20]))}" if named else "its first row names no columns"


def plain_stem(reference: str) -> str:
    """Return a reference's file name without folder and file suffix: "p10/s5/02aa.dcm" is "02aa".

    Only known file suffixes are removed: the last number of a UID looks like a suffix.
    """
    name = reference.replace("\\", "/").rstrip("/").rsplit("/", maxsplit=1)[-1].strip()
    while _FILE_SUFFIX.search(name) and not name.startswith("."):
        name = _FILE_SUFFIX.sub("", name)
    return name


def folders_of(path: str) -> tuple[str, ...]:
    """Return the folders of a path, with slashes or backslashes between them."""
    return tuple(part for part in path.replace("\\", "/").split("/")[:-1] if part not in {"", "."})


def have_same_tail(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return True if the shorter of two rows of folders ends the longer one."""
    shared = min(len(one), len(other))
    return one[len(one) - shared :] == other[len(other) - shared :]


def parse_table(text: str) -> Table:
    """Read delimited text; the delimiter is detected from the header line. Blank rows are counted but not returned.

    If there are more than ``MAX_COLUMNS`` columns no row is read; rows beyond ``MAX_ROWS`` are not read. A bad row
    reports this.

    Source: RFC 4180, read strictly; an unclosed quote makes one bad row and does not consume the next ones.
    """
    start = text.rfind("\n", 0, len(text) - len(text.lstrip())) + 1  # the first line that is not blank
    end = text.find("\n", start)
    header = text[start : len(text) if end < 0 else end]
    delimiter = max(_DELIMITERS, key=header.count)
    first = next((cells for _, cells in _records(text, delimiter) if not isinstance(cells, str)), [])
    columns = tuple(cell.strip() for cell in first[:MAX_COLUMNS])
    if len(first) > MAX_COLUMNS:
        reason = f"the header has {len(first):,} columns, more than {MAX_COLUMNS:,}: keep those that are needed"
        return Table(columns=columns, rows=(BadRow(number=1, reason=reason),))
    return Table(columns=columns, rows=_Rows(text, delimiter, columns))


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows below the header, parsed on each iteration."""

    text: str
    delimiter: str
    columns: tuple[str, ...]

    def __iter__(self) -> Iterator[Row | BadRow]:
        columns, has_header = self.columns, False
        for number, cells in _records(self.text, self.delimiter):
            if isinstance(cells, str):
                yield BadRow(number=number, reason=cells)
            elif not has_header:
                has_header = True
            elif len(cells) > len(columns) and not any(cell.strip() for cell in cells[len(columns) :]):
                yield _row(number, columns, cells)  # spreadsheets write empty cells after the last column
            elif len(cells) != len(columns):
                reason = (
                    f"it has {len(cells)} cells and the header has {len(columns)}: put text that holds a "
                    f"{_delimiter_name(self.delimiter)} in double quotes"
                )
                yield BadRow(number=number, reason=reason)
            else:
                yield _row(number, columns, cells)


def _row(number: int, columns: tuple[str, ...], cells: list[str]) -> Row:
    # Of two columns with the same name the first counts, as in pick_column.
    return Row(number=number, cells=dict(reversed(list(zip(columns, map(str.strip, cells), strict=False)))))


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the number of each record that is not blank, with its cells or, as a string, the error."""
    previous_limit = csv.field_size_limit(MAX_CELL_CHARACTERS)
    try:
        reader = csv.reader(Lines(text), delimiter=delimiter, strict=True)
        number = 0
        cells: list[str] | str
        while True:
            number += 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                cells = _what_is_wrong(error)
            if number > MAX_ROWS:
                yield (
                    number,
                    f"the table has more than {MAX_ROWS:,} rows, and the rows from here on are not read: split it",
                )
                return
            if isinstance(cells, str) or any(cell.strip() for cell in cells):
                yield number, cells
    finally:
        csv.field_size_limit(previous_limit)


def _what_is_wrong(error: csv.Error) -> str:
    if isinstance(error, LongLineError):
        return f"it is longer than {MAX_CELL_CHARACTERS:,} characters: write one row per line"
    return f"it cannot be read ({error}): close every double quote, and write a quote in text twice"


def _delimiter_name(delimiter: str) -> str:
    return {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}[delimiter]
