"""How many patients, studies and phrases the questions need, and what a given number of patients can detect."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from pydantic import Field

from audit.planning.clustering import Clustering
from audit.planning.power import Design, gap_power, paired_power, precision_power
from reports.protocol_record import (
    MULTIPLICITY,
    NonInferiorityQuestion,
    PlannedSize,
    PrecisionQuestion,
    Question,
    SubgroupQuestion,
    SuperiorityQuestion,
)
from reports.record import Record

__all__ = ["Assumptions", "PlannedRow", "SamplePlan", "plan_sizes", "power_of"]

_MOST_PATIENTS = 1 << 24
_PRECISE = 1e-4  # of a detectable difference


class Assumptions(Record):
    """What the sizes rest on; rates are shares of phrases with a box.

    A discordance that is not known is that of independent hits, and a correlation of differences that of hits.
    """

    rate: float = Field(default=0.5, gt=0, lt=1, description="hit rate of the model")
    blind_rate: float = Field(default=0.4, ge=0, lt=1, description="hit rate of the best content-blind map")
    discordance: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="phrases where only one of model and blind map hits",
    )
    model_difference: float = Field(default=0.0, gt=-1, lt=1, description="hit rate of model B minus that of model A")
    model_discordance: float | None = Field(
        default=None, gt=0, le=1, description="phrases where only one of models A and B hits"
    )
    subgroup_share: float = Field(default=0.4, gt=0, lt=1, description="patients in the subgroup")
    icc: float = Field(default=0.1, ge=0, lt=1, description="correlation of the hits of a patient")
    discordance_icc: float | None = Field(
        default=None, ge=0, lt=1, description="the same of differences to the blind map"
    )
    model_icc: float | None = Field(default=None, ge=0, lt=1, description="the same of differences of the models")
    phrases_per_study: float = Field(default=1.5, ge=1, description="phrases with a box per study with boxes")
    studies_per_patient: float = Field(default=1.1, ge=1, description="studies with boxes per patient")
    variation: float = Field(
        default=0.5, ge=0, description="standard deviation of the phrases per patient, divided by their mean"
    )

    def design(self, patients: float, *, level: float, icc: float | None = None) -> Design:
        """Return a cohort of this many patients."""
        clustering = Clustering(
            correlation=self.icc if icc is None else icc,
            phrases_per_patient=self.phrases_per_study * self.studies_per_patient,
            variation=self.variation,
        )
        return Design(patients=patients, clustering=clustering, level=level)

    def size(self, patients: int) -> PlannedSize:
        """Return the expected number of studies and phrases of this many patients."""
        studies = patients * self.studies_per_patient
        return PlannedSize(patients=patients, studies=ceil(studies), phrases=ceil(studies * self.phrases_per_study))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """One question with its size, and what the patients at hand say of it."""

    question: Question  # with its size
    power_at_hand: float | None = None
    detectable: float | None = None  # smallest half-width, difference, margin or gap at the planned power


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePlan:
    """The sizes of all questions."""

    assumptions: Assumptions
    alpha: float
    tested_at: float  # alpha of each tested question in the sizes: divided by their number under Holm
    power: float
    multiplicity: MULTIPLICITY
    at_hand: int | None  # patients
    rows: tuple[PlannedRow, ...]


def plan_sizes(
    questions: Sequence[Question],
    assumptions: Assumptions,
    *,
    alpha: float,
    power: float,
    multiplicity: MULTIPLICITY,
    at_hand: int | None = None,
) -> SamplePlan:
    """Compute the size of each question, and what ``at_hand`` patients can detect.

    Under Holm's rule the sizes assume the strictest level, alpha divided by the number of tested questions: the power
    then holds whatever the other questions find.
    """
    tested = sum(not isinstance(question, PrecisionQuestion) for question in questions)
    strict = alpha / max(tested, 1) if multiplicity == "holm" else alpha
    rows = []
    given = at_hand or 0
    for question in questions:
        level = 1.0 - (alpha if isinstance(question, PrecisionQuestion) else strict)
        needed = _required_patients(question, assumptions, level=level, power=power)
        size = None if needed is None else assumptions.size(needed)
        rows.append(
            PlannedRow(
                question=question.model_copy(update={"size": size}),
                power_at_hand=power_of(question, assumptions, given, level=level) if given > 1 else None,
                detectable=_detectable(question, assumptions, given, level=level, power=power) if given > 1 else None,
            )
        )
    return SamplePlan(
        assumptions=assumptions,
        alpha=alpha,
        tested_at=strict,
        power=power,
        multiplicity=multiplicity,
        at_hand=at_hand,
        rows=tuple(rows),
    )


def power_of(question: Question, given: Assumptions, patients: float, *, level: float) -> float:
    """Return the probability that a cohort answers a question if the assumptions hold."""
    if isinstance(question, PrecisionQuestion):
        return precision_power(given.design(patients, level=level), rate=given.rate, half_width=question.half_width)
    if isinstance(question, SuperiorityQuestion):
        return paired_power(
            given.design(patients, level=level, icc=given.discordance_icc),
            difference=given.rate - given.blind_rate,
            discordance=given.discordance or _by_chance(given.rate, given.blind_rate),
            limit=question.margin,
        )
    if isinstance(question, NonInferiorityQuestion):
        other = min(max(given.rate + given.model_difference, 0.0), 1.0)
        return paired_power(
            given.design(patients, level=level, icc=given.model_icc),
            difference=given.model_difference,
            discordance=given.model_discordance or _by_chance(given.rate, other),
            limit=-question.margin,
        )
    gap = min(question.margin, max(given.rate, 1.0 - given.rate) - 1e-6)
    return gap_power(
        given.design(patients, level=level),
        rate=given.rate,
        gap=gap if gap < given.rate else -gap,
        share=given.subgroup_share,
    )


def _by_chance(one: float, other: float) -> float:
    return one * (1.0 - other) + other * (1.0 - one)


def _required_patients(question: Question, given: Assumptions, *, level: float, power: float) -> int | None:
    """Return the smallest number of patients with the power; None if no number has it."""
    enough = _doubled(lambda patients: power_of(question, given, patients, level=level) >= power)
    if enough is None:
        return None
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        has_power = power_of(question, given, middle, level=level) >= power
        too_few, enough = (too_few, middle) if has_power else (middle, enough)
    return enough


def _doubled(is_enough: Callable[[int], bool]) -> int | None:
    patients = 2
    while not is_enough(patients):
        patients *= 2
        if patients > _MOST_PATIENTS:
            return None
    return patients


def _detectable(question: Question, given: Assumptions, patients: int, *, level: float, power: float) -> float | None:
    """Return the smallest half-width, difference to the blind map, margin or gap that has the power; None if none."""
    low, high = 0.0, 1.0
    if isinstance(question, SuperiorityQuestion):
        low, high = question.margin, 1.0 - given.blind_rate
    elif isinstance(question, NonInferiorityQuestion):
        low = max(0.0, -given.model_difference)
    elif isinstance(question, SubgroupQuestion):
        high = max(given.rate, 1.0 - given.rate)
    else:
        high = 0.5

    def has_power(value: float) -> bool:
        varied, assumed = question, given
        if isinstance(question, SuperiorityQuestion):
            rate = min(given.blind_rate + value, 1.0 - 1e-9)
            assumed = given.model_copy(update={"rate": rate})
        elif isinstance(question, PrecisionQuestion):
            varied = question.model_copy(update={"half_width": value})
        else:
            varied = question.model_copy(update={"margin": value})
        return power_of(varied, assumed, patients, level=level) >= power

    if not has_power(high - 1e-9):
        return None
    while high - low > _PRECISE:
        middle = (low + high) / 2.0
        low, high = (low, middle) if has_power(middle) else (middle, high)
    return high
