"""The questions of an audit as planned, as the file of the protocol and ``run.json`` have them.

The description of a field is its comment in the file that ``m2ib-audit plan --protocol-out`` writes.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from reports.record import Record

__all__ = [
    "MULTIPLICITY",
    "NonInferiorityQuestion",
    "PlannedSize",
    "PrecisionQuestion",
    "Protocol",
    "Question",
    "StopRule",
    "SubgroupQuestion",
    "SuperiorityQuestion",
]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")]
Checksum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Attribute = Literal["view", "sex", "age", "manufacturer", "photometric interpretation", "finding"]

MULTIPLICITY = Literal["holm", "none"]


class PlannedSize(Record):
    """How many cases a question needs."""

    patients: int = Field(ge=2, description="Patients with at least one study with boxes.")
    studies: int = Field(ge=1, description="Their studies with boxes.")
    phrases: int = Field(ge=1, description="Phrases of these studies that have a box.")


class _Planned(Record):
    """What every question has."""

    name: Name = Field(description="Name of the question in run.json and on the page; each question has its own.")
    size: PlannedSize | None = Field(default=None, description="Planned size.")


class PrecisionQuestion(_Planned):
    """How large is the hit rate, with a given precision?"""

    kind: Literal["precision"]
    half_width: float = Field(
        gt=0, lt=0.5, description="Largest half-width of the interval of the hit rate, as a share."
    )


class SuperiorityQuestion(_Planned):
    """Is the hit rate above that of every content-blind map on the same phrases?"""

    kind: Literal["superiority"]
    margin: float = Field(
        ge=0,
        lt=1,
        description="Superiority is shown if the lower end of the difference to each content-blind map is above this.",
    )


class NonInferiorityQuestion(_Planned):
    """Is the hit rate of a model at most the margin below that of another model on the same phrases?"""

    kind: Literal["non-inferiority"]
    margin: float = Field(
        gt=0,
        lt=1,
        description="Non-inferiority is shown if the lower end of the difference of the models is above minus this.",
    )
    model: Name = Field(default="B", description="Name under [models] of the model that is to be not inferior.")
    compared_with: Name = Field(default="A", description="Name under [models] of the model that it is compared with.")


class SubgroupQuestion(_Planned):
    """Does the hit rate of a subgroup differ from that of the other phrases?"""

    kind: Literal["subgroup gap"]
    attribute: Attribute = Field(description="What the subgroup is defined by, as in the page's table of subgroups.")
    group: str = Field(min_length=1, max_length=64, description="Its value, as in that table.")
    margin: float = Field(
        gt=0, lt=1, description="Gap that matters: smaller ones are excluded if the interval is within plus/minus this."
    )


Question = Annotated[
    PrecisionQuestion | SuperiorityQuestion | NonInferiorityQuestion | SubgroupQuestion, Field(discriminator="kind")
]


class StopRule(Record):
    """When monitoring stops the use of the model."""

    metric: Literal["hit rate", "recognition", "reliance", "share on markers"] = Field(
        description="Figure that is watched: hit rate, recognition, reliance or share on markers."
    )
    alarm: Literal["below", "above"] = Field(description="Side of the limit that counts as an alarm: below or above.")
    limit: float = Field(description="Limit of the figure.")
    audits_in_a_row: int = Field(ge=1, description="Number of audits in a row with an alarm that stop the use.")


class Protocol(Record):
    """What is asked of an audit, decided before its first result."""

    version: Literal[1] = Field(default=1, description="Version of this format.")
    method: Name = Field(description="Attribution method whose hits are counted.")
    alpha: float = Field(
        gt=0,
        le=0.5,
        description="Two-sided error rate; intervals have the level 1 - alpha. Superiority and non-inferiority use one "
        "end of the interval, so each errs in at most alpha / 2.",
    )
    power: float = Field(ge=0.5, lt=1, description="Probability to answer a question that the sizes were planned for.")
    multiplicity: MULTIPLICITY = Field(
        description="holm: the p-values of the tested questions (all but precision) are adjusted for their number, so "
        "that alpha holds for all of them together; none: each is tested at alpha."
    )
    models: dict[Name, Checksum] = Field(
        default_factory=dict,
        description="SHA-256 of the weights of each model, as run.json has it. A run refuses other models; without any "
        "model here it accepts all.",
    )
    questions: tuple[Question, ...] = Field(min_length=1, max_length=50)
    monitoring: StopRule | None = Field(default=None, description="Stop rule of `m2ib-audit watch`.")

    @model_validator(mode="after")
    def _is_consistent(self) -> "Protocol":
        names = [question.name for question in self.questions]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two questions are named {twice!r}: give each its own name")
        for question in self.questions:
            if isinstance(question, NonInferiorityQuestion):
                if question.model == question.compared_with:
                    raise ValueError(f"question {question.name!r} compares a model with itself")
                for name in (question.model, question.compared_with):
                    if self.models and name not in self.models:
                        raise ValueError(f"question {question.name!r} names model {name!r}, which is not in [models]")
        return self
