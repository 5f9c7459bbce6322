"""The command `report`: the document for a board, reporting checklists and the model card."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.options import errors_in_one_line

__all__ = ["report"]


class Checklist(StrEnum):
    """A reporting checklist."""

    CLAIM = "claim2024"
    TRIPOD = "tripod-ai"
    STARD = "stard-ai"


def report(
    out: Annotated[Path, typer.Argument(help="Folder that `run` wrote.", exists=True, file_okay=False)],
    pdf: Annotated[
        Path | None, typer.Option(help="File of the document. Default: beside OUT, with its name and `.pdf`.")
    ] = None,
    checklist: Annotated[
        list[Checklist] | None,
        typer.Option(help="Reporting checklist to fill and add to the document. Can be repeated."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Write the filled checklists to this file too: `.csv` or `.md`.")
    ] = None,
    model_card: Annotated[
        Path | None,
        typer.Option(help="Write the CHAI applied model card, as far as an audit knows it: `.xml`, `.json` or `.md`."),
    ] = None,
) -> None:
    """Write the audit as a document for a board (PDF): verdict, answers per finding, limits, lines to sign.

    It holds no identifier, is made without a browser or network, and has the same bytes for the same OUT.
    """
    with errors_in_one_line():
        from audit.output.board import ReportSettings, write_report

        written = write_report(
            ReportSettings(
                out=out,
                pdf=pdf,
                checklists=tuple(dict.fromkeys(each.value for each in checklist or ())),
                table=table,
                model_card=model_card,
            )
        )
    for path in written:
        typer.echo(path)
