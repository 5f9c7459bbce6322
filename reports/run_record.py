"""The content of ``run.json``: the settings, summaries and verdicts of a cohort, and the exclusions."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from reports.protocol_record import Protocol
from reports.record import SCHEMA_VERSION, ModelRecord, Record, Scalar

__all__ = [
    "AbsenceTest",
    "ConfigValue",
    "ControlSummary",
    "CosineTest",
    "DoneAgain",
    "Estimate",
    "EvidenceRecord",
    "FailureRecord",
    "HistoryRecord",
    "PhraseTest",
    "PlannedAnswer",
    "ProtocolRecord",
    "RunRecord",
    "ScoreDifference",
    "ScoreSummary",
    "StageSeconds",
    "StepOutcome",
    "SubgroupGap",
    "SubgroupSummary",
    "VerdictRecord",
    "VerdictStep",
    "VerdictTest",
    "VerdictWord",
]


class ScoreDifference(Record):
    """A method's score minus a reference's on the same cases, with its paired 95 % interval over patients."""

    reference: str  # "random", "centre", "class-mean box", "words-only prior", "another reader"
    estimate: float
    low: float
    high: float
    scored: int  # cases where both were scored
    patients: int


class ScoreSummary(Record):
    """One score over the cohort, with its 95 % interval over patients."""

    method: str
    score: str
    finding: str | None  # None: all phrases (micro)
    averaging: Literal["micro", "macro"]
    estimate: float | None  # None where no phrase could be scored
    low: float | None
    high: float | None
    scored: int
    unscored: int
    patients: int
    differences: tuple[ScoreDifference, ...] = ()  # to each reference; a reference itself has none


class Estimate(Record):
    """A mean with its 95 % interval over patients."""

    estimate: float
    low: float
    high: float
    cases: int
    patients: int


class CosineTest(Record):
    """One test of the model's cosines, without heat, over the cohort or over the phrases of one finding."""

    kind: Literal["recognition", "reliance", "absence"]
    test: str  # a name of the score catalogue, or "recall of reports at 5"
    finding: str | None  # None: all phrases
    result: Estimate  # reliance: in standard deviations of a phrase's cosines over the cohort's images
    chance: float  # expected of a model that does not look at the image


class PhraseTest(Record):
    """Recognition of one phrase, as its study's page shows it."""

    percentile: float | None = None
    images: int | None = None  # of other patients without the finding, which the percentile compares with
    beats_negation: float | None = None
    beats_other_side: float | None = None


class AbsenceTest(Record):
    """The rank of an image without a finding among other patients' images that have it."""

    percentile: float | None = None  # share of them with a higher cosine with the assertion; None: there is none
    images: int = 0  # number of them


class ControlSummary(Record):
    """The effect of one control on one method's heat, over the sampled phrases."""

    method: str
    control: str
    phrases: int
    pearson: Estimate | None  # of the heat with the original's; None where no pair of maps could be compared
    hit: Estimate | None  # share of hits on the phrases' own boxes, under the control; None without boxes
    hit_fall: Estimate | None  # share of hits without the control minus with it, on the same phrases
    cosine_change: Estimate  # with the control minus without


class SubgroupGap(Record):
    """A subgroup's share of hits minus that of the other phrases, with its 95 % interval and tests against 0."""

    estimate: float
    low: float
    high: float
    p: float  # two-sided
    p_holm: float  # adjusted for all tests of the table: for conclusions
    p_bh: float  # adjusted by Benjamini and Hochberg: for exploring
    tests: int  # in the table, of this method
    detectable: float  # smallest gap that such a cohort detects with a probability of 80 %, after Holm


class SubgroupSummary(Record):
    """The pointing game of one method in one subgroup, with the best content-blind map there."""

    attribute: str  # "view", "sex", "age", "manufacturer", "photometric interpretation", "finding" or "box size"
    value: str
    method: str
    score: str
    estimate: float
    low: float
    high: float
    scored: int  # phrases
    patients: int
    blind: float | None  # that map's share of hits on the same phrases; None where no map was scored
    difference: ScoreDifference | None  # to that map
    gap: SubgroupGap | None = None  # to the other phrases; None: too few, not known, or a run of an older version


VerdictWord = Literal[
    "grounded",
    "ignores the image",
    "looks at the marker",
    "looks by habit",
    "not better than a blind map",
    "does not depend on the words",
    "right answer, wrong place",
    "too few cases to say",
]

VerdictTest = Literal[
    "cases",
    "recognition",
    "blank image",
    "marker",
    "fixed place",
    "blind map",
    "mean heat",
    "words",
    "reliance",
]

StepOutcome = Literal["passed", "failed", "too few cases", "not asked"]


class VerdictStep(Record):
    """One test of the rule of a verdict: its figure, the limit for the figure, and the outcome."""

    test: VerdictTest
    figure: Estimate | None  # compared with the limit as the rule states; None if not asked. Shares are 0 to 1
    limit: float | None
    reference: str | None = None  # what a difference is to: the best content-blind map, or a method's mean heat
    outcome: StepOutcome
    decides: bool = False  # True for the test that the verdict follows from, unless it is "grounded"
    sentence: str


class VerdictRecord(Record):
    """The verdict on one method for one model, and the rule behind it."""

    method: str
    verdict: VerdictWord
    because: tuple[str, ...]  # the tests in the order of the rule, with their figures, up to the one that decides
    rule: str
    steps: tuple[VerdictStep, ...] = ()  # every test, in the order of the rule; empty in runs of older versions
    action: str = ""  # what the reader should do, in one sentence; empty in runs of older versions


class EvidenceRecord(Record):
    """Whether total heat separates a report's phrases from those of other patients' reports."""

    method: str
    unit: str
    floor: float  # median total of the shuffled reports' heat: a phrase below it has no more than a wrong one
    exceeds: Estimate  # share of phrases whose total is above that of the shuffled report on the same image
    tells: bool  # whether the share is above one half beyond its interval; if not, the floor marks no phrase
    scale: float  # 99th percentile of the phrases' peaks: the top of one colour scale over all studies


class FailureRecord(Record):
    """A file, report or box that was excluded, and why."""

    source: str  # path relative to the folder handed in, or its salted key unless --show-phi
    stage: str
    reason: str
    failed: bool  # False: left out by rule


class StageSeconds(Record):
    """Time spent in one stage of the run, summed over studies."""

    stage: str
    seconds: float


class DoneAgain(Record):
    """Studies that were audited again although OUT contained them, and why."""

    because: tuple[str, ...]
    rescored: bool  # stored heat was scored again, and the model not asked
    studies: tuple[str, ...]  # keys


class HistoryRecord(Record):
    """What a run found in OUT, and what it did with it."""

    done_before: int  # studies
    failed_before: int  # studies that were not tried again
    done_again: tuple[DoneAgain, ...]
    set_aside: tuple[str, ...]  # keys of studies that are no part of this run and lie in the folder "set-aside"


AnswerWord = Literal[
    "answered",
    "less precise than planned",
    "shown",
    "not shown",
    "gap found",
    "no gap as large as the margin",
    "undecided",
    "not answered",
]

NoAnswer = Literal["no scored phrase", "no blind map", "needs two models", "too few patients"]


class PlannedAnswer(Record):
    """The answer to one question of the protocol."""

    question: str  # its name in the protocol
    outcome: AnswerWord
    estimate: Estimate | None = None  # hit rate or difference, with its interval of level 1 - alpha
    p: float | None = None  # two-sided, adjusted as the protocol says; None for precision
    reference: str | None = None  # the best content-blind map, of which the estimate is a difference
    reason: NoAnswer | None = None  # why there is no answer


class ProtocolRecord(Record):
    """The protocol that a run was given, and the answers to its questions."""

    sha256: str  # of the file
    content: Protocol
    before_results: bool  # the audit log names it before the first result of any run in this folder
    own_boxes: bool = True  # False while the run is scored against boxes of another file
    answers: tuple[PlannedAnswer, ...] = ()  # in the order of the questions


ConfigValue = bool | int | float | str | tuple[str, ...] | dict[str, dict[str, int | float | str]]
"""A setting as the configuration file has it; hyperparameters are by method."""


class RunRecord(Record):
    """The content of ``run.json``: everything that the cohort page shows in addition to the studies' records."""

    schema_version: Literal["1"] = SCHEMA_VERSION
    created: datetime
    finished: datetime
    rescored: datetime | None = None  # when stored heat was last scored again
    model: ModelRecord
    method: str
    settings: dict[str, Scalar]
    method_settings: dict[str, dict[str, Scalar]] = Field(default_factory=dict)  # by method, as ``--set`` names them
    seed: int
    device: str
    software: dict[str, str]
    phantom_images: bool
    patient_data_shown: bool
    not_done: int = 0  # studies that are still to be audited: the run was interrupted, or limited
    history: HistoryRecord | None = None  # None in runs of older versions
    counts: dict[str, int]  # "files", "studies", "audited", "failed", "left out", "images", "phrases", "boxes", ...
    timings: tuple[StageSeconds, ...]
    config: dict[str, dict[str, ConfigValue]] = Field(default_factory=dict)  # as `--config` reads it; empty in 0.1.0
    added_wordings: tuple[tuple[str, str], ...] = ()  # finding and wording, of the file of `--findings`
    files: dict[str, str] | None = None  # SHA-256 of the tables beside it; None in runs of version 0.1.0
    seal: str | None = None  # as a study's; None in runs of version 0.1.0
    intervals: str = "95 % percentile bootstrap over patients"  # what they are; the default is that of version 0.1.0
    summaries: tuple[ScoreSummary, ...]
    controls: tuple[ControlSummary, ...] = ()
    protocol: ProtocolRecord | None = None  # None for a run without one
    verdicts: tuple[VerdictRecord, ...] = ()  # one a method
    evidence: tuple[EvidenceRecord, ...] = ()  # one a method whose controls were run
    subgroups: tuple[SubgroupSummary, ...] = ()
    cosine_tests: tuple[CosineTest, ...] = ()  # recognition and reliance; empty in runs of older versions
    cosine_sd: float | None = None  # standard deviation of a phrase's cosines over the cohort's images
    recognised: dict[str, tuple[PhraseTest, ...]] = Field(default_factory=dict)  # by key of the image, by phrase
    absence: dict[str, dict[str, AbsenceTest]] = Field(default_factory=dict)  # by key of the image, by finding
    failures: tuple[FailureRecord, ...]
    own_failures: tuple[FailureRecord, ...] | None = None
    """What the run listed, while it is scored against the boxes of another file, whose failures stand in its place"""
