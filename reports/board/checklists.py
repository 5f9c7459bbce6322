"""Reporting checklists, filled with what an audit answers; as part of the document, as CSV or as Markdown."""

import csv
import io
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.quoting import defused
from reports import texts
from reports.board.answers import answer_to
from reports.board.inputs import BoardInputs
from reports.texts import text

__all__ = ["CHECKLISTS", "ChecklistRow", "FilledChecklist", "as_csv", "as_markdown", "fill"]

_FOLDER: Final = Path(texts.__file__).with_name("checklists")
CHECKLISTS: Final = ("claim2024", "tripod-ai", "stard-ai")
"""Names of the checklists, which are those of their files."""

_COLUMNS: Final = ("item", "subject", "answer", "where")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistRow:
    """One item with its answer."""

    number: str
    subject: str
    answer: str
    where: str
    is_answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledChecklist:
    """A checklist with the answers of a run."""

    title: str
    source: str
    items: tuple[ChecklistRow, ...]


def fill(name: str, inputs: BoardInputs) -> FilledChecklist:
    """Fill a checklist with the answers of a run, item by item.

    Args:
        name: one of :data:`CHECKLISTS`.
        inputs: the run.

    Raises:
        ValueError: no checklist has the name.
    """
    if name not in CHECKLISTS:
        raise ValueError(f"no checklist is named {name!r}: there are {', '.join(CHECKLISTS)}")
    listed = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    rows = (_row(number, subject, answers, inputs) for number, subject, *answers in listed["items"])
    return FilledChecklist(title=listed["title"], source=listed["source"], items=tuple(rows))


def _row(number: str, subject: str, answers: Sequence[str], inputs: BoardInputs) -> ChecklistRow:
    given = [answer for name in answers if (answer := answer_to(name, inputs)) is not None]
    return ChecklistRow(
        number=number,
        subject=subject,
        answer="\n".join(answer.value for answer in given) or text("board.not_answered"),
        where="\n".join(dict.fromkeys(answer.where for answer in given)),
        is_answered=bool(given),
    )


def as_csv(checklists: Sequence[FilledChecklist]) -> str:
    """Write filled checklists as CSV, one line an item; safe to open in a spreadsheet."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([text("board.checklist.name"), *(text(f"board.checklist.{name}") for name in _COLUMNS)])
    for checklist in checklists:
        for row in checklist.items:
            cells = (checklist.title, row.number, row.subject, row.answer, row.where)
            writer.writerow([defused(cell.replace("\n", " ")) for cell in cells])
    return file.getvalue()


def as_markdown(checklists: Sequence[FilledChecklist]) -> str:
    """Write filled checklists as Markdown, a table each."""
    lines: list[str] = []
    for checklist in checklists:
        lines += [f"# {checklist.title}", "", f"{checklist.source}. {text('board.checklist_note')}", ""]
        lines += [_line(*(text(f"board.checklist.{name}") for name in _COLUMNS)), "|---|---|---|---|"]
        lines += [_line(row.number, row.subject, row.answer, row.where) for row in checklist.items]
        lines.append("")
    return "\n".join(lines)


def _line(*cells: str) -> str:
    escaped = (cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", "<br>") for cell in cells)
    return f"| {' | '.join(escaped)} |"
