"""Evaluates an encoder on held-out phantoms: the AUC of the cosine with a finding's sentence, and its heat maps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.stats import rankdata
from torch.nn.functional import cosine_similarity

from audit.attribution.engine import pair_seed
from audit.attribution.left_out import leave_one_word_out
from audit.attribution.m2ib import M2IB
from audit.attribution.pairs import Request
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.metrics.blind import BlindCase, BlindMaps, relative_shape
from audit.metrics.scores import box_mask, score_blind, score_heat
from audit.metrics.statistics import Interval, patient_interval
from audit.metrics.words import WordReferences, kinds_of_words, score_words
from audit.phantom.erasing import ErasingTest
from pipelines.geometry import Placement
from pipelines.phantom.lesions import PHANTOM_FINDINGS
from pipelines.phantom.render import Phantom, RenderedPhantom, render, sample_phantom
from pipelines.phantom.wording import Claim, claims_of, sentence_of, sentences_of
from pipelines.study import Box, Side
from pipelines.transforms import place_image
from reports.record import Score
from reports.score_catalogue import ENERGY, POINTING, WORDS_ON_OTHERS, WORDS_RANK

__all__ = ["Evaluation", "HeldOut", "Line", "auc", "auc_interval", "evaluate", "held_out_phantoms", "presence_cosines"]

_RESAMPLES, _TAIL = 1000, 0.025


def presence_cosines(
    encoder: DualEncoder, pixels: Float[torch.Tensor, "3 size size"]
) -> Float[np.ndarray, " findings"]:
    """Return an image's cosine with a location-free sentence for each of the phantoms' findings, in their order."""
    texts = [sentences_of(Claim(finding=finding))[0] for finding in PHANTOM_FINDINGS]
    with torch.no_grad():
        tokens = encoder.text.tokenise(texts)
        images = encoder.image.forward(pixels[None])
        cosines = cosine_similarity(images, encoder.text.forward(tokens), dim=-1)
    found: Float[np.ndarray, " findings"] = cosines.cpu().numpy()
    return found


def auc(values: Float[np.ndarray, " cases"], present: Bool[np.ndarray, " cases"]) -> float:
    """Area under the ROC curve, ties counted as a half; NaN if all or none are present."""
    count = int(present.sum())
    absent = len(present) - count
    if count == 0 or absent == 0:
        return float("nan")
    ranks = rankdata(values)
    return float((ranks[present].sum() - count * (count + 1) / 2) / (count * absent))


def auc_interval(values: Sequence[float], present: Sequence[bool], *, generator: np.random.Generator) -> Interval:
    """Return the AUC with its 95 % bootstrap interval; each case is its own patient."""
    cosines, truth = np.array(values, dtype=float), np.array(present, dtype=bool)
    drawn = (generator.integers(len(truth), size=len(truth)) for _ in range(_RESAMPLES))
    resampled = [auc(cosines[chosen], truth[chosen]) for chosen in drawn]
    low, high = np.nanquantile(resampled, [_TAIL, 1.0 - _TAIL])
    return Interval(
        estimate=auc(cosines, truth), low=float(low), high=float(high), values=len(truth), patients=len(truth)
    )


_COLUMNS = 320  # px, width at which held-out phantoms are rendered

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A phantom of the evaluation, with at least two different findings."""

    name: str
    phantom: Phantom
    radiograph: RenderedPhantom
    generator: np.random.Generator  # for the wording

    def boxes(self, finding: str, side: str | None = None) -> tuple[Box, ...]:
        """Return the boxes of a finding, on one side if ``side`` is given."""
        drawn = zip(self.radiograph.boxes, self.radiograph.boxed, strict=True)
        return tuple(box for box, lesion in drawn if lesion.finding == finding and side in {None, lesion.side})

    def bilateral(self) -> tuple[str, ...]:
        """Return the findings with boxes on both sides."""
        return tuple(
            finding
            for finding in sorted(self.phantom.findings)
            if self.boxes(finding, "left") and self.boxes(finding, "right")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One value of the evaluation."""

    test: str
    method: str
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All values, in the order in which they are printed."""

    lines: tuple[Line, ...]
    phantoms: int
    seed: int

    def estimate(self, test: str, method: str) -> float:
        """Return a value by its test and method."""
        return next(line.interval.estimate for line in self.lines if (line.test, line.method) == (test, method))

    def __str__(self) -> str:
        width = max(len(line.test) for line in self.lines)
        head = f"{self.phantoms} held-out phantoms, seed {self.seed}; 95 % intervals over phantoms"
        rows = [
            f"{line.test:<{width}}  {line.method:<20}  {line.interval.estimate:6.3f}  "
            f"[{line.interval.low:6.3f}, {line.interval.high:6.3f}]  n = {line.interval.values}"
            for line in self.lines
        ]
        return "\n".join([head, *rows])


def held_out_phantoms(count: int, seed: int) -> Iterator[HeldOut]:
    """Draw phantoms with two to four different findings; phantom ``i`` depends on ``seed`` and ``i`` alone."""
    for index in range(count):
        generator = np.random.default_rng([seed, index])
        phantom = sample_phantom(generator, at_least=2)
        yield HeldOut(
            name=f"phantom {index}",
            phantom=phantom,
            radiograph=render(phantom, columns=_COLUMNS),
            generator=generator,
        )


def evaluate(
    model: str, *, count: int, seed: int, progress: Progress = lambda _stage, _done, _total: None
) -> Evaluation:
    """Explain location-free and side-named phrases on held-out phantoms and score the heat; then erase findings.

    Raises:
        ModelError: the model cannot be loaded.
    """
    encoder = load_encoder(model)
    scorer, words = _Scorer(encoder, M2IB(), seed), _WordScorer(encoder, M2IB(), seed)
    erasing = ErasingTest(encoder, seed=seed, columns=_COLUMNS)
    phantoms = []
    for done, held_out in enumerate(held_out_phantoms(count, seed), start=1):
        scorer.look_at(held_out)
        words.look_at(held_out)
        erasing.look_at(held_out.name, held_out.phantom)
        phantoms.append(held_out)
        progress("Evaluating phantoms", done, count)
    erased = [Line(test=value.test, method="cosine", interval=value.interval) for value in erasing.values()]
    lines = [*scorer.lines(), *words.lines(), *erased, *_blind_lines(phantoms)]
    return Evaluation(lines=tuple(lines), phantoms=count, seed=seed)


class _Scorer:
    """Collects the scores of the encoder's heat over all phantoms."""

    def __init__(self, encoder: DualEncoder, method: M2IB, seed: int) -> None:
        self._encoder, self._method, self._seed = encoder, method, seed
        self._values: dict[str, list[tuple[str, float]]] = {}
        self._cosines: list[np.ndarray] = []
        self._present: list[list[bool]] = []

    def look_at(self, held_out: HeldOut) -> None:
        findings = sorted(held_out.phantom.findings)
        sided = [(finding, side) for finding in held_out.bilateral() for side in ("left", "right")]
        claims = [Claim(finding=finding) for finding in findings]
        claims += [Claim(finding=finding, side=Side(side)) for finding, side in sided]
        texts = [sentence_of(claim, held_out.generator) for claim in claims]
        pixels, placement = place_image(held_out.radiograph.image, self._encoder.preprocessing)
        self._cosines.append(presence_cosines(self._encoder, pixels))
        self._present.append([finding in held_out.phantom.findings for finding in PHANTOM_FINDINGS])
        seeds = [pair_seed(self._seed, held_out.name, text) for text in texts]
        request = Request(pixels=pixels, phrases=texts, seeds=seeds)
        (explained,) = self._method.explain_batch(self._encoder, [request], words=False)
        heats = [placement.heat_to_source(explanation.heat.numpy()) for explanation in explained]
        free = dict(zip(findings, heats, strict=False))
        for finding, heat in free.items():
            hit, energy = self._hit_and_energy(heat, held_out.boxes(finding), placement)
            self._add("location-free phrases: hit", held_out, hit)
            self._add(f"  {finding}: hit", held_out, hit)
            self._add("location-free phrases: energy in box", held_out, energy)
            for other in findings:
                if other != finding and held_out.boxes(finding):
                    astray, _ = self._hit_and_energy(free[other], held_out.boxes(finding), placement)
                    self._add("another finding's phrase: hit on this finding's box", held_out, astray)
                    self._add("fall of hits under another finding's phrase", held_out, _minus(hit, astray))
        for (finding, side), heat in zip(sided, heats[len(findings) :], strict=True):
            hit, _ = self._hit_and_energy(heat, held_out.boxes(finding, side), placement)
            self._add("side-named phrases, finding on both sides: named side hit", held_out, hit)

    def lines(self) -> Iterator[Line]:
        for test, values in sorted(self._values.items(), key=lambda item: item[0].startswith("  ")):
            yield _line(test, "m2ib", values)
        cosines, present = np.array(self._cosines), np.array(self._present)
        for place, finding in enumerate(PHANTOM_FINDINGS):
            generator = np.random.default_rng(self._seed)
            interval = auc_interval(cosines[:, place].tolist(), present[:, place].tolist(), generator=generator)
            yield Line(test=f"  {finding}: AUC of its presence", method="cosine", interval=interval)

    def _hit_and_energy(
        self, heat: Float[np.ndarray, "rows columns"], boxes: Sequence[Box], placement: Placement
    ) -> tuple[float | None, float | None]:
        target = box_mask(boxes, rows=heat.shape[0], columns=heat.shape[1])
        scores = score_heat(heat, target, method="m2ib", model_px=placement.model_px)
        by_name = {score.score: score.value for score in scores}
        return by_name[POINTING], by_name[ENERGY]

    def _add(self, test: str, held_out: HeldOut, value: float | None) -> None:
        if value is not None:
            self._values.setdefault(test, []).append((held_out.name, value))


class _WordScorer:
    """Collects the scores of M2IB's word heat, and of its references, on the phrases of the phantoms' reports."""

    def __init__(self, encoder: DualEncoder, method: M2IB, seed: int) -> None:
        self._encoder, self._method, self._seed = encoder, method, seed
        self._values: dict[tuple[str, str], list[tuple[str, float]]] = {}

    def look_at(self, held_out: HeldOut) -> None:
        claims = [claim for claim in claims_of(held_out.phantom) if not claim.absent]
        texts = [sentence_of(claim, held_out.generator) for claim in claims]
        pixels, _ = place_image(held_out.radiograph.image, self._encoder.preprocessing)
        seeds = [pair_seed(self._seed, held_out.name, text) for text in texts]
        heats = self._method.explain_words(self._encoder, pixels, texts, seeds)
        untrained = self._method.untrained_words(self._encoder, texts)
        left_out = leave_one_word_out(self._encoder, pixels, texts)
        for place, (claim, text, words) in enumerate(zip(claims, texts, left_out, strict=True)):
            references = WordReferences(
                words=tuple(word.word for word in words),
                pieces=tuple(word.pieces for word in words),
                falls=tuple(word.fall for word in words),
                untrained=untrained[place],
            )
            kinds = kinds_of_words(text, claim.finding, references.words)
            for score in score_words(kinds, [("m2ib", heats[place])], references):
                self._add(score, held_out)

    def _add(self, score: Score, held_out: HeldOut) -> None:
        found = {f"reported phrases: {score.score}": score.value}
        if score.score == WORDS_ON_OTHERS and score.value is not None:
            found = {_ON_MEANING: 1.0 - score.value}
        if score.score == WORDS_RANK and score.value is not None:
            found[_FIRST] = float(score.value == 1.0)
        for test, value in found.items():
            if value is not None:
                self._values.setdefault((test, score.method), []).append((held_out.name, value))

    def lines(self) -> Iterator[Line]:
        for (test, method), values in sorted(self._values.items(), key=lambda item: item[0][0]):
            yield _line(test, method, values)


_ON_MEANING = "reported phrases: word heat on finding, side and zone"  # of phrases with other words
_FIRST = "reported phrases: a finding word is first"


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _line(test: str, method: str, values: Sequence[tuple[str, float]]) -> Line:
    interval = patient_interval(
        np.array([value for _, value in values]),
        [name for name, _ in values],
    )
    return Line(test=test, method=method, interval=interval)


def _blind_lines(phantoms: Sequence[HeldOut]) -> Iterator[Line]:
    """Score content-blind maps on location-free phrases, and on the reports' own phrases with side and zone."""
    kinds: dict[str, Callable[[HeldOut], Sequence[Claim]]] = {
        "location-free phrases: hit": lambda held_out: [Claim(finding=f) for f in sorted(held_out.phantom.findings)],
        "reported phrases, with side and zone: hit": lambda held_out: [
            claim for claim in claims_of(held_out.phantom) if not claim.absent
        ],
    }
    for test, claims in kinds.items():
        cases = [(held_out, _blind_case(held_out, claim)) for held_out in phantoms for claim in claims(held_out)]
        maps = BlindMaps([case for _, case in cases])
        values: dict[str, list[tuple[str, float]]] = {}
        for held_out, case in cases:
            rows, columns = held_out.radiograph.image.shape
            for score in score_blind(maps, case, image_shape=(rows, columns), model_px=(1.0, 1.0)):
                if score.score == POINTING and score.value is not None:
                    values.setdefault(score.method, []).append((held_out.name, score.value))
        for method, scored in values.items():
            yield _line(test, method, scored)


def _blind_case(held_out: HeldOut, claim: Claim) -> BlindCase:
    rows, columns = held_out.radiograph.image.shape
    return BlindCase(
        patient=held_out.name,
        finding=claim.finding,
        side=claim.side.value if claim.side else None,
        zone=claim.zone.value if claim.zone else None,
        boxes=tuple(
            relative_shape(box, rows=rows, columns=columns)
            for box in held_out.boxes(claim.finding, claim.side.value if claim.side else None)
        ),
    )
