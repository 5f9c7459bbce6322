"""The experiments, each with its command.

To add an experiment on a cohort, write one module in ``audit/experiments`` and add one entry to :data:`EXPERIMENTS`.
"""

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from pkgutil import resolve_name
from typing import Annotated, Any, Literal

import typer

from audit.cli.auditing import baselines, commission
from audit.cli.comparing import PHANTOM_MODEL, compare, roar
from audit.cli.evaluating import evaluate
from audit.cli.options import (
    AllViews,
    Boxes,
    ConfigFile,
    Device,
    DicomDir,
    Findings,
    Fit,
    Methods,
    Model,
    Out,
    Phantoms,
    Reports,
    Seed,
    Settings,
    errors_in_one_line,
    progress_bar,
    read_config,
)
from audit.cli.terminal import print_messages

__all__ = ["EXPERIMENTS", "on_cohort"]

_FLAGS: dict[str, object] = {
    "dicom_dir": DicomDir,
    "reports": Reports,
    "boxes": Boxes,
    "phantoms": Phantoms,
    "findings": Findings,
    "all_views": AllViews,
    "method": Methods,
    "model": Model,
    "device": Device,
    "fit": Fit,
    "seed": Seed,
    "config": ConfigFile,
    "settings": Settings,
}
_READS = (
    *("inputs", "model.model", "model.device", "model.fit"),
    *("method.method", "method.seed", "method.hyperparameters"),
)


def on_cohort(
    description: str, *, run: str, config: str, flags: Mapping[str, tuple[object, object]] | None = None
) -> Callable[..., None]:
    """Make the command of an experiment on a cohort of files or phantoms.

    Args:
        description: for the help.
        run: "module:function" of the experiment, which takes the configuration and ``progress``. Its result is
            printed, and the ``messages`` of the result go to stderr. It is imported when the command runs, because
            experiments load torch.
        config: "module:class" of its configuration, a subclass of :class:`audit.configuration.CohortConfig`.
        flags: the experiment's own flags: annotation and default, by the field of the configuration.
    """
    own = flags or {}

    def command(**given: Any) -> None:
        others = {name: given.pop(name) for name in ("phantoms", *own)}
        file, settings = given.pop("config"), given.pop("settings")
        with errors_in_one_line(), progress_bar() as progress:
            whole = read_config(
                resolve_name(config),
                file,
                settings,
                given,
                reads=_READS,
                defaults={} if others["phantoms"] is None else PHANTOM_MODEL,
                others=others,
            )
            result = resolve_name(run)(whole, progress=progress)
        print_messages(result.messages)
        typer.echo(result)

    shared = {name: (annotation, None) for name, annotation in _FLAGS.items()}
    command.__doc__ = description
    command.__signature__ = Signature(  # type: ignore[attr-defined] # typer makes the flags from it
        [
            Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for name, (annotation, default) in {**shared, **own}.items()
        ]
    )
    return command


_SANITY = """Check whether the heat of a method can be trusted: randomised models, repeatability, noise.

A method passes if its heat changes enough when the blocks of a tower are randomised (Adebayo et al. 2018, Arun et al.
2021). Its heat is also compared with that of a second seed, another window, an image moved by 2 px, and 10 images with
noise of up to 0.02 of the display range (max-sensitivity, Yeh et al. 2019). Each phrase is explained 14 times, and once
more for each block of the randomised towers: 38 times if both have 12 blocks. `--out` writes every figure to a .csv or
.json file.
"""

EXPERIMENTS: dict[str, Callable[..., None]] = {
    "baselines": baselines,
    "evaluate": evaluate,
    "compare": compare,
    "roar": roar,
    "sanity": on_cohort(
        _SANITY,
        run="audit.experiments.sanity:check_sanity",
        config="audit.experiments.sanity:SanityConfig",
        flags={
            "towers": (
                Annotated[Literal["image", "text", "both"], typer.Option("--tower", help="Tower to randomise.")],
                "both",
            ),
            "phrases": (
                Annotated[
                    int, typer.Option(help="Number of phrases, sampled at random; phrases with a box first.", min=1)
                ],
                20,
            ),
            "out": (Out, None),
        },
    ),
    "commission": commission,
}
