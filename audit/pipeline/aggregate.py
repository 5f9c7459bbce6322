"""Aggregation: the part of each study's record that the tables and conclusions of a run need, and the conclusions.

During a run the score rows are stored in columns, which take bytes per value instead of objects.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa

from audit.controls.evidence import ControlRow, evidence_of, summarise_controls
from audit.controls.verdict import verdict_of
from audit.metrics.statistics import INTERVAL
from audit.metrics.subgroups import NOT_KNOWN, ImageFacts, summarise_subgroups
from audit.metrics.summary import summarise
from pipelines.study import Exclusion
from reports.record import ScoredImage, ScoredPhrase, StudyRecord
from reports.run_record import ControlSummary, EvidenceRecord, ScoreSummary, SubgroupSummary, VerdictRecord
from reports.score_catalogue import POINTING

__all__ = ["Conclusions", "FinishedStudy", "GrowingTable", "Tally", "conclude", "score_rows"]

_NAME = pa.dictionary(pa.int32(), pa.string())  # as many values as studies
_WORD = pa.dictionary(pa.int16(), pa.string())  # few values
_SCHEMA = pa.schema(
    {
        "study": _NAME,
        "image": _NAME,
        "patient": _NAME,
        "phrase": pa.int32(),
        "finding": _WORD,
        "side": _WORD,
        "zone": _WORD,
        "context": _WORD,
        "method": _WORD,
        "score": _WORD,
        "value": pa.float64(),
        "outcome": _WORD,
        "reason": _WORD,
        "levels": pa.list_(pa.float32()),
    }
)
_PARTS_AT_MOST = 256  # parts, each with its own dictionary, before they are joined


def score_rows(images: Iterable[ScoredImage], *, study: str, patient: str | None) -> Iterator[dict[str, object]]:
    """Yield one row of the score table per phrase, method and score, with the keys of study and patient."""
    for image in images:
        for index, phrase in enumerate(image.phrases):
            shared = {
                "study": study,
                "image": image.key,
                "patient": patient,
                "phrase": index,
                "finding": phrase.finding,
                "side": phrase.side,
                "zone": phrase.zone,
                "context": phrase.context,
            }
            yield from ({**shared, **score.model_dump()} for score in phrase.scores)


def _control_rows(record: StudyRecord) -> Iterator[ControlRow]:
    """Yield one row per control, with the same phrase's result in the report."""
    for phrase in _phrases(record):
        totals = {record.method: phrase.total_nats} | {other.method: other.total for other in phrase.others}
        hits = {score.method: score.value for score in phrase.scores if score.score == POINTING}
        for control in phrase.controls:
            before = hits.get(control.method)
            yield ControlRow(
                patient=record.patient or record.key,
                method=control.method,
                control=control.control,
                pearson=control.pearson,
                hit=control.hit,
                hit_before=None if before is None else before > 0,
                cosine=control.cosine,
                cosine_before=phrase.cosine,
                total=control.total,
                total_before=totals[control.method],
            )


def _peaks(record: StudyRecord) -> Iterator[tuple[str, float]]:
    """Yield each heat map's method and maximum cell."""
    for phrase in _phrases(record):
        yield record.method, phrase.peak_nats
        yield from ((other.method, other.peak) for other in phrase.others)


def _phrases(record: StudyRecord) -> Iterator[ScoredPhrase]:
    return (phrase for image in record.images for phrase in image.phrases)


def _recorded_facts(image: ScoredImage) -> ImageFacts:
    """Return the groups that an image belongs to, from a record."""
    return ImageFacts(
        view=image.view.value,
        sex=image.sex or NOT_KNOWN,
        age=image.age or NOT_KNOWN,
        manufacturer=image.manufacturer or NOT_KNOWN,
        photometric_interpretation=image.photometric_interpretation or NOT_KNOWN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedStudy:
    """The part of a written study that is kept in memory: little, because a run may have a million studies."""

    images: int = 0  # 0: none could be audited, and nothing was written
    phrases: int = 0
    is_phantom: bool = False
    rows: Sequence[dict[str, object]] = ()  # rows of the score table
    controls: Sequence[ControlRow] = ()
    facts: Sequence[tuple[str, ImageFacts]] = ()  # of each image, by its key
    peaks: Sequence[tuple[str, float]] = ()  # method and maximum cell of each heat map
    left_out: tuple[Exclusion, ...] = ()
    seconds: dict[str, float] | None = None  # by stage
    key: str = ""  # key of the study
    record_sha256: str = ""  # checksum of its record.json

    @classmethod
    def of(
        cls,
        record: StudyRecord,
        *,
        left_out: tuple[Exclusion, ...] = (),
        seconds: dict[str, float] | None = None,
        record_sha256: str = "",
    ) -> "FinishedStudy":
        """Extract from a study's record what the tables and conclusions of a run need."""
        return cls(
            images=len(record.images),
            phrases=sum(len(image.phrases) for image in record.images),
            is_phantom=record.phantom_images,
            rows=list(score_rows(record.images, study=record.key, patient=record.patient)),
            controls=list(_control_rows(record)),
            facts=[(image.key, _recorded_facts(image)) for image in record.images],
            peaks=list(_peaks(record)),
            left_out=left_out,
            seconds=seconds,
            key=record.key,
            record_sha256=record_sha256,
        )


class GrowingTable:
    """A table to which rows are added study by study."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Add the rows of one study; fields that a row does not have are missing values."""
        if not rows:
            return
        columns = {name: [row.get(name) for row in rows] for name in _SCHEMA.names}
        self._parts.append(pa.table(columns, schema=_SCHEMA))
        if len(self._parts) >= _PARTS_AT_MOST:
            self._parts = [self._joined()]

    def _joined(self) -> pa.Table:
        return pa.concat_tables(self._parts).unify_dictionaries().combine_chunks()

    def to_frame(self) -> pd.DataFrame:
        """Return all rows, with words as categories."""
        if not self._parts:
            self._parts = [_SCHEMA.empty_table()]
        frame: pd.DataFrame = self._joined().to_pandas()
        return frame


@dataclass(slots=True)
class Tally:
    """The results so far, apart from the table of scores."""

    audited: int = 0
    images: int = 0
    phrases: int = 0
    phantom_images: bool = True
    controls: list[ControlRow] = field(default_factory=list)
    facts: dict[str, ImageFacts] = field(default_factory=dict)  # of each image, by its key
    peaks: dict[str, list[float]] = field(default_factory=dict)  # of each heat, by method

    def add(self, study: FinishedStudy) -> None:
        """Count a study and store what the conclusions need of it."""
        if not study.images:
            return
        self.audited += 1
        self.images += study.images
        self.phrases += study.phrases
        self.phantom_images &= study.is_phantom
        self.controls.extend(study.controls)
        self.facts.update(study.facts)
        for method, peak in study.peaks:
            self.peaks.setdefault(method, []).append(peak)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusions:
    """The statements of ``run.json`` about the whole cohort."""

    intervals: str = INTERVAL
    summaries: tuple[ScoreSummary, ...] = ()
    controls: tuple[ControlSummary, ...] = ()
    verdicts: tuple[VerdictRecord, ...] = ()
    evidence: tuple[EvidenceRecord, ...] = ()
    subgroups: tuple[SubgroupSummary, ...] = ()


def conclude(scores: pd.DataFrame, outcome: Tally, methods: Sequence[tuple[str, str]]) -> Conclusions:
    """Summarise scores and controls, and decide on a verdict for each method.

    Args:
        scores: the run's score table.
        outcome: the collected results of the run.
        methods: name and heat unit of each.
    """
    if scores.empty:
        return Conclusions()
    controls = summarise_controls(outcome.controls)
    return Conclusions(
        summaries=tuple(summarise(scores)),
        controls=controls,
        verdicts=tuple(verdict_of(scores, controls, method=method) for method, _ in methods),
        evidence=evidence_of(outcome.controls, outcome.peaks, dict(methods)),
        subgroups=summarise_subgroups(scores, outcome.facts, [method for method, _ in methods]),
    )
