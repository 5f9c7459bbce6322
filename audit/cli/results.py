"""The commands that go on from what a run has written: ``score`` and ``render``."""

from pathlib import Path
from typing import Annotated

import typer

from audit.cli.options import FAILURES_LISTED, Boxes, errors_in_one_line, progress_bar, tell
from audit.cli.telling import tell_what_is_wrong
from pipelines.quoting import counted

__all__ = ["render", "score"]

_LISTED_AT_MOST = 5

Written = Annotated[Path, typer.Argument(help="Folder that `run` wrote.", exists=True, file_okay=False)]


def score(
    out: Written,
    boxes: Boxes = None,
) -> None:
    """Score stored heat again, against other boxes or by newer scores: no model, no DICOM.

    Without `--boxes` the run's own boxes are taken.
    """
    from audit.output.lock import held
    from audit.output.rescoring import rescore

    with errors_in_one_line(), held(out), progress_bar() as progress:
        found = rescore(out, tuple(boxes or ()), progress=progress)
    studies, boxes_drawn = counted(found.studies, "study", "studies"), counted(found.boxes, "box", "boxes")
    whose = "of the run's own" if not boxes else "of the file" if len(boxes) == 1 else "of the files"
    tell(f"{studies} scored again against {boxes_drawn} {whose}")
    tell_what_is_wrong(found.told, most=_LISTED_AT_MOST)
    typer.echo(found.page)
    if found.failed:
        raise typer.Exit(FAILURES_LISTED)


def render(out: Written) -> None:
    """Make every page of a run again from what it has stored, with this version's pages."""
    from audit.output.lock import held
    from audit.output.rendering import render_again
    from audit.privacy.messages import told_of_studies
    from audit.privacy.pseudonyms import Pseudonyms, load_salt

    with errors_in_one_line(), held(out), progress_bar() as progress:
        found = render_again(out, progress=lambda done, total: progress("Making pages", done, total))
        told = told_of_studies(found.damaged, out, Pseudonyms(load_salt(outside=out)))
    tell(f"{found.studies} study pages made")
    tell_what_is_wrong(told, most=_LISTED_AT_MOST)
    typer.echo(found.page)
    if found.damaged:
        raise typer.Exit(FAILURES_LISTED)
