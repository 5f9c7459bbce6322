"""Drafts a plan from a request: assumptions from pilots and stated values, sizes, a table, and the protocol."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from audit.configuration import describe_error, flag_of
from audit.planning import DEFAULT_MARGINS
from audit.planning.pilot import Pilot, read_pilot
from audit.planning.protocol import as_toml, fault_of_protocol
from audit.planning.sizes import Assumptions, PlannedRow, SamplePlan, plan_sizes
from pipelines.errors import AuditError
from reports.protocol_record import (
    MULTIPLICITY,
    NonInferiorityQuestion,
    PrecisionQuestion,
    Protocol,
    Question,
    StopRule,
    SubgroupQuestion,
    SuperiorityQuestion,
)
from reports.texts import counted
from reports.writing import write_text_atomically

__all__ = ["AuditPlan", "PlanRequest", "draft_plan", "write_protocol"]

_DETECTS = {
    "precision": "half-width",
    "superiority": "difference",
    "non-inferiority": "margin",
    "subgroup gap": "gap",
}
_HEAD = ("question", "patients", "studies", "phrases", "power at hand", "detectable at hand")
_STOP_AFTER = 2  # audits in a row


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What is to be planned."""

    pilots: tuple[Path, ...] = ()  # folders of runs, of one model or of models A and B
    method: str | None = None  # None: the main method of the pilot
    margins: Mapping[str, float | None] = field(default_factory=dict)
    """By kind of question; all None: every question, but no comparison of models if one model is named."""
    subgroup: str = "sex=female"
    assume: tuple[str, ...] = ()  # KEY=VALUE
    patients: int | None = None  # at hand; None: those of the pilot
    alpha: float = 0.05
    power: float = 0.8
    multiplicity: MULTIPLICITY = "holm"
    models: tuple[str, ...] = ()  # folders or known names, for the protocol: A, B and so on


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPlan:
    """A plan with the origin of its assumptions."""

    sizes: SamplePlan
    method: str
    pilot: Pilot | None
    stated: frozenset[str]  # names of the assumptions that were stated
    models: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def origin(self, name: str) -> str:
        """Return where an assumption comes from."""
        if name in self.stated:
            return "stated"
        return "pilot" if self.pilot is not None and name in self.pilot.measured else "default"

    def as_text(self) -> str:
        """Format the assumptions and the table for a terminal."""
        return "\n".join([*self._assumed(), "", *self._levels(), "", *self._table()])

    def as_json(self) -> str:
        """Format everything as JSON; shares are 0 to 1."""
        sizes = self.sizes
        return json.dumps(
            {
                "method": self.method,
                "alpha": sizes.alpha,
                "tested_at": sizes.tested_at,
                "power": sizes.power,
                "multiplicity": sizes.multiplicity,
                "patients_at_hand": sizes.at_hand,
                "assumptions": {
                    name: {"value": value, "from": self.origin(name)}
                    for name, value in sizes.assumptions.model_dump().items()
                },
                "questions": [
                    {
                        **row.question.model_dump(mode="json"),
                        "power_at_hand": row.power_at_hand,
                        "detectable_at_hand": row.detectable,
                    }
                    for row in sizes.rows
                ],
            },
            indent=1,
        )

    def _assumed(self) -> Iterator[str]:
        if self.pilot is not None:
            found = self.pilot
            against = "" if found.blind is None else f"; best blind map: {found.blind}"
            phrases, studies = counted("scored_phrase", found.phrases), counted("study", found.studies)
            yield f"Pilot: {phrases}, {studies}, {counted('patient', found.patients)}{against}"
        yield "Assumed (change with --assume KEY=VALUE):"
        fields = Assumptions.model_fields
        names = [name for name, value in self.sizes.assumptions.model_dump().items() if value is not None]
        for name in names:
            value = getattr(self.sizes.assumptions, name)
            yield f"  {flag_of(name):<20}{value:>6.3g}  {self.origin(name):<8} {fields[name].description}"

    def _levels(self) -> Iterator[str]:
        sizes = self.sizes
        tested = f", each tested question at {sizes.tested_at:.3g} (Holm)" if sizes.tested_at < sizes.alpha else ""
        yield f"Method {self.method}; alpha {sizes.alpha:g}, two-sided{tested}; power {sizes.power:g}"

    def _table(self) -> Iterator[str]:
        lines = [_HEAD, *(_cells(row) for row in self.sizes.rows)]
        if self.sizes.at_hand is None:
            lines = [line[:4] for line in lines]
        widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
        for line in lines:
            cells = zip(line, widths, strict=True)
            yield "  ".join(
                cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(cells)
            ).rstrip()
        if self.sizes.at_hand is not None:
            yield ""
            yield f"At hand: {counted('patient', self.sizes.at_hand)}"
        if any(row.question.size is None for row in self.sizes.rows):
            yield ""
            yield "none: the expected difference is not beyond the margin, so no number of patients can show it"


def _cells(row: PlannedRow) -> tuple[str, ...]:
    question = row.question
    size = ("none",) * 3 if question.size is None else [f"{n:,}" for n in question.size.model_dump().values()]
    power = "–" if row.power_at_hand is None else f"{100.0 * row.power_at_hand:.0f} %"
    least = "none" if row.detectable is None else f"{_DETECTS[question.kind]} {100.0 * row.detectable:.1f} points"
    return (_in_words(question), *size, power, least)


def _in_words(question: Question) -> str:
    if isinstance(question, PrecisionQuestion):
        return f"precision: interval of ± {100.0 * question.half_width:g} points"
    points = f"{100.0 * question.margin:g} points"
    if isinstance(question, SuperiorityQuestion):
        return f"superiority over the best blind map by more than {points}"
    if isinstance(question, NonInferiorityQuestion):
        return f"non-inferiority of model {question.model} to {question.compared_with}, margin {points}"
    return f"gap of {points} between {question.attribute} {question.group} and the others"


def draft_plan(request: PlanRequest) -> AuditPlan:
    """Compute the sizes of a request.

    Raises:
        AuditError: an assumption is unknown or does not fit, or a pilot cannot be read.
    """
    attribute, separator, group = request.subgroup.partition("=")
    if not separator or not group:
        raise AuditError(f"--subgroup {request.subgroup}: give ATTRIBUTE=VALUE, for example sex=female")
    pilot = None
    if request.pilots:
        first, *others = request.pilots
        other = others[0] if others else None
        pilot = read_pilot(first, method=request.method, subgroup=(attribute, group), other=other)
    stated = _stated(request.assume)
    try:
        assumed = Assumptions.model_validate({**(pilot.measured if pilot else {}), **stated})
        questions = _questions(_asked(request), attribute, group)
    except ValidationError as error:
        raise AuditError(f"plan: {describe_error(error)}") from error
    sizes = plan_sizes(
        questions,
        assumed,
        alpha=request.alpha,
        power=request.power,
        multiplicity=request.multiplicity,
        at_hand=request.patients or (pilot.patients if pilot else None),
    )
    method = request.method or (pilot.method if pilot else "m2ib")
    return AuditPlan(
        sizes=sizes,
        method=method,
        pilot=pilot,
        stated=frozenset(stated),
        models=request.models,
        notes=pilot.notes if pilot else (),
    )


def _asked(request: PlanRequest) -> Mapping[str, float]:
    given = {kind: margin for kind, margin in request.margins.items() if margin is not None}
    alone = len(request.models) == 1
    return given or {kind: each for kind, each in DEFAULT_MARGINS.items() if not (alone and kind == "non-inferiority")}


def _stated(texts: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        name = key.strip().replace("-", "_")
        if name not in Assumptions.model_fields or not separator:
            keys = ", ".join(map(flag_of, Assumptions.model_fields))
            raise AuditError(f"--assume {text}: give KEY=VALUE with one of the keys {keys}")
        try:
            found[name] = float(value)
        except ValueError as error:
            raise AuditError(f"--assume {text}: {value!r} is not a number") from error
    return found


def _questions(margins: Mapping[str, float], attribute: str, group: str) -> tuple[Question, ...]:
    made: dict[str, Question] = {}
    for kind, value in margins.items():
        if kind == "precision":
            made[kind] = PrecisionQuestion(kind=kind, name="hit rate", half_width=value)
        elif kind == "superiority":
            made[kind] = SuperiorityQuestion(kind=kind, name="above blind maps", margin=value)
        elif kind == "non-inferiority":
            made[kind] = NonInferiorityQuestion(kind=kind, name="B not inferior to A", margin=value)
        else:
            fields = {"kind": "subgroup gap", "name": "subgroup gap", "attribute": attribute, "group": group}
            made[kind] = SubgroupQuestion.model_validate({**fields, "margin": value})
    return tuple(made[kind] for kind in DEFAULT_MARGINS if kind in made)


def write_protocol(path: Path, plan: AuditPlan) -> None:
    """Write the protocol of a plan as a TOML file; a file that exists is never replaced.

    Args:
        path: of the file.
        plan: its questions become those of the protocol, and the checksums of its models get the names A, B and so on.

    Raises:
        AuditError: the file exists, a model has no files here, or a value does not fit.
        OutputError: the file cannot be written.
    """
    if path.exists():
        raise AuditError(f"--protocol-out {path} exists: name a new file, because a protocol is never replaced")
    sizes = plan.sizes
    if len(plan.models) > 26:
        raise AuditError("--models: at most 26 models have a name")
    try:
        protocol = Protocol(
            method=plan.method,
            alpha=sizes.alpha,
            power=sizes.power,
            multiplicity=sizes.multiplicity,
            models={chr(ord("A") + place): _weights_checksum(name) for place, name in enumerate(plan.models)},
            questions=tuple(row.question for row in sizes.rows),
            monitoring=StopRule(
                metric="hit rate",
                alarm="below",
                limit=round(sizes.assumptions.blind_rate, 3),
                audits_in_a_row=_STOP_AFTER,
            ),
        )
    except ValidationError as error:
        raise AuditError(f"--protocol-out {path}: {fault_of_protocol(error)}") from error
    write_text_atomically(path, as_toml(protocol))


def _weights_checksum(name: str) -> str:
    from audit.encoders.catalogue import info_of  # noqa: PLC0415 - torch, for this alone
    from audit.encoders.loading import family_of, model_folder  # noqa: PLC0415 - torch, for this alone

    folder = model_folder(name)
    return info_of(name, folder, family_of(folder)).sha256
