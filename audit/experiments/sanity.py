"""The experiment ``sanity``: whether a method's heat changes while the model is randomised block by block.

Source: Adebayo et al. 2018, "Sanity checks for saliency maps" (cascading randomization); see
:mod:`audit.faithfulness.cascade`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, Field

from audit.attribution.methods import build_method, check_fit, chosen_methods, numbers_by_method
from audit.configuration import CohortConfig
from audit.controls.plan import ControlPlan
from audit.execution.prepare import Progress, load_model
from audit.experiments.experiment_inputs import open_inputs
from audit.faithfulness.cascade import PairSimilarity, TowerName, randomised, similarity
from audit.metrics.statistics import Interval, patient_interval
from audit.pipeline.explain import ExplainedCase, ExplainedStudy, Explainer
from audit.pipeline.load import LoadedStudy, loaded_studies
from audit.privacy.messages import Message
from audit.privacy.pseudonyms import Pseudonyms, load_salt
from pipelines.errors import AuditError
from pipelines.quoting import counted
from pipelines.study import Study

__all__ = ["Sanity", "SanityConfig", "SanityLine", "check_sanity"]

_LEAST_PATIENTS = 2  # one patient gives no information about the spread between patients
_MEASURES = ("spearman", "ssim", "words_spearman", "cosine")


def _towers_of(given: object) -> object:
    return tuple(TowerName) if given == "both" else (given,) if isinstance(given, str) else given


class SanityConfig(CohortConfig):
    """The configuration of one ``m2ib-audit sanity``; it takes one method."""

    towers: Annotated[tuple[TowerName, ...], BeforeValidator(_towers_of)] = tuple(TowerName)  # one, or "both"
    phrases: int = Field(default=20, ge=1)  # drawn by the seed, those with boxes first


@dataclass(frozen=True, slots=True, kw_only=True)
class SanityLine:
    """One tower with a number of randomised blocks; each measure with its 95 % interval over patients."""

    tower: TowerName
    blocks: int
    of: int  # blocks that the tower has
    spearman: Interval | None  # of the image heat with the trained model's; None where none could be compared
    ssim: Interval | None
    words_spearman: Interval | None
    cosine: Interval | None  # of image and phrase: what the model itself still knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Sanity:
    """The result of the check."""

    method: str
    model: str
    pairs: int
    seed: int
    lines: tuple[SanityLine, ...]
    messages: tuple[Message, ...] = ()  # what there is to correct, for a terminal

    def __str__(self) -> str:
        head = (
            f"{self.method} on {self.model}, {counted(self.pairs, 'phrase')}, seed {self.seed}: similarity of the heat "
            "to that of the trained model while blocks are randomised from the top\n"
            "For a method that explains the model it falls towards 0. 95 % intervals over patients"
        )
        titles = ("image heat, Spearman", "image heat, SSIM", "word heat, Spearman", "cosine")
        rows = [f"{'tower':<7}{'random':>8}  " + "".join(f"{title:<26}" for title in titles)]
        for line in self.lines:
            values = "".join(f"{_format(getattr(line, name)):<26}" for name in _MEASURES)
            rows.append(f"{line.tower.value:<7}{f'{line.blocks} of {line.of}':>8}  {values}")
        return "\n".join([head, "", *(row.rstrip() for row in rows)])


def _format(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    if interval.patients < _LEAST_PATIENTS:
        return f"{interval.estimate:.2f} [too few patients]"
    return f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def check_sanity(config: SanityConfig, *, progress: Progress = lambda _stage, _done, _total: None) -> Sanity:
    """Explain a sample of a cohort's phrases while more and more blocks of each tower are randomised.

    Raises:
        AuditError: the method is unknown, it or a tower does not fit the model, or there is nothing to explain.
    """
    names = chosen_methods(config.method.method)
    if len(names) > 1:
        raise AuditError(f"--method {','.join(names)}: sanity takes one method")
    (method,) = (
        build_method(name, numbers) for name, numbers in numbers_by_method(names, config.method.hyperparameters).items()
    )
    encoder, device = load_model(config.model)
    check_fit(method, encoder)
    keys, seed = Pseudonyms(load_salt()), config.method.seed
    explainer = Explainer(encoder=encoder, methods=(method,), device=device, keys=keys, seed=seed)
    with open_inputs(config, progress=progress) as cohort:
        studies = cohort.inputs.studies
        sampled = _sampled(studies, ControlPlan(studies, sample=config.phrases, seed=seed))
        loaded = list(loaded_studies(sampled, encoder, explainer.clock, workers=0))
        messages = cohort.messages(
            [*cohort.inputs.left_out, *(item for study in loaded for item in study.left_out)], keys
        )
    pairs = sum(study.pairs for study in loaded)
    if not pairs:
        raise AuditError(
            f"{cohort.folders[0]}: no image of the sample could be read; see the failures that `m2ib-audit run` lists"
        )
    trained = _explained(explainer, loaded)
    return Sanity(
        method=method.name,
        model=config.model.model,
        pairs=pairs,
        seed=seed,
        lines=tuple(line for tower in config.towers for line in _lines(tower, explainer, loaded, trained, progress)),
        messages=messages,
    )


def _sampled(studies: Sequence[Study], sample: ControlPlan) -> list[Study]:
    """Keep the phrases of a sample, and the studies and images that have any."""
    kept = []
    for study in studies:
        cases = tuple(
            replace(case, phrases=tuple(case.phrases[index] for index in sample.indices(case)), targets=None)
            for case in study.cases
            if sample.indices(case)
        )
        kept += [replace(study, cases=cases)] if cases else []
    return kept


def _lines(
    tower: TowerName,
    explainer: Explainer,
    loaded: Sequence[LoadedStudy],
    trained: Sequence[ExplainedStudy],
    progress: Progress,
) -> Iterator[SanityLine]:
    """Explain the studies again with more and more random blocks; the seeds of the pairs, and so their noise, stay."""
    encoder = explainer.encoder
    depth = (encoder.image if tower is TowerName.IMAGE else encoder.text).depth
    stage = f"Randomising the {tower.value} tower"
    progress(stage, 0, depth)
    for blocks in range(1, depth + 1):
        model = randomised(encoder, tower, blocks=blocks, seed=explainer.seed)
        found = _explained(replace(explainer, encoder=model), loaded)
        similarities = [
            (patient, pair)
            for study, other in zip(trained, found, strict=True)
            for before, after in zip(study.cases, other.cases, strict=True)
            for patient, pair in _compared(before, after)
        ]
        measures = {name: _interval(similarities, name) for name in _MEASURES}
        yield SanityLine(tower=tower, blocks=blocks, of=depth, **measures)
        progress(stage, blocks, depth)


def _explained(explainer: Explainer, loaded: Sequence[LoadedStudy]) -> list[ExplainedStudy]:
    """Explain every study.

    Raises:
        AuditError: a study could not be explained: a line over other pairs could not be compared with the others.
    """
    found = list(explainer.explained(loaded))
    for before, study in zip(loaded, found, strict=True):
        if len(study.cases) < len(before.cases):
            raise AuditError(f"the check of sanity cannot go on: {study.left_out[-1].reason}")
    return found


def _compared(before: ExplainedCase, after: ExplainedCase) -> Iterator[tuple[str, PairSimilarity]]:
    """Yield for each pair of an image its patient, and how similar its heat still is."""
    image = before.loaded.case.image
    for trained, found in zip(before.explanations[0], after.explanations[0], strict=True):
        yield image.patient_id or image.study_instance_uid, similarity(trained, found)


def _interval(similarities: Sequence[tuple[str, PairSimilarity]], name: str) -> Interval | None:
    measured = [(patient, value) for patient, pair in similarities if (value := getattr(pair, name)) is not None]
    if not measured:
        return None
    return patient_interval(
        np.array([value for _, value in measured], dtype=float), [patient for patient, _ in measured]
    )
