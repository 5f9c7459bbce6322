"""Parts shared by the commands: flags with one name, meaning and default everywhere, and printing to stderr.

A flag that is a field of the configuration takes its help and default from there. On the command line its default is
"not given", so that a flag that is given wins over the file of ``--config``.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import BaseModel

from audit.configuration import COHORT_NEEDED, PHANTOMS_ALONE, SECTIONS, FitChoice
from pipelines.errors import AuditError

if TYPE_CHECKING:
    from audit.execution.run import Progress

__all__ = [
    "ALARM",
    "COULD_NOT_RUN",
    "FAILURES_LISTED",
    "WRONG_USAGE",
    "AllViews",
    "AsJson",
    "Boxes",
    "ConfigFile",
    "Controls",
    "Device",
    "DicomDir",
    "DryRun",
    "FailOn",
    "Faithfulness",
    "Findings",
    "Fit",
    "Limit",
    "Methods",
    "Model",
    "Models",
    "Out",
    "Overwrite",
    "Phantoms",
    "ProtocolFile",
    "Reports",
    "Seed",
    "Settings",
    "ShowPhi",
    "Steps",
    "UnlistedFindings",
    "UnlistedJson",
    "Words",
    "errors_in_one_line",
    "one_method",
    "print_message",
    "progress_bar",
    "read_config",
]

COULD_NOT_RUN, WRONG_USAGE, FAILURES_LISTED, ALARM = 1, 2, 3, 4  # exit statuses

_PANELS = {
    "inputs": "Inputs",
    "model": "Model",
    "method": "Attribution",
    "scoring": "Scoring",
    "output": "Output",
}


def _flag(key: str, *names: str, default: str | None = None, hidden: bool = False) -> Any:
    """Return the flag of a field; ``default`` describes the default if it is not a single value.

    A ``hidden`` flag works, but the help of the command does not list it.
    """
    section, name = key.split(".")
    field = SECTIONS[section].model_fields[name]
    value = None if field.is_required() else field.get_default()
    shown = default or (None if value in {None, ()} or isinstance(value, bool) else str(value))
    least = next((each.ge for each in field.metadata if hasattr(each, "ge")), None)
    return typer.Option(
        *names,
        help=field.description,
        show_default=shown or False,
        min=least,
        rich_help_panel=_PANELS[section],
        hidden=hidden,
    )


DicomDir = Annotated[Path | None, _flag("inputs.dicom_dir", "--dicom-dir", "--images")]
Reports = Annotated[Path | None, _flag("inputs.reports")]
Boxes = Annotated[list[Path] | None, _flag("inputs.boxes")]
Findings = Annotated[Path | None, _flag("inputs.findings")]
UnlistedFindings = Annotated[Path | None, _flag("inputs.findings", hidden=True)]  # the help of `run` is full
AllViews = Annotated[bool | None, _flag("inputs.all_views")]
Limit = Annotated[int | None, _flag("inputs.limit")]
Model = Annotated[str | None, _flag("model.model")]
Models = Annotated[list[str] | None, _flag("model.model")]  # one, or two to compare
Device = Annotated[str | None, _flag("model.device")]
Fit = Annotated[FitChoice | None, _flag("model.fit")]
Methods = Annotated[list[str] | None, _flag("method.method", "--method", "--methods", default="m2ib")]
Words = Annotated[bool | None, _flag("method.words")]
Seed = Annotated[
    int | None,
    _flag("method.seed", default="0; of phantoms 7, in `commission` 1, in `phantom evaluate` 20260777"),
]
Controls = Annotated[int | None, _flag("scoring.controls")]
Faithfulness = Annotated[int | None, _flag("scoring.faithfulness")]
ProtocolFile = Annotated[Path | None, _flag("scoring.protocol", hidden=True)]  # the help of `run` is full
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder to write to; created if it does not exist. A file for commands that write one table.",
        rich_help_panel=_PANELS["output"],
    ),
]
ShowPhi = Annotated[bool | None, _flag("output.show_phi", "--show-phi/--no-show-phi")]
Overwrite = Annotated[bool | None, _flag("output.overwrite", "--overwrite/--no-overwrite")]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print what would be done and why; write and send nothing.",
        rich_help_panel=_PANELS["output"],
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML file of settings (`m2ib-audit config` prints one), or run.json of an earlier run. Flags win.",
        rich_help_panel="Configuration",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any key of the configuration file: a hyperparameter of a method (m2ib.beta=0.5; all.image_layer=3 for "
        "each method that has it), or a setting without a flag (execution.workers=4). Can be repeated; wins over the "
        "file.",
        rich_help_panel="Configuration",
    ),
]
Phantoms = Annotated[
    int | None,
    typer.Option(
        help="Number of phantoms (synthetic radiographs) to make; in `compare` and `sanity` instead of files.",
        show_default="demo and phantom make 24, commission 100, roar 400, phantom evaluate 500",
        min=1,
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(help="Training steps.", show_default="roar 200, phantom train as the committed weights", min=1),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
UnlistedJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.", hidden=True)]
FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="VERDICT",
        help="Verdict of the main method that gives exit status 4; any: all but grounded.",
        hidden=True,
    ),
]

Config = TypeVar("Config", bound=BaseModel)


def read_config(
    kind: type[Config],
    file: Path | None,
    settings: Sequence[str] | None,
    flags: Mapping[str, object],
    *,
    reads: Sequence[str],
    defaults: Mapping[tuple[str, ...], object] | None = None,
    others: Mapping[str, object] | None = None,
) -> Config:
    """Build a command's configuration: defaults, then the file, then ``--set``, then flags.

    Args:
        kind: the configuration's model.
        file: of ``--config``.
        settings: of ``--set``.
        flags: by field; None where one is not given.
        reads: sections and keys that the command reads.
        defaults: of this command, by path.
        others: fields of the command alone.

    Raises:
        AuditError: a key is unknown, a value does not fit, or something needed is not given.
    """
    from audit.config_file import built, file_layer, flag_layer, of_methods, set_layer

    by_file = {} if file is None else file_layer(file)
    if (others or {}).get("phantoms") is not None:  # they take the place of the file's inputs
        by_file = {path: value for path, value in by_file.items() if path[0] != "inputs"}
    by_set = set_layer(settings or (), reads=reads)
    by_flag = flag_layer(flags)
    if (others or {}).get("phantoms") is not None and any(path[0] == "inputs" for path in (*by_set, *by_flag)):
        raise AuditError(PHANTOMS_ALONE)
    by_file = of_methods(by_file, {**(defaults or {}), **by_file, **by_set, **by_flag})
    if "phantoms" in kind.model_fields and (others or {}).get("phantoms") is None:
        whole = {**by_file, **by_set, **by_flag}
        if ("inputs", "dicom_dir") not in whole or ("inputs", "reports") not in whole:
            raise AuditError(COHORT_NEEDED)
    twice = next((path for path in by_flag if path in by_set), None)
    if twice is not None:
        raise AuditError(
            f"--{twice[-1].replace('_', '-')} and --set {'.'.join(twice)} are both given: give one of them"
        )
    return built(kind, dict(defaults or {}), by_file, by_set, by_flag, others=others or {})


def one_method(names: Sequence[str]) -> str:
    """Return the method of a command that accepts only one.

    Raises:
        AuditError: several are given.
    """
    if len(names) != 1:
        raise AuditError(f"--method {','.join(names)}: this command takes one method")
    return names[0]


def print_message(message: str) -> None:
    """Print to stderr; stdout is for results."""
    typer.echo(message, err=True)


@contextmanager
def progress_bar(*, lines: bool = False) -> Iterator["Progress"]:
    """Show one progress bar per stage on stderr, with rate and remaining time.

    If stderr is not a terminal, nothing is shown, or with ``lines`` a line for each tenth of a stage.
    """
    from audit.cli import progress

    with progress.progress_bar(lines=lines) as bar:
        yield bar


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Print an expected failure as one line and exit with its status."""
    try:
        yield
    except AuditError as error:
        from audit.config_file import NotGivenError

        print_message(f"m2ib-audit: {error}")
        raise typer.Exit(WRONG_USAGE if isinstance(error, NotGivenError) else COULD_NOT_RUN) from error
