"""Reads the files that pages save when there is no server to store the entries."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from audit.review.ledger import LEDGER_NAME, Ledger
from audit.review.studies import ReviewedStudies
from pipelines.errors import InputError, OutputError
from reports.review_record import ReviewBox, ReviewEntry, ReviewFile, Subject

__all__ = ["ImportedEntries", "import_entries"]

_MOST_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedEntries:
    """The result of importing saved files."""

    new: int
    known: int  # entries that were already stored
    left_out: tuple[str, ...]  # a message for each excluded entry


def import_entries(out: Path, files: Sequence[Path], *, now: datetime, reviewer: str | None = None) -> ImportedEntries:
    """Store the entries of saved files in OUT's database; importing a file twice changes nothing.

    Comments are masked in the same way as on the review server.

    Args:
        out: the folder whose pages were reviewed.
        files: files that pages saved.
        now: the current time, with its zone.
        reviewer: replaces the name in the files.

    Raises:
        InputError: a file was not saved by a page; then nothing is stored from any file.
        OutputError: OUT holds no study, or its database cannot be written.
    """
    studies = ReviewedStudies(out)
    entries = [entry for file in files for entry in _read(file).entries]
    if reviewer is not None:
        entries = [entry.model_copy(update={"reviewer": reviewer}) for entry in entries]
    good: list[ReviewEntry] = []
    left_out: list[str] = []
    for entry in entries:
        try:
            good.append(studies.accepted(entry))
        except OutputError as error:
            left_out.append(str(error))
    with closing(Ledger(out / LEDGER_NAME)) as ledger:
        new = ledger.import_entries(good, now=now)
    return ImportedEntries(new=new, known=len(good) - new, left_out=tuple(dict.fromkeys(left_out)))


def _read(path: Path) -> ReviewFile:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} has more than {_MOST_BYTES >> 20} MB: pages do not save files of that size")
        return ReviewFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): name a file that a page saved") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(_place_name, first["loc"])) or "its top"
        raise InputError(f"{path} was not saved by a page, at {place} ({first['msg']}): save it again") from error


def _place_name(part: int | str) -> str:
    """Return the name of a part of a file if it is a number or a field of ours, not one that only the file has."""
    ours = (ReviewFile, ReviewEntry, Subject, ReviewBox)
    return str(part) if isinstance(part, int) or any(part in model.model_fields for model in ours) else "..."
