"""The command ``m2ib-audit``: parse, call one function, print. Heavy imports stand inside the commands."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pipelines.errors import AuditError

if TYPE_CHECKING:
    from audit.engine.run import Progress
    from audit.engine.settings import RunSettings

__all__ = ["app", "main"]

_COULD_NOT_RUN, _FAILURES_LISTED = 1, 3
_LISTED_AT_MOST = 5  # rows of a box file that took no part

app = typer.Typer(
    name="m2ib-audit",
    help="Audit a vision-language model on chest X-rays: does it look where the radiologist looked?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
phantoms = typer.Typer(
    help="Make phantoms, train the phantom encoder, and see how well it reads.", no_args_is_help=True
)
app.add_typer(phantoms, name="phantom")


class _ListsByDefault(TyperGroup):
    """``m2ib-audit models`` alone lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # typer gives click's context no public type
        if not args or args[0] == "--json":
            args = ["list", *args]
        return super().parse_args(ctx, args)


models = typer.Typer(cls=_ListsByDefault, help="List the known models, bring one into a folder, and check a folder.")
app.add_typer(models, name="models")


def _print_version(value: bool) -> bool:
    if value:
        typer.echo(f"m2ib-audit {version('m2ib-audit')}")
        raise typer.Exit
    return value


@app.callback()
def _common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Audit a vision-language model on chest X-rays: does it look where the radiologist looked?"""


class ModelFit(StrEnum):
    """What ``--fit`` takes: a :class:`pipelines.geometry.Fit`, or the model's own."""

    LETTERBOX = "letterbox"
    CROP = "crop"
    STRETCH = "stretch"
    OWN = "own"


class ModelPrecision(StrEnum):
    """What ``--precision`` takes."""

    FP32 = "fp32"
    BF16 = "bf16"
    AUTO = "auto"


Out = Annotated[Path, typer.Option(help="Folder to write to; made if it is not there.")]
Seed = Annotated[int, typer.Option(help="Seed of every random draw.", min=0)]
Device = Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda or cuda:1.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Model = Annotated[
    str, typer.Option(help="phantom, a known name (see `models`), a model folder or a hub id (owner/name).")
]


@app.command()
def run(
    dicom_dir: Annotated[Path, typer.Option(help="Folder with the DICOM files; subfolders are searched.")],
    reports: Annotated[Path, typer.Option(help="Folder of .txt reports, or a CSV of them.")],
    out: Out,
    boxes: Annotated[Path | None, typer.Option(help="Radiologists' boxes: CSV, or MS-CXR's CSV or JSON.")] = None,
    model: Model = "biomedclip",
    device: Device = "auto",
    fit: Annotated[
        ModelFit, typer.Option(help="How images meet the model's square; own is what the model's files say.")
    ] = ModelFit.LETTERBOX,
    all_views: Annotated[bool, typer.Option("--all-views", help="Audit lateral and unknown views too.")] = False,
    seed: Seed = 0,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that decode, and as many that score and write; by default none beside a CPU.", min=0
        ),
    ] = None,
    precision: Annotated[
        ModelPrecision, typer.Option(help="Of the towers after the bottleneck; auto is bf16 on a GPU that has it.")
    ] = ModelPrecision.AUTO,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the towers first (half a minute; needs a C compiler).")
    ] = False,
    show_phi: Annotated[
        bool, typer.Option("--show-phi", help="Show file names and the reports' words unmasked: for closed rooms only.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that OUT holds.")] = False,
    beta: Annotated[float | None, typer.Option(help="M2IB: weight of the information.")] = None,
    variance: Annotated[float | None, typer.Option(help="M2IB: variance of the noise.")] = None,
    steps: Annotated[int | None, typer.Option(help="M2IB: steps of Adam.", min=1)] = None,
    samples: Annotated[int | None, typer.Option(help="M2IB: noise samples a step.", min=1)] = None,
    image_layer: Annotated[int | None, typer.Option(help="M2IB: image block, from 0.", min=0)] = None,
    text_layer: Annotated[int | None, typer.Option(help="M2IB: text block, from 0.", min=0)] = None,
) -> None:
    """Audit a folder of chest X-rays with their reports, and write a page a study and one over all."""
    from audit.attribution.precision import Precision
    from audit.engine.settings import RunSettings
    from pipelines.geometry import Fit

    settings = RunSettings(
        dicom_dir=dicom_dir,
        reports=reports,
        out=out,
        boxes=boxes,
        model=model,
        device=device,
        fit=None if fit is ModelFit.OWN else Fit(fit.value),
        all_views=all_views,
        seed=seed,
        workers=workers,
        precision=Precision(precision.value),
        compiled=compiled,
        show_phi=show_phi,
        overwrite=overwrite,
        beta=beta,
        variance=variance,
        steps=steps,
        samples=samples,
        image_layer=image_layer,
        text_layer=text_layer,
    )
    with _errors_in_one_line():
        _run_and_tell(settings)


@app.command()
def demo(
    out: Out = Path("demo"),
    studies: Annotated[int, typer.Option(help="How many phantoms.", min=1)] = 24,
    seed: Seed = 7,
) -> None:
    """Make a phantom cohort and audit the phantom encoder on it: the whole way through, without data or network."""
    from audit.engine.settings import RunSettings
    from pipelines.phantom.cohort import make_cohort

    cohort = out / "cohort"
    with _errors_in_one_line():
        if not (cohort / "boxes.csv").exists():
            typer.echo(f"Making {studies} phantoms in {cohort}", err=True)
            make_cohort(cohort, count=studies, seed=seed)
        _run_and_tell(
            RunSettings(
                dicom_dir=cohort / "dicom",
                reports=cohort / "reports",
                boxes=cohort / "boxes.csv",
                out=out / "audit",
                model="phantom",
                seed=seed,
                overwrite=True,
            )
        )


@app.command()
def baselines(
    boxes: Annotated[Path, typer.Option(help="Radiologists' boxes: CSV or JSON, plain or packed (.gz, .zip).")],
    format_name: Annotated[
        str | None,
        typer.Option("--format", help="The file's format, for example NIH CSV; told by its content if not given."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for every score with its interval: .csv or .json.")] = None,
    seed: Seed = 0,
) -> None:
    """Print what maps that never look, and other readers, score on a file of boxes: no image, no model."""
    from audit.baselines import baselines_of_file, text_table

    with _errors_in_one_line(), _progress_bar() as progress:
        result = baselines_of_file(boxes, format_name=format_name, out=out, seed=seed, progress=progress)
    for item in result.left_out[:_LISTED_AT_MOST]:
        _tell(f"  {item.reason}")
    if len(result.left_out) > _LISTED_AT_MOST:
        _tell(f"  and {len(result.left_out) - _LISTED_AT_MOST} more rows that took no part")
    typer.echo(text_table(result.baselines))


@app.command()
def doctor(
    model: Model = "biomedclip",
    out: Annotated[Path, typer.Option(help="Folder that a run would write to.")] = Path(),
) -> None:
    """Say what this installation can do: device, decoders, model, write access; what is missing, and the mend."""
    from audit.doctor import examine

    findings = examine(model=model, out=out)
    for finding in findings:
        typer.echo(f"{'ok     ' if finding.good else 'MISSING'}  {finding.subject}: {finding.detail}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(_COULD_NOT_RUN)


@phantoms.command("make")
def phantom_make(
    out: Out,
    n: Annotated[int, typer.Option("--n", help="How many phantoms.", min=1)] = 24,
    seed: Seed = 7,
    columns: Annotated[int, typer.Option(help="Width of the images, px.", min=64, max=4096)] = 640,
) -> None:
    """Write a phantom cohort: OUT/dicom, OUT/reports and OUT/boxes.csv."""
    from pipelines.phantom.cohort import make_cohort

    with _errors_in_one_line():
        make_cohort(out, count=n, seed=seed, columns=columns)
    typer.echo(out)


@phantoms.command("train")
def phantom_train(
    out: Out,
    steps: Annotated[int | None, typer.Option(help="Training steps; the committed weights' by default.", min=1)] = None,
    pool: Annotated[int, typer.Option(help="How many phantoms to render first.", min=1)] = 24_000,
    seed: Annotated[int | None, typer.Option(help="Seed; the committed weights' by default.", min=0)] = None,
    ungrounded: Annotated[
        bool, typer.Option("--ungrounded", help="Leave the multiple-instance loss out: the known-bad control.")
    ] = False,
    processes: Annotated[int, typer.Option(help="Processes that render.", min=1)] = 2,
) -> None:
    """Train the phantom encoder as the committed one was trained; about half an hour on two cores."""
    from audit.phantom.train import train_to_folder

    with _errors_in_one_line():
        train_to_folder(
            out, steps=steps, pool_size=pool, seed=seed, ungrounded=ungrounded, processes=processes, tell=_tell
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

    with _errors_in_one_line(), _progress_bar() as progress:
        table = evaluate(model, count=n, seed=seed, progress=progress)
    typer.echo(str(table))


@models.command("list")
def models_list(as_json: AsJson = False) -> None:
    """List the models known by name: architecture, licence, terms, and whether they are on this machine."""
    from audit.models import listing

    listed = listing.list_models()
    if as_json:
        _print_json(listing.as_json(listed))
    else:
        listing.print_table(listed)


@models.command("fetch")
def models_fetch(
    name: Annotated[str, typer.Argument(help="A known name (see `models`) or a hub id (owner/name).")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty folder, or a fetch that was cut short.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit; the main branch by default.")] = None,
) -> None:
    """Bring a model from the hub into a plain folder that a machine without network can use."""
    from audit.models import fetching

    with _errors_in_one_line():
        fetched = fetching.fetch(name, folder, revision=revision, tell=_tell)
    typer.echo("\n".join(fetching.as_lines(fetched)))


@models.command("check")
def models_check(
    model: Annotated[str, typer.Argument(help="A model folder, phantom, a known name or a hub id.")],
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Load a model, print what it is, and test that its towers split exactly at every block."""
    from audit.models import checking

    with _errors_in_one_line(), _progress_bar() as progress:
        checked = checking.check(model, device=device, progress=progress)
    if as_json:
        _print_json(checking.as_json(checked))
    else:
        typer.echo("\n".join(checking.as_lines(checked)))
    with _errors_in_one_line():
        checking.require_exact(checked)


def _print_json(content: object) -> None:
    typer.echo(json.dumps(content, indent=2))


def _tell(message: str) -> None:
    typer.echo(message, err=True)


def _run_and_tell(settings: "RunSettings") -> None:
    from audit.engine.run import run as run_audit

    with _progress_bar() as progress:
        result = run_audit(settings, progress=progress)
    counts = result.record.counts
    _tell(f"{counts['audited']} studies audited, {counts['failed']} failed, {counts['left out']} left out by rule")
    for item in result.failed:
        _tell(f"  {item.source}: {item.reason}")
    if result.failed:
        _tell(f"All are listed in {settings.out / 'failures.csv'}")
    typer.echo(result.page)
    if result.failed:
        raise typer.Exit(_FAILURES_LISTED)


@contextmanager
def _progress_bar() -> Iterator["Progress"]:
    """A bar a stage with rate and time left, on stderr; silent where stderr is no terminal."""
    from audit.progress import progress_bar

    with progress_bar() as progress:
        yield progress


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except AuditError as error:
        _tell(f"m2ib-audit: {error}")
        raise typer.Exit(_COULD_NOT_RUN) from error


def main() -> None:
    """Run the command; an interrupt ends it without a trace."""
    try:
        app()
    except KeyboardInterrupt:
        _tell("m2ib-audit: interrupted; run the same command with --overwrite to start again")
        sys.exit(_COULD_NOT_RUN)
