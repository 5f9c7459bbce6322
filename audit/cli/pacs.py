"""The commands that talk to the archive: ``pull`` and ``push``."""

from contextlib import nullcontext
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit.cli.options import IndexFile, NoIndex, errors_in_one_line, index_file, progress_bar, tell
from audit.cli.telling import tell_what_is_wrong
from pipelines.quoting import counted

if TYPE_CHECKING:
    from audit.pacs.archive import Archive

__all__ = ["pull", "push"]

_FAILURES_LISTED = 3  # exit status
_LISTED_AT_MOST = 5
_DAYS = ["%Y-%m-%d", "%Y%m%d"]


class Via(StrEnum):
    """What ``--via`` takes."""

    DICOMWEB = "dicomweb"
    DIMSE = "dimse"


class ResultKind(StrEnum):
    """What ``--kind`` takes: a :class:`reports.dicom_out.ObjectKind`."""

    SC = "sc"
    SEG = "seg"
    SR = "sr"
    GSPS = "gsps"


Way = Annotated[Via | None, typer.Option(help="Way to the archive; the one that is set up, DICOMweb before DIMSE.")]
Config = Annotated[
    Path | None,
    typer.Option(
        help="TOML file with address and credentials (docs/PACS.md), mode 0600; environment variables go before it.",
        dir_okay=False,
    ),
]


def pull(
    into: Annotated[Path, typer.Option(help="Folder for STUDY/SERIES/INSTANCE.dcm; a pull cut short goes on there.")],
    first: Annotated[datetime, typer.Option("--from", help="First study date.", formats=_DAYS)],
    last: Annotated[
        datetime | None, typer.Option("--to", help="Last study date; the first by default.", formats=_DAYS)
    ] = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="Modality; may be given several times; CR and DX by default.")
    ] = None,
    body_part: Annotated[
        list[str] | None,
        typer.Option(help="Word of BodyPartExamined, such as CHEST; may be given several times; any by default."),
    ] = None,
    named_part: Annotated[
        bool, typer.Option("--named-part", help="Leave series out whose BodyPartExamined is blank.")
    ] = False,
    with_reports: Annotated[
        bool, typer.Option("--with-reports", help="Bring the studies' structured reports along.")
    ] = False,
    via: Way = None,
    config: Config = None,
) -> None:
    """Bring originals from the archive by date, modality and body part; what is there whole stays."""
    from audit.pacs.settings import need_extra

    with errors_in_one_line():
        need_extra()
        from audit.pacs.archive import Wanted
        from audit.pacs.pulling import FAILURES
        from audit.pacs.pulling import pull as pull_into

        wanted = Wanted(
            first=first.date(),
            last=(last or first).date(),
            modalities=tuple(word.upper() for word in modality or ("CR", "DX")),
            body_parts=tuple(body_part or ()),
            unnamed_part=not named_part,
            reports=with_reports,
        )
        with _archive(via, config) as archive, progress_bar() as progress:
            pulled = pull_into(archive, into, wanted, progress=progress)
    tell(f"{pulled.fetched} instances fetched, {pulled.kept} there already, {len(pulled.failed)} failed")
    if pulled.own:
        tell(f"{pulled.own} are results of m2ib-audit and were left out")
    if pulled.failed:
        tell(f"what failed stands in {into / FAILURES}; the same command tries it again")
    typer.echo(into)
    if pulled.failed:
        raise typer.Exit(_FAILURES_LISTED)


def push(
    out: Annotated[Path, typer.Argument(help="Folder that `run` wrote.", exists=True, file_okay=False)],
    dicom_dir: Annotated[
        Path, typer.Option(help="Folder with the originals: OUT holds no patient, they do.", exists=True)
    ],
    kind: Annotated[
        list[ResultKind] | None, typer.Option(help="What to make; may be given several times; all by default.")
    ] = None,
    to_folder: Annotated[
        Path | None, typer.Option(help="Write the objects to this folder instead of sending them.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make the objects and say how many; send and write nothing.")
    ] = False,
    via: Way = None,
    config: Config = None,
    index: IndexFile = None,
    no_index: NoIndex = False,
) -> None:
    """Send results to the studies of the originals: pictures, segmentations, reports, presentation states."""
    from audit.pacs.settings import need_extra

    with errors_in_one_line():
        need_extra()
        from audit.pacs.pushing import PushSettings
        from audit.pacs.pushing import push as push_results
        from reports.dicom_out import ObjectKind

        settings = PushSettings(
            out=out,
            dicom_dir=dicom_dir,
            kinds=frozenset(ObjectKind(each.value) for each in kind) if kind else frozenset(ObjectKind),
            index=index_file(dicom_dir, index, no_index=no_index, not_in=[out]),
            to_folder=None if dry_run else to_folder,
        )
        here = dry_run or to_folder is not None
        with nullcontext() if here else _archive(via, config) as archive, progress_bar() as progress:
            pushed = push_results(settings, archive, progress=progress)
    done = "made and not sent" if here else "sent"
    counts = ", ".join(f"{pushed.objects[each]} {each}" for each in ObjectKind if each in settings.kinds)
    typer.echo(f"{counted(pushed.studies, 'study', 'studies')} {done}: {counts}")
    tell_what_is_wrong(pushed.failed, most=_LISTED_AT_MOST)
    if pushed.failed:
        raise typer.Exit(_FAILURES_LISTED)


def _archive(via: Via | None, config: Path | None) -> "Archive":
    """Choose the way to the archive.

    Raises:
        PacsError: it is not set up.
    """
    from audit.pacs.opening import open_archive

    return open_archive(None if via is None else via.value, config)
