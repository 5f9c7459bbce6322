"""What the commands share: flags that mean the same everywhere, and how they speak."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.errors import AuditError

if TYPE_CHECKING:
    from audit.pipeline.run import Progress

__all__ = [
    "COULD_NOT_RUN",
    "AsJson",
    "Beta",
    "Boxes",
    "Device",
    "FramesOfFile",
    "ImageLayer",
    "IndexFile",
    "Model",
    "ModelOfCohort",
    "NoIndex",
    "NoiseSamples",
    "Numbers",
    "Out",
    "Seed",
    "Steps",
    "TextLayer",
    "Variance",
    "WhichFrames",
    "errors_in_one_line",
    "index_file",
    "model_of_cohort",
    "progress_bar",
    "tell",
]

COULD_NOT_RUN = 1  # exit status


class WhichFrames(StrEnum):
    """What ``--frames`` takes: a :class:`pipelines.cohort.Frames`."""

    FIRST = "first"
    EACH = "each"


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
IndexFile = Annotated[
    Path | None,
    typer.Option(
        "--index",
        help="File that keeps what the headers say, patient and accession numbers among it, so that the next scan of "
        "this folder reads changed files only; by default one in your cache folder. Readable by you alone.",
    ),
]
NoIndex = Annotated[bool, typer.Option("--no-index", help="Read every header, and keep nothing of it.")]
FramesOfFile = Annotated[
    WhichFrames, typer.Option("--frames", help="Of a file with several frames: the first, or each as an image.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Numbers = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="METHOD.NUMBER=VALUE",
        help="A number of one method alone, such as nib.steps=20 or legrad.pool=own; may be given several times, and "
        "wins over flags such as --image-layer. Names are those that the settings of a run show.",
    ),
]
Beta = Annotated[float | None, typer.Option(help="m2ib, iba: weight of the information.")]
Variance = Annotated[float | None, typer.Option(help="m2ib, iba: variance of the noise.")]
Steps = Annotated[int | None, typer.Option(help="m2ib, iba: steps of Adam; nib: of its integral.", min=1)]
NoiseSamples = Annotated[int | None, typer.Option(help="m2ib, iba: noise samples a step.", min=1)]
ImageLayer = Annotated[
    int | None, typer.Option(help="Every method that reads one image block: that block, from 0.", min=0)
]
TextLayer = Annotated[
    int | None, typer.Option(help="Every method that reads one text block: that block, from 0.", min=0)
]
Model = Annotated[
    str, typer.Option(help="phantom, a known name (see `models`), a model folder or a hub id (owner/name).")
]

ModelOfCohort = Annotated[
    str | None,
    typer.Option(
        help="phantom, a known name (see `models`), a model folder or a hub id (owner/name); biomedclip unless given, "
        "and phantom with --phantoms."
    ),
]


def model_of_cohort(model: str | None, phantoms: int | None) -> str:
    """Choose the model where none is named: on phantoms the encoder that knows them."""
    return model or ("biomedclip" if phantoms is None else "phantom")


def index_file(dicom_dir: Path, index: Path | None, *, no_index: bool, not_in: Iterable[Path]) -> Path | None:
    """Choose the file that keeps what the headers say; None to keep nothing.

    Raises:
        AuditError: the flags contradict each other, or the file would lie among images or results.
    """
    from audit.output.folder import index_of, refuse_among

    if index is None:
        return None if no_index else index_of(dicom_dir)
    if no_index:
        raise AuditError(f"--index {index} and --no-index contradict each other: give one of them")
    refuse_among(index, (dicom_dir, *not_in))
    return index


def tell(message: str) -> None:
    """Print to stderr: stdout is for results."""
    typer.echo(message, err=True)


@contextmanager
def progress_bar() -> Iterator["Progress"]:
    """A bar a stage with rate and time left, on stderr; silent where stderr is no terminal."""
    from audit.cli import progress

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
