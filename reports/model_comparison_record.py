"""The content of ``comparison.json`` of two models, from which their page is rendered.

Every difference is that of model B minus model A on the same phrases.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from reports.record import ModelRecord, Record
from reports.run_record import Estimate, VerdictWord
from reports.score_catalogue import ScoreKind

__all__ = [
    "ChangedPhrase",
    "ComparedRun",
    "Conclusion",
    "MarginAnswer",
    "ModelComparisonRecord",
    "ModelDifference",
    "SettingDifference",
    "SharedPhrase",
]


class ComparedRun(Record):
    """One of the two runs."""

    model: ModelRecord
    finished: datetime
    run_sha256: str  # of its run.json
    program: str  # version of m2ib-audit
    studies: int  # with a record
    studies_alone: int  # of these, not in the other run
    phrases_alone: int  # of studies in both runs, not in the other run
    verdict: VerdictWord | None  # of the compared method over the whole run; None for a run without
    address: str  # of its folder, relative to the page


class ModelDifference(Record):
    """One score of model B minus that of model A on the same phrases, with its paired 95 % interval over patients."""

    kind: ScoreKind
    method: str
    score: str
    finding: str | None  # None: all phrases
    averaging: Literal["micro", "macro"]
    lower_is_better: bool
    first: float  # model A
    second: float  # model B
    difference: Estimate | None  # None: one patient says nothing about others, or the score has no such interval
    cases: int
    patients: int
    unpaired: tuple[int, int] = (0, 0)  # phrases of both runs with a value of A alone, and of B alone
    won: int | None = None  # misses of A that B hits; None for a score that is no hit
    lost: int | None = None  # hits of A that B misses
    mcnemar: float | None = None  # exact, two-sided; takes phrases for independent


Conclusion = Literal["superior", "not-inferior", "not-shown"]


class MarginAnswer(Record):
    """Whether a model's hit rate is not below that of the other by a margin, and whether it is above it."""

    question: str | None  # of the protocol; None: not planned
    model: Literal["A", "B"]
    compared_with: Literal["A", "B"]
    margin: Annotated[float, Field(ge=0, lt=1)]  # 0: superiority alone is asked
    alpha: float
    estimate: Estimate | None  # hit rate of ``model`` minus that of ``compared_with``; its level is 1 - alpha
    p_margin: float | None  # two-sided, adjusted as the protocol says
    p_superior: float | None  # the same, against 0
    conclusion: Conclusion


class SharedPhrase(Record):
    """A phrase of both runs."""

    study: str
    image: str
    finding: str | None
    text: str  # masked as in the records
    places: tuple[int, int]  # of the image in each study's record
    phrases: tuple[int, int]  # of the phrase in each image


class ChangedPhrase(SharedPhrase):
    """A phrase that one model hits and the other misses."""

    change: Literal["won", "lost"]  # by model B


class SettingDifference(Record):
    """A setting in which the two runs differ."""

    name: str
    first: str
    second: str


class ModelComparisonRecord(Record):
    """Everything that the page and the tables of a comparison of two models show."""

    schema_version: Literal["1"] = "1"
    kind: Literal["models"] = "models"
    created: datetime
    runs: tuple[ComparedRun, ComparedRun]  # A, B
    method: str  # whose hits are tested and shown
    differences: tuple[ModelDifference, ...]
    answers: tuple[MarginAnswer, ...]
    protocol_sha256: str | None = None
    planned: bool = False  # both runs' logs name the protocol before their first result
    multiplicity: Literal["holm", "none"] = "none"
    changed: tuple[ChangedPhrase, ...] = ()
    settings: tuple[SettingDifference, ...] = ()
    studies: int  # in both runs
    changed_studies: tuple[int, int]  # with a phrase won, and with a phrase lost
    phrases: int  # in both runs
    patients: int
    intervals: str
    phantom_images: bool
    patient_data_shown: bool

    @property
    def shows_phantoms(self) -> bool:
        """Whether images or a model are of phantoms, so that nothing is said about patients."""
        return self.phantom_images or any(run.model.is_phantom for run in self.runs)
