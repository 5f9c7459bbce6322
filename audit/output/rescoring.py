"""Scores a run's stored heat again and rewrites its records, tables and pages."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pandas as pd

from audit.logbook import AuditLog
from audit.logbook.chain import BEGUN_OVER, OPENED, SCORED_AGAIN, result_checksums
from audit.logbook.known import LogState, read_log_state
from audit.metrics.summary import score_table
from audit.output.stored import keyed_rows, rescore_study, stored_study
from audit.pipeline.aggregate import Tally, conclude
from audit.pipeline.fingerprint import with_targets
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.score_table import GrowingTable, with_phrase_tests
from audit.pipeline.scoring_context import ScoringContext
from audit.pipeline.write import write_record, write_run
from audit.planning.answers import answered
from audit.privacy.messages import Message, messages_of
from audit.privacy.pseudonyms import SALT_VARIABLE, Pseudonyms, load_salt
from audit.privacy.redaction import Redactor, failure_records
from audit.storage.folder import clean_finished
from pipelines.boxes import read_boxes
from pipelines.boxes.placing import place_boxes
from pipelines.errors import BoxError, DamagedError, OutputError
from pipelines.findings import AddedFindings, use_findings
from pipelines.study import Exclusion, Study
from reports.reading import file_checksum
from reports.record import StudyRecord
from reports.results_folder import damaged_tables, read_run, read_study, study_folders
from reports.run_record import FailureRecord, RunRecord

__all__ = ["Rescored", "rescore"]

_STAGE = "scoring again"
_CONCLUSIONS = (
    "intervals",
    "summaries",
    "controls",
    "verdicts",
    "evidence",
    "subgroups",
    "cosine_tests",
    "cosine_sd",
    "recognised",
    "absence",
)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """The result of rescoring."""

    page: Path
    record: RunRecord
    studies: int  # number of rescored studies
    boxes: int  # number of boxes that they now have
    failed: tuple[Exclusion, ...]  # studies that could not be read, and boxes without an image
    messages: tuple[Message, ...] = ()  # what to correct, for a terminal


def rescore(
    out: Path, boxes: Sequence[Path] = (), *, progress: Progress = lambda _stage, _done, _total: None
) -> Rescored:
    """Score the stored heat of a run against the boxes of files, or against the run's own boxes.

    Labels of boxes are read with the findings that the run's file of ``--findings`` added. Values that do not depend on
    boxes are kept: heat, cosines, faithfulness. Pages, tables, summaries, hits of
    controls, verdicts and subgroups are computed again. A study that cannot be read is unchanged and excluded, and does
    not affect the others.

    Args:
        out: a folder that a run wrote.
        boxes: annotation files, as for a run; empty for the run's own boxes. The records keep the run's own boxes while
            those of files replace them. References match images through the salt of the run's keys, so it must be the
            same user's, or the same M2IB_AUDIT_SALT.
        progress: called for each stage.

    Raises:
        OutputError: ``run.json`` cannot be read, no study can be read, or OUT cannot be written.
        BoxError: the boxes cannot be read, or none belongs to an image of the run.
    """
    run, salt = read_run(out), load_salt(outside=out)
    use_findings(AddedFindings(wordings=run.added_wordings))
    folders = _in_order(out, run)
    redactor = Redactor(keys=Pseudonyms(salt), show_phi=run.patient_data_shown)
    failed: list[Exclusion] = []
    known = read_log_state(out, salt)
    stored = dict(_readable(folders, failed, progress, known))
    if not stored:
        raise OutputError(f"{out} holds no study that can be read: audit again")
    studies = list(stored.values())
    studies, lost = (studies, ()) if not boxes else _with_boxes(boxes, studies, redactor)
    known.check_run()
    clean_finished(out)
    tables = [Message(masked=said, for_owner=said) for said in damaged_tables(out, run)]
    log = AuditLog(out, salt)
    log.append_all(
        [*([] if known.is_there else [(BEGUN_OVER, {"studies": len(folders)})]), ("scoring again started", {})]
    )
    context = ScoringContext(studies, lambda image: image.patient_id)
    table, outcome, methods = GrowingTable(), Tally(), dict[str, str]()
    for done, (folder, study) in enumerate(zip(stored, studies, strict=True), start=1):
        try:
            scored = rescore_study(folder, study, context, redactor, keep_own=bool(boxes))
            record = with_targets(scored.record, redactor.keys, context)
            log.append(OPENED, study=record.key)
            log.append(SCORED_AGAIN, study=record.key, record_sha256=write_record(folder, record, salt=salt))
        except DamagedError as error:
            failed.append(_failure(folder, error))
        else:
            finished = FinishedStudy.of(record, embeddings=scored.embeddings, heats=scored.heats)
            table.add(finished.rows)
            outcome.add(finished)
            methods.update(_methods(record))
        progress("Scoring again", done, len(studies))
    table.add_all(outcome.habit_rows())
    scores = score_table(table.to_frame())
    found = conclude(scores, outcome, list(methods.items()))
    scores = with_phrase_tests(scores, found.phrases)
    noted, listed = _noted(failed, lost, boxes, redactor), _listed_by_run(run)
    count = sum(len(case.boxes) for study in studies for case in study.cases)
    concluded = run.model_copy(
        update={
            **{name: getattr(found, name) for name in _CONCLUSIONS},
            "rescored": datetime.now(UTC),
            "protocol": run.protocol and answered(run.protocol, scores, outcome.facts, own_boxes=not boxes),
            "counts": run.counts | {"boxes": count},
            "failures": (*(item for item in listed if not boxes or item.stage != "boxes"), *noted),
            "own_failures": listed if boxes else None,
        }
    )
    rendered = write_run(out, concluded, scores, salt=salt, known=read_log_state(out, salt))
    log.append("scoring again finished", **result_checksums(out))
    return Rescored(
        page=rendered.page,
        record=concluded,
        studies=outcome.audited,
        boxes=count,
        failed=(*failed, *(item for item in lost if item.failed)),
        messages=(
            *tables,
            *map(_of_keys, failed),
            *messages_of(lost, list(boxes), redactor.keys, show_phi=redactor.show_phi),
        ),
    )


def _in_order(out: Path, run: RunRecord) -> list[Path]:
    """List the studies in the order of the run's table, so that the new table has the same order; others come last."""
    path = out / "scores.parquet"
    is_intact = path.is_file() and (run.files is None or run.files.get(path.name) == file_checksum(path))
    try:
        whole = pd.read_parquet(path, columns=["study"])["study"].unique().tolist() if is_intact else None
        listed = _listed_in_text(out) if whole is None else whole
    except (OSError, ValueError, KeyError, NotImplementedError):  # a damaged table, which is rewritten in any case
        listed = []
    places = {str(key): place for place, key in enumerate(listed)}
    return sorted(study_folders(out), key=lambda folder: (places.get(folder.name, len(places)), folder.name))


def _listed_in_text(out: Path) -> list[str]:
    """List the first columns of the lines of ``scores.csv``, without duplicates.

    If a command was killed between a table and ``run.json``, nothing confirms the table; only its order is used.

    Raises:
        OSError: it cannot be read.
    """
    with (out / "scores.csv").open(encoding="utf-8", errors="replace") as lines:
        return list(dict.fromkeys(line.partition(",")[0] for line in lines))


def _readable(
    folders: Sequence[Path], failed: list[Exclusion], progress: Progress, known: LogState
) -> Iterator[tuple[Path, Study]]:
    for done, folder in enumerate(folders, start=1):
        try:
            record = read_study(folder).record  # heat and images too: references are made from all readable studies
            known.check(folder)
            yield folder, stored_study(record)
        except DamagedError as error:
            failed.append(_failure(folder, error))
        progress("Reading records", done, len(folders))


def _failure(folder: Path, error: DamagedError) -> Exclusion:
    """List a study that could not be read, without the location of OUT."""
    return Exclusion(source=folder.name, stage=_STAGE, reason=str(error).replace(f"{folder}/", ""), failed=True)


def _with_boxes(
    paths: Sequence[Path], studies: Sequence[Study], redactor: Redactor
) -> tuple[list[Study], tuple[Exclusion, ...]]:
    """Read boxes and assign them to the studies' images, where they replace the previous ones.

    Raises:
        BoxError: the file cannot be read, or names no image of the run.
    """
    read = read_boxes(paths)
    images = [case.image for study in studies for case in study.cases]
    keyed = {image.sop_instance_uid: image for image in images}
    keyed_row = partial(
        keyed_rows,
        images=keyed,
        redactor=redactor,
        most_frames=max(image.frame for image in images),
    )
    placed = place_boxes(images, [stored for row in read.rows for stored in keyed_row(row)])
    if not any(placed.by_image.values()):
        raise BoxError(
            f"{paths[0]}: none of the {len(read.rows)} boxes names an image of this run; name images as in the run's "
            f"own boxes, and score as the user who ran it or with the same {SALT_VARIABLE}"
        )
    drawn = [
        replace(
            study,
            cases=tuple(
                replace(case, boxes=tuple(placed.by_image.get(case.image, ())), targets=None) for case in study.cases
            ),
        )
        for study in studies
    ]
    return drawn, (*read.left_out, *dict.fromkeys(placed.left_out))  # a row may be on several frames


def _methods(record: StudyRecord) -> dict[str, str]:
    """Return name and heat unit of every method, the study's own first."""
    others = (other for image in record.images for phrase in image.phrases for other in phrase.others)
    return {record.method: record.unit} | {other.method: other.unit for other in others}


def _listed_by_run(run: RunRecord) -> tuple[FailureRecord, ...]:
    """Return what the run excluded, including its own boxes, without additions of later rescoring."""
    listed = run.failures if run.own_failures is None else run.own_failures
    return tuple(item for item in listed if item.stage != _STAGE)


def _of_keys(item: Exclusion) -> Message:
    """Describe a study that could not be read by its key in OUT."""
    sentence = f"{item.source}: {item.reason}"
    return Message(masked=sentence, for_owner=sentence)


def _noted(
    failed: Sequence[Exclusion], lost: Sequence[Exclusion], boxes: Sequence[Path], redactor: Redactor
) -> tuple[FailureRecord, ...]:
    """Describe what was excluded this time, as far as it may be shown."""
    shown = failure_records(lost, list(boxes), redactor.keys, show_phi=redactor.show_phi)
    own = (  # these name only keys
        FailureRecord(source=item.source, stage=item.stage, reason=item.reason, failed=item.failed) for item in failed
    )
    return (*own, *shown)
