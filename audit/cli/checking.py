"""The commands `check` and `findings`."""

from pathlib import Path
from typing import Annotated

import typer

from audit.cli.options import (
    COULD_NOT_RUN,
    FAILURES_LISTED,
    AllViews,
    AsJson,
    Boxes,
    ConfigFile,
    DicomDir,
    Findings,
    Reports,
    Settings,
    ShowPhi,
    errors_in_one_line,
    print_message,
    progress_bar,
    read_config,
)
from audit.cli.terminal import may_show_names

__all__ = ["check", "findings"]


def check(
    dicom_dir: DicomDir = None,
    reports: Reports = None,
    boxes: Boxes = None,
    findings: Findings = None,
    all_views: AllViews = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="CSV to write, one row per file, report and group of boxes; an existing file is replaced."),
    ] = None,
    as_json: AsJson = False,
    show_phi: ShowPhi = None,
    config: ConfigFile = None,
    settings: Settings = None,
) -> None:
    """Show what a run would audit, what it would exclude and why, without loading a model."""
    from audit.cli.check_text import check_json, check_text, text_for_owner
    from audit.configuration import CheckConfig
    from audit.input_check import check as check_inputs
    from audit.input_check import write_csv
    from audit.privacy.pseudonyms import Pseudonyms, load_salt

    given = {
        "dicom_dir": dicom_dir,
        "reports": reports,
        "boxes": boxes,
        "findings": findings,
        "all_views": all_views,
        "show_phi": show_phi,
    }
    with errors_in_one_line():
        composed = read_config(CheckConfig, config, settings, given, reads=("inputs", "output.show_phi"))
        shown = composed.output.show_phi
        with progress_bar() as progress:
            checked = check_inputs(
                composed.inputs,
                Pseudonyms(load_salt()),
                show_phi=shown,
                progress=lambda done, total: progress("Reading headers", done, total),
            )
        if csv is not None:
            write_csv(checked.rows, csv)
    typer.echo(check_json(checked) if as_json else check_text(checked))
    by_name = text_for_owner(checked)
    if by_name and not shown and may_show_names():
        print_message(by_name)
    if checked.nothing is not None:
        print_message(f"m2ib-audit: {checked.nothing}")
        raise typer.Exit(COULD_NOT_RUN)
    if checked.failed:
        raise typer.Exit(FAILURES_LISTED)


def findings(
    findings: Findings = None,
    as_json: AsJson = False,
) -> None:
    """Print the findings that are read in reports and boxes, with wordings of each."""
    import json

    from pipelines.finding_file import read_findings
    from pipelines.finding_words import wordings_of
    from pipelines.findings import AddedFindings, known_findings, use_findings

    with errors_in_one_line():
        use_findings(AddedFindings() if findings is None else read_findings(findings))
    listed = {finding: wordings_of(finding) for finding in known_findings()}
    if as_json:
        typer.echo(json.dumps(listed, indent=1, ensure_ascii=False))
        return
    for finding, wordings in listed.items():
        typer.echo(f"{finding}\n    {', '.join(wordings)}")
