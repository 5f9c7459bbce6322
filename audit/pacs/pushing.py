"""Creates the results of an audited folder and sends them to the archive, or writes them to a folder."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from audit.logbook.known import LogState, read_log_state
from audit.output.board import board_pdf, verified_inputs
from audit.pacs.archive import Archive
from audit.privacy.messages import Message, study_messages
from audit.privacy.pseudonyms import SALT_VARIABLE, Pseudonyms, load_salt
from audit.storage.folder import clean
from pipelines.cohort import each_frame
from pipelines.errors import InputError, OutputError, PacsError
from pipelines.images.scan import scan_folder
from pipelines.quoting import requoted_for_owner
from pipelines.study import DICOM
from reports.board.document import document_title
from reports.dicom_out import ObjectKind, Result, encapsulated_pdf, make_results, read_source
from reports.results_folder import foreign_folder, is_study_key, read_run, read_study, study_folders, valid_of
from reports.review_record import ReviewEntry, moment_audited
from reports.writing import replaced

__all__ = ["PushSettings", "Pushed", "push"]

NO_DICOM_IDENTITY = (
    "the results of PNG, JPEG and TIFF files cannot be sent to an archive, because these files have no DICOM identity "
    "(StudyInstanceUID, SOPInstanceUID) to refer to: audit the DICOM originals and push those results"
)

_MOST_LOST = 5  # consecutive studies: after that the archive is considered unavailable

Progress = Callable[[str, int, int], None]


@dataclass(slots=True, kw_only=True)
class Pushed:
    """The result of a push."""

    studies: int = 0
    objects: Counter[ObjectKind] = field(default_factory=Counter)
    documents: int = 0  # for the board
    failed: list[Message] = field(default_factory=list)  # one message per failed study


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """What to push."""

    out: Path
    dicom_dir: Path  # the originals: records hold no identifiers
    kinds: frozenset[ObjectKind] = frozenset(ObjectKind)
    index: Path | None = None  # index of the scan
    to_folder: Path | None = None
    answers: tuple[ReviewEntry, ...] = ()  # each reviewer's latest entry about each heat map
    board: bool = False  # also the document for the board, in a study of its own


def push(
    settings: PushSettings, archive: Archive | None, *, progress: Progress = lambda _stage, _done, _total: None
) -> Pushed:
    """Create the results of every study and send them, study by study.

    Args:
        settings: what to push; with ``to_folder`` the objects are also written there.
        archive: the destination; None: none.
        progress: called for each stage.

    Raises:
        InputError: none of the originals belongs to the run.
        OutputError: OUT cannot be read, or the folder cannot be written.
        PacsError: the archive cannot be reached or refuses.
    """
    read_run(settings.out)
    salt = load_salt(outside=settings.out)
    paths = _originals(settings, Pseudonyms(salt), progress)
    found, known = study_folders(settings.out), read_log_state(settings.out, salt)
    folders = [folder for folder in found if is_study_key(folder.name)]
    foreign = [foreign_folder(folder) for folder in found if folder not in folders]
    pushed, lost = Pushed(failed=list(study_messages(foreign, settings.out, Pseudonyms(salt)))), 0
    answers = defaultdict[str, list[ReviewEntry]](list)
    for entry in settings.answers:
        answers[entry.subject.study].append(entry)
    for done, folder in enumerate(folders, start=1):
        try:
            results = _results(folder, paths, salt, settings.kinds, known, answers[folder.name])
            refused = archive.store([result.dataset for result in results]) if archive is not None and results else {}
        except (OutputError, InputError) as error:
            pushed.failed.append(_message(folder.name, str(error), paths))
        except PacsError as error:
            lost += 1
            pushed.failed.append(_message(folder.name, str(error), {}))
            if lost == _MOST_LOST or done == len(folders) == lost:
                raise
        else:
            lost = 0
            _count(results, refused, folder.name, pushed)
            if settings.to_folder is not None:
                _write(_named(results), settings.to_folder / folder.name)
        progress("Pushing studies", done, len(folders))
    if settings.board:
        _push_board(settings, archive, salt, pushed)
    return pushed


def _push_board(settings: PushSettings, archive: Archive | None, salt: bytes, pushed: Pushed) -> None:
    """Send the document for the board."""
    inputs = verified_inputs(settings.out)
    document = encapsulated_pdf(board_pdf(inputs), inputs.run, title=document_title(inputs.run), secret=salt)
    refused = archive.store([document]) if archive is not None else {}
    pushed.failed += [
        Message(masked=text, for_owner=text) for text in (f"document: {each}" for each in refused.values())
    ]
    pushed.documents = 1 - len(refused)
    if settings.to_folder is not None:
        _write({"board.dcm": document}, settings.to_folder)


def _originals(settings: PushSettings, keys: Pseudonyms, progress: Progress) -> Mapping[str, Path]:
    """Find the original of each image of the run by its key."""
    scan = scan_folder(
        settings.dicom_dir,
        index=settings.index,
        progress=lambda done, total: progress("Reading headers", done, total),
    )
    originals = [image for image in scan.images if image.file_format == DICOM]
    if scan.images and not originals:
        raise InputError(f"{settings.dicom_dir}: {NO_DICOM_IDENTITY}")
    return {keys.key("image", image.instance): image.path for image in each_frame(originals)}


def _results(
    folder: Path,
    paths: Mapping[str, Path],
    salt: bytes,
    kinds: frozenset[ObjectKind],
    known: LogState,
    answers: Sequence[ReviewEntry],
) -> list[Result]:
    """Create the results of one study.

    Raises:
        OutputError: its record, heat or images cannot be read, or the log does not confirm its record.
        InputError: an original is missing or unreadable, or no result can be made from it.
    """
    study = read_study(folder)
    images = [image for image in study.record.images if image.phrases]
    if any(image.file_format != DICOM for image in images):
        raise InputError(NO_DICOM_IDENTITY)
    missing = [image for image in images if image.key not in paths]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(images)} originals are not in --dicom-dir: give the folder that was audited, as "
            f"the user who audited it or with the same {SALT_VARIABLE}"
        )
    known.check(folder)
    sources = {image.key: read_source(paths[image.key], frame=image.frame) for image in images}
    valid = {image.key: valid_of(study, image) for image in images}
    current = [entry for entry in answers if entry.subject.audited == moment_audited(study.record)]
    try:
        return make_results(study, sources=sources, valid=valid, secret=salt, kinds=kinds, answers=current)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        # The errors that highdicom raises for non-conforming headers; its messages may contain their values.
        raise InputError(
            f"no results can be made from the original's header ({type(error).__name__}): have the image exported again"
        ) from error


def _count(results: list[Result], refused: Mapping[str, str], key: str, pushed: Pushed) -> None:
    taken = [result for result in results if str(result.dataset.SOPInstanceUID) not in refused]
    pushed.objects.update(result.kind for result in taken)
    pushed.studies += bool(taken) or not results
    for reason, count in Counter(refused.values()).items():
        pushed.failed.append(_message(key, f"{count} of {len(results)} objects: {reason}", {}))


def _write(objects: Mapping[str, Dataset], folder: Path) -> None:
    """Write objects to be sent by other means; their names hold no identifier."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clean([folder])
        for name, dataset in objects.items():
            with replaced(folder / name) as temporary:
                dataset.save_as(temporary, enforce_file_format=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}): give another folder") from error


def _named(results: list[Result]) -> dict[str, Dataset]:
    counts: Counter[ObjectKind] = Counter()
    named = {}
    for result in results:
        counts[result.kind] += 1
        named[f"{result.kind}-{counts[result.kind]:02d}.dcm"] = result.dataset
    return named


def _message(key: str, reason: str, paths: Mapping[str, Path]) -> Message:
    """Describe a study's error; originals, whose names may be patients', are named only to their owner."""
    masked = reason
    for path in paths.values():
        masked = masked.replace(str(path), "the original")
    return Message(masked=f"study {key}: {masked}", for_owner=f"study {key}: {requoted_for_owner(reason)}")
