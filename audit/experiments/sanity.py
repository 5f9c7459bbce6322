"""The experiment ``sanity``: whether the heat of a method can be trusted; see ``method_sanity``."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from audit.attribution.methods import build_method, chosen_methods, numbers_by_method, refusals
from audit.configuration import CohortConfig
from audit.controls.plan import ControlPlan
from audit.execution.prepare import Progress, load_model
from audit.experiments.baseline_tables import check_suffix
from audit.experiments.experiment_inputs import open_inputs
from audit.experiments.method_sanity import check_method, sampled
from audit.experiments.sanity_tables import as_text, write_sanity
from audit.faithfulness.cascade import TowerName
from audit.pipeline.explain import Explainer
from audit.pipeline.load import loaded_studies
from audit.privacy.messages import Message
from audit.privacy.pseudonyms import Pseudonyms, load_salt
from pipelines.errors import AuditError, ModelError
from reports.sanity_record import MethodSanity

__all__ = ["Sanity", "SanityConfig", "check_sanity"]


def _towers_of(given: object) -> object:
    return tuple(TowerName) if given == "both" else (given,) if isinstance(given, str) else given


class SanityConfig(CohortConfig):
    """The configuration of one ``m2ib-audit sanity``."""

    towers: Annotated[tuple[TowerName, ...], BeforeValidator(_towers_of)] = tuple(TowerName)  # one, or "both"
    phrases: int = Field(default=20, ge=1)  # drawn by the seed, those with boxes first
    out: Path | None = None  # a .csv or .json file


@dataclass(frozen=True, slots=True, kw_only=True)
class Sanity:
    """The result of the check."""

    model: str
    seed: int
    methods: tuple[MethodSanity, ...]
    refused: dict[str, str]  # why a method does not explain this model, by its name
    messages: tuple[Message, ...] = ()  # what there is to correct, for a terminal

    def __str__(self) -> str:
        return as_text(self.methods, model=self.model, seed=self.seed, refused=self.refused)


def check_sanity(config: SanityConfig, *, progress: Progress = lambda _stage, _done, _total: None) -> Sanity:
    """Check each method on a sample of a cohort's phrases, and write the figures to ``config.out`` if it is given.

    A method that cannot explain the model is listed with its reason and does not stop the others.

    Raises:
        AuditError: a method is unknown, no method or a tower does not fit the model, there is nothing to explain, or
            the file could not be written.
    """
    if config.out is not None:
        check_suffix(config.out)
    names = chosen_methods(config.method.method)
    numbers = numbers_by_method(names, config.method.hyperparameters)
    methods = tuple(build_method(name, numbers[name]) for name in names)
    encoder, device = load_model(config.model)
    refused = refusals(methods, encoder, device)
    if len(refused) == len(methods):
        raise ModelError(next(iter(refused.values())))
    keys, seed = Pseudonyms(load_salt()), config.method.seed
    explainer = Explainer(encoder=encoder, methods=methods, device=device, keys=keys, seed=seed)
    with open_inputs(config, progress=progress) as cohort:
        studies = cohort.inputs.studies
        chosen = sampled(studies, ControlPlan(studies, sample=config.phrases, seed=seed))
        loaded = list(loaded_studies(chosen, encoder, explainer.clock, workers=0))
        messages = cohort.messages(
            [*cohort.inputs.left_out, *(item for study in loaded for item in study.left_out)], keys
        )
    if not any(study.pairs for study in loaded):
        raise AuditError(
            f"{cohort.folders[0]}: no image of the sample could be read; see the failures that `m2ib-audit run` lists"
        )
    found = tuple(
        check_method(replace(explainer, methods=(method,)), loaded, towers=config.towers, progress=progress)
        for method in methods
        if method.name not in refused
    )
    if config.out is not None:
        write_sanity(config.out, found)
    return Sanity(model=config.model.model, seed=seed, methods=found, refused=refused, messages=messages)
