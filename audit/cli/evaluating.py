"""The command ``evaluate``."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit.cli.auditing import ModelFit
from audit.cli.options import (
    COULD_NOT_RUN,
    Beta,
    Device,
    ImageLayer,
    Model,
    NoiseSamples,
    Numbers,
    Seed,
    Steps,
    TextLayer,
    Variance,
    errors_in_one_line,
    progress_bar,
    tell,
)
from audit.cli.telling import tell_what_is_wrong

if TYPE_CHECKING:
    from audit.experiments.evaluation import EvaluationResult

__all__ = ["evaluate"]

_FAILURES_LISTED = 3  # exit status
_WEIGHTS = {
    "median": "1 above the median heat of the caption's words, else 0, as M2IB's authors do",
    "minmax": "the min-max heat, 0 to 1; M2IB's authors use median",
}
_LISTED_AT_MOST = 5  # pairs that could not be measured


class ModelPreset(StrEnum):
    """What ``--preset`` takes: a name of :data:`audit.experiments.evaluation_settings.PRESETS`."""

    NATURAL = "natural"
    MS_CXR = "ms-cxr"


class TextWeights(StrEnum):
    """What ``--text-mask`` takes: an :class:`audit.metrics.faithfulness.confidence.TextMask`."""

    MEDIAN = "median"
    MINMAX = "minmax"


def evaluate(
    data_path: Annotated[
        Path,
        typer.Option(
            help="CSV or TSV of captions and image paths, with a header or without (caption, path), packed or not."
        ),
    ],
    output_path: Annotated[Path, typer.Option(help="CSV to write, a row a pair and method; the means stand beside.")],
    samples: Annotated[int, typer.Option(help="How many pairs to draw, without replacement.", min=1)] = 500,
    seed: Seed = 0,
    method: Annotated[
        list[str] | None,
        typer.Option(help="m2ib (the default) or another one of `run --help`; give it several times to compare."),
    ] = None,
    model: Model = "biomedclip",
    preset: Annotated[
        ModelPreset | None,
        typer.Option(
            help="As M2IB's authors have it, --text-mask median among it; of M2IB's numbers, 10 steps of 10 samples, "
            "variance 1: natural is beta 0.1, layers 9 and 9; ms-cxr is beta 1, layers 9 (image) and 7 (text). Layers "
            "are those of 12 blocks, taken in proportion to other depths; IBA takes them too. Without it the model's "
            "folder decides, else ms-cxr. Single flags win."
        ),
    ] = None,
    text_mask: Annotated[
        TextWeights | None,
        typer.Option(
            help="Weights of the words: median is 1 above the median heat of the caption's words, else 0, as M2IB's "
            "authors do; minmax is the min-max heat, the default without a preset."
        ),
    ] = None,
    image_root: Annotated[
        Path | None, typer.Option(help="Folder in which relative paths begin; by default the table's own.")
    ] = None,
    device: Device = "auto",
    fit: Annotated[
        ModelFit, typer.Option(help="How images meet the model's square; own is what the model's files say.")
    ] = ModelFit.OWN,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the file of a run that was cut short, or start it.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file that is there.")] = False,
    numbers: Numbers = None,
    beta: Beta = None,
    variance: Variance = None,
    steps: Steps = None,
    noise_samples: NoiseSamples = None,
    image_layer: ImageLayer = None,
    text_layer: TextLayer = None,
) -> None:
    """Measure confidence drop and increase, the scores of M2IB's authors, over a table of captions and images.

    Images are DICOM, PNG, JPEG, TIFF and the like; grey of more than 8 bits is stretched over its own range.
    """
    from audit.attribution.methods import parse_settings
    from audit.experiments.evaluation import evaluate_table
    from audit.experiments.evaluation_settings import EvaluationSettings
    from audit.metrics.faithfulness.confidence import TextMask
    from pipelines.geometry import Fit

    with errors_in_one_line():
        own_numbers = parse_settings(numbers or ())
    settings = EvaluationSettings(
        data_path=data_path,
        output_path=output_path,
        samples=samples,
        seed=seed,
        methods=tuple(method or ["m2ib"]),
        model=model,
        preset=None if preset is None else preset.value,
        image_root=image_root,
        device=device,
        fit=None if fit is ModelFit.OWN else Fit(fit.value),
        text_mask=None if text_mask is None else TextMask(text_mask.value),
        resume=resume,
        overwrite=overwrite,
        numbers=own_numbers,
        beta=beta,
        variance=variance,
        steps=steps,
        noise_samples=noise_samples,
        image_layer=image_layer,
        text_layer=text_layer,
    )
    try:
        with errors_in_one_line(), progress_bar() as progress:
            result = evaluate_table(settings, progress=progress)
    except KeyboardInterrupt:
        tell("m2ib-audit: interrupted; the same command with --resume goes on")
        raise typer.Exit(COULD_NOT_RUN) from None
    _tell(result, samples)


def _tell(result: "EvaluationResult", samples: int) -> None:
    from audit.experiments.evaluation_summary import as_text

    failed = result.told
    tell(f"Model {result.model}: {result.terms}")
    if result.pairs < samples:
        tell(f"The table has {result.pairs:,} rows, fewer than the {samples:,} that were asked for: all were taken")
    if result.kept:
        tell(f"{result.kept:,} rows were there already and were not computed again")
    if result.cut_captions:
        tell(f"Captions longer than the model's context, whose end was not read: {result.cut_captions:,}")
    if result.stretched:
        tell(f"Pictures of more than 8 bits, stretched over their own range: {result.stretched:,}")
    tell_what_is_wrong(failed, most=_LISTED_AT_MOST, things="that could not be measured")
    typer.echo(
        f"{result.pairs:,} pairs drawn from {result.table_rows:,}, {len(failed):,} of them could not be measured; "
        "95 % intervals over images. Shuffled: the same heat at random places"
    )
    typer.echo(f"Words are weighted by --text-mask {result.text_mask.value}: {_WEIGHTS[result.text_mask.value]}")
    typer.echo(as_text(result.means))
    if failed:
        raise typer.Exit(_FAILURES_LISTED)
