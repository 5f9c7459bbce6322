"""Compares OUT with the studies to audit: what is done, what to do, and what to do again and why.

The decision reads and writes nothing; :func:`apply` then moves studies that are not part of the result out of the way.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from audit.controls.plan import opposites
from audit.logbook.known import LogState
from audit.output.stored import rescore_study
from audit.pipeline.fingerprint import Changes, Fingerprints, with_inputs
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.score import Finisher
from audit.pipeline.write import write_failed_study, write_record
from audit.privacy.pseudonyms import Pseudonyms, path_key
from audit.storage.folder import ARCHIVED, STUDIES, archive, clean, discard_archived, remove_results, restore
from audit.storage.lock import Shard
from pipelines.errors import DamagedError, OutputError
from pipelines.study import Exclusion, Study
from reports.reading import read_embeddings, read_heats
from reports.record import ExcludedImage, FailedStudyRecord, StudyRecord
from reports.results_folder import FAILED, RECORD, read_failed, read_record, read_study
from reports.run_record import DoneAgain, HistoryRecord
from reports.targets import own_boxes

__all__ = [
    "Plan",
    "Planned",
    "Selection",
    "StudyStatus",
    "apply",
    "left_out_before",
    "note_failure",
    "plan",
    "reuse_study",
]

_UNMEASURED = "its phrases with left and right swapped, which its former boxes made true, were not measured"
_RETRIED = "it failed before, and execution.retry-failed is set"


class StudyStatus(StrEnum):
    """Status of a study before the run begins."""

    DONE = "done"
    FAILED = "failed"  # failed before; not tried again
    RESCORE = "rescore"  # its heat is valid, but what it is scored against has changed
    AGAIN = "again"
    NEW = "new"
    WAITING = "waiting"  # to do, but not selected this time

    @property
    def is_kept(self) -> bool:
        """True if the model is not run, because OUT holds its results."""
        return self in {StudyStatus.DONE, StudyStatus.FAILED, StudyStatus.RESCORE}

    @property
    def is_to_do(self) -> bool:
        """True if the model is run on the study."""
        return self in {StudyStatus.AGAIN, StudyStatus.NEW}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One study and what the run does with it."""

    study: Study
    key: str
    status: StudyStatus
    because: tuple[str, ...] = ()  # why it is done again, or would be
    stamps: tuple[str | None, ...] | None = None  # new stamps for a record whose files moved but did not change
    place: str = STUDIES  # folder of its stored results


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The work of a run: its studies in input order, and the other contents of OUT."""

    studies: tuple[Planned, ...]
    gone: tuple[str, ...]  # keys of studies in OUT that are not among the inputs
    known: LogState  # the statements of OUT's log

    def count(self, *statuses: StudyStatus) -> int:
        """Return the number of studies with one of the statuses."""
        return sum(planned.status in statuses for planned in self.studies)

    @property
    def to_do(self) -> tuple[Study, ...]:
        """Return the studies on which the model is run, in order."""
        return tuple(planned.study for planned in self.studies if planned.status.is_to_do)

    @property
    def archived(self) -> tuple[str, ...]:
        """Return keys of finished studies that are not part of the result."""
        return (
            *self.gone,
            *(each.key for each in self.studies if each.status is StudyStatus.WAITING and each.because),
        )

    @property
    def replaced(self) -> tuple[str, ...]:
        """Return keys of studies whose records, if any, leave the result: to be done again or archived."""
        return (*self.archived, *(each.key for each in self.studies if each.status.is_to_do))

    def again(self) -> tuple[DoneAgain, ...]:
        """Group the studies that are done again by reason."""
        groups: dict[tuple[tuple[str, ...], bool], list[str]] = {}
        for each in self.studies:
            if each.status is StudyStatus.RESCORE or (each.status is StudyStatus.AGAIN and each.because):
                groups.setdefault((each.because, each.status is StudyStatus.RESCORE), []).append(each.key)
        return tuple(
            DoneAgain(because=because, rescored=rescored, studies=tuple(keys))
            for (because, rescored), keys in groups.items()
        )

    def history(self) -> HistoryRecord:
        """Return what was found in OUT, for ``run.json``."""
        return HistoryRecord(
            done_before=self.count(StudyStatus.DONE, StudyStatus.RESCORE),
            failed_before=self.count(StudyStatus.FAILED),
            done_again=self.again(),
            set_aside=self.archived,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The selection of studies for this run."""

    limit: int | None = None
    shard: Shard | None = None
    retry_failed: bool = False


def plan(
    out: Path,
    studies: Sequence[Study],
    fingerprints: Fingerprints,
    selection: Selection,
    *,
    known: LogState,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Plan:
    """Decide for each study what to do, from the contents of OUT; a record that the log does not confirm is not used.

    Raises:
        OutputError: OUT holds studies, and none of them is among ``studies``.
    """
    keys = [fingerprints.keys.key("study", study.study_instance_uid) for study in studies]
    own = [key for key in keys if selection.shard is None or selection.shard.holds(key)]
    chosen = frozenset(sorted(own)[: selection.limit])
    taking_part = frozenset(own)
    held = _finished_keys(out)
    if held and not held & frozenset(keys):
        raise OutputError(
            f"--out {out} holds {len(held)} studies, none of them among these inputs (or their keys were made with "
            "another salt): name another folder, or pass --overwrite to discard them"
        )
    found = []
    for done, (study, key) in enumerate(zip(studies, keys, strict=True), start=1):
        if key in taking_part:
            found.append(_planned(study, key, fingerprints, selection, known, is_chosen=key in chosen))
        progress(done, len(studies))
    gone = () if selection.shard is not None else tuple(sorted(held - frozenset(keys)))
    return Plan(studies=tuple(found), gone=gone, known=known)


def _finished_keys(out: Path) -> frozenset[str]:
    return frozenset(path.parent.name for path in (out / STUDIES).glob(f"*/{RECORD}"))


def _planned(
    study: Study, key: str, fingerprints: Fingerprints, selection: Selection, known: LogState, *, is_chosen: bool
) -> Planned:
    why: tuple[str, ...] = ()
    for place in (STUDIES, ARCHIVED):
        try:
            stored, doubt = _stored(known.out / place / key, known, logged=place == STUDIES)
        except DamagedError:
            why = why or ("its results in OUT are damaged",)
            continue
        if stored is None or doubt is not None:
            why = why or ((doubt,) if doubt else ())
            continue
        changes = fingerprints.changes(study, stored.fingerprint)
        if stored.left_out and selection.retry_failed:
            changes = Changes(because=(*changes.because, _RETRIED), only_targets=False, stamps=changes.stamps)
        if (
            changes.only_targets
            and isinstance(stored, StudyRecord)
            and _lacks_other_side(study, stored, fingerprints.keys)
        ):
            changes = Changes(because=(*changes.because, _UNMEASURED), only_targets=False, stamps=changes.stamps)
        status = _status_of(stored, changes)
        if status is not None:
            moved = changes.stamps if stored.fingerprint and changes.stamps != stored.fingerprint.stamps else None
            return Planned(study=study, key=key, status=status, because=changes.because, stamps=moved, place=place)
        why = why or changes.because
    if not is_chosen:
        return Planned(study=study, key=key, status=StudyStatus.WAITING, because=why)
    return Planned(study=study, key=key, status=StudyStatus.AGAIN if why else StudyStatus.NEW, because=why)


def _lacks_other_side(study: Study, record: StudyRecord, keys: Pseudonyms) -> bool:
    """Return True if a phrase's cosine with its side swapped is needed now, but was not with the former boxes."""
    measured = {image.key: own_boxes(image).other_side_cosines for image in record.images}
    audited = ((case, measured.get(keys.key("image", case.image.instance))) for case in study.cases)
    return any(
        cosine is None and opposites(case, phrase)[1] is not None
        for case, cosines in audited
        if cosines is not None
        for phrase, cosine in zip(case.phrases, cosines, strict=True)
    )


def _status_of(stored: StudyRecord | FailedStudyRecord, changes: Changes) -> StudyStatus | None:
    """Return how stored results can be used; None: not at all."""
    if not changes.because:
        return StudyStatus.FAILED if isinstance(stored, FailedStudyRecord) else StudyStatus.DONE
    if changes.only_targets and isinstance(stored, StudyRecord):
        return StudyStatus.RESCORE
    return None


def _stored(
    folder: Path, known: LogState, *, logged: bool
) -> tuple[StudyRecord | FailedStudyRecord | None, str | None]:
    """Read an earlier run's results of a study, or its failure note, and the reason to doubt them.

    Raises:
        DamagedError: they are damaged, or files that they name are missing or were changed.
    """
    if os.path.lexists(folder / RECORD):
        return read_study(folder).record, known.doubt(folder, logged=logged)
    if os.path.lexists(folder / FAILED):
        noted = read_failed(folder)
        return (noted if known.names_failure(folder) else None), None  # otherwise it is tried again
    return None, None


def apply(out: Path, decided: Plan, *, is_exclusive: bool) -> None:
    """Prepare OUT for a run to continue: remove partial files, and studies that are not part of its result.

    Args:
        out: the folder, held by this run.
        decided: the decision about each study.
        is_exclusive: whether the run holds OUT exclusively; a shard only touches its own studies.

    Raises:
        OutputError: OUT cannot be written.
    """
    if is_exclusive:
        clean([out, out / STUDIES, out / ARCHIVED])
    if decided.archived or decided.again():
        remove_results(out)
    for each in decided.studies:
        if each.status.is_kept:
            clean([out / each.place / each.key])
            if each.place == ARCHIVED:
                restore(out, each.key)
            else:
                discard_archived(out, each.key)
        else:
            archive(out, each.key)
    if is_exclusive:
        known = {each.key for each in decided.studies}
        for folder in [path for path in (out / STUDIES).iterdir() if path.name not in known]:
            archive(out, folder.name)


def left_out_before(noted: Sequence[ExcludedImage], study: Study, keys: Pseudonyms) -> tuple[Exclusion, ...]:
    """Return an earlier run's exclusions with file names, which are stored by key."""
    paths = {keys.key("image", case.image.instance): case.image.source for case in study.cases}
    return tuple(
        Exclusion(source=paths.get(item.image, item.image), stage=item.stage, reason=item.reason, failed=True)
        for item in noted
    )


def reuse_study(
    out: Path, planned: Planned, finisher: Finisher, opened: Callable[[str], None] = lambda _key: None
) -> FinishedStudy:
    """Return a stored study as the run that finished it returned it; ``opened`` is called before a record changes.

    Raises:
        OutputError: its results in OUT cannot be read, or cannot be rewritten.
    """
    folder = out / STUDIES / planned.key
    if planned.status is StudyStatus.FAILED:
        noted = read_failed(folder).left_out
        return FinishedStudy(left_out=left_out_before(noted, planned.study, finisher.keys))
    record = _renewed(folder, planned, finisher, opened)
    return FinishedStudy.of(
        record,
        embeddings=read_embeddings(folder, record),
        heats=read_heats(folder, record),
        left_out=left_out_before(record.left_out, planned.study, finisher.keys),
    )


def _renewed(folder: Path, planned: Planned, finisher: Finisher, opened: Callable[[str], None]) -> StudyRecord:
    """Read a record; it is rescored if its boxes changed, and updated if its files moved."""
    stored = read_record(folder)
    study, record = _recorded(planned.study, stored, finisher), stored
    if planned.status is StudyStatus.RESCORE:
        again = rescore_study(folder, study, finisher.context, finisher.redactor)
        record = with_inputs(again.record, finisher.fingerprints.target_digests(planned.study))
    images = tuple(
        replace(image, path_key=path_key(str(case.image.path), finisher.keys), own=None)
        for image, case in zip(record.images, study.cases, strict=True)
    )
    record = record.model_copy(update={"images": images})
    if planned.stamps is not None and record.fingerprint is not None:
        marked = record.fingerprint.model_copy(update={"stamps": planned.stamps})
        record = record.model_copy(update={"fingerprint": marked})
    if record != stored:
        opened(planned.key)
        write_record(folder, record, salt=finisher.keys.salt)
    return record


def _recorded(study: Study, record: StudyRecord, finisher: Finisher) -> Study:
    """Return a study with the images of its record, in their order."""
    cases = {finisher.keys.key("image", case.image.instance): case for case in study.cases}
    return replace(study, cases=tuple(cases[image.key] for image in record.images))


def note_failure(out: Path, planned: Planned, study: FinishedStudy, finisher: Finisher) -> None:
    """Store in OUT that none of a study's images could be audited, so that the next run need not try.

    Raises:
        OutputError: OUT cannot be written.
    """
    write_failed_study(
        out,
        FailedStudyRecord(
            key=planned.key,
            fingerprint=finisher.fingerprints.of(planned.study),
            left_out=finisher.noted(study.left_out, planned.study),
        ),
    )
