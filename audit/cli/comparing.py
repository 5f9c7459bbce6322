"""The commands that put methods to the test: ``compare``, ``roar`` and ``sanity``."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit.cli.auditing import ModelFit
from audit.cli.options import (
    Boxes,
    Device,
    FramesOfFile,
    IndexFile,
    ModelOfCohort,
    NoIndex,
    Numbers,
    Out,
    Seed,
    WhichFrames,
    errors_in_one_line,
    index_file,
    model_of_cohort,
    progress_bar,
    tell,
)
from audit.cli.telling import tell_what_is_wrong

if TYPE_CHECKING:
    from audit.experiments.comparison import CohortFiles
    from audit.experiments.roar import Side

__all__ = ["compare", "roar", "sanity"]

_FAILURES_LISTED = 3  # exit status


class RemovedSide(StrEnum):
    """What ``roar --side`` takes."""

    IMAGE = "image"
    TEXT = "text"
    BOTH = "both"


class RandomTower(StrEnum):
    """What ``sanity --tower`` takes."""

    IMAGE = "image"
    TEXT = "text"
    BOTH = "both"


def compare(
    out: Out,
    dicom_dir: Annotated[
        Path | None, typer.Option(help="Folder with the DICOM files; subfolders are searched.")
    ] = None,
    reports: Annotated[Path | None, typer.Option(help="Folder of reports, or a file of them.")] = None,
    boxes: Boxes = None,
    phantoms: Annotated[
        int | None, typer.Option(help="Compare on so many held-out phantoms instead of files.", min=2)
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(help="all, or names of run --help with commas between them; may be given several times."),
    ] = None,
    model: ModelOfCohort = None,
    device: Device = "auto",
    fit: Annotated[
        ModelFit, typer.Option(help="How images meet the model's square; own is what the model's files say.")
    ] = ModelFit.LETTERBOX,
    limit: Annotated[int | None, typer.Option(help="Studies, drawn by the seed; all by default.", min=1)] = None,
    faithfulness: Annotated[
        int, typer.Option(help="Phrases, drawn by the seed, that are put to the tests of faithfulness.", min=0)
    ] = 40,
    masks: Annotated[
        int,
        typer.Option(help="Masks a pair of RISE and KernelSHAP; 500 is their own, which takes five times as long."),
    ] = 100,
    numbers: Numbers = None,
    all_views: Annotated[bool, typer.Option("--all-views", help="Take lateral and unknown views too.")] = False,
    frames: FramesOfFile = WhichFrames.FIRST,
    seed: Seed = 0,
    index: IndexFile = None,
    no_index: NoIndex = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the comparison that OUT holds.")] = False,
) -> None:
    """Put several methods to the same phrases: every score with its interval, and what each method costs."""
    from audit.attribution.methods import parse_settings
    from audit.experiments.comparison import ALL, ComparisonSettings
    from audit.experiments.comparison import compare as run_comparison
    from pipelines.cohort import Frames
    from pipelines.geometry import Fit

    with errors_in_one_line():
        settings = ComparisonSettings(
            out=out,
            cohort=_cohort(phantoms, dicom_dir, reports, boxes, _Index(file=index, no_index=no_index, not_in=(out,))),
            methods=tuple(methods or (ALL,)),
            model=model_of_cohort(model, phantoms),
            device=device,
            fit=None if fit is ModelFit.OWN else Fit(fit.value),
            all_views=all_views,
            frames=Frames(frames.value),
            limit=limit,
            faithfulness=faithfulness,
            masks=masks,
            numbers=parse_settings(numbers or ()),
            seed=seed,
            overwrite=overwrite,
        )
        with progress_bar() as progress:
            result = run_comparison(settings, progress=progress)
    for method in result.record.methods:
        if method.refused is not None:
            tell(f"{method.name} was not compared: {method.refused}")
    tell_what_is_wrong(result.told)
    typer.echo(result.page)
    if result.failed:
        raise typer.Exit(_FAILURES_LISTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """What the flags say of the index of scans."""

    file: Path | None
    no_index: bool
    not_in: tuple[Path, ...] = ()


def _cohort(
    phantoms: int | None, dicom_dir: Path | None, reports: Path | None, boxes: list[Path] | None, index: _Index
) -> "CohortFiles | int":
    """Take phantoms or files.

    Raises:
        AuditError: both are given, or too little of either.
    """
    from audit.experiments.comparison import CohortFiles
    from pipelines.errors import AuditError

    if phantoms is not None:
        if dicom_dir is not None or reports is not None or boxes or index.file is not None:
            raise AuditError("--phantoms makes its own cohort: leave --dicom-dir, --reports, --boxes and --index away")
        return phantoms
    if dicom_dir is None or reports is None:
        raise AuditError("a cohort is needed: give --dicom-dir and --reports, or --phantoms with a number")
    return CohortFiles(
        dicom_dir=dicom_dir,
        reports=reports,
        boxes=tuple(boxes or ()),
        index=index_file(dicom_dir, index.file, no_index=index.no_index, not_in=(reports, *index.not_in)),
    )


def roar(
    method: Annotated[str, typer.Option(help="Whose heat says what is removed; a name of run --help.")] = "m2ib",
    numbers: Numbers = None,
    model: Annotated[
        str, typer.Option(help="phantom, another phantom encoder, or a folder that phantom train wrote.")
    ] = "phantom",
    n: Annotated[int, typer.Option("--n", help="Phantoms; a quarter of them is held out.", min=8)] = 400,
    steps: Annotated[int, typer.Option(help="Steps of each fine-tuning.", min=1)] = 200,
    batch: Annotated[int, typer.Option(help="Pairs a step.", min=2)] = 32,
    share: Annotated[
        list[float] | None,
        typer.Option(help="Share of patches or words to remove; several times for more. 0.1, 0.3 and 0.5 by default."),
    ] = None,
    side: Annotated[RemovedSide, typer.Option(help="Whether patches, words or both are removed, in turn.")] = (
        RemovedSide.BOTH
    ),
    seed: Seed = 0,
) -> None:
    """Remove what a method calls important, train the phantom encoder again, and see whether it misses it."""
    from audit.attribution.methods import parse_settings
    from audit.experiments.roar import DEFAULT_SHARES, RoarSettings, as_text, run_roar

    with errors_in_one_line(), progress_bar() as progress:
        settings = RoarSettings(
            method=method,
            numbers=parse_settings(numbers or ()),
            model=model,
            phantoms=n,
            steps=steps,
            batch=batch,
            shares=tuple(share or DEFAULT_SHARES),
            sides=_sides(side),
            seed=seed,
        )
        result = run_roar(settings, progress=progress)
    typer.echo(as_text(result))


def sanity(
    dicom_dir: Annotated[
        Path | None, typer.Option(help="Folder with the DICOM files; subfolders are searched.")
    ] = None,
    reports: Annotated[Path | None, typer.Option(help="Folder of reports, or a file of them.")] = None,
    boxes: Annotated[
        list[Path] | None, typer.Option(help="Radiologists' boxes: phrases with one are drawn first.")
    ] = None,
    phantoms: Annotated[int | None, typer.Option(help="Check on so many phantoms instead of files.", min=2)] = None,
    method: Annotated[str, typer.Option(help="A name of run --help.")] = "m2ib",
    numbers: Numbers = None,
    model: ModelOfCohort = None,
    tower: Annotated[RandomTower, typer.Option(help="Which tower turns random.")] = RandomTower.BOTH,
    pairs: Annotated[int, typer.Option(help="Phrases, drawn by the seed.", min=1)] = 20,
    device: Device = "auto",
    seed: Seed = 0,
    index: IndexFile = None,
    no_index: NoIndex = False,
) -> None:
    """Turn the model random block by block, and see whether a method's heat notices."""
    from audit.attribution.methods import parse_settings
    from audit.experiments.sanity import SanitySettings, check_sanity
    from audit.metrics.faithfulness.cascade import TowerName

    with errors_in_one_line(), progress_bar() as progress:
        found = check_sanity(
            SanitySettings(
                cohort=_cohort(phantoms, dicom_dir, reports, boxes, _Index(file=index, no_index=no_index)),
                method=method,
                numbers=parse_settings(numbers or ()),
                model=model_of_cohort(model, phantoms),
                towers=tuple(TowerName) if tower is RandomTower.BOTH else (TowerName(tower.value),),
                pairs=pairs,
                device=device,
                seed=seed,
            ),
            progress=progress,
        )
    tell_what_is_wrong(found.told)
    typer.echo(found)


def _sides(side: RemovedSide) -> "tuple[Side, ...]":
    sides: dict[RemovedSide, tuple[Side, ...]] = {RemovedSide.IMAGE: ("image",), RemovedSide.TEXT: ("text",)}
    return sides.get(side, ("image", "text"))
