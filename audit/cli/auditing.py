"""The commands that audit: ``run``, ``demo``, ``baselines`` and ``doctor``; and ``config``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.ending import Ending
from audit.cli.options import (
    COULD_NOT_RUN,
    AllViews,
    Boxes,
    ConfigFile,
    Controls,
    Device,
    DicomDir,
    DryRun,
    FailOn,
    Faithfulness,
    Fit,
    Limit,
    Methods,
    Model,
    Out,
    Overwrite,
    Phantoms,
    ProtocolFile,
    Reports,
    Seed,
    Settings,
    ShowPhi,
    UnlistedFindings,
    UnlistedJson,
    Words,
    errors_in_one_line,
    progress_bar,
    read_config,
)
from audit.cli.running import print_plan, run_and_print, submit_to_slurm
from audit.cli.terminal import print_messages

__all__ = ["baselines", "commission", "config", "demo", "doctor", "run"]

_LISTED_AT_MOST = 5  # excluded rows of a box file
_EVERYTHING = ("inputs", "model", "method", "scoring", "output", "execution")


def run(
    dicom_dir: DicomDir = None,
    reports: Reports = None,
    boxes: Boxes = None,
    findings: UnlistedFindings = None,
    all_views: AllViews = None,
    limit: Limit = None,
    model: Model = None,
    device: Device = None,
    fit: Fit = None,
    method: Methods = None,
    words: Words = None,
    seed: Seed = None,
    controls: Controls = None,
    faithfulness: Faithfulness = None,
    protocol: ProtocolFile = None,
    out: Out = None,
    overwrite: Overwrite = None,
    dry_run: DryRun = False,
    show_phi: ShowPhi = None,
    config: ConfigFile = None,
    settings: Settings = None,
    as_json: UnlistedJson = False,
    fail_on: FailOn = None,
) -> None:
    """Audit a folder of chest X-rays with their reports; write one page per study and one page for the whole run.

    `--findings FILE` adds findings and wordings to those that `m2ib-audit findings` lists. Settings without a flag are
    in the output of `m2ib-audit config`, for `--config` and `--set`.

    A run that was stopped (Ctrl-C) or killed resumes when the same command is repeated: finished studies are reused,
    and studies whose inputs or settings changed are audited again. `--protocol FILE` answers the questions that
    `m2ib-audit plan` planned. `--json` prints the ending as one object. `--fail-on VERDICT` (a verdict, or any: every
    one but grounded; can be repeated) gives exit status 4 if the main method gets it. Exit status: 0 all audited, 3
    finished with failures listed, 4 see `--fail-on`, 2 wrong usage, 1 could not run, 130 stopped by Ctrl-C, 143 by
    SIGTERM.
    """
    from audit.configuration import RunConfig
    from audit.storage.folder import refuse_among

    given = {
        "dicom_dir": dicom_dir,
        "reports": reports,
        "boxes": boxes,
        "findings": findings,
        "all_views": all_views,
        "limit": limit,
        "model": model,
        "device": device,
        "fit": fit,
        "method": method,
        "words": words,
        "seed": seed,
        "controls": controls,
        "faithfulness": faithfulness,
        "protocol": protocol,
        "out": out,
        "overwrite": overwrite,
        "show_phi": show_phi,
    }
    with errors_in_one_line():
        ending = Ending.of(as_json=as_json, fail_on=fail_on)
        composed = read_config(RunConfig, config, settings, given, reads=_EVERYTHING)
        if composed.output.key_list is not None:
            folders = (composed.inputs.dicom_dir, composed.inputs.reports, composed.output.out)
            refuse_among(composed.output.key_list, folders, name="output.key-list")
        if composed.execution.engine == "slurm":
            submit_to_slurm(sys.argv[2:], composed, dry_run=dry_run, ending=ending)
        elif dry_run:
            print_plan(composed)
        else:
            run_and_print(composed, ending)


def config() -> None:
    """Print a commented TOML file of every setting with its default, for `--config`."""
    from audit.config_file import template

    typer.echo(template(), nl=False)


def demo(
    out: Out = None,
    phantoms: Phantoms = None,
    seed: Seed = None,
) -> None:
    """Make a phantom cohort and audit the phantom encoder on it: a complete run without patient data or network."""
    from audit.configuration import RunConfig
    from pipelines.phantom.cohort import make_cohort

    folder, count, drawn = out or Path("demo"), phantoms or 24, 7 if seed is None else seed
    cohort = folder / "cohort"
    with errors_in_one_line():
        if not (cohort / "boxes.csv").exists():
            typer.echo(f"Making {count} phantoms in {cohort}", err=True)
            make_cohort(cohort, count=count, seed=drawn)
        run_and_print(
            RunConfig.of(
                dicom_dir=cohort / "dicom",
                reports=cohort / "reports",
                boxes=cohort / "boxes.csv",
                out=folder / "audit",
                model="phantom",
                seed=drawn,
                index="none",
                overwrite=True,
            )
        )


def baselines(
    boxes: Boxes = None,
    boxes_format: Annotated[
        str | None,
        typer.Option(help="Format of the boxes, for example NIH CSV. Default: detected from the content."),
    ] = None,
    out: Out = None,
) -> None:
    """Print how content-blind maps and other readers score on a file of boxes; needs no images and no model.

    `--out` writes every score with its interval to a .csv or .json file.
    """
    from audit.config_file import NotGivenError
    from audit.experiments.baseline_tables import baselines_of_file, text_table

    with errors_in_one_line(), progress_bar() as progress:
        if not boxes:
            raise NotGivenError("--boxes is not given: give a file of boxes, or several")
        result = baselines_of_file(boxes, format_name=boxes_format, out=out, progress=progress)
    print_messages(result.messages, most=_LISTED_AT_MOST, things="excluded rows")
    typer.echo(text_table(result.baselines))


def commission(
    out: Out = None,
    phantoms: Phantoms = None,
    seed: Seed = None,
    device: Device = None,
) -> None:
    """Test this installation: a grounded encoder and four with a known fault must get five different verdicts.

    At least 60 phantoms are needed for a verdict. `--out` keeps the phantoms and the five runs; without it they are
    deleted. Encoders are audited at the same time, one per core. Exit status: 0 if every verdict is the expected one.
    """
    from contextlib import nullcontext
    from tempfile import TemporaryDirectory

    from audit.experiments.commissioning import commission as run_commissioning

    kept = nullcontext(out) if out is not None else TemporaryDirectory()
    with errors_in_one_line(), kept as folder, progress_bar(lines=True) as progress:
        result = run_commissioning(
            Path(folder),
            studies=100 if phantoms is None else phantoms,
            seed=1 if seed is None else seed,
            device=device or "auto",
            progress=progress,
        )
    typer.echo(result)
    if not result.passed:
        raise typer.Exit(COULD_NOT_RUN)


def doctor(
    model: Model = None,
    out: Out = None,
) -> None:
    """Check this installation: device, decoders, model, write access; print what is missing and how to fix it."""
    from audit.doctor import examine

    findings = examine(model=model or "biomedclip", out=out or Path())
    for finding in findings:
        typer.echo(f"{'ok     ' if finding.good else 'MISSING'}  {finding.subject}: {finding.detail}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(COULD_NOT_RUN)
