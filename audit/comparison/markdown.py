"""A comparison as Markdown: the table of a paper."""

from collections.abc import Iterator

from reports.comparison_record import ComparisonRecord
from reports.comparison_tables import Cell, ComparisonTable, comparison_tables, summary_sentences
from reports.words import method_name

__all__ = ["as_markdown", "table_lines"]


def as_markdown(record: ComparisonRecord) -> str:
    """Write all tables, and which methods refused the model."""
    return "\n".join([f"# Methods compared on {_plain(record.model.name)}", "", *table_lines(record)]) + "\n"


def table_lines(record: ComparisonRecord) -> Iterator[str]:
    """Give everything below the title, line by line."""
    yield " ".join(summary_sentences(record))
    yield ""
    yield f"Model: {_plain(record.model.name)} ({_plain(record.model.terms)}). Seed {record.seed}. Not for diagnosis."
    if record.phantom_images or record.model.is_phantom:
        yield "Phantoms: this says nothing about patients."
    for table in comparison_tables(record):
        yield ""
        yield from _table(table)
    refused = [method for method in record.methods if method.refused is not None]
    if refused:
        yield ""
        yield "## Not compared"
        yield ""
        yield from (f"- {method_name(method.name)}: {_plain(method.refused or '')}" for method in refused)


def _table(table: ComparisonTable) -> Iterator[str]:
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
    """Keep text that came from outside from being a table's border or markup."""
    return "".join(f"\\{letter}" if letter in "\\|*_`<>[]" else letter for letter in text.replace("\n", " "))
