"""Sanity check on a cohort: does a method's heat change while the model is randomised block by block?

Source: Adebayo et al. 2018, "Sanity checks for saliency maps" (cascading randomization); see
:mod:`audit.faithfulness.cascade` for one step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field

from audit.attribution.engine import pair_seed
from audit.attribution.methods import build_method, check_fit, chosen_methods, numbers_by_method
from audit.attribution.pairs import Request
from audit.configuration import CohortConfig, InputsConfig
from audit.controls.plan import ControlPlan
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.execution.prepare import fit_of, pick_device
from audit.experiments.comparison import cohort_files
from audit.faithfulness.cascade import CascadeSettings, PairSimilarity, SanityStep, TowerName, cascade
from audit.machine import Stopwatch
from audit.metrics.statistics import Interval, patient_interval
from audit.pipeline.inputs import gather
from audit.pipeline.load import loaded_studies
from audit.privacy.messages import Message, messages_of
from audit.privacy.pseudonyms import Pseudonyms, load_salt
from pipelines.errors import AuditError
from pipelines.study import Exclusion

__all__ = ["Sanity", "SanityConfig", "SanityLine", "check_sanity"]

_MEASURES = ("spearman", "ssim", "words_spearman", "cosine")

Progress = Callable[[str, int, int], None]


class SanityConfig(CohortConfig):
    """The configuration of one ``m2ib-audit sanity``; it takes one method."""

    towers: tuple[TowerName, ...] = (TowerName.IMAGE, TowerName.TEXT)
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
            f"{self.method} on {self.model}, {self.pairs} phrases, seed {self.seed}: how like its own heat the heat "
            "stays while blocks turn random from the top\n"
            "a method that explains the model falls towards 0; 95 % intervals over patients"
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
    if not interval.is_bounded:
        return f"{interval.estimate:.2f} [too few patients]"
    return f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def check_sanity(config: SanityConfig, *, progress: Progress = lambda _stage, _done, _total: None) -> Sanity:
    """Explain a sample of a cohort's phrases while more and more blocks of each tower are randomised.

    Raises:
        AuditError: the method is unknown, it or a tower does not fit the model, or there is nothing to explain.
    """
    names = chosen_methods(config.method.method)
    if len(names) > 1:
        raise AuditError(f"--method {','.join(names)}: the check of sanity takes one method")
    (method,) = (
        build_method(name, numbers) for name, numbers in numbers_by_method(names, config.method.hyperparameters).items()
    )
    device = pick_device(config.model.device)
    encoder = load_encoder(config.model.model, device=device, fit=fit_of(config.model))
    check_fit(method, encoder)
    with cohort_files(config.cohort, seed=config.method.seed, progress=progress) as files:
        sample = _sample(files, config, encoder, device, progress)
        folders = files.folders
        messages = messages_of(sample.left_out, folders, Pseudonyms(load_salt()), show_phi=False)
    lines = []
    for tower in config.towers:
        depth = (encoder.image if tower is TowerName.IMAGE else encoder.text).depth
        progress(f"Randomising the {tower.value} tower", 0, depth)
        for step in cascade(method, encoder, sample.requests, CascadeSettings(tower=tower, seed=config.method.seed)):
            lines.append(_line(step, depth, sample.patients))
            progress(f"Randomising the {tower.value} tower", step.blocks, depth)
    return Sanity(
        method=method.name,
        model=config.model.model,
        pairs=sum(len(request.phrases) for request in sample.requests),
        seed=config.method.seed,
        lines=tuple(lines),
        messages=messages,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _DrawnPhrases:
    """The sampled phrases."""

    requests: list[Request]
    patients: list[str]  # in the order of the requests' phrases
    left_out: tuple[Exclusion, ...]  # of the whole cohort


def _sample(
    files: InputsConfig, config: SanityConfig, encoder: DualEncoder, device: torch.device, progress: Progress
) -> _DrawnPhrases:
    """Sample the phrases and load their images."""
    inputs = gather(files, progress=lambda done, total: progress("Reading headers", done, total))
    studies, left_out = inputs.studies, list(inputs.left_out)
    sample = ControlPlan(studies, sample=config.phrases, seed=config.method.seed)
    chosen = [study for study in studies if any(sample.of(case) for case in study.cases)]
    requests, patients = [], []
    for loaded in loaded_studies(chosen, encoder, Stopwatch(), workers=0):
        left_out += loaded.left_out
        for case in loaded.cases:
            image = case.case.image
            texts = list(dict.fromkeys(case.case.phrases[planned.index].text for planned in sample.of(case.case)))
            if not texts:
                continue
            seeds = [pair_seed(config.method.seed, image.instance, text) for text in texts]
            requests.append(Request(pixels=case.inputs.to(device), phrases=texts, seeds=seeds))
            patients += [image.patient_id or image.study_instance_uid] * len(texts)
    if not requests:
        raise AuditError(
            f"{files.dicom_dir}: no image of the sample could be read; look at `m2ib-audit run`'s failures"
        )
    return _DrawnPhrases(requests=requests, patients=patients, left_out=tuple(left_out))


def _line(step: SanityStep, depth: int, patients: Sequence[str]) -> SanityLine:
    pairs = [pair for request in step.pairs for pair in request]
    spearman, ssim, words, cosine = (_interval(pairs, name, patients) for name in _MEASURES)
    return SanityLine(
        tower=step.tower,
        blocks=step.blocks,
        of=depth,
        spearman=spearman,
        ssim=ssim,
        words_spearman=words,
        cosine=cosine,
    )


def _interval(pairs: Sequence[PairSimilarity], name: str, patients: Sequence[str]) -> Interval | None:
    found = [(getattr(pair, name), patient) for pair, patient in zip(pairs, patients, strict=True)]
    measured = [(value, patient) for value, patient in found if value is not None]
    if not measured:
        return None
    return patient_interval(
        np.array([value for value, _ in measured], dtype=float),
        [patient for _, patient in measured],
    )
