"""The commands under ``m2ib-audit phantom``."""

from enum import StrEnum
from typing import Annotated

import typer

from audit.cli.options import Model, Out, Seed, errors_in_one_line, progress_bar, tell

__all__ = ["phantoms"]


class EncoderKind(StrEnum):
    """What ``--kind`` takes: an :class:`audit.phantom.training.TrainingGoal`."""

    GROUNDED = "grounded"
    UNGROUNDED = "ungrounded"
    SHORTCUT = "shortcut"


phantoms = typer.Typer(
    help="Make phantoms, train the phantom encoder, and see how well it reads.", no_args_is_help=True
)


@phantoms.command("make")
def phantom_make(
    out: Out,
    n: Annotated[int, typer.Option("--n", help="How many phantoms.", min=1)] = 24,
    seed: Seed = 7,
    columns: Annotated[int, typer.Option(help="Width of the images, px.", min=64, max=4096)] = 640,
    tagged: Annotated[
        bool, typer.Option("--tagged", help="Put a letter on the film for every finding, which gives it away.")
    ] = False,
    brief: Annotated[
        bool, typer.Option("--brief", help="Reports with an impression alone, without sides and zones.")
    ] = False,
) -> None:
    """Write a phantom cohort: OUT/dicom, OUT/reports and OUT/boxes.csv."""
    from pipelines.phantom.cohort import make_cohort

    with errors_in_one_line():
        make_cohort(out, count=n, seed=seed, columns=columns, tagged=tagged, brief=brief)
    typer.echo(out)


@phantoms.command("train")
def phantom_train(
    out: Out,
    steps: Annotated[int | None, typer.Option(help="Training steps; the committed weights' by default.", min=1)] = None,
    pool: Annotated[int, typer.Option(help="How many phantoms to render first.", min=1)] = 24_000,
    seed: Annotated[int | None, typer.Option(help="Seed; the committed weights' by default.", min=0)] = None,
    kind: Annotated[
        EncoderKind, typer.Option(help="grounded, or one of the known-bad controls that the audit has to tell apart.")
    ] = EncoderKind.GROUNDED,
    processes: Annotated[int, typer.Option(help="Processes that render.", min=1)] = 2,
) -> None:
    """Train the phantom encoder as the committed one was trained; about half an hour on two cores."""
    from audit.phantom.training import TrainingGoal, train_to_folder

    with errors_in_one_line():
        train_to_folder(
            out, steps=steps, pool_size=pool, seed=seed, kind=TrainingGoal(kind.value), processes=processes, tell=tell
        )
    typer.echo(out)


@phantoms.command("evaluate")
def phantom_evaluate(
    model: Model = "phantom",
    n: Annotated[int, typer.Option("--n", help="How many held-out phantoms.", min=2)] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the held-out phantoms.", min=0)] = 20_260_777,
) -> None:
    """Print how often the encoder's heat hits what was planted, beside maps that never look, with 95 % intervals."""
    from audit.phantom.evaluation import evaluate

    with errors_in_one_line(), progress_bar() as progress:
        table = evaluate(model, count=n, seed=seed, progress=progress)
    typer.echo(str(table))
