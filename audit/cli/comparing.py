"""The commands that put methods and models to the test: ``compare`` and ``roar``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from audit.cli.comparing_models import compare_finished, compare_models
from audit.cli.options import (
    FAILURES_LISTED,
    AllViews,
    Boxes,
    ConfigFile,
    Device,
    DicomDir,
    Faithfulness,
    Findings,
    Fit,
    Limit,
    Methods,
    Model,
    Models,
    Out,
    Overwrite,
    Phantoms,
    ProtocolFile,
    Reports,
    Seed,
    Settings,
    Steps,
    errors_in_one_line,
    one_method,
    print_message,
    progress_bar,
    read_config,
)
from audit.cli.terminal import print_messages
from pipelines.errors import AuditError

__all__ = ["PHANTOM_MODEL", "compare", "roar"]

PHANTOM_MODEL: dict[tuple[str, ...], object] = {("model", "model"): "phantom"}  # it knows phantoms
_SHARES = (0.1, 0.3, 0.5)


def compare(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="OUT of two finished runs of the same studies, of model A and of model B, to be compared.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    out: Out = None,
    dicom_dir: DicomDir = None,
    reports: Reports = None,
    boxes: Boxes = None,
    phantoms: Phantoms = None,
    findings: Findings = None,
    all_views: AllViews = None,
    limit: Limit = None,
    method: Methods = None,
    model: Models = None,
    device: Device = None,
    fit: Fit = None,
    faithfulness: Faithfulness = None,
    protocol: ProtocolFile = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Two models: B may hit less often than A by this share to be not inferior.", min=0, max=0.99),
    ] = None,
    masks: Annotated[
        int | None,
        typer.Option(
            help="Masks per pair for RISE and KernelSHAP. Their default of 500 takes five times as long.",
            show_default="100",
        ),
    ] = None,
    word_phrases: Annotated[
        int | None,
        typer.Option(
            help="Number of phrases whose words are explained too, sampled at random.", min=0, show_default="100"
        ),
    ] = None,
    sanity: Annotated[
        int | None,
        typer.Option(
            help="Number of phrases on which each method itself is checked, as by `sanity`; each is explained 14 "
            "times, and once more for each block of both towers.",
            min=0,
            show_default="0",
        ),
    ] = None,
    seed: Seed = None,
    overwrite: Overwrite = None,
    config: ConfigFile = None,
    settings: Settings = None,
) -> None:
    """Compare methods, or two models, on the same phrases: every score with its interval.

    Methods of one model are compared by default, with their cost. With `--model A --model B` both models are audited
    into OUT/a and OUT/b and compared; `compare OUT_A OUT_B` compares two finished runs of the same studies. Differences
    of models are B minus A. `--margin` or `--protocol` ask whether B is not inferior to A.
    """
    given = {
        "out": out,
        "dicom_dir": dicom_dir,
        "reports": reports,
        "boxes": boxes,
        "findings": findings,
        "all_views": all_views,
        "limit": limit,
        "method": method,
        "device": device,
        "fit": fit,
        "faithfulness": faithfulness,
        "seed": seed,
        "overwrite": overwrite,
    }
    of_methods = {"phantoms": phantoms, "masks": masks, "word_phrases": word_phrases, "sanity": sanity}
    if runs:
        kept = {name: value for name, value in given.items() if name not in {"out", "method", "overwrite"}}
        compare_finished(
            runs,
            out,
            method=method,
            protocol=protocol,
            margin=margin,
            overwrite=overwrite,
            others={**kept, **of_methods, "model": model, "config": config, "set": settings},
        )
        return
    if len(model or ()) > 1:
        given["protocol"] = protocol
        compare_models(model or (), given, config=config, settings=settings, margin=margin, others=of_methods)
        return
    with errors_in_one_line():
        if margin is not None or protocol is not None:
            raise AuditError("--margin and --protocol ask about two models: give two runs, or --model twice")
    _compare_methods({**given, "model": next(iter(model or ()), None)}, of_methods, config, settings)


def _compare_methods(
    given: Mapping[str, object],
    of_methods: Mapping[str, object],
    config: Path | None,
    settings: Sequence[str] | None,
) -> None:
    from audit.experiments.comparison import ComparisonConfig
    from audit.experiments.comparison import compare as run_comparison

    reads = ("inputs", "model.model", "model.device", "model.fit", "method.method", "method.seed")
    with errors_in_one_line():
        composed = read_config(
            ComparisonConfig,
            config,
            settings,
            given,
            reads=(*reads, "method.hyperparameters", "scoring.faithfulness", "output.out", "output.overwrite"),
            defaults={("method", "method"): ("all",), **({} if of_methods["phantoms"] is None else PHANTOM_MODEL)},
            others={name: value for name, value in of_methods.items() if name == "phantoms" or value is not None},
        )
        with progress_bar() as progress:
            result = run_comparison(composed, progress=progress)
    for compared in result.record.methods:
        if compared.refused is not None:
            print_message(f"{compared.name} was not compared: {compared.refused}")
    print_messages(result.messages)
    typer.echo(result.page)
    if result.failed:
        raise typer.Exit(FAILURES_LISTED)


def roar(
    method: Methods = None,
    model: Model = None,
    phantoms: Phantoms = None,
    steps: Steps = None,
    batch: Annotated[int, typer.Option(help="Pairs per step.", min=2)] = 32,
    share: Annotated[
        list[float] | None,
        typer.Option(help="Share of patches or words to remove. Can be repeated. Default: 0.1, 0.3 and 0.5."),
    ] = None,
    side: Annotated[
        Literal["image", "text", "both"], typer.Option(help="Remove patches, words, or both in turn.")
    ] = "both",
    seed: Seed = None,
    config: ConfigFile = None,
    settings: Settings = None,
) -> None:
    """Remove what a method calls important, train the phantom encoder again, and see whether it misses it.

    `--model` is a phantom encoder: one that ships with the tool, or a folder that `phantom train` wrote. A quarter of
    the phantoms is held out.
    """
    from audit.configuration import CohortConfig
    from audit.experiments.roar import RoarSettings, as_text, run_roar

    with errors_in_one_line(), progress_bar() as progress:
        composed = read_config(
            CohortConfig,
            config,
            settings,
            {"method": method, "model": model, "seed": seed},
            reads=("model.model", "method.method", "method.seed", "method.hyperparameters"),
            defaults=PHANTOM_MODEL,
            others={"phantoms": 400 if phantoms is None else phantoms},
        )
        result = run_roar(
            RoarSettings(
                method=one_method(composed.method.method),
                numbers=composed.method.hyperparameters,
                model=composed.model.model,
                phantoms=400 if phantoms is None else phantoms,
                steps=200 if steps is None else steps,
                batch=batch,
                shares=tuple(share or _SHARES),
                sides=("image", "text") if side == "both" else (side,),
                seed=composed.method.seed,
            ),
            progress=progress,
        )
    typer.echo(as_text(result))
