"""Score a run's stored heat again and write its records, tables and pages anew."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool

from audit.engine.concluding import Outcome, conclude
from audit.engine.finishing import FinishedStudy
from audit.engine.keys import SALT_VARIABLE, Keys, load_salt
from audit.engine.recording import box_record, hits, score_record
from audit.engine.rows import control_rows, peaks, score_rows
from audit.engine.shown import Shower, shown_failures
from audit.engine.store import write_run
from audit.engine.table import GrowingTable
from audit.engine.targets import ImageScorer, Targets, on_source
from audit.logbook import AuditLog
from audit.logbook.chain import SCORED_AGAIN, checksum, file_checksum
from audit.rescoring.kept import KeptImage, kept_facts, kept_study, keyed_row
from audit.scoring.scores import SCORES
from audit.scoring.shortcuts import SHORTCUT_SCORES
from audit.scoring.summary import score_table
from pipelines.boxes import read_boxes
from pipelines.boxes.placing import place_boxes
from pipelines.burned_in import Area
from pipelines.errors import BoxError, OutputError
from pipelines.study import Case, LeftOut, Study
from reports.folder import (
    StudyFolder,
    read_record,
    read_run,
    read_study,
    read_valid,
    study_folders,
    write_text_atomically,
)
from reports.overlay import check_picture, placement_of
from reports.record import ControlRecord, FailureRecord, ImageRecord, PhraseRecord, RunRecord, StudyRecord

__all__ = ["Rescored", "rescore"]

_PLACE = frozenset((*SCORES, *SHORTCUT_SCORES))
_STAGE = "scoring again"
_CONCLUSIONS = ("summaries", "controls", "verdicts", "evidence", "subgroups")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """How scoring again ended."""

    page: Path
    record: RunRecord
    studies: int  # scored again
    boxes: int  # that they have now
    failed: tuple[LeftOut, ...]  # studies that could not be read, and boxes that no image takes
    told: tuple[FailureRecord, ...] = ()  # the same as it may be shown


def rescore(
    out: Path, boxes: Sequence[Path] = (), *, progress: Progress = lambda _stage, _done, _total: None
) -> Rescored:
    """Score the heat that a run has stored, against the boxes of a file or those that the run had.

    What scores do not change stays as it is: heat, cosines, faithfulness. Pages, tables, summaries, controls' hits,
    verdicts and subgroups are made anew. A study that cannot be read stays as it is, takes no part, and stops no other.

    Args:
        out: a folder that a run wrote.
        boxes: annotation files, as a run takes them; none for those that the run had. References join images through
            the salt that made the run's keys, so it must be the same user's, or the same M2IB_AUDIT_SALT.
        progress: told of each stage.

    Raises:
        OutputError: ``run.json`` cannot be read, no study can, or OUT cannot be written.
        BoxError: the boxes cannot be read, or none belongs to any image of the run.
    """
    run, folders, salt = read_run(out), _in_order(out), load_salt(outside=out)
    failed: list[LeftOut] = []
    kept = dict(_readable(folders, failed, progress))
    if not kept:
        raise OutputError(f"{out} holds no study that can be read: audit again")
    studies = list(kept.values())
    studies, lost = (studies, ()) if not boxes else _drawn(boxes, studies, show_phi=run.patient_data_shown)
    log = AuditLog(out, salt)
    log.append("scoring again started")
    targets = Targets(studies, lambda image: image.patient_id)
    table, outcome, methods = GrowingTable(), Outcome(), dict[str, str]()
    for done, (folder, study) in enumerate(zip(kept, studies, strict=True), start=1):
        try:
            record = _rescored(folder, study, targets, run)
            text = record.model_dump_json(indent=1) + "\n"
            write_text_atomically(folder / "record.json", text)
        except OutputError as error:
            failed.append(_failure(folder, error))
        else:
            log.append(SCORED_AGAIN, study=record.key, record_sha256=checksum(text.encode()))
            table.add(list(score_rows(record.images, study=record.key, patient=record.patient)))
            outcome.add(_finished(record))
            methods.update(_methods(record))
        progress("Scoring again", done, len(studies))
    scores = score_table(table.to_frame())
    found = conclude(scores, outcome, list(methods.items()), seed=run.seed)
    told = _told(run, failed, lost, boxes)
    count = sum(len(case.boxes) for study in studies for case in study.cases)
    concluded = run.model_copy(
        update={
            **{name: getattr(found, name) for name in _CONCLUSIONS},
            "rescored": datetime.now(UTC),
            "counts": run.counts | {"boxes": count},
            "failures": (*_kept_failures(run, boxes), *told),
        }
    )
    rendered = write_run(out, concluded, scores)
    log.append("scoring again finished", run_sha256=file_checksum(out / "run.json"))
    return Rescored(
        page=rendered.page,
        record=concluded,
        studies=outcome.audited,
        boxes=count,
        failed=(*failed, *(item for item in lost if item.failed)),
        told=tuple(item for item in told if item.failed),
    )


def _in_order(out: Path) -> list[Path]:
    """List the studies as the run's table has them, so that the table made anew is the same; unknown ones come last."""
    path = out / "scores.parquet"
    try:
        listed = pd.read_parquet(path, columns=["study"])["study"].unique() if path.exists() else ()
    except (OSError, ValueError):  # a damaged table: it is made anew anyway
        listed = ()
    places = {str(key): place for place, key in enumerate(listed)}
    return sorted(study_folders(out), key=lambda folder: (places.get(folder.name, len(places)), folder.name))


def _readable(folders: Sequence[Path], failed: list[LeftOut], progress: Progress) -> Iterator[tuple[Path, Study]]:
    for done, folder in enumerate(folders, start=1):
        try:
            yield folder, kept_study(read_record(folder))
        except OutputError as error:
            failed.append(_failure(folder, error))
        progress("Reading records", done, len(folders))


def _failure(folder: Path, error: OutputError) -> LeftOut:
    """List a study that could not be read, without where OUT lies."""
    return LeftOut(source=folder.name, stage=_STAGE, reason=str(error).replace(f"{folder}/", ""), failed=True)


def _drawn(
    paths: Sequence[Path], studies: Sequence[Study], *, show_phi: bool
) -> tuple[list[Study], tuple[LeftOut, ...]]:
    """Read boxes and give them to the studies' images, in the place of those that they had.

    Raises:
        BoxError: the file cannot be read, or names no image of the run.
    """
    keys, read = Keys(load_salt()), read_boxes(paths)
    images = [case.image for study in studies for case in study.cases]
    uids = frozenset(image.sop_instance_uid for image in images)
    placed = place_boxes(images, [keyed_row(row, uids, keys, show_phi=show_phi) for row in read.rows])
    if not any(placed.by_image.values()):
        raise BoxError(
            f"{paths[0]}: none of the {len(read.rows)} boxes names an image of this run; name images as in the run's "
            f"own boxes, and score as the user who ran it or with the same {SALT_VARIABLE}"
        )
    drawn = [
        replace(
            study,
            cases=tuple(replace(case, boxes=tuple(placed.by_image.get(case.image, ()))) for case in study.cases),
        )
        for study in studies
    ]
    return drawn, (*read.left_out, *placed.left_out)


def _rescored(folder: Path, study: Study, targets: Targets, run: RunRecord) -> StudyRecord:
    """Score every heat of one study.

    Raises:
        OutputError: its record, heat, pictures or masks cannot be read.
    """
    stored = read_study(folder)
    images = [
        _rescored_image(folder, stored, image, case, targets, run)
        for image, case in zip(stored.record.images, study.cases, strict=True)
    ]
    return stored.record.model_copy(update={"images": tuple(images), "patient": targets.patient(study.cases[0].image)})


def _rescored_image(
    folder: Path, stored: StudyFolder, image: ImageRecord, case: Case, targets: Targets, run: RunRecord
) -> ImageRecord:
    placement, picture = placement_of(image.placement), stored.pictures[image.picture]
    check_picture(picture, name=f"{image.picture!r} of study {stored.record.key}")
    seen = KeptImage(
        case=case,
        picture=picture,
        valid=read_valid(folder, image),
        placement=placement,
        blanked=tuple(Area(*area) for area in image.blanked),
    )
    scorer = ImageScorer(targets, seen)
    phrases = [
        _rescored_phrase(phrase, index, seen, scorer, targets, stored) for index, phrase in enumerate(image.phrases)
    ]
    shower = Shower(keys=Keys(load_salt()), show_phi=run.patient_data_shown)
    boxes = tuple(box_record(box, placement, shower, spoken=image.phrases) for box in case.boxes)
    return image.model_copy(update={"boxes": boxes, "phrases": tuple(phrases)})


def _rescored_phrase(
    record: PhraseRecord, index: int, seen: KeptImage, scorer: ImageScorer, targets: Targets, stored: StudyFolder
) -> PhraseRecord:
    phrase = seen.case.phrases[index]
    names = {stored.record.method: record.heat} | {other.method: other.heat for other in record.others}
    scores, points = [], {}
    for place, (method, name) in enumerate(names.items()):
        points[method], of_method = scorer.score(phrase, stored.heats[name], method=method)
        scores += [*of_method, *(scorer.references(phrase) if place == 0 else ())]
    kept = [score for score in record.scores if score.score not in _PLACE]
    mask = targets.mask(seen, phrase)
    return record.model_copy(
        update={
            "hottest": points[stored.record.method],
            "scores": (*map(score_record, scores), *kept),
            "controls": tuple(_rescored_control(control, seen, mask, stored) for control in record.controls),
        }
    )


def _rescored_control(
    control: ControlRecord, seen: KeptImage, mask: Bool[np.ndarray, "rows columns"], stored: StudyFolder
) -> ControlRecord:
    hit = hits(on_source(seen, stored.heats[control.heat], masked=True), mask)
    return control.model_copy(update={"hit": hit})


def _finished(record: StudyRecord) -> FinishedStudy:
    return FinishedStudy(
        images=len(record.images),
        phrases=sum(len(image.phrases) for image in record.images),
        is_phantom=record.phantom_images,
        controls=list(control_rows(record)),
        facts=[(image.key, kept_facts(image)) for image in record.images],
        peaks=list(peaks(record)),
    )


def _methods(record: StudyRecord) -> dict[str, str]:
    """Name and unit of heat of every method, the study's own first."""
    others = (other for image in record.images for phrase in image.phrases for other in phrase.others)
    return {record.method: record.unit} | {other.method: other.unit for other in others}


def _kept_failures(run: RunRecord, boxes: Sequence[Path]) -> tuple[FailureRecord, ...]:
    """Keep what the run left out; what it said of its boxes goes where others take their place."""
    stages = {_STAGE, "boxes"} if boxes else {_STAGE}
    return tuple(item for item in run.failures if item.stage not in stages)


def _told(
    run: RunRecord, failed: Sequence[LeftOut], lost: Sequence[LeftOut], boxes: Sequence[Path]
) -> tuple[FailureRecord, ...]:
    """Say what took no part this time, as far as it may be shown."""
    shown = shown_failures(lost, list(boxes), Keys(load_salt()), show_phi=run.patient_data_shown)
    return (*(FailureRecord(**asdict(item)) for item in failed), *shown)  # those name keys alone
