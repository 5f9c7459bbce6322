"""The commands under ``m2ib-audit models``."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from audit.cli.commands import Commands
from audit.cli.options import AsJson, Device, errors_in_one_line, print_message, progress_bar

__all__ = ["models"]


class _ListsByDefault(TyperGroup):
    """``m2ib-audit models`` without a command lists the models."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # typer gives click's context no public type
        if not args or args[0] == "--json":
            args = ["list", *args]
        return super().parse_args(ctx, args)


models = Commands(cls=_ListsByDefault, help="List the known models, download one into a folder, or check a folder.")


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
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="New or empty folder, or that of an interrupted fetch.")
    ],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit. Default: the main branch.")] = None,
) -> None:
    """Download a model from the hub into a plain folder that a machine without network can use."""
    from audit.models import fetching

    with errors_in_one_line():
        fetched = fetching.fetch(name, folder, revision=revision, on_message=print_message)
    typer.echo("\n".join(fetching.as_lines(fetched)))


@models.command("check")
def models_check(
    model: Annotated[str, typer.Argument(help="A model folder, phantom, a known name or a hub id.")],
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Load a model, describe it, and test that its towers can be split at every block without error."""
    from audit.models import checking

    with errors_in_one_line(), progress_bar() as progress:
        checked = checking.check(model, device=device or "auto", progress=progress)
    if as_json:
        _print_json(checking.as_json(checked))
    else:
        typer.echo("\n".join(checking.as_lines(checked)))
    with errors_in_one_line():
        checking.require_exact(checked)


def _print_json(content: object) -> None:
    typer.echo(json.dumps(content, indent=2))
