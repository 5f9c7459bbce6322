"""Writes the document for a board, filled checklists and a model card from the result of a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from audit.logbook.known import read_log_state
from pipelines.errors import InputError
from reports.board.checklists import FilledChecklist, as_csv, as_markdown, fill
from reports.board.document import board_document
from reports.board.inputs import BoardInputs, read_board_inputs
from reports.board.model_card import Card, card_as_json, card_as_markdown, card_as_xml, model_card
from reports.board.typesetting import typeset
from reports.writing import replaced, write_text_atomically

__all__ = ["ReportSettings", "board_pdf", "verified_inputs", "write_report"]

_TABLES: Final[Mapping[str, Callable[[Sequence[FilledChecklist]], str]]] = MappingProxyType(
    {".csv": as_csv, ".md": as_markdown}
)
_CARDS: Final[Mapping[str, Callable[[Card], str]]] = MappingProxyType(
    {".xml": card_as_xml, ".json": card_as_json, ".md": card_as_markdown}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """What to write, and where."""

    out: Path
    pdf: Path | None = None  # None: beside OUT, with its name
    checklists: tuple[str, ...] = ()  # names of :data:`reports.board.checklists.CHECKLISTS`
    table: Path | None = None  # the filled checklists as CSV or Markdown
    model_card: Path | None = None  # as XML, JSON or Markdown


def write_report(settings: ReportSettings) -> tuple[Path, ...]:
    """Write the document, and the table and the model card that were asked for.

    Returns:
        The files that were written.

    Raises:
        InputError: a file would lie in OUT or has an unknown suffix, or a table was asked for without a checklist.
        OutputError: OUT is damaged or changed, or a file cannot be written.
    """
    pdf = settings.pdf or settings.out.resolve().with_suffix(".pdf")
    _check_places(settings, pdf)
    inputs = verified_inputs(settings.out)
    filled = [fill(name, inputs) for name in settings.checklists]
    with replaced(pdf) as temporary:
        temporary.write_bytes(board_pdf(inputs, filled))
    written = [pdf]
    if settings.table is not None:
        write_text_atomically(settings.table, _TABLES[settings.table.suffix.lower()](filled))
        written.append(settings.table)
    if settings.model_card is not None:
        write_text_atomically(settings.model_card, _CARDS[settings.model_card.suffix.lower()](model_card(inputs)))
        written.append(settings.model_card)
    return tuple(written)


def verified_inputs(out: Path) -> BoardInputs:
    """Read what the document is made of, after the audit log has confirmed ``run.json``; needs no salt.

    Raises:
        OutputError: ``run.json`` or a table is missing, damaged or changed.
    """
    read_log_state(out, None).check_run()
    return read_board_inputs(out)


def board_pdf(inputs: BoardInputs, checklists: Sequence[FilledChecklist] = ()) -> bytes:
    """Set the document; its date is that of the run, so that the same OUT gives the same bytes.

    Raises:
        OutputError: it cannot be set.
    """
    made = inputs.run.rescored or inputs.run.finished
    return typeset(board_document(inputs, checklists=checklists), made=made)


def _check_places(settings: ReportSettings, pdf: Path) -> None:
    """Refuse files that could not be written or would lie among results, before anything is made."""
    if settings.table is not None and not settings.checklists:
        raise InputError(f"--table {settings.table} has nothing to hold: name a checklist with --checklist")
    for flag, path, suffixes in (
        ("--pdf", pdf, (".pdf",)),
        ("--table", settings.table, tuple(_TABLES)),
        ("--model-card", settings.model_card, tuple(_CARDS)),
    ):
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise InputError(f"{flag} {path} has an unknown suffix: give a file that ends in {' or '.join(suffixes)}")
        if path.resolve().is_relative_to(settings.out.resolve()):
            raise InputError(f"{flag} {path} is in OUT, whose files the audit log lists: give a file elsewhere")
