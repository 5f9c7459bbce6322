"""The command `watch`: control charts over audits, and the stop rule."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from audit.cli.options import (
    ALARM,
    Methods,
    Out,
    ProtocolFile,
    errors_in_one_line,
    one_method,
    print_message,
)
from audit.cli.terminal import print_messages

__all__ = ["watch"]

_LISTED_AT_MOST = 10


def watch(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of OUT folders of one run each, with the date in their names (2026-11-23) or that of the run; "
            "or one OUT with --period.",
            exists=True,
            file_okay=False,
        ),
    ],
    protocol: ProtocolFile = None,
    reference: Annotated[
        int, typer.Option(help="Number of audits at the start that the others are compared with.", min=1)
    ] = 4,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Begin the series at this day, for example after an accepted change."),
    ] = None,
    method: Methods = None,
    period: Annotated[
        Literal["week", "month"] | None, typer.Option(help="Divide one OUT, made with --show-phi, by its study dates.")
    ] = None,
    out: Out = None,
) -> None:
    """Watch a model over audits: control charts, changes and the stop rule, from score tables and records alone.

    Prints one line of JSON for monitoring systems, and writes watch.html and watch.json into the folder, or beside one
    OUT; `--out` names another folder. `--method` is by default the main method of the first run. `--protocol FILE`
    names the protocol whose stop rule decides; by default it is that of the first run that has one, else a signal of
    the same chart in two audits in a row. Exit status: 0 the stop rule has not fired, 4 it has fired, 2 wrong usage,
    1 could not watch.
    """
    with errors_in_one_line():
        from audit.watching.watch import WatchSettings
        from audit.watching.watch import watch as watch_series

        found = watch_series(
            WatchSettings(
                folder=folder,
                out=out,
                protocol=protocol,
                method=one_method(method) if method else None,
                references=reference,
                since=None if since is None else since.date(),
                period=period,
            )
        )
    print_messages(found.notes, most=_LISTED_AT_MOST)
    print_message(f"Page: {found.page}")
    typer.echo(found.as_json_line())
    if found.record.stop.fired is not None:
        raise typer.Exit(ALARM)
