"""Whether the heat of a method can be trusted: randomised models, repeatability and sensitivity to noise.

The randomisation test asks whether the heat depends on the learnt weights. It fails if the heat under a tower with all
blocks random is as similar to the trained model's as the trained model's heats of different images are to each other.

Repeatability compares the heat with that of a second seed, of another window of the radiograph, and of an image moved
by two pixels. Arun et al. call the similarity under two separately trained models repeatability; one model cannot show
that.

Source: Adebayo et al. 2018, "Sanity checks for saliency maps"; Arun et al. 2021, "Assessing the trustworthiness of
saliency maps for localizing abnormalities in medical imaging" (the rule); Yeh et al. 2019, "On the (in)fidelity and
sensitivity of explanations" (max-sensitivity, here relative to the norm of the heat).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from audit.attribution.engine import pair_seed
from audit.attribution.pairs import Attribution
from audit.controls.explained import rewindowed
from audit.controls.plan import ControlPlan, patient_of
from audit.execution.prepare import Progress
from audit.faithfulness.cascade import TowerName, depth_of, randomised
from audit.faithfulness.similarity import (
    PairSimilarity,
    peak_distance,
    rank_correlation,
    relative_change,
    similarity,
    similarity_of_random_pairs,
    structure,
)
from audit.metrics.statistics import Interval, patient_interval
from audit.pipeline.explain import Explainer
from audit.pipeline.load import LoadedStudy
from pipelines.errors import AuditError
from pipelines.study import Study
from pipelines.transforms import Preprocessing
from reports.sanity_record import Change, MethodSanity, Repeatability, SampleMean, SanityStage, TowerVerdict

__all__ = ["DRAWS", "EPSILON", "SHIFT_PX", "check_method", "moved", "noisy", "sampled"]

DRAWS = 10
"""Draws of noise for max-sensitivity."""

EPSILON = 0.02
"""Largest change of a pixel by that noise, of a display range of 1: five grey levels of 256."""

SHIFT_PX = 2
"""Pixels of the model's input by which the image is moved to the right."""

_FEWEST_PATIENTS = 2  # one patient gives no information about the spread between patients
_MEASURES = ("spearman", "ssim", "words_spearman", "cosine")

Pixels = Float[Tensor, "3 size size"]


def sampled(studies: Sequence[Study], sample: ControlPlan) -> list[Study]:
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


def check_method(
    explainer: Explainer, loaded: Sequence[LoadedStudy], *, towers: Sequence[TowerName], progress: Progress
) -> MethodSanity:
    """Check one method on loaded studies: 4 + DRAWS explanations of each pair, and one for each block of ``towers``.

    Raises:
        ModelError: the method cannot explain the model, or a tower cannot be randomised.
        AuditError: a study could not be explained.
    """
    (method,) = explainer.methods
    stage = f"Checking {method.name}"
    steps = 4 + DRAWS + sum(depth_of(explainer.encoder, tower) for tower in towers)
    check = _Check(explainer, loaded, tuple(_pairs(explainer, loaded)))
    done = 1
    progress(stage, done, steps)
    stages = []
    for tower in towers:
        for found in check.stages(tower):
            stages.append(found)
            done += 1
            progress(stage, done, steps)
    repeatability = []
    for repeated in check.repeatability():
        repeatability.append(repeated)
        done += 1
        progress(stage, done, steps)
    reference = check.reference()
    sensitivity = check.max_sensitivity()
    progress(stage, steps, steps)
    return MethodSanity(
        method=method.name,
        phrases=len(check.trained),
        random_pairs=0 if reference is None else reference.cases,
        reference=reference,
        stages=tuple(stages),
        verdicts=tuple(_verdicts(stages, reference)),
        repeatability=tuple(repeatability),
        max_sensitivity=sensitivity,
        draws=DRAWS,
        epsilon=EPSILON,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _CheckedPair:
    """One image and phrase with its explanation."""

    patient: str
    explanation: Attribution

    @property
    def heat(self) -> Float[np.ndarray, "rows columns"]:
        return self.explanation.heat.detach().cpu().double().numpy()


class _Check:
    """The measurements of one method, each against its explanations under the trained model."""

    def __init__(self, explainer: Explainer, loaded: Sequence[LoadedStudy], trained: tuple[_CheckedPair, ...]) -> None:
        self._explainer, self._loaded, self.trained = explainer, loaded, trained
        self._images_alone = replace(explainer, words=False)

    def reference(self) -> SampleMean | None:
        """Measure the similarity of random pairs of maps of the trained model."""
        seed = pair_seed(self._explainer.seed, "random pairs")
        patients = [pair.patient for pair in self.trained]
        found = similarity_of_random_pairs([pair.heat for pair in self.trained], patients, seed=seed)
        return None if found is None else _recorded(found)

    def stages(self, tower: TowerName) -> Iterator[SanityStage]:
        """Randomise more and more blocks; the seeds of the pairs, and so their noise, stay the same."""
        encoder, seed = self._explainer.encoder, self._explainer.seed
        depth = depth_of(encoder, tower)
        for blocks in range(1, depth + 1):
            model = randomised(encoder, tower, blocks=blocks, seed=seed)
            found = _pairs(replace(self._explainer, encoder=model), self._loaded)
            alike: list[PairSimilarity] = [
                similarity(before.explanation, after.explanation)
                for before, after in zip(self.trained, found, strict=True)
            ]
            measures = {name: self._mean([getattr(each, name) for each in alike], bound=1.0) for name in _MEASURES}
            yield SanityStage(tower=tower.value, blocks=blocks, of=depth, **measures)

    def repeatability(self) -> Iterator[Repeatability]:
        """Explain the pairs again after changes that should not matter."""
        explainer = self._images_alone
        preprocessing = explainer.encoder.preprocessing
        yield self._repeated(
            "second seed", _pairs(replace(explainer, seed=pair_seed(explainer.seed, "second")), self._loaded)
        )
        windowed = _changed(self._loaded, lambda pixels, _name: rewindowed(pixels, preprocessing))
        yield self._repeated("other window", _pairs(explainer, windowed))
        shifted = _changed(self._loaded, lambda pixels, _name: moved(pixels, SHIFT_PX))
        yield self._repeated("shift", _pairs(explainer, shifted))

    def _repeated(self, change: Change, found: Iterator[_CheckedPair]) -> Repeatability:
        size = self._explainer.encoder.preprocessing.size
        both = [(before.heat, after.heat) for before, after in zip(self.trained, found, strict=True)]
        return Repeatability(
            change=change,
            ssim=self._mean([structure(*pair) for pair in both], bound=1.0),
            peak_px=self._mean([peak_distance(*pair, size=size) for pair in both]),
            spearman=self._mean([rank_correlation(*pair) for pair in both], bound=1.0),
        )

    def max_sensitivity(self) -> SampleMean | None:
        """Measure the largest relative change of each heat over several draws of noise."""
        largest: list[float | None] = [None] * len(self.trained)
        preprocessing, seed = self._explainer.encoder.preprocessing, self._explainer.seed
        for draw in range(DRAWS):

            def change_of(pixels: Pixels, image: str, draw: int = draw) -> Pixels:
                return noisy(pixels, preprocessing, seed=pair_seed(seed, "noise", image, str(draw)))

            studies = _changed(self._loaded, change_of)
            for place, pair in enumerate(_pairs(self._images_alone, studies)):
                change = relative_change(self.trained[place].heat, pair.heat)
                if change is not None:
                    largest[place] = max(largest[place] or 0.0, change)
        return self._mean(largest)

    def _mean(self, values: Sequence[float | None], *, bound: float | None = None) -> SampleMean | None:
        """Average what was measured: values of -``bound`` to ``bound``, or else values of 0 and more."""
        measured = [
            (pair.patient, value) for pair, value in zip(self.trained, values, strict=True) if value is not None
        ]
        if not measured:
            return None
        found = patient_interval(
            np.array([value for _, value in measured], dtype=float),
            [patient for patient, _ in measured],
            bound=np.inf if bound is None else bound,
            may_be_negative=True,  # not shares, even where all are 1
        )
        return _recorded(found if bound is not None else replace(found, low=max(0.0, found.low)))


def _recorded(interval: Interval) -> SampleMean:
    known = interval.patients >= _FEWEST_PATIENTS
    return SampleMean(
        estimate=interval.estimate,
        low=interval.low if known else None,
        high=interval.high if known else None,
        cases=interval.values,
        patients=interval.patients,
    )


def _verdicts(stages: Sequence[SanityStage], reference: SampleMean | None) -> Iterator[TowerVerdict]:
    for stage in stages:
        ssim = stage.ssim
        if stage.blocks < stage.of or ssim is None or reference is None:
            continue
        yield TowerVerdict(
            tower=stage.tower,
            ssim=ssim,
            passes=ssim.estimate < reference.estimate,
            is_clear=_is_below(ssim, reference) or _is_below(reference, ssim),
        )


def _is_below(one: SampleMean, other: SampleMean) -> bool:
    """Return True if the whole interval of a mean lies below that of another."""
    return one.high is not None and other.low is not None and one.high < other.low


def _pairs(explainer: Explainer, loaded: Sequence[LoadedStudy]) -> Iterator[_CheckedPair]:
    """Explain every study and yield its pairs.

    Raises:
        AuditError: a study could not be explained: a mean over other pairs could not be compared with the others.
    """
    for before, study in zip(loaded, explainer.explained(loaded), strict=True):
        if len(study.cases) < len(before.cases):
            raise AuditError(f"the check of sanity cannot go on: {study.left_out[-1].reason}")
        for case in study.cases:
            patient = patient_of(case.loaded.case.image)
            yield from (_CheckedPair(patient=patient, explanation=found) for found in case.explanations[0])


def _changed(loaded: Sequence[LoadedStudy], change: Callable[[Pixels, str], Pixels]) -> list[LoadedStudy]:
    """Return the studies with changed inputs; ``change`` takes the pixels and the image's UID."""
    return [
        replace(
            study,
            cases=tuple(replace(case, inputs=change(case.inputs, case.case.image.instance)) for case in study.cases),
        )
        for study in loaded
    ]


def moved(pixels: Pixels, by: int) -> Pixels:
    """Move an image to the right; its left column fills the gap."""
    return torch.cat([pixels[:, :, :1].expand(-1, -1, by), pixels[:, :, :-by]], dim=2)


def noisy(pixels: Pixels, preprocessing: Preprocessing, *, seed: int) -> Pixels:
    """Add uniform grey noise of up to EPSILON of the display range to each pixel."""
    generator = torch.Generator().manual_seed(seed)
    noise = (torch.rand(1, *pixels.shape[1:], generator=generator) * 2.0 - 1.0) * EPSILON
    return pixels + noise.to(pixels) / torch.tensor(preprocessing.std).to(pixels)[:, None, None]
