"""The command ``evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audit.cli.options import (
    COULD_NOT_RUN,
    FAILURES_LISTED,
    ConfigFile,
    Device,
    Fit,
    Methods,
    Model,
    Overwrite,
    Seed,
    Settings,
    errors_in_one_line,
    print_message,
    progress_bar,
    read_config,
)
from audit.cli.terminal import print_messages

if TYPE_CHECKING:
    from audit.experiments.evaluation import EvaluationResult

__all__ = ["evaluate"]

_WEIGHTS = {
    "median": "1 above the median heat of the caption's words, else 0, as M2IB's authors do",
    "minmax": "the min-max heat, 0 to 1; M2IB's authors use median",
}
_LISTED_AT_MOST = 5  # pairs that could not be measured


def evaluate(
    data_path: Annotated[
        Path,
        typer.Option(
            help="CSV or TSV of captions and image paths, with a header or without (caption, path), packed or not."
        ),
    ],
    output_path: Annotated[Path, typer.Option(help="CSV to write, a row a pair and method; the means stand beside.")],
    pairs: Annotated[int, typer.Option(help="How many pairs to draw, without replacement.", min=1)] = 500,
    seed: Seed = None,
    method: Methods = None,
    model: Model = None,
    preset: Annotated[
        Literal["natural", "ms-cxr"] | None,
        typer.Option(
            help="As M2IB's authors have it, --text-mask median among it; of M2IB's numbers, 10 steps of 10 samples, "
            "variance 1: natural is beta 0.1, layers 9 and 9; ms-cxr is beta 1, layers 9 (image) and 7 (text). Layers "
            "are those of 12 blocks, taken in proportion to other depths; IBA takes them too. Without it the model's "
            "folder decides, else ms-cxr. Single flags win."
        ),
    ] = None,
    text_mask: Annotated[
        Literal["median", "minmax"] | None,
        typer.Option(
            help="Weights of the words: median is 1 above the median heat of the caption's words, else 0, as M2IB's "
            "authors do; minmax is the min-max heat, the default without a preset."
        ),
    ] = None,
    image_root: Annotated[
        Path | None, typer.Option(help="Folder in which relative paths begin; by default the table's own.")
    ] = None,
    device: Device = None,
    fit: Fit = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the file of a run that was cut short, or start it.")
    ] = False,
    overwrite: Overwrite = None,
    config: ConfigFile = None,
    settings: Settings = None,
) -> None:
    """Measure confidence drop and increase, the scores of M2IB's authors, over a table of captions and images.

    Images are DICOM, PNG, JPEG, TIFF and the like; grey of more than 8 bits is stretched over its own range.
    """
    from audit.experiments.evaluation import evaluate_table
    from audit.experiments.evaluation_settings import EvaluationConfig
    from audit.faithfulness.confidence import TextMask

    with errors_in_one_line():
        composed = read_config(
            EvaluationConfig,
            config,
            settings,
            {"seed": seed, "method": method, "model": model, "device": device, "fit": fit},
            reads=(
                *("model.model", "model.device", "model.fit"),
                *("method.method", "method.seed", "method.hyperparameters"),
            ),
            others={
                "data_path": data_path,
                "output_path": output_path,
                "pairs": pairs,
                "preset": preset,
                "image_root": image_root,
                "resume": resume,
                "overwrite": bool(overwrite),
                "text_mask": None if text_mask is None else TextMask(text_mask),
            },
        )
    try:
        with errors_in_one_line(), progress_bar() as progress:
            result = evaluate_table(composed, progress=progress)
    except KeyboardInterrupt:
        print_message("m2ib-audit: interrupted; the same command with --resume goes on")
        raise typer.Exit(COULD_NOT_RUN) from None
    _print_progress(result, pairs)


def _print_progress(result: "EvaluationResult", requested: int) -> None:
    from audit.experiments.evaluation_summary import as_text

    failed = result.messages
    print_message(f"Model {result.model}: {result.terms}")
    if result.pairs < requested:
        print_message(
            f"The table has {result.pairs:,} rows, fewer than the {requested:,} that were asked for: all were taken"
        )
    if result.kept:
        print_message(f"{result.kept:,} rows were there already and were not computed again")
    if result.cut_captions:
        print_message(f"Captions longer than the model's context, whose end was not read: {result.cut_captions:,}")
    if result.stretched:
        print_message(f"Pictures of more than 8 bits, stretched over their own range: {result.stretched:,}")
    print_messages(failed, most=_LISTED_AT_MOST, things="that could not be measured")
    typer.echo(
        f"{result.pairs:,} pairs drawn from {result.table_rows:,}, {len(failed):,} of them could not be measured; "
        "95 % intervals over images. Shuffled: the same heat at random places"
    )
    typer.echo(f"Words are weighted by --text-mask {result.text_mask.value}: {_WEIGHTS[result.text_mask.value]}")
    typer.echo(as_text(result.means))
    if failed:
        raise typer.Exit(FAILURES_LISTED)
