"""The commands under ``m2ib-audit phantom``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from audit.cli.commands import Commands
from audit.cli.options import Model, Out, Phantoms, Seed, Steps, errors_in_one_line, print_message, progress_bar

__all__ = ["phantoms"]


phantoms = Commands(help="Make phantoms, train on them, and evaluate the phantom encoder.", no_args_is_help=True)

Processes = Annotated[int, typer.Option(help="Number of rendering processes.", min=1)]


def _given(out: Path | None, what: str) -> Path:
    """Return the path to write to.

    Raises:
        NotGivenError: there is none.
    """
    from audit.config_file import NotGivenError

    if out is None:
        raise NotGivenError(f"--out is not given: give the {what}")
    return out


@phantoms.command("make")
def phantom_make(
    out: Out = None,
    phantoms: Phantoms = None,
    seed: Seed = None,
    columns: Annotated[int, typer.Option(help="Width of the images, px.", min=64, max=4096)] = 640,
    tagged: Annotated[
        bool, typer.Option("--tagged", help="Put a letter on the image for every finding, as a shortcut.")
    ] = False,
    brief: Annotated[
        bool, typer.Option("--brief", help="Reports with only an impression, without sides and zones.")
    ] = False,
) -> None:
    """Write a phantom cohort: OUT/dicom, OUT/reports and OUT/boxes.csv."""
    from pipelines.phantom.cohort import make_cohort

    with errors_in_one_line():
        path = _given(out, "folder to write to")
        make_cohort(
            path,
            count=24 if phantoms is None else phantoms,
            seed=7 if seed is None else seed,
            columns=columns,
            tagged=tagged,
            brief=brief,
        )
    typer.echo(path)


@phantoms.command("train")
def phantom_train(
    out: Out = None,
    steps: Steps = None,
    pool: Annotated[
        int | None,
        typer.Option(
            help="Number of phantoms to render before training.",
            show_default="24000; image-blind and habit 3000",
            min=1,
        ),
    ] = None,
    seed: Seed = None,
    encoder: Annotated[
        Literal["grounded", "ungrounded", "shortcut", "image-blind", "habit"],
        typer.Option(help="grounded, or one of the encoders with a known fault that an audit must detect."),
    ] = "grounded",
    processes: Processes = 2,
) -> None:
    """Train a phantom encoder as the committed one was trained; grounded: about 40 minutes on two cores.

    image-blind and habit are derived from the committed grounded encoder, in a few minutes. Without `--steps` and
    `--seed` they are those of the committed weights.
    """
    from audit.phantom.training_folder import TrainingGoal, train_to_folder

    with errors_in_one_line():
        path = _given(out, "folder to write to")
        train_to_folder(
            path,
            steps=steps,
            pool_size=pool,
            seed=seed,
            kind=TrainingGoal(encoder),
            processes=processes,
            on_message=print_message,
        )
    typer.echo(path)


@phantoms.command("train-lungs")
def phantom_train_lungs(
    out: Out = None,
    steps: Steps = None,
    seed: Seed = None,
    processes: Processes = 2,
) -> None:
    """Train the network that finds the lungs as the committed one was trained; about 15 minutes on two cores.

    OUT is the file of weights to write. Without `--steps` and `--seed` they are those of the committed weights.
    """
    from audit.phantom.lung_training import LungTraining, train_lungs

    with errors_in_one_line():
        path = _given(out, "file of weights to write")
        default = LungTraining()
        settings = replace(default, steps=steps or default.steps, seed=default.seed if seed is None else seed)
        train_lungs(path, settings, processes=processes, on_message=print_message)
    typer.echo(path)


@phantoms.command("train-letters")
def phantom_train_letters(out: Out = None, steps: Steps = None, seed: Seed = None) -> None:
    """Train the network that finds side markers as the committed one was trained; about 20 minutes.

    OUT is the file of weights to write. Without `--steps` and `--seed` they are those of the committed weights.
    """
    from audit.phantom.letter_training import LetterTraining, train_letters

    with errors_in_one_line():
        path = _given(out, "file of weights to write")
        default = LetterTraining()
        settings = replace(default, steps=steps or default.steps, seed=default.seed if seed is None else seed)
        train_letters(path, settings, on_message=print_message)
    typer.echo(path)


@phantoms.command("train-orientation")
def phantom_train_orientation(
    out: Out = None,
    steps: Steps = None,
    seed: Seed = None,
    processes: Processes = 2,
) -> None:
    """Train the networks that notice mirrored and rotated images as the committed ones were; about 20 minutes.

    OUT is the file of weights to write. Without `--steps` and `--seed` they are those of the committed weights.
    """
    from audit.phantom.orientation_training import COMMITTED, train_orientation

    with errors_in_one_line():
        path = _given(out, "file of weights to write")
        settings = [
            replace(each, steps=steps or each.steps, seed=each.seed if seed is None else seed + place)
            for place, each in enumerate(COMMITTED)
        ]
        train_orientation(path, settings, processes=processes, on_message=print_message)
    typer.echo(path)


@phantoms.command("evaluate")
def phantom_evaluate(
    model: Model = None,
    phantoms: Phantoms = None,
    seed: Seed = None,
) -> None:
    """Print how often the encoder's heat hits the planted findings, next to content-blind maps, with 95 % intervals."""
    from audit.phantom.evaluation import evaluate

    with errors_in_one_line(), progress_bar() as progress:
        table = evaluate(
            model or "phantom",
            count=500 if phantoms is None else phantoms,
            seed=20_260_777 if seed is None else seed,
            progress=progress,
        )
    typer.echo(str(table))
