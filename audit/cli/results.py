"""The commands `score`, `render` and `log`, which work on an OUT folder."""

from pathlib import Path
from typing import Annotated

import typer

from audit.cli.commands import Commands
from audit.cli.options import COULD_NOT_RUN, FAILURES_LISTED, Boxes, errors_in_one_line, print_message, progress_bar
from audit.cli.terminal import may_show_names, print_messages
from pipelines.quoting import counted

__all__ = ["key", "logs", "render", "score"]

_LISTED_AT_MOST = 5

RunFolder = Annotated[Path, typer.Argument(help="Folder that `run` wrote.", exists=True, file_okay=False)]


def score(
    out: RunFolder,
    boxes: Boxes = None,
) -> None:
    """Score stored heat again, against other boxes or with newer scores; needs no model and no DICOM.

    Without `--boxes` the run's own boxes are taken.
    """
    from audit.output.rescoring import rescore
    from audit.storage.lock import held

    with errors_in_one_line(), held(out), progress_bar() as progress:
        found = rescore(out, tuple(boxes or ()), progress=progress)
    studies, boxes_drawn = counted(found.studies, "study", "studies"), counted(found.boxes, "box", "boxes")
    whose = "of the run's own" if not boxes else "of the file" if len(boxes) == 1 else "of the files"
    print_message(f"{studies} scored again against {boxes_drawn} {whose}")
    print_messages(found.messages, most=_LISTED_AT_MOST)
    typer.echo(found.page)
    if found.failed:
        raise typer.Exit(FAILURES_LISTED)


def render(out: RunFolder) -> None:
    """Render every page of a run again from its stored results, with this version's templates."""
    from audit.output.rendering import render_again
    from audit.privacy.messages import study_messages
    from audit.privacy.pseudonyms import Pseudonyms, load_salt
    from audit.storage.lock import held

    with errors_in_one_line(), held(out), progress_bar() as progress:
        found = render_again(out, progress=lambda done, total: progress("Making pages", done, total))
        messages = study_messages(found.damaged, out, Pseudonyms(load_salt(outside=out)))
    print_message(f"{counted(found.studies, 'study page')} rendered")
    print_messages(messages, most=_LISTED_AT_MOST)
    typer.echo(found.page)
    if found.damaged:
        raise typer.Exit(FAILURES_LISTED)


logs = Commands(help="Show and verify the audit log of an OUT.", no_args_is_help=True)

_NOT_DONE = 3  # exit status: nothing was changed, and a run was cut short


@logs.command()
def verify(
    out: RunFolder,
    head: Annotated[
        str | None,
        typer.Option(help="Checksum stored elsewhere of a last line; the log must contain it."),
    ] = None,
    without_salt: Annotated[
        bool,
        typer.Option("--without-salt", help="Check only the chain of checksums; needs no salt."),
    ] = False,
    files: Annotated[
        bool, typer.Option("--files", help="List every file of OUT: covered, changed, missing or not covered.")
    ] = False,
) -> None:
    """Check that the audit log is unchanged, and that every file of OUT matches it.

    Exit status: 0 intact, 1 not intact, 3 intact as far as the log goes, and a run was cut short or the log begun late.
    """
    from audit.logbook import verify as verify_log
    from audit.privacy.pseudonyms import Pseudonyms, salt_of_verification
    from audit.privacy.redaction import foreign_name

    with errors_in_one_line():
        salt = None if without_salt else salt_of_verification()
        keys = None if salt is None else Pseudonyms(salt)

        def masked(name: str) -> str:
            return foreign_name(name, keys)

        named = may_show_names()
        found = verify_log(out, salt, head=head, shown=str if named else masked)
    for name, state in found.files.items() if files else ():
        typer.echo(f"{state:<11}  {masked(name) if name in found.foreign else _printable(name)}")
    for sentence in found.notes:
        print_message(f"  {_printable(sentence)}")
    for sentence in found.wrong:
        typer.echo(_printable(sentence))
    if not found.intact:
        raise typer.Exit(COULD_NOT_RUN)
    entries, studies = counted(found.entries, "entry", "entries"), counted(found.studies, "study", "studies")
    covered = sum(state == "covered" for state in found.files.values())
    typer.echo(
        f"intact: {entries}, {studies} as recorded, {covered:,} of {len(found.files):,} files covered; "
        f"the last line is {found.head}"
    )
    if found.unfinished:
        raise typer.Exit(_NOT_DONE)


def _printable(text: str) -> str:
    """Escape control characters, because a file in OUT may have any name."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


@logs.command()
def show(out: RunFolder) -> None:
    """Print the audit log, one line per entry."""
    from audit.logbook.verify import as_text, entries_of

    with errors_in_one_line():
        entries = entries_of(out)
    for entry in entries:
        typer.echo(as_text(entry))


def key(
    paths: Annotated[list[Path], typer.Argument(help="The files and folders that were given to a run.")],
    find: Annotated[list[str] | None, typer.Option(help="Key to look for. Can be repeated. Default: all keys.")] = None,
) -> None:
    """Print the file, study, image or patient that a key stands for; prints file names and patient identifiers."""
    from audit.output.pseudonym_map import keys_of_files
    from audit.privacy.pseudonyms import Pseudonyms, load_salt

    wanted, found = frozenset(find or ()), 0
    with errors_in_one_line():
        for row in dict.fromkeys(keys_of_files(paths, Pseudonyms(load_salt()))):
            if not wanted or row.key in wanted:
                typer.echo(f"{row.key}\t{row.kind}\t{row.stands_for}")
                found += 1
    if wanted and not found:
        print_message("m2ib-audit: key not found in these folders: give the folders of the run, as the user who ran it")
        raise typer.Exit(COULD_NOT_RUN)
