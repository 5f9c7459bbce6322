"""What the commands share: flags that mean the same everywhere, and how they speak."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.errors import AuditError

if TYPE_CHECKING:
    from audit.engine.run import Progress

__all__ = [
    "COULD_NOT_RUN",
    "AsJson",
    "Boxes",
    "Device",
    "Model",
    "Out",
    "Seed",
    "errors_in_one_line",
    "progress_bar",
    "tell",
]

COULD_NOT_RUN = 1  # exit status

Out = Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")]
Seed = Annotated[int, typer.Option(help="Seed of every random draw.", min=0)]
Device = Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda or cuda:1.")]
Boxes = Annotated[
    list[Path] | None,
    typer.Option(
        help="Radiologists' boxes and outlines: a file of any public set, COCO JSON, CSV, DICOM SR or GSPS, or a "
        "folder of such files; may be given several times."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Model = Annotated[
    str, typer.Option(help="phantom, a known name (see `models`), a model folder or a hub id (owner/name).")
]


def tell(message: str) -> None:
    """Print to stderr: stdout is for results."""
    typer.echo(message, err=True)


@contextmanager
def progress_bar() -> Iterator["Progress"]:
    """A bar a stage with rate and time left, on stderr; silent where stderr is no terminal."""
    from audit import progress

    with progress.progress_bar() as bar:
        yield bar


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn an expected failure into its sentence and the exit status for it."""
    try:
        yield
    except AuditError as error:
        tell(f"m2ib-audit: {error}")
        raise typer.Exit(COULD_NOT_RUN) from error
