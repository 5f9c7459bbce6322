"""The studies of a reviewed OUT: their order, and the heat maps to which an entry may refer."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from audit.logbook.known import LiveLogState
from pipelines.errors import DamagedError, OutputError
from pipelines.privacy.masking import mask_identifiers
from reports.record import ScoredImage, ScoredPhrase, StudyRecord
from reports.results_folder import StudyFolder, foreign_folder, is_study_key, read_record, read_study, study_folders
from reports.review_record import LONGEST_COMMENT, ReviewEntry, Subject, moment_audited

__all__ = ["Heat", "ReviewedStudies"]

_RECORDS_KEPT = 32
_EDGE_PX = 1.0  # a box drawn on a screen may exceed the edge by a rounding error


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """A heat map of a study, with its phrase and image."""

    study: StudyRecord
    image: ScoredImage
    phrase: ScoredPhrase


class ReviewedStudies:
    """Finds studies by key and heat maps by an entry's subject; a few records are cached."""

    def __init__(self, out: Path) -> None:
        """List the finished studies of OUT.

        Raises:
            OutputError: there is no finished study, or the log cannot be read.
        """
        # A link could lead out of OUT: its target is not part of the audit.
        found = [folder for folder in study_folders(out) if not folder.is_symlink()]
        self._folders = {folder.name: folder for folder in found if is_study_key(folder.name)}
        if not self._folders:
            raise OutputError(f"{out} holds no finished study: name a folder that `m2ib-audit run` wrote")
        self.keys = tuple(self._folders)
        self._places = {key: place for place, key in enumerate(self.keys)}
        self._records: OrderedDict[str, StudyRecord] = OrderedDict()
        self._lock = Lock()
        self._log = LiveLogState(out)
        # A message for each folder that is not a study, and for each requested study that could not be read.
        self.damaged = {folder.name: foreign_folder(folder) for folder in found if folder.name not in self._folders}

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: str) -> bool:
        return key in self._folders

    @property
    def doubt(self) -> str | None:
        """Explain why the log of OUT cannot confirm its records; None if it can."""
        known = self._log.known
        if not known.is_there:
            return "it has no audit log"
        return None if known.fault is None else f"its audit log is {known.fault}"

    def folder(self, key: str) -> Path:
        """Return the folder of a study; ``key`` must be one of :attr:`keys`."""
        return self._folders[key]

    def place(self, key: str) -> int:
        """Return the index of this study on the page over all studies, from 0."""
        return self._places[key]

    def study(self, key: str) -> StudyFolder:
        """Read a study with its heat maps and images.

        Raises:
            OutputError: it cannot be read, or its record is not the one that the log names.
        """
        found = read_study(self._folders[key])
        self._log.check(self._folders[key])
        return found

    def record(self, key: str) -> StudyRecord:
        """Return a study's record.

        Raises:
            OutputError: it cannot be read, or is not the one that the log names.
        """
        with self._lock:
            if key in self._records:
                self._records.move_to_end(key)
                return self._records[key]
        try:
            record = read_record(self._folders[key])
            self._log.check(self._folders[key])
        except DamagedError as error:
            self.damaged[key] = str(error)
            raise
        with self._lock:
            self._records[key] = record
            while len(self._records) > _RECORDS_KEPT:
                self._records.popitem(last=False)
        return record

    def heat(self, subject: Subject) -> Heat:
        """Find the heat map to which an entry refers.

        Raises:
            OutputError: OUT has no such heat map, or its study was audited again since.
        """
        if subject.study not in self:
            named = f"study {subject.study}" if is_study_key(subject.study) else "a study with an invalid key"
            raise OutputError(f"{named} is not part of this audit: name the OUT in which it was reviewed")
        study = self.record(subject.study)
        if moment_audited(study) != subject.audited:
            raise OutputError(
                f"study {subject.study} was audited again since it was reviewed: entries for its old heat maps do not "
                "apply to the new ones"
            )
        for image in study.images:
            for phrase in image.phrases:
                if (image.key, phrase.heat) == (subject.image, subject.heat):
                    return Heat(study=study, image=image, phrase=phrase)
        raise OutputError(
            f"study {subject.study} has no heat map with the name and image of an entry: name the OUT in which it was "
            "reviewed"
        )

    def accepted(self, entry: ReviewEntry) -> ReviewEntry:
        """Check an entry, and return it as stored: its comment is masked unless its study shows patient data.

        Raises:
            OutputError: there is no such heat map, or a box lies outside its image.
        """
        heat = self.heat(entry.subject)
        for box in entry.boxes:
            if box.x + box.width > heat.image.columns + _EDGE_PX or box.y + box.height > heat.image.rows + _EDGE_PX:
                raise OutputError(
                    f"a box of x {box.x:g}, y {box.y:g}, {box.width:g} x {box.height:g} px lies outside its image of "
                    f"{heat.image.columns} x {heat.image.rows} px: draw it again"
                )
        if heat.study.patient_data_shown:
            return entry
        return entry.model_copy(update={"comment": mask_identifiers(entry.comment)[:LONGEST_COMMENT]})

    def known(self, entries: list[ReviewEntry]) -> Iterator[tuple[ReviewEntry, Heat]]:
        """Yield the entries that refer to an existing heat map."""
        for entry in entries:
            try:
                heat = self.heat(entry.subject)
            except OutputError:  # an entry of an earlier audit, which the caller counts, or a damaged study
                continue
            yield entry, heat
