"""The commands that talk to the archive: ``pull`` and ``push``."""

from contextlib import closing, nullcontext
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit.cli.options import (
    FAILURES_LISTED,
    DicomDir,
    DryRun,
    errors_in_one_line,
    print_message,
    progress_bar,
)
from audit.cli.terminal import print_messages
from audit.configuration import InputsConfig
from pipelines.quoting import counted

if TYPE_CHECKING:
    from audit.pacs.archive import Archive

__all__ = ["pull", "push"]

_LISTED_AT_MOST = 5
_INDEX_HELP = str(InputsConfig.model_fields["index"].description)
_DAYS = ["%Y-%m-%d", "%Y%m%d"]


class Via(StrEnum):
    """Values of ``--via``."""

    DICOMWEB = "dicomweb"
    DIMSE = "dimse"


class ResultKind(StrEnum):
    """Values of ``--kind``: a :class:`reports.dicom_out.ObjectKind`, without that of ``--assessments``."""

    SC = "sc"
    SEG = "seg"
    SR = "sr"
    GSPS = "gsps"


Way = Annotated[Via | None, typer.Option(help="Protocol. Default: the configured one, DICOMweb before DIMSE.")]
PacsConfig = Annotated[
    Path | None,
    typer.Option(
        help="TOML file with address and credentials (docs/PACS.md), mode 0600; environment variables win over it.",
        dir_okay=False,
    ),
]


def pull(
    into: Annotated[Path, typer.Option(help="Folder for STUDY/SERIES/INSTANCE.dcm; an interrupted pull resumes.")],
    first: Annotated[datetime, typer.Option("--from", help="First study date.", formats=_DAYS)],
    last: Annotated[
        datetime | None, typer.Option("--to", help="Last study date; the first by default.", formats=_DAYS)
    ] = None,
    modality: Annotated[list[str] | None, typer.Option(help="Modality. Can be repeated. Default: CR and DX.")] = None,
    body_part: Annotated[
        list[str] | None,
        typer.Option(help="Word in BodyPartExamined, such as CHEST. Can be repeated. Default: any."),
    ] = None,
    named_part: Annotated[
        bool, typer.Option("--named-part", help="Leave out series with a blank BodyPartExamined.")
    ] = False,
    with_reports: Annotated[
        bool, typer.Option("--with-reports", help="Also fetch the studies' structured reports.")
    ] = False,
    via: Way = None,
    pacs_config: PacsConfig = None,
) -> None:
    """Fetch original images from the archive by date, modality and body part; complete files are not fetched again."""
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
        with _archive(via, pacs_config) as archive, progress_bar() as progress:
            pulled = pull_into(archive, into, wanted, progress=progress)
    print_message(f"{pulled.fetched} instances fetched, {pulled.kept} existed already, {len(pulled.failed)} failed")
    if pulled.own:
        print_message(f"{pulled.own} are results of m2ib-audit and were left out")
    if pulled.failed:
        print_message(f"failures are listed in {into / FAILURES}; repeat the command to retry them")
    typer.echo(into)
    if pulled.failed:
        raise typer.Exit(FAILURES_LISTED)


def push(
    out: Annotated[Path, typer.Argument(help="Folder that `run` wrote.", exists=True, file_okay=False)],
    dicom_dir: DicomDir = None,
    kind: Annotated[
        list[ResultKind] | None, typer.Option(help="Kind of object to make. Can be repeated. Default: all.")
    ] = None,
    board: Annotated[
        bool,
        typer.Option(
            "--board",
            help="Also send the document of `report`, as a PDF object in a study of its own without a patient.",
        ),
    ] = False,
    assessments: Annotated[
        bool,
        typer.Option(
            "--assessments", help="Also send what reviewers answered, with their names: one SR per image and reviewer."
        ),
    ] = False,
    to_folder: Annotated[
        Path | None, typer.Option(help="Write the objects to this folder instead of sending them.")
    ] = None,
    dry_run: DryRun = False,
    via: Way = None,
    pacs_config: PacsConfig = None,
    index: Annotated[str, typer.Option(help=_INDEX_HELP)] = "auto",
) -> None:
    """Send results to the studies of the original images: captures, segmentations, reports, presentation states.

    The originals in `--dicom-dir` say whose results they are: OUT holds no patient.
    """
    from audit.pacs.settings import need_extra

    with errors_in_one_line():
        need_extra()
        from audit.config_file import NotGivenError
        from audit.pacs.pushing import PushSettings
        from audit.pacs.pushing import push as push_results
        from audit.review.ledger import LEDGER_NAME, Ledger
        from reports.dicom_out import ObjectKind

        if dicom_dir is None:
            raise NotGivenError("--dicom-dir is not given: give the folder with the originals")
        kinds = {ObjectKind(each.value) for each in kind or ResultKind}
        answers = []
        if assessments:
            kinds.add(ObjectKind.ASSESSMENT)
            with closing(Ledger(out / LEDGER_NAME, make=False)) as ledger:
                answers = ledger.latest()
        settings = PushSettings(
            out=out,
            dicom_dir=dicom_dir,
            kinds=frozenset(kinds),
            answers=tuple(answers),
            index=_index(index, dicom_dir, out),
            to_folder=None if dry_run else to_folder,
            board=board,
        )
        here = dry_run or to_folder is not None
        with nullcontext() if here else _archive(via, pacs_config) as archive, progress_bar() as progress:
            pushed = push_results(settings, archive, progress=progress)
    done = "made and not sent" if here else "sent"
    counts = ", ".join(f"{pushed.objects[each]} {each}" for each in ObjectKind if each in settings.kinds)
    counts += f", {pushed.documents} board" if board else ""
    typer.echo(f"{counted(pushed.studies, 'study', 'studies')} {done}: {counts}")
    print_messages(pushed.failed, most=_LISTED_AT_MOST)
    if pushed.failed:
        raise typer.Exit(FAILURES_LISTED)


def _archive(via: Via | None, config: Path | None) -> "Archive":
    """Choose the protocol for the archive.

    Raises:
        PacsError: it is not set up.
    """
    from audit.pacs.opening import open_archive

    return open_archive(None if via is None else via.value, config)


def _index(given: str, dicom_dir: Path, out: Path) -> Path | None:
    """Choose the file that caches the headers.

    Raises:
        InputError: it would lie among images or results.
    """
    from audit.storage.folder import index_of, refuse_among

    if given in {"auto", "none"}:
        return index_of(dicom_dir) if given == "auto" else None
    refuse_among(Path(given), (dicom_dir, out), name="--index")
    return Path(given)
