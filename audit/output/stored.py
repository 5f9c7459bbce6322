"""Reads what an OUT folder holds: the whole run, and single studies."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool

from audit.pipeline.scoring_context import ImageScorer, ScoringContext, target_ids
from audit.privacy.pseudonyms import path_key
from audit.privacy.redaction import Redactor
from pipelines.boxes import BoxRow
from pipelines.errors import DamagedError
from pipelines.geometry import Placement
from pipelines.privacy.burned_in import Area
from pipelines.study import Case, Image, Radiograph, Report, Study, fields_of, instance_of
from pipelines.text.table import plain_stem
from reports.overlay import check_picture
from reports.record import ScoredImage, ScoredPhrase, StudyRecord
from reports.results_folder import StudyFolder, read_record, read_run, read_study, study_folders, valid_of
from reports.run_record import RunRecord
from reports.score_catalogue import kind_of
from reports.targets import own_boxes, scored_boxes

__all__ = ["StoredRun", "keyed_rows", "load_run", "rescore_study", "stored_study"]


def _stored_image(record: StudyRecord, image: ScoredImage) -> Image:
    """Build the header that boxes are joined with: keys replace identifiers and the parts of the path."""
    return Image(
        **fields_of(image, Radiograph),
        path=Path(image.path_key or image.key),
        sop_instance_uid=image.key,
        study_instance_uid=record.key,
        patient_id=record.patient or record.key,
        accession_number="",
        sex=None,
        age_years=None,
        series_description="",
    )


def stored_study(record: StudyRecord) -> Study:
    """Build the study that a record describes, with the boxes that the run had for it."""
    cases = (_case(record, image) for image in record.images)
    return Study(
        study_instance_uid=record.key,
        report=Report(source="", text=""),
        report_joined_by=record.report_joined_by,
        cases=tuple(cases),
    )


def _case(record: StudyRecord, image: ScoredImage) -> Case:
    own = own_boxes(image)
    places = {box.id: place for place, box in enumerate(own.boxes)}
    return Case(
        image=_stored_image(record, image),
        phrases=image.phrases,
        boxes=own.boxes,
        targets=tuple(tuple(places[box] for box in target) for target in own.targets),
    )


def keyed_rows(
    row: BoxRow, images: Mapping[str, Image], redactor: Redactor, *, most_frames: int = 1
) -> Iterator[BoxRow]:
    """Convert the image references of boxes that are read later to keys, as in the records.

    A reference that is a key of ``images`` is one already (``m2ib-audit review boxes`` writes such). Else the keys are
    those of the UID if they are among them, one for each frame that was audited, or one of each path part. The sentence
    that the box was drawn for is masked as the record's sentences are, for it is compared with them.

    Args:
        row: as it was read.
        images: of the run, by their keys.
        most_frames: the highest number of a frame among them.
        redactor: of the run.
    """
    keys = redactor.keys
    wording = None if row.box.phrase is None else redactor.text(row.box.phrase).text
    uids, frames = dict.fromkeys((row.image, plain_stem(row.image))), range(1, most_frames + 1)
    found = [key for uid in uids for frame in frames if (key := keys.key("image", instance_of(uid, frame))) in images]
    named = [key for key in found if not row.frames or images[key].frame in row.frames]
    for key in [row.image] if row.image in images else named or found[:1] or [path_key(row.image, keys)]:
        yield replace(row, image=key, box=replace(row.box, phrase=wording))


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeptImage:
    """One image of a finished study (:class:`audit.pipeline.scoring_context.ScorableImage`)."""

    case: Case
    picture: bytes
    valid: Bool[np.ndarray, "rows columns"]
    placement: Placement
    blanked: tuple[Area, ...] = ()


def rescore_study(
    folder: Path, study: Study, context: ScoringContext, redactor: Redactor, *, keep_own: bool = False
) -> StudyFolder:
    """Score every heat of one finished study; the contents of its folder are returned with the new record.

    Args:
        folder: of the study.
        study: with the images of its record, in their order, and the boxes to score against.
        context: the boxes and references of the cohort.
        redactor: masks the words of boxes as those of the record are masked.
        keep_own: the boxes of ``study`` are not the run's own, which the record keeps beside them.

    Raises:
        OutputError: its record, heat, pictures, masks or embeddings cannot be read.
    """
    stored = read_study(folder)
    images = [
        _image(stored, image, case, context, redactor, keep_own=keep_own)
        for image, case in zip(stored.record.images, study.cases, strict=True)
    ]
    changes = {"images": tuple(images), "patient": context.patient(study.cases[0].image)}
    return replace(stored, record=stored.record.model_copy(update=changes))


def _image(
    stored: StudyFolder,
    image: ScoredImage,
    case: Case,
    context: ScoringContext,
    redactor: Redactor,
    *,
    keep_own: bool,
) -> ScoredImage:
    picture = stored.pictures[image.picture]
    check_picture(picture, name=f"{image.picture!r} of study {stored.record.key}")
    seen = _KeptImage(
        case=case,
        picture=picture,
        valid=valid_of(stored, image),
        placement=image.placement,
        blanked=tuple(
            Area(*area, letters=Area(*letters))
            for area, letters in zip(image.blanked, image.letters or image.blanked, strict=True)
        ),
    )
    untrained = {each.method: stored.heats[each.heat] for each in image.untrained}
    scorer = ImageScorer(context, seen, untrained)
    own = own_boxes(image)
    phrases = [
        _phrase(replace(phrase, other_side_cosine=cosine), index, seen, scorer, stored)
        for index, (phrase, cosine) in enumerate(zip(image.phrases, own.other_side_cosines, strict=True))
    ]
    boxes = scored_boxes(redactor.boxes(case.boxes, spoken=[phrase.text for phrase in image.phrases]), image.placement)
    lies = replace(image, side_marker=scorer.side_marker, orientation=scorer.orientation)
    scored = replace(lies, boxes=boxes, own=None, phrases=tuple(phrases))
    return replace(scored, own=own) if keep_own and own != own_boxes(scored) else scored


def _phrase(
    record: ScoredPhrase, index: int, seen: _KeptImage, scorer: ImageScorer, stored: StudyFolder
) -> ScoredPhrase:
    from audit.controls.plan import opposites  # noqa: PLC0415 - torch, which only a run that is read does not need

    phrase = seen.case.phrases[index]
    _, other_side = opposites(seen.case, phrase)
    names = {stored.record.method: record.heat} | {other.method: other.heat for other in record.others}
    points, scores = scorer.score_all(phrase, {method: stored.heats[name] for method, name in names.items()})
    kept = [score for score in record.scores if kind_of(score.score) not in {"localisation", "shortcut"}]
    hits = scorer.hits(phrase, (stored.heats[control.heat] for control in record.controls))
    return replace(
        record,
        target=target_ids(seen.case, phrase),
        other_side_cosine=None if other_side is None else record.other_side_cosine,  # a box may have made it true
        hottest=points[stored.record.method],
        scores=(*scores, *kept),
        controls=tuple(
            control.model_copy(update={"hit": hit}) for control, hit in zip(record.controls, hits, strict=True)
        ),
    )


_SCORES = "scores.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run whose results lie in OUT."""

    out: Path
    record: RunRecord  # run.json

    @property
    def verdict(self) -> pd.DataFrame:
        """A row per method: the verdict, and the figures that it rests on."""
        return pd.DataFrame([verdict.model_dump() for verdict in self.record.verdicts])

    @property
    def scores(self) -> pd.DataFrame:
        """A row per image, phrase, method and score, as in ``scores.parquet``.

        Raises:
            DamagedError: the table is missing or cannot be read.
        """
        try:
            return pd.read_parquet(self.out / _SCORES)
        except (OSError, ValueError) as error:
            raise DamagedError(
                f"{self.out / _SCORES}: cannot be read; run again with the same configuration"
            ) from error

    @property
    def summaries(self) -> pd.DataFrame:
        """A row per method, score and finding: the estimate with its 95 % interval over patients."""
        return pd.DataFrame([summary.model_dump(exclude={"differences"}) for summary in self.record.summaries])

    def studies(self) -> Iterator[StudyRecord]:
        """Read the record of each study, in the order of their keys.

        Raises:
            DamagedError: a record is missing or damaged.
        """
        return (read_record(folder) for folder in study_folders(self.out))


def load_run(out: Path | str) -> StoredRun:
    """Read the folder OUT of a run.

    Raises:
        DamagedError: it holds no ``run.json``, or one that is damaged or of another version.
    """
    folder = Path(out)
    return StoredRun(out=folder, record=read_run(folder))
