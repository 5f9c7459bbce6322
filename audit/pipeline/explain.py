"""Explain: attributes each phrase of a loaded study in its images, in batches across studies."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_bytes

import torch
from jaxtyping import Float
from torch import Tensor

from audit.attribution.engine import Method, pair_seed
from audit.attribution.left_out import leave_one_word_out
from audit.attribution.m2ib import M2IB
from audit.attribution.methods import build_method, check_fit, chosen_methods, numbers_by_method
from audit.attribution.numerics import Precision, flushed_denormals
from audit.attribution.pairs import Attribution, Request
from audit.configuration import RunConfig
from audit.controls.embedding import CaseEmbeddings, Embedder
from audit.controls.erased import ErasedRegion, ImageControls
from audit.controls.explained import ExplainedControl, explain_controls
from audit.controls.plan import NO_PHRASE, ControlPlan
from audit.encoders.protocol import DualEncoder
from audit.faithfulness.measures import FaithfulnessSettings, score_faithfulness
from audit.faithfulness.pairs import ExplainedPair, shuffled
from audit.machine import Stopwatch
from audit.metrics.words import WordReferences
from audit.pipeline.load import LoadedStudy, failed_study, phrase_texts
from audit.privacy.pseudonyms import Pseudonyms
from pipelines.errors import AuditError, ModelError
from pipelines.privacy.burned_in import BurnedIn
from pipelines.regions.erasing import Fill
from pipelines.study import Exclusion, Study
from pipelines.transforms import LoadedCase
from reports.record import Score
from reports.score_catalogue import shuffled_name

__all__ = ["PAIRS_A_BATCH", "ExplainedCase", "ExplainedStudy", "Explainer", "image_controls_of", "methods_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCase:
    """One image with the results of the methods."""

    loaded: LoadedCase
    explanations: tuple[tuple[Attribution, ...], ...]  # per method, one for each of phrase_texts
    seconds_a_pair: tuple[float, ...] = ()  # per method: of the attribution, the mean over the pairs of its batch
    controls: tuple[ExplainedControl, ...] = ()
    faithfulness: Mapping[int, tuple[Score, ...]] = field(default_factory=dict)  # by index of the phrase
    words: tuple[WordReferences | None, ...] = ()
    """One for each of phrase_texts, None where words were not explained; empty if no method explains words"""
    embeddings: CaseEmbeddings | None = None
    erased: tuple[ErasedRegion, ...] = ()
    untrained: Mapping[str, Float[Tensor, "grid_rows grid_columns"]] = field(default_factory=dict)
    """Heat before the first step, by the name of each method that has a bottleneck; the same for every phrase"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStudy:
    """One study after the model and before scoring."""

    study: Study
    cases: tuple[ExplainedCase, ...]
    left_out: tuple[Exclusion, ...]  # its images that could not be read


def methods_of(config: RunConfig, encoder: DualEncoder) -> tuple[Method, ...]:
    """Create each requested method, in order.

    Raises:
        AuditError: a method is unknown, or a hyperparameter belongs to none of them or does not fit the model.
    """
    names = chosen_methods(config.method.method)
    if config.model.compile and M2IB.name not in names:
        raise AuditError(
            f"model.compile is for m2ib, which is not among the methods ({', '.join(names)}): leave it out"
        )
    numbers = numbers_by_method(names, config.method.hyperparameters)
    speed = {
        "precision": Precision(config.model.precision),
        "compiler": "inductor" if config.model.compile else None,
    }
    methods = tuple(
        build_method(name, {**numbers[name], **speed} if name == M2IB.name else numbers[name]) for name in names
    )
    for method in methods:
        check_fit(method, encoder)
    return methods


def image_controls_of(config: RunConfig, controls: ControlPlan) -> ImageControls:
    """Create the image-side controls of a run, for the phrases of the other controls."""
    return ImageControls(
        controls,
        fill=Fill(config.scoring.fill),
        seed=config.method.seed,
        burned_in=BurnedIn(config.inputs.burned_in),
    )


PAIRS_A_BATCH = {"cpu": 1, "cuda": 128}  # a CPU does not profit from pairs of other studies; a GPU must be filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """One model with its methods, and what is measured of each pair: how runs and experiments configure this stage."""

    encoder: DualEncoder
    methods: Sequence[Method]
    controls: ControlPlan = NO_PHRASE
    faithfulness: ControlPlan = NO_PHRASE
    faithfulness_scores: FaithfulnessSettings = field(default_factory=FaithfulnessSettings)
    words: bool = True
    words_of: ControlPlan | None = None
    """Explain words only of these phrases and of those whose faithfulness is scored, by a second call of each method;
    None: of all phrases, at once"""
    word_references: bool = False  # measure what word heat is compared with
    device: torch.device
    keys: Pseudonyms = field(default_factory=lambda: Pseudonyms(token_bytes(16)))  # of studies in the log
    seed: int
    seed_of: Callable[[str], int] | None = None  # seed of an image's pairs; None: each pair has its own, from ``seed``
    pairs_a_batch: int | None = None  # None: as many as fill the device
    clock: Stopwatch = field(default_factory=Stopwatch)
    embedder: Embedder | None = None  # None: embeddings are not stored, and nothing is erased
    image_controls: ImageControls | None = None

    def explained(self, studies: Iterable[LoadedStudy]) -> Iterator[ExplainedStudy]:
        """Explain studies in order, as many at once as fill the device."""
        size = PAIRS_A_BATCH.get(self.device.type, 1) if self.pairs_a_batch is None else self.pairs_a_batch
        batch: list[LoadedStudy] = []
        for study in studies:
            batch.append(study)
            if sum(waiting.pairs for waiting in batch) >= size:
                yield from self._isolated(batch)
                batch = []
        yield from self._isolated(batch)

    def _isolated(self, batch: Sequence[LoadedStudy]) -> list[ExplainedStudy]:
        """Explain a batch; if that fails, explain each of its studies alone, so that only the faulty one is lost.

        Raises:
            ModelError: a method cannot explain this model at all.
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
        pairs = sum(len(request.phrases) for request in requests)
        by_method, seconds = [], []
        for method in self.methods:
            start = time.perf_counter()
            words = self.words and self.words_of is None
            by_method.append(self._attributed(method, requests, words=words))
            seconds.append((time.perf_counter() - start) / max(1, pairs))
        if self.words_of is not None:
            by_method = [
                self._with_words(method, cases, requests, found)
                for method, found in zip(self.methods, by_method, strict=True)
            ]
        explained = iter(
            self._with_cosines(
                ExplainedCase(
                    loaded=case,
                    explanations=explanations,
                    seconds_a_pair=tuple(seconds),
                    controls=self._controls(case, request),
                    faithfulness=scores,
                    words=self._words(case, request),
                    untrained=self._untrained(request),
                ),
                request,
            )
            for case, request, explanations, scores in zip(
                cases,
                requests,
                zip(*by_method, strict=True),
                self._faithfulness(cases, requests, by_method),
                strict=True,
            )
        )
        return [
            ExplainedStudy(
                study=study.study, cases=tuple(next(explained) for _ in study.cases), left_out=study.left_out
            )
            for study in batch
        ]

    def _attributed(
        self, method: Method, requests: Sequence[Request], *, words: bool
    ) -> tuple[tuple[Attribution, ...], ...]:
        """Explain the requests that have a phrase; an image without one costs nothing here."""
        put = [request for request in requests if request.phrases]
        found = iter(method.explain_batch(self.encoder, put, words=words, clock=self.clock) if put else ())
        return tuple(next(found) if request.phrases else () for request in requests)

    def _words(self, case: LoadedCase, request: Request) -> tuple[WordReferences | None, ...]:
        """Measure what word heat is compared with, if a method explains words."""
        if not self.word_references or not request.phrases or not any(method.explains_words for method in self.methods):
            return ()
        phrases = list(request.phrases) if self.words_of is None else self._texts_with_words(case)
        with self.clock("words"):
            left_out = leave_one_word_out(self.encoder, request.pixels, phrases)
            capacities = (method.untrained_words(self.encoder, phrases) for method in self.methods if phrases)
            untrained = next((values for values in capacities if values is not None), None)
        found = {
            phrase: WordReferences(
                words=tuple(word.word for word in words),
                pieces=tuple(word.pieces for word in words),
                falls=tuple(word.fall for word in words),
                untrained=None if untrained is None else untrained[place],
            )
            for place, (phrase, words) in enumerate(zip(phrases, left_out, strict=True))
        }
        return tuple(found.get(phrase) for phrase in request.phrases)

    def _texts_with_words(self, case: LoadedCase) -> list[str]:
        """List the sentences of a case whose words are explained by the second call."""
        plans = (self.faithfulness,) if self.words_of is None else (self.words_of, self.faithfulness)
        chosen = {case.case.phrases[index].text for plan in plans for index in plan.indices(case.case)}
        return [text for text in phrase_texts(case) if text in chosen]

    def _with_words(
        self,
        method: Method,
        cases: Sequence[LoadedCase],
        requests: Sequence[Request],
        explained: Sequence[tuple[Attribution, ...]],
    ) -> tuple[tuple[Attribution, ...], ...]:
        """Explain the words of some phrases by a second call, and add them to what the first call found."""
        parts = [_only(request, self._texts_with_words(case)) for case, request in zip(cases, requests, strict=True)]
        put = [part for part in parts if part.phrases]
        if not put or not method.explains_words:
            return tuple(explained)
        answers = iter(method.explain_batch(self.encoder, put, words=True, clock=self.clock))
        words = [dict(zip(part.phrases, next(answers), strict=True)) if part.phrases else {} for part in parts]
        return tuple(
            tuple(
                replace(found, words=of_image[text].words) if text in of_image else found
                for text, found in zip(request.phrases, of_case, strict=True)
            )
            for request, of_case, of_image in zip(requests, explained, words, strict=True)
        )

    def _untrained(self, request: Request) -> dict[str, Float[Tensor, "grid_rows grid_columns"]]:
        """Compute the heat of an image before the first step, alone: in a batch, rounding depends on other images."""
        if not request.phrases:
            return {}
        with self.clock("prefix"), flushed_denormals():
            found = {method.name: method.untrained_heat(self.encoder, request.pixels[None]) for method in self.methods}
        return {name: heat[0].float().cpu() for name, heat in found.items() if heat is not None}

    def _with_cosines(self, explained: ExplainedCase, request: Request) -> ExplainedCase:
        """Add what needs forward passes alone: embeddings, and the cosines with changed images."""
        if self.embedder is None:
            return explained
        loaded, embedder = explained.loaded, self.embedder
        with self.clock("embeddings"):
            embeddings = embedder.case(loaded.case, request.pixels)
        if self.image_controls is None:
            return replace(explained, embeddings=embeddings)
        with self.clock("erasing"):
            erased = self.image_controls.of(
                loaded,
                self.encoder.preprocessing,
                embeddings.phrases,
                lambda images: embedder.images([image.to(self.device) for image in images]),
            )
        return replace(explained, embeddings=embeddings, erased=erased)

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
        self,
        cases: Sequence[LoadedCase],
        requests: Sequence[Request],
        by_method: Sequence[Sequence[Sequence[Attribution]]],
    ) -> list[dict[int, tuple[Score, ...]]]:
        """Score the heat of the sampled phrases of each case, and the same heat with shuffled cells."""
        found: list[dict[int, tuple[Score, ...]]] = [{} for _ in cases]
        sampled = [(row, index) for row, case in enumerate(cases) for index in self.faithfulness.indices(case.case)]
        texts = [(row, cases[row].case.phrases[index].text) for row, index in sampled]
        with self.clock("faithfulness"):
            for method, explained in zip(self.methods, by_method, strict=True) if sampled else ():
                pairs = _chosen_pairs(requests, explained, texts)
                moved = [shuffled(pair, seed=pair.seed) for pair in pairs]
                own = self._scores(pairs, method.name)
                beside = self._scores(moved, shuffled_name(method.name))
                for (row, index), *of_phrase in zip(sampled, own, beside, strict=True):
                    found[row][index] = (*found[row].get(index, ()), *of_phrase[0], *of_phrase[1])
        return found

    def _scores(self, pairs: Sequence[ExplainedPair], name: str) -> list[tuple[Score, ...]]:
        return score_faithfulness(self.encoder, pairs, method=name, settings=self.faithfulness_scores)

    def _request(self, case: LoadedCase) -> Request:
        texts, uid = phrase_texts(case), case.case.image.instance
        pixels = case.inputs
        if self.device.type == "cuda":  # pinned memory, so that the copy overlaps with the computation
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        seeds = [pair_seed(self.seed, uid, text) if self.seed_of is None else self.seed_of(uid) for text in texts]
        return Request(pixels=pixels, phrases=texts, seeds=seeds)


def _chosen_pairs(
    requests: Sequence[Request], explained: Sequence[Sequence[Attribution]], texts: Sequence[tuple[int, str]]
) -> list[ExplainedPair]:
    """Return the pairs with these phrases, given by the index of their request."""
    pairs = {row: ExplainedPair.all_of(requests[row], explained[row]) for row, _ in texts}
    return [pairs[row][requests[row].phrases.index(text)] for row, text in texts]


def _only(request: Request, texts: Sequence[str]) -> Request:
    """Return a request with some of its phrases, each once."""
    seeds = dict(zip(request.phrases, request.seeds, strict=True))
    chosen = list(dict.fromkeys(texts))
    return Request(pixels=request.pixels, phrases=chosen, seeds=[seeds[text] for text in chosen])


def _per_phrase(case: LoadedCase, request: Request) -> Request:
    """Return the index of each phrase of a case in the request, which has each sentence once."""
    seeds = dict(zip(request.phrases, request.seeds, strict=True))
    texts = [phrase.text for phrase in case.case.phrases]
    return Request(pixels=request.pixels, phrases=texts, seeds=[seeds[text] for text in texts])
