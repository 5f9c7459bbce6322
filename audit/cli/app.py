"""``m2ib-audit``, put together from its commands."""

import sys
from collections.abc import Callable
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer

from audit.cli.auditing import config, demo, doctor, run
from audit.cli.checking import check, findings
from audit.cli.commands import Commands
from audit.cli.experiments import EXPERIMENTS
from audit.cli.models import models
from audit.cli.options import COULD_NOT_RUN, print_message
from audit.cli.pacs import pull, push
from audit.cli.phantom import phantoms
from audit.cli.planning import plan
from audit.cli.reporting import report
from audit.cli.results import key, logs, render, score
from audit.cli.review import reviews
from audit.cli.terminal import INTERRUPTED
from audit.cli.watching import watch
from audit.machine import choose_threads

__all__ = ["app", "build_app", "main"]


def _print_version(value: bool) -> bool:
    if value:
        typer.echo(f"m2ib-audit {version('m2ib-audit')}")
        raise typer.Exit
    return value


def _common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Audit a vision-language model on chest X-rays: does it look where the radiologist looked?"""


def build_app() -> Commands:
    """Put the application together from its commands."""
    made = Commands(
        name="m2ib-audit",
        help="Audit a vision-language model on chest X-rays: does it look where the radiologist looked?",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(_common)
    before: tuple[Callable[..., None], ...] = (plan, run, config, check, findings, score, render, report, watch, demo)
    after: tuple[Callable[..., None], ...] = (doctor, key, pull, push)
    for command in before:
        made.command()(command)
    for name, experiment in EXPERIMENTS.items():
        made.command(name)(experiment)
    for command in after:
        made.command()(command)
    made.add_typer(phantoms, name="phantom")
    made.add_typer(models, name="models")
    made.add_typer(reviews, name="review")
    made.add_typer(logs, name="log")
    return made


app = build_app()


def main() -> None:
    """Run the command; an interrupt prints no traceback, a bug prints the places in the code without values."""
    choose_threads()  # before any command loads numpy or torch
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # of paths that are no UTF-8, as stderr does
    try:
        app()
    except Exception as error:
        if "--show-phi" in sys.argv:
            raise
        from audit.logbook.events import scrubbed_trace

        print_message(
            f"m2ib-audit: internal error ({type(error).__name__}); please report it with these code locations:"
        )
        for place in scrubbed_trace(error):
            print_message(f"  {place}")
        sys.exit(COULD_NOT_RUN)
    except KeyboardInterrupt:
        print_message("m2ib-audit: interrupted; repeat the command to continue")
        sys.exit(INTERRUPTED)
