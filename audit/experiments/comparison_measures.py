"""The cost of a method: seconds per pair, and the largest growth of memory during one call."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from audit.attribution.engine import Clock, Method, no_clock
from audit.attribution.pairs import Attribution, Maps, Pairs, Request
from audit.controls.plan import ControlPlan
from audit.encoders.protocol import DualEncoder
from audit.machine import MemoryReturn, Stopwatch
from audit.pipeline.aggregate import GrowingTable, score_rows
from audit.pipeline.explain import ExplainedCase, ExplainedStudy, Explainer
from audit.pipeline.inputs import Inputs
from audit.pipeline.load import LoadedStudy, loaded_studies
from audit.pipeline.score import ImageRecorder
from audit.pipeline.scoring_context import PatientPseudonyms, ScoringContext
from audit.privacy.pseudonyms import Pseudonyms
from audit.privacy.redaction import Redactor
from pipelines.phantom.cohort import PHANTOM_MANUFACTURER
from pipelines.study import Case, Exclusion, Study
from reports.record import Score

__all__ = ["Cost", "Explaining", "MeasuredMethod", "PeakMemory", "Progress", "measured_as"]

_STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclass(slots=True)
class Cost:
    """The accumulated cost of all calls so far."""

    pairs: int = 0
    seconds: float = 0.0
    peak_bytes: int | None = None  # None where it cannot be measured

    @property
    def seconds_a_pair(self) -> float | None:
        """Mean over all pairs; None before the first."""
        return self.seconds / self.pairs if self.pairs else None


class PeakMemory:
    """Context manager that measures the peak memory above the level at entry.

    On CUDA this is torch's allocated memory. On the CPU it is the process's resident memory by the kernel's high-water
    mark, so that no peak between two samples is missed. Freed memory is returned to the system first, because a call
    could otherwise reuse it unnoticed. Systems without such a mark measure nothing.

    Source: proc(5), ``/proc/pid/clear_refs`` (5 resets the mark) and ``VmHWM``.
    """

    def __init__(self, device: torch.device) -> None:
        """Measure on a device."""
        self._device = device
        self._memory = MemoryReturn()
        self.bytes: int | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Measure what is done inside; ``bytes`` holds the answer."""
        self.bytes = None
        before = self._before()
        yield
        if before is not None:
            self.bytes = max(0, self._peak() - before)

    def _before(self) -> int | None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            return torch.cuda.memory_allocated(self._device)
        self._memory.now()
        try:
            CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
        except OSError:
            return None
        return self._peak()

    def _peak(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text(encoding="ascii"))
        if found is None:
            raise ValueError(f"{_STATUS} has no VmHWM, though the mark could be reset")
        return int(found[1]) * 1024


def measured_as(device: torch.device) -> str:
    """Describe how memory was measured."""
    if device.type == "cuda":
        return "GPU memory that torch allocated beyond the model, at most in one call"
    return "resident memory that one call grew by, at most (by the kernel's high-water mark)"


class MeasuredMethod(Method):
    """A method that records the cost of its calls, with and without words; the results are unchanged."""

    def __init__(self, method: Method, device: torch.device) -> None:
        """Take a method and the device that it runs on."""
        self.method, self.name, self.unit = method, method.name, method.unit
        self.explains_words, self.numbers = method.explains_words, method.numbers
        self._device, self._memory = device, PeakMemory(device)
        self.costs = {False: Cost(), True: Cost()}  # by whether words were asked for

    def hyperparameters(self, encoder: DualEncoder) -> Mapping[str, float | str]:
        """The method's hyperparameters for a model, by name."""
        return self.method.hyperparameters(encoder)

    def attribute(self, pairs: Pairs) -> Maps:
        """Compute the method's maps."""
        return self.method.attribute(pairs)

    def explain_batch(
        self, encoder: DualEncoder, requests: Sequence[Request], *, words: bool = True, clock: Clock = no_clock
    ) -> tuple[tuple[Attribution, ...], ...]:
        """Explain a batch and add its cost.

        Raises:
            ModelError: the method cannot explain a model of this kind.
        """
        with self._memory():
            start = time.perf_counter()
            explained = self.method.explain_batch(encoder, requests, words=words, clock=clock)
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            seconds = time.perf_counter() - start
        cost = self.costs[words]
        cost.pairs += sum(len(request.phrases) for request in requests)
        cost.seconds += seconds
        if self._memory.bytes is not None:
            cost.peak_bytes = max(cost.peak_bytes or 0, self._memory.bytes)
        return explained


Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and what there is in all."""


@dataclass(slots=True, kw_only=True)
class Explaining:
    """Explains the studies of a cohort and collects the data for the summary."""

    encoder: DualEncoder
    methods: tuple[MeasuredMethod, ...]
    inputs: Inputs
    faithfulness: int  # phrases
    seed: int
    keys: Pseudonyms
    table: GrowingTable = field(default_factory=GrowingTable)
    left_out: list[Exclusion] = field(default_factory=list)
    compared: int = 0
    sampled: int = 0
    phantom_images: bool = True

    def explain(self, device: torch.device, progress: Progress) -> None:
        """Explain every phrase, and the sampled phrases a second time with words and faithfulness.

        The image heat is the same with and without words, because the seeds are the same; without words it takes half
        the time.
        """
        studies, seed = self.inputs.studies, self.seed
        nobody = ControlPlan((), sample=0, seed=seed)
        sample = ControlPlan(studies, sample=self.faithfulness, seed=seed)
        self.sampled, self.left_out = len(sample), list(self.inputs.left_out)
        every = ControlPlan([_with_only(study, sample) for study in studies], sample=len(sample), seed=seed)
        plain = self._explainer(device, words=False, faithfulness=nobody)
        closer = self._explainer(device, words=True, faithfulness=every)
        recorder = ImageRecorder(
            redactor=Redactor(keys=self.keys, show_phi=False),
            context=ScoringContext(studies, PatientPseudonyms(self.keys)),
            methods=tuple((method.name, method.unit) for method in self.methods),
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
        """Run the methods again on the sampled phrases only, and add the faithfulness scores."""
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
            image, _ = recorder.record(case, prefix="image")
            patient = recorder.context.patient(case.loaded.case.image)
            self.table.add(list(score_rows([image], study=key, patient=patient)))


def _is_phantom(study: Study) -> bool:
    return all(case.image.manufacturer == PHANTOM_MANUFACTURER for case in study.cases)


def _only(case: Case, sample: ControlPlan) -> Case:
    """Reduce a case to the sampled phrases, in their order."""
    return replace(case, phrases=tuple(case.phrases[planned.index] for planned in sample.of(case)))


def _with_only(study: Study, sample: ControlPlan) -> Study:
    return replace(study, cases=tuple(_only(case, sample) for case in study.cases))


def _with(
    explained: ExplainedCase, sample: ControlPlan, measured: Mapping[str, Sequence[tuple[Score, ...]]]
) -> ExplainedCase:
    """Add the scores of the sampled phrases to a case, at their indices among all of its phrases."""
    planned = sample.of(explained.loaded.case)
    scores = measured.get(explained.loaded.case.image.instance)
    if scores is None:
        return explained
    by_place = {phrase.index: of_phrase for phrase, of_phrase in zip(planned, scores, strict=True)}
    return replace(explained, faithfulness=by_place)
