"""The command that looks before a run: ``check``."""

from pathlib import Path
from typing import Annotated

import typer

from audit.cli.options import (
    COULD_NOT_RUN,
    AsJson,
    Boxes,
    FramesOfFile,
    IndexFile,
    NoIndex,
    WhichFrames,
    errors_in_one_line,
    index_file,
    progress_bar,
    tell,
)
from audit.cli.telling import at_the_keyboard

__all__ = ["check"]

_FAILURES_LISTED = 3  # exit status


def check(
    dicom_dir: Annotated[Path, typer.Option(help="Folder with the DICOM files; subfolders are searched.")],
    reports: Annotated[Path, typer.Option(help="Folder or file of reports, as `run` takes them.")],
    boxes: Boxes = None,
    all_views: Annotated[bool, typer.Option("--all-views", help="Count lateral and unknown views in.")] = False,
    frames: FramesOfFile = WhichFrames.FIRST,
    csv: Annotated[
        Path | None, typer.Option(help="File for a row a file, report and group of boxes; replaced if it is there.")
    ] = None,
    as_json: AsJson = False,
    index: IndexFile = None,
    no_index: NoIndex = False,
    show_phi: Annotated[
        bool, typer.Option("--show-phi", help="Show the names of files and studies: for closed rooms only.")
    ] = False,
) -> None:
    """Say what a run would audit, what not and why, before any model is loaded."""
    from audit.check_text import check_json, check_text, text_for_owner
    from audit.input_check import CheckSettings, write_csv
    from audit.input_check import check as check_inputs
    from audit.privacy.pseudonyms import Pseudonyms, load_salt
    from pipelines.cohort import Frames

    with errors_in_one_line():
        settings = CheckSettings(
            dicom_dir=dicom_dir,
            reports=reports,
            boxes=tuple(boxes or ()),
            all_views=all_views,
            frames=Frames(frames.value),
            show_phi=show_phi,
            index=index_file(dicom_dir, index, no_index=no_index, not_in=[reports]),
        )
        with progress_bar() as progress:
            checked = check_inputs(
                settings, Pseudonyms(load_salt()), progress=lambda done, total: progress("Reading headers", done, total)
            )
        if csv is not None:
            write_csv(checked.rows, csv)
    typer.echo(check_json(checked) if as_json else check_text(checked))
    by_name = text_for_owner(checked)
    if by_name and not show_phi and at_the_keyboard():
        tell(by_name)
    if checked.nothing is not None:
        tell(f"m2ib-audit: {checked.nothing}")
        raise typer.Exit(COULD_NOT_RUN)
    if checked.failed:
        raise typer.Exit(_FAILURES_LISTED)
