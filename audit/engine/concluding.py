"""What a run gathers study after study, and what it concludes from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from audit.controls.summary import ControlRow, evidence_of, summarise_controls
from audit.controls.verdict import verdict_of
from audit.engine.finishing import FinishedStudy
from audit.scoring.statistics import INTERVAL
from audit.scoring.subgroups import ImageFacts, summarise_subgroups
from audit.scoring.summary import summarise
from reports.record import ControlSummary, EvidenceRecord, ScoreSummary, SubgroupSummary, VerdictRecord

__all__ = ["Conclusions", "Outcome", "conclude"]


@dataclass(slots=True)
class Outcome:
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


def conclude(scores: pd.DataFrame, outcome: Outcome, methods: Sequence[tuple[str, str]]) -> Conclusions:
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
