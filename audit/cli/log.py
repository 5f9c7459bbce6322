"""The commands of the audit log and of keys: ``log verify``, ``log show`` and ``key``."""

from pathlib import Path
from typing import Annotated

import typer

from audit.cli.options import COULD_NOT_RUN, errors_in_one_line, tell
from audit.counting import counted

__all__ = ["key", "logs"]

logs = typer.Typer(help="What was done on an OUT: the chain of entries that shows changes.", no_args_is_help=True)

_NOT_DONE = 3  # exit status: nothing was changed, and a run was cut short

Written = Annotated[Path, typer.Argument(help="Folder that `run` wrote.", exists=True, file_okay=False)]


@logs.command()
def verify(
    out: Written,
    head: Annotated[
        str | None, typer.Option(help="Checksum of a last line that you noted elsewhere: it must still be there.")
    ] = None,
    without_salt: Annotated[
        bool, typer.Option("--without-salt", help="Check the chain alone, as who did not make the run.")
    ] = False,
) -> None:
    """Say whether the audit log is as it was written, and whether the records are as it says."""
    from audit.engine.keys import load_salt
    from audit.logbook import verify as verify_log

    with errors_in_one_line():
        found = verify_log(out, None if without_salt else load_salt(), head=head)
    for sentence in found.notes:
        tell(f"  {sentence}")
    for sentence in found.wrong:
        typer.echo(sentence)
    if not found.intact:
        raise typer.Exit(COULD_NOT_RUN)
    entries, studies = counted(found.entries, "entry", "entries"), counted(found.studies, "study", "studies")
    typer.echo(f"intact: {entries}, {studies} as recorded; the last line is {found.head}")
    if any("killed" in note or "did not come to its end" in note for note in found.notes):
        raise typer.Exit(_NOT_DONE)


@logs.command()
def show(out: Written) -> None:
    """Print the audit log, a line an entry."""
    from audit.logbook.show import as_text
    from audit.logbook.verify import entries_of

    with errors_in_one_line():
        entries = entries_of(out)
    for entry in entries:
        typer.echo(as_text(entry))


def key(
    paths: Annotated[list[Path], typer.Argument(help="Files, and folders with files, as a run was given them.")],
    find: Annotated[
        list[str] | None, typer.Option(help="Key to look for; may be given several times. All keys without.")
    ] = None,
) -> None:
    """Say which file, study, image or patient a key stands for: prints names of files and what identifies patients."""
    from audit.engine.key_list import keys_of_files
    from audit.engine.keys import Keys, load_salt

    wanted, found = frozenset(find or ()), 0
    with errors_in_one_line():
        for row in dict.fromkeys(keys_of_files(paths, Keys(load_salt()))):
            if not wanted or row.key in wanted:
                typer.echo(f"{row.key}\t{row.kind}\t{row.stands_for}")
                found += 1
    if wanted and not found:
        tell("m2ib-audit: none of these files has such a key: give the folders of the run, as the user who ran it")
        raise typer.Exit(COULD_NOT_RUN)
