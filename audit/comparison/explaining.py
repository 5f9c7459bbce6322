"""A cohort through every method: each study loaded once, its phrases explained and scored by all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from audit.comparison.measuring import MeasuredMethod
from audit.controls.plan import ControlPlan
from audit.encoders.protocol import DualEncoder
from audit.engine.clock import Stopwatch
from audit.engine.explaining import Explainer, LoadedStudy, loaded_studies
from audit.engine.finishing import ExplainedStudy
from audit.engine.inputs import Inputs
from audit.engine.keys import Keys
from audit.engine.recording import ExplainedCase, ImageRecorder
from audit.engine.rows import score_rows
from audit.engine.table import GrowingTable
from audit.engine.targets import PatientKeys, Targets
from audit.scoring.scores import Score
from pipelines.phantom.cohort import PHANTOM_MANUFACTURER
from pipelines.study import Case, LeftOut, Study

__all__ = ["Explaining", "Progress"]

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and what there is in all."""


@dataclass(slots=True, kw_only=True)
class Explaining:
    """Explains the studies of a cohort and keeps what the summary needs."""

    encoder: DualEncoder
    methods: tuple[MeasuredMethod, ...]
    inputs: Inputs
    faithfulness: int  # phrases
    seed: int
    keys: Keys
    table: GrowingTable = field(default_factory=GrowingTable)
    left_out: list[LeftOut] = field(default_factory=list)
    compared: int = 0
    sampled: int = 0
    phantom_images: bool = True

    def explain(self, device: torch.device, progress: Progress) -> None:
        """Explain every phrase's image, and the sampled phrases once more with their words and their faithfulness.

        The same seeds give the same image heat with the words and without, which take half the time.
        """
        studies, seed = self.inputs.studies, self.seed
        nobody = ControlPlan((), sample=0, seed=seed)
        sample = ControlPlan(studies, sample=self.faithfulness, seed=seed)
        self.sampled, self.left_out = len(sample), list(self.inputs.left_out)
        every = ControlPlan([_with_only(study, sample) for study in studies], sample=len(sample), seed=seed)
        plain = self._explainer(device, words=False, faithfulness=nobody)
        closer = self._explainer(device, words=True, faithfulness=every)
        recorder = ImageRecorder(
            keys=self.keys,
            targets=Targets(studies, PatientKeys(self.keys)),
            methods=tuple((method.name, method.unit) for method in self.methods),
            show_phi=False,
        )
        loaded = loaded_studies(studies, self.encoder, plain.clock, workers=0)
        progress("Comparing on studies", 0, len(studies))
        for done, explained in enumerate(plain.explained(loaded), start=1):
            self.left_out.extend(explained.left_out)
            self._record(self._with_faithfulness(explained, sample, closer), recorder)
            progress("Comparing on studies", done, len(studies))

    def _explainer(self, device: torch.device, *, words: bool, faithfulness: ControlPlan) -> Explainer:
        return Explainer(
            encoder=self.encoder,
            methods=self.methods,
            controls=ControlPlan((), sample=0, seed=self.seed),
            faithfulness=faithfulness,
            words=words,
            device=device,
            keys=self.keys,
            seed=self.seed,
            clock=Stopwatch(),
        )

    def _with_faithfulness(self, explained: ExplainedStudy, sample: ControlPlan, closer: Explainer) -> ExplainedStudy:
        """Put the sampled phrases, and no others, to the methods again, and take over what that measures."""
        loaded = [case.loaded for case in explained.cases]
        wanted = [replace(case, case=_only(case.case, sample)) for case in loaded if sample.of(case.case)]
        if not wanted:
            return explained
        (found,) = closer.explained(iter([LoadedStudy(study=explained.study, cases=tuple(wanted), left_out=())]))
        self.left_out.extend(found.left_out)
        measured = {
            case.loaded.case.image.instance: tuple(case.faithfulness[place] for place in sorted(case.faithfulness))
            for case in found.cases
        }
        return replace(explained, cases=tuple(_with(case, sample, measured) for case in explained.cases))

    def _record(self, explained: ExplainedStudy, recorder: ImageRecorder) -> None:
        if not explained.cases:
            return
        self.compared += 1
        self.phantom_images &= _is_phantom(explained.study)
        key = self.keys.key("study", explained.study.study_instance_uid)
        for case in explained.cases:
            image = recorder.record(case, prefix="image").record
            patient = recorder.targets.patient(case.loaded.case.image)
            self.table.add(list(score_rows([image], study=key, patient=patient)))


def _is_phantom(study: Study) -> bool:
    return all(case.image.manufacturer == PHANTOM_MANUFACTURER for case in study.cases)


def _only(case: Case, sample: ControlPlan) -> Case:
    """Leave a case the phrases of the sample, in their order."""
    return replace(case, phrases=tuple(case.phrases[planned.index] for planned in sample.of(case)))


def _with_only(study: Study, sample: ControlPlan) -> Study:
    return replace(study, cases=tuple(_only(case, sample) for case in study.cases))


def _with(
    explained: ExplainedCase, sample: ControlPlan, measured: Mapping[str, Sequence[tuple[Score, ...]]]
) -> ExplainedCase:
    """Give a case the scores of its sampled phrases, at their places among all of its phrases."""
    planned = sample.of(explained.loaded.case)
    scores = measured.get(explained.loaded.case.image.instance)
    if scores is None:
        return explained
    by_place = {phrase.index: of_phrase for phrase, of_phrase in zip(planned, scores, strict=True)}
    return replace(explained, faithfulness=by_place)
