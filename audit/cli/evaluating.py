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
            help="CSV or TSV of captions and image paths, with or without a header (caption, path), compressed or not."
        ),
    ],
    output_path: Annotated[
        Path, typer.Option(help="CSV to write, one row per pair and method; the means go into files beside it.")
    ],
    pairs: Annotated[int, typer.Option(help="Number of pairs to sample, without replacement.", min=1)] = 500,
    seed: Seed = None,
    method: Methods = None,
    model: Model = None,
    preset: Annotated[
        Literal["natural", "ms-cxr"] | None,
        typer.Option(
            help="Settings of M2IB's authors, including --text-mask median, 10 steps of 10 samples and variance 1: "
            "natural has beta 0.1 and layers 9 and 9; ms-cxr has beta 1 and layers 9 (image) and 7 (text). Layers "
            "refer to 12 blocks and are scaled for other depths; IBA uses them too. Default: as the model's folder "
            "says, otherwise ms-cxr. Single flags win."
        ),
    ] = None,
    text_mask: Annotated[
        Literal["median", "minmax"] | None,
        typer.Option(
            help="Weights of the words: median is 1 above the median heat of the caption's words and 0 otherwise, as "
            "M2IB's authors do; minmax is the min-max heat, the default without a preset."
        ),
    ] = None,
    image_root: Annotated[
        Path | None, typer.Option(help="Folder that relative paths refer to. Default: the table's folder.")
    ] = None,
    device: Device = None,
    fit: Fit = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the file of an interrupted run, or start one.")
    ] = False,
    overwrite: Overwrite = None,
    config: ConfigFile = None,
    settings: Settings = None,
) -> None:
    """Measure confidence drop and increase, the scores of M2IB's authors, on a table of captions and images.

    Images are DICOM, PNG, JPEG, TIFF or similar; grey values of more than 8 bits are stretched to the image's range.
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
        print_message("m2ib-audit: interrupted; repeat the command with --resume to continue")
        raise typer.Exit(COULD_NOT_RUN) from None
    _print_progress(result, pairs)


def _print_progress(result: "EvaluationResult", requested: int) -> None:
    from audit.experiments.evaluation_summary import as_text

    failed = result.messages
    print_message(f"Model {result.model}: {result.terms}")
    if result.pairs < requested:
        print_message(f"The table has {result.pairs:,} rows, fewer than the requested {requested:,}: all were used")
    if result.kept:
        print_message(f"{result.kept:,} rows existed already and were not computed again")
    if result.cut_captions:
        print_message(f"Captions truncated to the model's context length: {result.cut_captions:,}")
    if result.stretched:
        print_message(f"Images of more than 8 bits, stretched to their own range: {result.stretched:,}")
    print_messages(failed, most=_LISTED_AT_MOST, things="pairs that could not be measured")
    typer.echo(
        f"{result.pairs:,} pairs sampled from {result.table_rows:,}, {len(failed):,} of them could not be measured; "
        "95 % intervals over images. Shuffled: the same heat with its cells in random order"
    )
    typer.echo(f"Words are weighted by --text-mask {result.text_mask.value}: {_WEIGHTS[result.text_mask.value]}")
    typer.echo(as_text(result.means))
    if failed:
        raise typer.Exit(FAILURES_LISTED)
