"""Studies that a run does not put to the model: read back as they are, scored again, or noted as failed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from audit.engine.fingerprint import with_inputs
from audit.engine.finishing import FinishedStudy, Finisher
from audit.engine.keys import path_key
from audit.engine.out_folder import STUDIES
from audit.engine.reading_back import finished_before, left_out_before
from audit.engine.resuming import Planned, Standing
from audit.engine.scoring_again import scored_again
from audit.engine.store import write_failed_study, write_record
from pipelines.study import Study
from reports.folder import read_failed, read_record
from reports.record import StudyRecord
from reports.resume_record import FailedStudyRecord

__all__ = ["kept_study_of", "note_failure"]


def kept_study_of(
    out: Path, planned: Planned, finisher: Finisher, opened: Callable[[str], None] = lambda _key: None
) -> FinishedStudy:
    """Give a study that OUT holds, as the run that finished it gave it; ``opened`` is told before a record changes.

    Raises:
        OutputError: what OUT holds of it cannot be read, or not be written anew.
    """
    folder = out / STUDIES / planned.key
    if planned.standing is Standing.FAILED:
        noted = read_failed(folder).left_out
        return FinishedStudy(left_out=left_out_before(noted, planned.study, finisher.keys))
    record = _renewed(folder, planned, finisher, opened)
    return finished_before(record, left_out_before(record.left_out, planned.study, finisher.keys))


def _renewed(folder: Path, planned: Planned, finisher: Finisher, opened: Callable[[str], None]) -> StudyRecord:
    """Read a record; one whose boxes changed is scored again, one whose files moved is told so."""
    stored = read_record(folder)
    study, record = _recorded(planned.study, stored, finisher), stored
    if planned.standing is Standing.RESCORE:
        again = scored_again(folder, study, finisher.targets, finisher.shower)
        record = with_inputs(again, finisher.fingerprints.place_of(planned.study))
    images = tuple(
        image.model_copy(update={"path_key": path_key(str(case.image.path), finisher.keys), "own": None})
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
