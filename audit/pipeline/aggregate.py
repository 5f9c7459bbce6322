"""The rows of all scores while a run goes on: kept in columns, so that they take bytes and not objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa

from audit.controls.evidence import ControlRow, evidence_of, summarise_controls
from audit.controls.verdict import verdict_of
from audit.metrics.statistics import INTERVAL
from audit.metrics.subgroups import ImageFacts, summarise_subgroups
from audit.metrics.summary import summarise
from audit.pipeline.score import FinishedStudy
from reports.run_record import ControlSummary, EvidenceRecord, ScoreSummary, SubgroupSummary, VerdictRecord

__all__ = ["Conclusions", "GrowingTable", "Tally", "conclude"]

_NAME = pa.dictionary(pa.int32(), pa.string())  # as many as there are studies
_WORD = pa.dictionary(pa.int16(), pa.string())  # of a short list
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
_PARTS_AT_MOST = 256  # before they are joined, each with a dictionary of its own


class GrowingTable:
    """A table that rows are added to, study after study."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Add the rows of one study; a field that a row lacks is missing."""
        if not rows:
            return
        columns = {name: [row.get(name) for row in rows] for name in _SCHEMA.names}
        self._parts.append(pa.table(columns, schema=_SCHEMA))
        if len(self._parts) >= _PARTS_AT_MOST:
            self._parts = [self._joined()]

    def _joined(self) -> pa.Table:
        return pa.concat_tables(self._parts).unify_dictionaries().combine_chunks()

    def to_frame(self) -> pd.DataFrame:
        """All rows, words as categories."""
        if not self._parts:
            self._parts = [_SCHEMA.empty_table()]
        frame: pd.DataFrame = self._joined().to_pandas()
        return frame


@dataclass(slots=True)
class Tally:
    """What has been audited so far, apart from the table of scores."""

    audited: int = 0
    images: int = 0
    phrases: int = 0
    phantom_images: bool = True
    controls: list[ControlRow] = field(default_factory=list)
    facts: dict[str, ImageFacts] = field(default_factory=dict)  # of each image, by its key
    peaks: dict[str, list[float]] = field(default_factory=dict)  # of each heat, by method

    def add(self, study: FinishedStudy) -> None:
        """Count a study and keep what the conclusions need of it."""
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
    """What ``run.json`` says of the whole cohort."""

    intervals: str = INTERVAL
    summaries: tuple[ScoreSummary, ...] = ()
    controls: tuple[ControlSummary, ...] = ()
    verdicts: tuple[VerdictRecord, ...] = ()
    evidence: tuple[EvidenceRecord, ...] = ()
    subgroups: tuple[SubgroupSummary, ...] = ()


def conclude(scores: pd.DataFrame, outcome: Tally, methods: Sequence[tuple[str, str]]) -> Conclusions:
    """Summarise scores and controls and reach a verdict on each method.

    Args:
        scores: the run's score table.
        outcome: what the run gathered.
        methods: name and unit of heat of each.
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
