"""``m2ib-audit review OUT``, and the commands ``import``, ``export`` and ``boxes`` for its entries."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from audit.cli.commands import Commands
from audit.cli.options import Out, errors_in_one_line, print_message
from audit.cli.terminal import print_messages
from pipelines.errors import AuditError
from pipelines.quoting import counted

__all__ = ["reviews"]

_LISTED_AT_MOST = 5
_LEFT_OUT = 3  # exit status


class _ServingByDefault(TyperGroup):
    """Treats ``review OUT`` as ``review serve OUT``. Write ``./export`` for a folder that is named as a command."""

    # typer's own Context is private in some versions and click's in others: hence Any.
    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Insert ``serve`` if the first word is not a command."""
        if args and args[0] not in self.commands and args[0] not in {"-h", "--help"}:
            args = ["serve", *args]
        return super().make_context(info_name, args, parent, **extra)


reviews = Commands(
    cls=_ServingByDefault,
    help="Let radiologists review the pages of a run: `review OUT` serves them on this machine.",
    no_args_is_help=True,
)

RunFolder = Annotated[Path, typer.Argument(help="Folder that `run` wrote.", exists=True, file_okay=False)]


Reviewers = Annotated[
    list[str] | None,
    typer.Option(
        "--reviewer",
        help="Name or initials of a reviewer. `serve` stores verdicts under it and gives each reviewer an address; "
        "`import` puts it in place of the name in the files; `boxes` writes this reviewer's boxes only.",
    ),
]


class ExportFormat(StrEnum):
    """Values of ``--format``."""

    CSV = "csv"
    JSON = "json"


@reviews.command("serve")
def review_serve(
    out: RunFolder,
    reviewer: Reviewers = None,
    blind: Annotated[bool, typer.Option("--blind", help="Hide the other reviewers' answers.")] = False,
    hide_scores: Annotated[
        bool,
        typer.Option(
            "--hide-scores",
            help="Hide hits, scores, radiologists' boxes and the verdict until the phrase is answered.",
        ),
    ] = False,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 selects a free one.", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option(help="Open the (first) reviewer's address in the browser.")] = True,
    idle_minutes: Annotated[
        float, typer.Option(help="Stop the server after so many minutes without a request; 0: never.", min=0)
    ] = 480,
) -> None:
    """Serve OUT's pages on this machine and store reviews in OUT/review.sqlite; Ctrl-C stops the server."""
    from audit.review.serving import ServeSettings, reviewer_names, serve

    with errors_in_one_line():
        settings = ServeSettings(
            out=out,
            reviewers=reviewer_names(reviewer or ["reviewer"]),
            blind=blind,
            hide_scores=hide_scores,
            port=port,
            browser=browser,
            idle_minutes=idle_minutes,
        )
        try:
            serve(settings, announce=_print_address, warn=lambda sentence: print_message(f"m2ib-audit: {sentence}"))
        except KeyboardInterrupt:
            print_message("m2ib-audit: stopped")
    print_message(f"Verdicts are stored in {out / 'review.sqlite'}; read them with m2ib-audit review export {out}")


def _one_reviewer(reviewers: list[str]) -> str:
    """Return the reviewer of a command that accepts only one.

    Raises:
        AuditError: several are given.
    """
    if len(reviewers) > 1:
        raise AuditError(f"--reviewer {reviewers[1]}: this command takes one reviewer")
    return reviewers[0]


def _print_address(reviewer: str, address: str) -> None:
    typer.echo(f"{reviewer}: {address}")


@reviews.command("import")
def review_import(
    out: RunFolder,
    files: Annotated[list[Path], typer.Argument(help="Files that review pages saved.", exists=True, dir_okay=False)],
    reviewer: Reviewers = None,
) -> None:
    """Import reviews that pages without a server saved; importing a file twice changes nothing."""
    from datetime import UTC, datetime

    from audit.review.importing import import_entries
    from audit.review.serving import reviewer_names

    with errors_in_one_line():
        name = None if not reviewer else reviewer_names([_one_reviewer(reviewer)])[0]
        found = import_entries(out, files, now=datetime.now(UTC), reviewer=name)
    for sentence in found.left_out[:_LISTED_AT_MOST]:
        print_message(f"  {sentence}")
    if len(found.left_out) > _LISTED_AT_MOST:
        print_message(f"  and {len(found.left_out) - _LISTED_AT_MOST} more reasons")
    typer.echo(f"{found.new} new, {found.known} known already")
    if found.left_out:
        raise typer.Exit(_LEFT_OUT)


@reviews.command("export")
def review_export(
    out: RunFolder,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="Table of verdicts, or JSON with the agreement.")
    ] = ExportFormat.CSV,
    out_file: Out = None,
    history: Annotated[bool, typer.Option("--history", help="Every entry, instead of each reviewer's latest.")] = False,
) -> None:
    """Write the reviewers' answers and their agreement (Cohen's and Fleiss' kappa with 95 % intervals).

    `--out` names the file to write; beside a table of verdicts a second one of the agreement is written.
    """
    from audit.review.exporting import agreement_lines, export, text_of, write_export

    with errors_in_one_line():
        found = export(out, history=history)
        written = () if out_file is None else write_export(out_file, found, as_json=form is ExportFormat.JSON)
    if out_file is None:
        typer.echo(text_of(found, as_json=form is ExportFormat.JSON), nl=False)
    for path in written:
        typer.echo(path)
    for line in agreement_lines(found):
        print_message(line)
    if found.foreign:
        spoken = counted(found.foreign, "entry speaks", "entries speak")
        print_message(f"{spoken} of heats of an earlier audit: left out")
    _leave_out_damaged(found.damaged, out)


@reviews.command("boxes")
def review_boxes(
    out: RunFolder,
    out_file: Out = None,
    reviewer: Reviewers = None,
    with_run_boxes: Annotated[
        bool,
        typer.Option(
            "--with-run-boxes",
            help="Include the run's boxes, except targets that a reviewer redrew.",
        ),
    ] = False,
) -> None:
    """Write the boxes that reviewers drew, so that the heat can be scored against them.

    `--out` names the CSV to write, for `m2ib-audit score OUT --boxes`.
    """
    from audit.config_file import NotGivenError
    from audit.review.drawn import write_boxes

    with errors_in_one_line():
        if out_file is None:
            raise NotGivenError("--out is not given: give the CSV to write")
        found = write_boxes(
            out, out_file, reviewer=_one_reviewer(reviewer) if reviewer else None, with_run_boxes=with_run_boxes
        )
    print_message(f"{counted(found.drawn, 'box', 'boxes')} drawn by reviewers, {found.kept} of the run")
    if found.unnamed:
        drawn = counted(found.unnamed, "was", "were")
        print_message(f"{drawn} drawn for phrases without a known finding: nothing is scored against them")
    typer.echo(out_file)
    _leave_out_damaged(found.damaged, out)


def _leave_out_damaged(sentences: tuple[str, ...], out: Path) -> None:
    """List the studies that cannot be read and were left out, and exit with status 3."""
    from audit.privacy.messages import study_messages

    print_messages(study_messages(sentences, out, keys=None), most=_LISTED_AT_MOST, things="studies")
    if sentences:
        raise typer.Exit(_LEFT_OUT)
