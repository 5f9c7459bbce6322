"""What OUT holds already of the studies to audit: what is done, what is to do, and what to do again and why.

Deciding reads and writes nothing; :func:`apply` then moves what is no part of the result out of the way.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from audit.logbook.known import Known
from audit.output.fingerprint import Changes, Fingerprints, with_inputs
from audit.output.folder import SET_ASIDE, STUDIES, archive, clean, discard_archived, remove_results, restore
from audit.output.lock import Shard
from audit.output.stored_study import rescore_study
from audit.pipeline.aggregate import FinishedStudy
from audit.pipeline.score import Finisher
from audit.pipeline.write import write_failed_study, write_record
from audit.privacy.pseudonyms import Pseudonyms, path_key
from pipelines.errors import DamagedError, OutputError
from pipelines.study import Exclusion, Study
from reports.record import ExcludedImage, FailedStudyRecord, StudyRecord
from reports.results_folder import FAILED, RECORD, read_failed, read_record, read_study
from reports.run_record import DoneAgain, HistoryRecord

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

_RETRIED = "it failed before, and --retry-failed is given"


class StudyStatus(StrEnum):
    """Status of a study before the run begins."""

    DONE = "done"
    FAILED = "failed"  # before; not tried again
    RESCORE = "rescore"  # its heat is good, what it is scored against has changed
    AGAIN = "again"
    NEW = "new"
    WAITING = "waiting"  # to do, but not chosen this time

    @property
    def is_kept(self) -> bool:
        """Whether the model is not asked, since OUT holds what it said."""
        return self in {StudyStatus.DONE, StudyStatus.FAILED, StudyStatus.RESCORE}

    @property
    def is_to_do(self) -> bool:
        """Whether the study goes through the model."""
        return self in {StudyStatus.AGAIN, StudyStatus.NEW}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One study and what the run does with it."""

    study: Study
    key: str
    status: StudyStatus
    because: tuple[str, ...] = ()  # why it is done again, or would be
    stamps: tuple[str | None, ...] | None = None  # to note in a record whose files moved and did not change
    place: str = STUDIES  # where what is kept of it lies


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does: its studies in the order of the inputs, and what OUT holds beside them."""

    studies: tuple[Planned, ...]
    gone: tuple[str, ...]  # keys of studies in OUT that are not among the inputs
    known: Known  # what the log of OUT says

    def count(self, *statuses: StudyStatus) -> int:
        """How many studies have one of the statuses."""
        return sum(planned.status in statuses for planned in self.studies)

    @property
    def to_do(self) -> tuple[Study, ...]:
        """The studies that go through the model, in their order."""
        return tuple(planned.study for planned in self.studies if planned.status.is_to_do)

    @property
    def set_aside(self) -> tuple[str, ...]:
        """Keys of finished studies that are no part of the result."""
        return (
            *self.gone,
            *(each.key for each in self.studies if each.status is StudyStatus.WAITING and each.because),
        )

    @property
    def replaced(self) -> tuple[str, ...]:
        """Keys of studies whose records, if OUT has any, leave the result: those to do, and those to set aside."""
        return (*self.set_aside, *(each.key for each in self.studies if each.status.is_to_do))

    def again(self) -> tuple[DoneAgain, ...]:
        """Group the studies that are done again by why."""
        groups: dict[tuple[tuple[str, ...], bool], list[str]] = {}
        for each in self.studies:
            if each.status is StudyStatus.RESCORE or (each.status is StudyStatus.AGAIN and each.because):
                groups.setdefault((each.because, each.status is StudyStatus.RESCORE), []).append(each.key)
        return tuple(
            DoneAgain(because=because, rescored=rescored, studies=tuple(keys))
            for (because, rescored), keys in groups.items()
        )

    def history(self) -> HistoryRecord:
        """Say for ``run.json`` what was found in OUT."""
        return HistoryRecord(
            done_before=self.count(StudyStatus.DONE, StudyStatus.RESCORE),
            failed_before=self.count(StudyStatus.FAILED),
            done_again=self.again(),
            set_aside=self.set_aside,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which studies are wanted this time."""

    limit: int | None = None
    shard: Shard | None = None
    retry_failed: bool = False


def plan(
    out: Path,
    studies: Sequence[Study],
    fingerprints: Fingerprints,
    asked: Selection,
    *,
    known: Known,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Plan:
    """Look at OUT and decide what becomes of each study; a record that the log does not vouch for is not kept.

    Raises:
        OutputError: OUT holds studies, and none of them is among ``studies``.
    """
    keys = [fingerprints.keys.key("study", study.study_instance_uid) for study in studies]
    own = [key for key in keys if asked.shard is None or asked.shard.holds(key)]
    chosen = frozenset(sorted(own)[: asked.limit])
    taking_part = frozenset(own)
    held = _finished_keys(out)
    if held and not held & frozenset(keys):
        raise OutputError(
            f"--out {out} holds {len(held)} studies, none of them among these inputs (or their keys were made with "
            "another salt): name another folder, or pass --overwrite to give them up"
        )
    found = []
    for done, (study, key) in enumerate(zip(studies, keys, strict=True), start=1):
        if key in taking_part:
            found.append(_planned(study, key, fingerprints, asked, known, is_chosen=key in chosen))
        progress(done, len(studies))
    gone = () if asked.shard is not None else tuple(sorted(held - frozenset(keys)))
    return Plan(studies=tuple(found), gone=gone, known=known)


def _finished_keys(out: Path) -> frozenset[str]:
    return frozenset(path.parent.name for path in (out / STUDIES).glob(f"*/{RECORD}"))


def _planned(
    study: Study, key: str, fingerprints: Fingerprints, asked: Selection, known: Known, *, is_chosen: bool
) -> Planned:
    why: tuple[str, ...] = ()
    for place in (STUDIES, SET_ASIDE):
        try:
            kept, doubt = _kept(known.out / place / key, known, logged=place == STUDIES)
        except DamagedError:
            why = why or ("what OUT holds of it is damaged",)
            continue
        if kept is None or doubt is not None:
            why = why or ((doubt,) if doubt else ())
            continue
        changes = fingerprints.changes(study, kept.fingerprint)
        if kept.left_out and asked.retry_failed:
            changes = Changes(because=(*changes.because, _RETRIED), only_place=False, stamps=changes.stamps)
        status = _status_of(kept, changes)
        if status is not None:
            moved = changes.stamps if kept.fingerprint and changes.stamps != kept.fingerprint.stamps else None
            return Planned(study=study, key=key, status=status, because=changes.because, stamps=moved, place=place)
        why = why or changes.because
    if not is_chosen:
        return Planned(study=study, key=key, status=StudyStatus.WAITING, because=why)
    return Planned(study=study, key=key, status=StudyStatus.AGAIN if why else StudyStatus.NEW, because=why)


def _status_of(kept: StudyRecord | FailedStudyRecord, changes: Changes) -> StudyStatus | None:
    """Say how what is kept can be used; None: not at all."""
    if not changes.because:
        return StudyStatus.FAILED if isinstance(kept, FailedStudyRecord) else StudyStatus.DONE
    if changes.only_place and isinstance(kept, StudyRecord):
        return StudyStatus.RESCORE
    return None


def _kept(folder: Path, known: Known, *, logged: bool) -> tuple[StudyRecord | FailedStudyRecord | None, str | None]:
    """Read what an earlier run has left of a study, its record or the note that it failed, and why to doubt it.

    Raises:
        DamagedError: it is damaged, or files that it names are missing or not those that were written.
    """
    if os.path.lexists(folder / RECORD):
        return read_study(folder).record, known.doubt(folder, logged=logged)
    if os.path.lexists(folder / FAILED):
        noted = read_failed(folder)
        return (noted if known.names_failure(folder) else None), None  # else it costs a try
    return None, None


def apply(out: Path, decided: Plan, *, is_whole: bool) -> None:
    """Bring OUT into the state that a run goes on from: no half-written file, no study that is not of its result.

    Args:
        out: the folder, held by this run.
        decided: what is to become of each study.
        is_whole: whether the run holds OUT alone; a shard touches its own studies only.

    Raises:
        OutputError: OUT cannot be written.
    """
    if is_whole:
        clean([out, out / STUDIES, out / SET_ASIDE])
    if decided.set_aside or decided.again():
        remove_results(out)
    for each in decided.studies:
        if each.status.is_kept:
            clean([out / each.place / each.key])
            if each.place == SET_ASIDE:
                restore(out, each.key)
            else:
                discard_archived(out, each.key)
        else:
            archive(out, each.key)
    if is_whole:
        known = {each.key for each in decided.studies}
        for folder in [path for path in (out / STUDIES).iterdir() if path.name not in known]:
            archive(out, folder.name)


def left_out_before(noted: Sequence[ExcludedImage], study: Study, keys: Pseudonyms) -> tuple[Exclusion, ...]:
    """Name the files of what an earlier run noted by key."""
    paths = {keys.key("image", case.image.instance): case.image.source for case in study.cases}
    return tuple(
        Exclusion(source=paths.get(item.image, item.image), stage=item.stage, reason=item.reason, failed=True)
        for item in noted
    )


def reuse_study(
    out: Path, planned: Planned, finisher: Finisher, opened: Callable[[str], None] = lambda _key: None
) -> FinishedStudy:
    """Give a study that OUT holds, as the run that finished it gave it; ``opened`` is told before a record changes.

    Raises:
        OutputError: what OUT holds of it cannot be read, or not be written anew.
    """
    folder = out / STUDIES / planned.key
    if planned.status is StudyStatus.FAILED:
        noted = read_failed(folder).left_out
        return FinishedStudy(left_out=left_out_before(noted, planned.study, finisher.keys))
    record = _renewed(folder, planned, finisher, opened)
    return FinishedStudy.of(record, left_out=left_out_before(record.left_out, planned.study, finisher.keys))


def _renewed(folder: Path, planned: Planned, finisher: Finisher, opened: Callable[[str], None]) -> StudyRecord:
    """Read a record; one whose boxes changed is scored again, one whose files moved is told so."""
    stored = read_record(folder)
    study, record = _recorded(planned.study, stored, finisher), stored
    if planned.status is StudyStatus.RESCORE:
        again = rescore_study(folder, study, finisher.targets, finisher.redactor)
        record = with_inputs(again, finisher.fingerprints.place_of(planned.study))
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
    """Give a study with the images that its record has, in their order."""
    cases = {finisher.keys.key("image", case.image.instance): case for case in study.cases}
    return replace(study, cases=tuple(cases[image.key] for image in record.images))


def note_failure(out: Path, planned: Planned, study: FinishedStudy, finisher: Finisher) -> None:
    """Note in OUT that none of a study's images could be audited, so that the next run need not try.

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
