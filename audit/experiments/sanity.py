"""The check of sanity over a cohort: does a method's heat change when the model forgets, block by block?

Source: Adebayo et al. 2018, "Sanity checks for saliency maps" (cascading randomization); see
:mod:`audit.metrics.faithfulness.cascade` for one step of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from audit.attribution.engine import pair_seed
from audit.attribution.methods import METHODS, GivenNumbers, build_method, check_fit, numbers_by_method
from audit.attribution.pairs import Request
from audit.controls.plan import ControlPlan
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.execution.machine import Stopwatch
from audit.experiments.comparison import CohortFiles, cohort_files
from audit.metrics.faithfulness.cascade import CascadeSettings, PairSimilarity, SanityStep, TowerName, cascade
from audit.metrics.statistics import Interval, patient_interval
from audit.pipeline.inputs import gather
from audit.pipeline.load import loaded_studies
from audit.pipeline.prepare import pick_device
from audit.pipeline.settings import RunSettings
from audit.privacy.messages import Told, told_of
from audit.privacy.pseudonyms import Pseudonyms, load_salt
from pipelines.errors import AuditError
from pipelines.geometry import Fit
from pipelines.study import Exclusion

__all__ = ["Sanity", "SanityLine", "SanitySettings", "check_sanity"]

_MEASURES = ("spearman", "ssim", "words_spearman", "cosine")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SanitySettings:
    """One ``m2ib-audit sanity``, as the command line hands it over."""

    cohort: CohortFiles | int  # files, or how many phantoms to make
    method: str = "m2ib"
    numbers: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)  # by method: of the one that is used
    model: str = "biomedclip"
    towers: tuple[TowerName, ...] = (TowerName.IMAGE, TowerName.TEXT)
    pairs: int = 20  # drawn by the seed, those with boxes first
    device: str = "auto"
    fit: Fit | None = Fit.LETTERBOX
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SanityLine:
    """One tower with one number of random blocks; each measure with its 95 % interval over patients."""

    tower: TowerName
    blocks: int
    of: int  # blocks that the tower has
    spearman: Interval | None  # of the image heat with the trained model's; None where none could be compared
    ssim: Interval | None
    words_spearman: Interval | None
    cosine: Interval | None  # of image and phrase: what the model itself still knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Sanity:
    """What the check found."""

    method: str
    model: str
    pairs: int
    seed: int
    lines: tuple[SanityLine, ...]
    told: tuple[Told, ...] = ()  # what there is to correct, for a terminal

    def __str__(self) -> str:
        head = (
            f"{self.method} on {self.model}, {self.pairs} phrases, seed {self.seed}: how like its own heat the heat "
            "stays while blocks turn random from the top\n"
            "a method that explains the model falls towards 0; 95 % intervals over patients"
        )
        titles = ("image heat, Spearman", "image heat, SSIM", "word heat, Spearman", "cosine")
        rows = [f"{'tower':<7}{'random':>8}  " + "".join(f"{title:<24}" for title in titles)]
        for line in self.lines:
            values = "".join(f"{_shown(getattr(line, name)):<24}" for name in _MEASURES)
            rows.append(f"{line.tower.value:<7}{f'{line.blocks} of {line.of}':>8}  {values}")
        return "\n".join([head, "", *(row.rstrip() for row in rows)])


def _shown(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def check_sanity(settings: SanitySettings, *, progress: Progress = lambda _stage, _done, _total: None) -> Sanity:
    """Explain a sample of a cohort's phrases while ever more of each tower is random.

    Raises:
        AuditError: the method is unknown, it or a tower does not fit the model, or there is nothing to explain.
    """
    if settings.method not in METHODS:
        raise AuditError(f"--method {settings.method}: unknown; one of {', '.join(METHODS)}")
    given = numbers_by_method([settings.method], GivenNumbers(own=settings.numbers))
    method = build_method(settings.method, given[settings.method])
    device = pick_device(settings.device)
    encoder = load_encoder(settings.model, device=device, fit=settings.fit)
    check_fit(method, encoder)
    with cohort_files(settings.cohort, seed=settings.seed, progress=progress) as files:
        sample = _sample(files, settings, encoder, device, progress)
        folders = [files.dicom_dir, files.reports, *files.boxes]
        told = told_of(sample.left_out, folders, Pseudonyms(load_salt()), show_phi=False)
    lines = []
    for tower in settings.towers:
        depth = (encoder.image if tower is TowerName.IMAGE else encoder.text).depth
        progress(f"Randomising the {tower.value} tower", 0, depth)
        for step in cascade(method, encoder, sample.requests, CascadeSettings(tower=tower, seed=settings.seed)):
            lines.append(_line(step, depth, sample.patients))
            progress(f"Randomising the {tower.value} tower", step.blocks, depth)
    return Sanity(
        method=settings.method,
        model=settings.model,
        pairs=sum(len(request.phrases) for request in sample.requests),
        seed=settings.seed,
        lines=tuple(lines),
        told=told,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _DrawnPhrases:
    """The phrases that were drawn."""

    requests: list[Request]
    patients: list[str]  # in the order of the requests' phrases
    left_out: tuple[Exclusion, ...]  # of the whole cohort


def _sample(
    files: CohortFiles, settings: SanitySettings, encoder: DualEncoder, device: torch.device, progress: Progress
) -> _DrawnPhrases:
    """Draw the phrases and load their images."""
    run = RunSettings(
        dicom_dir=files.dicom_dir, reports=files.reports, boxes=files.boxes, out=Path(), index=files.index
    )
    inputs = gather(run, progress=lambda done, total: progress("Reading headers", done, total))
    studies, left_out = inputs.studies, list(inputs.left_out)
    sample = ControlPlan(studies, sample=settings.pairs, seed=settings.seed)
    chosen = [study for study in studies if any(sample.of(case) for case in study.cases)]
    requests, patients = [], []
    for loaded in loaded_studies(chosen, encoder, Stopwatch(), workers=0):
        left_out += loaded.left_out
        for case in loaded.cases:
            image = case.case.image
            texts = list(dict.fromkeys(case.case.phrases[planned.index].text for planned in sample.of(case.case)))
            if not texts:
                continue
            seeds = [pair_seed(settings.seed, image.instance, text) for text in texts]
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
