"""The content of ``comparison.json``, from which the page of a comparison is rendered."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from reports.record import ModelRecord, Record, Scalar
from reports.run_record import FailureRecord, ScoreDifference
from reports.sanity_record import MethodSanity
from reports.score_catalogue import ScoreKind

__all__ = ["COMPARISON_VERSION", "ComparedMethod", "ComparedScore", "ComparisonRecord"]

COMPARISON_VERSION: Literal["1"] = "1"


class ComparedMethod(Record):
    """One compared method and its cost."""

    name: str
    unit: str
    explains_words: bool
    settings: dict[str, Scalar]
    own_settings: dict[str, Scalar] = Field(default_factory=dict)  # the method's own numbers where others were taken
    refused: str | None  # why it does not explain this model; such a method has no scores
    pairs: int  # explained by their image
    seconds_image: float | None  # a pair, without its words
    pairs_with_words: int
    seconds_with_words: float | None  # a pair, image and words; None where none was, or the method has no words
    memory_mb: float | None  # 10^6 bytes, see ComparisonRecord.memory; None where it cannot be measured


class ComparedScore(Record):
    """One score of a method or of a reference over the cohort, with its 95 % interval over patients."""

    method: str
    is_reference: bool
    kind: ScoreKind
    score: str
    lower_is_better: bool
    finding: str | None  # None: all phrases
    averaging: Literal["micro", "macro"]
    estimate: float | None  # None where no phrase could be scored
    low: float | None
    high: float | None
    scored: int
    unscored: int
    patients: int
    to_reference: ScoreDifference | None  # to the best blind reference, the area's share, or its own shuffled heat
    to_baseline: ScoreDifference | None  # to ComparisonRecord.baseline


class ComparisonRecord(Record):
    """Everything that the page and the tables of a comparison show."""

    schema_version: Literal["1"] = COMPARISON_VERSION
    created: datetime
    finished: datetime
    model: ModelRecord
    baseline: str  # the method that the others are compared with
    methods: tuple[ComparedMethod, ...]
    scores: tuple[ComparedScore, ...]
    sanity: tuple[MethodSanity, ...] = ()  # of each method; empty where it was not asked for
    seed: int
    device: str
    memory: str  # what ``memory_mb`` is
    software: dict[str, str]
    phantom_images: bool
    patient_data_shown: Literal[False] = False
    counts: dict[str, int]
    failures: tuple[FailureRecord, ...]
