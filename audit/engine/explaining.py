"""Studies through the model: loaded ahead, explained in batches across studies, and one that fails stops no other."""

import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from audit.attribution.engine import Method, pair_seed
from audit.attribution.pairs import Attribution, Request
from audit.controls.explaining import ExplainedControl, explain_controls
from audit.controls.plan import ControlPlan
from audit.encoders.protocol import DualEncoder
from audit.engine.clock import Stopwatch
from audit.engine.finishing import ExplainedStudy
from audit.engine.keys import Keys
from audit.engine.recording import ExplainedCase, phrase_texts
from audit.faithfulness.pairs import ExplainedPair, shuffled
from audit.faithfulness.scores import score_faithfulness
from audit.logbook.events import scrubbed_trace
from audit.scoring.scores import Score
from audit.scoring.summary import shuffled_name
from pipelines.burned_in import BurnedIn
from pipelines.errors import ModelError, WorkerError
from pipelines.out_of_memory import NEEDS_MORE_MEMORY, is_out_of_memory
from pipelines.study import LeftOut, Study
from pipelines.transforms import LoadedCase, load_cases

__all__ = ["PAIRS_A_BATCH", "Explainer", "LoadedStudy", "failed_study", "loaded_studies"]

PAIRS_A_BATCH = {"cpu": 1, "cuda": 128}  # a CPU gains nothing from pairs of other studies; a GPU has to be filled

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedStudy:
    """A study with its images' pixels."""

    study: Study
    cases: tuple[LoadedCase, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def pairs(self) -> int:
        """How many pairs of image and sentence it has."""
        return sum(len(phrase_texts(case)) for case in self.cases)


def loaded_studies(
    studies: Sequence[Study],
    encoder: DualEncoder,
    clock: Stopwatch,
    *,
    workers: int,
    burned_in: BurnedIn = BurnedIn.KEEP,
) -> Generator[LoadedStudy, None, None]:
    """Load study after study, in their order; with ``workers`` several processes decode ahead."""
    cases = [case for study in studies for case in study.cases]
    loading = load_cases(cases, encoder.preprocessing, workers=workers, burned_in=burned_in)
    for study in studies:
        items = list(islice(loading, len(study.cases)))
        loaded = tuple(item for item in items if isinstance(item, LoadedCase))
        clock.add({"decode": sum(case.seconds for case in loaded)})
        yield LoadedStudy(
            study=study, cases=loaded, left_out=tuple(item for item in items if isinstance(item, LeftOut))
        )


def failed_study(study: Study, keys: Keys, error: Exception) -> LeftOut:
    """Say why a study was not audited: a process that died again and again, too little memory, or our own bug.

    The log has the trace, without values.
    """
    key, trace = keys.key("study", study.study_instance_uid), scrubbed_trace(error)
    told = {"study": key, "error": type(error).__name__, "trace": trace}
    _log.error("study %s failed: %s at %s", key, told["error"], ", ".join(trace), extra={"event_values": told})
    if isinstance(error, WorkerError):
        reason = str(error)
    elif is_out_of_memory(error):
        reason = f"the audit of this study {NEEDS_MORE_MEMORY}"
    else:
        reason = f"the audit of this study failed ({type(error).__name__}); see the log, and report it as a bug"
    return LeftOut(source=study.cases[0].image.source, stage="audit", reason=reason, failed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """One model and its methods at work."""

    encoder: DualEncoder
    methods: Sequence[Method]
    controls: ControlPlan
    faithfulness: ControlPlan
    words: bool
    device: torch.device
    keys: Keys
    seed: int
    clock: Stopwatch

    def explained(self, studies: Iterator[LoadedStudy]) -> Iterator[ExplainedStudy]:
        """Explain studies in their order, as many at once as fill the device."""
        batch: list[LoadedStudy] = []
        for study in studies:
            batch.append(study)
            if sum(waiting.pairs for waiting in batch) >= PAIRS_A_BATCH.get(self.device.type, 1):
                yield from self._isolated(batch)
                batch = []
        yield from self._isolated(batch)

    def _isolated(self, batch: Sequence[LoadedStudy]) -> list[ExplainedStudy]:
        """Explain a batch; if that fails, each of its studies alone, so that only the one at fault is lost.

        Raises:
            ModelError: a method cannot explain this model, whatever the study.
        """
        try:
            return self._explain(batch)
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001 - the place where a batch isolates a study (see also workers.py)
            if len(batch) > 1:
                return [explained for study in batch for explained in self._isolated([study])]
            (lost,) = batch
            failure = failed_study(lost.study, self.keys, error)
            return [ExplainedStudy(study=lost.study, cases=(), left_out=(*lost.left_out, failure))]

    def _explain(self, batch: Sequence[LoadedStudy]) -> list[ExplainedStudy]:
        cases = [case for study in batch for case in study.cases]
        requests = [self._request(case) for case in cases]
        by_method = [
            method.explain_batch(self.encoder, requests, words=self.words, clock=self.clock) for method in self.methods
        ]
        explained = iter(
            ExplainedCase(
                loaded=case,
                explanations=explanations,
                controls=self._controls(case, request),
                faithfulness=self._faithfulness(case, request, explanations),
            )
            for case, request, explanations in zip(cases, requests, zip(*by_method, strict=True), strict=True)
        )
        return [
            ExplainedStudy(
                study=study.study, cases=tuple(next(explained) for _ in study.cases), left_out=study.left_out
            )
            for study in batch
        ]

    def _controls(self, case: LoadedCase, request: Request) -> tuple[ExplainedControl, ...]:
        planned = self.controls.of(case.case)
        if not planned:
            return ()
        per_phrase = _per_phrase(case, request)
        with self.clock("controls"):
            return tuple(
                control
                for method in self.methods
                for control in explain_controls(method, self.encoder, per_phrase, planned)
            )

    def _faithfulness(
        self, case: LoadedCase, request: Request, explanations: Sequence[Sequence[Attribution]]
    ) -> dict[int, tuple[Score, ...]]:
        """Score the sampled phrases' heat, and beside it the same heat with its cells shuffled."""
        sampled = [phrase.index for phrase in self.faithfulness.of(case.case)]
        if not sampled:
            return {}
        texts = phrase_texts(case)
        places = [texts.index(case.case.phrases[index].text) for index in sampled]
        found: dict[int, tuple[Score, ...]] = {}
        with self.clock("faithfulness"):
            for method, explained in zip(self.methods, explanations, strict=True):
                all_pairs = ExplainedPair.all_of(request, explained)
                pairs = [all_pairs[place] for place in places]
                moved = [shuffled(pair, seed=pair.seed) for pair in pairs]
                own = score_faithfulness(self.encoder, pairs, method=method.name)
                beside = score_faithfulness(self.encoder, moved, method=shuffled_name(method.name))
                for index, *of_phrase in zip(sampled, own, beside, strict=True):
                    found[index] = (*found.get(index, ()), *of_phrase[0], *of_phrase[1])
        return found

    def _request(self, case: LoadedCase) -> Request:
        texts, uid = phrase_texts(case), case.case.image.instance
        pixels = case.inputs
        if self.device.type == "cuda":  # pinned, so that the copy goes on beside what the device computes
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        return Request(pixels=pixels, phrases=texts, seeds=[pair_seed(self.seed, uid, text) for text in texts])


def _per_phrase(case: LoadedCase, request: Request) -> Request:
    """Give each phrase of a case its place, where the request that was explained has each sentence once."""
    seeds = dict(zip(request.phrases, request.seeds, strict=True))
    texts = [phrase.text for phrase in case.case.phrases]
    return Request(pixels=request.pixels, phrases=texts, seeds=[seeds[text] for text in texts])
