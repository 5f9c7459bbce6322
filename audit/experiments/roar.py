"""ROAR on phantoms: explain, remove, fine-tune, retrieve; a method is compared with random removal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPModel, VisionTextDualEncoderModel

from audit.attribution.engine import Method, pair_seed
from audit.attribution.methods import METHODS, build_method, numbers_by_method
from audit.encoders.loading import load_encoder, model_folder
from audit.encoders.model_folder import load_pretrained, load_tokenizer
from audit.encoders.protocol import DualEncoder
from audit.experiments.roar_retraining import (
    CaptionedImages,
    Retrieval,
    Trainable,
    fine_tuned,
    remove_patches,
    remove_words,
    retrieve,
)
from audit.metrics.statistics import Interval, patient_interval
from audit.phantom.training import TrainingSettings
from audit.pipeline.explain import Explainer
from audit.pipeline.load import LoadedStudy, load_picture
from pipelines.errors import AuditError, ModelError
from pipelines.image_file import Picture, as_picture
from pipelines.phantom.render import Phantom, render, sample_phantom
from pipelines.phantom.wording import Claim, sentence_of

__all__ = ["DEFAULT_SHARES", "Roar", "RoarLine", "RoarSettings", "Side", "as_text", "run_roar"]

Side = Literal["image", "text"]
Progress = Callable[[str, int, int], None]

_COLUMNS = 320  # px, width at which phantoms are rendered
_MASK = "[MASK]"
DEFAULT_SHARES = (0.1, 0.3, 0.5)  # of patches or words
_NOTHING, _RANDOM = "nothing", "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoarSettings:
    """What to remove, from how many pairs, and how long to fine-tune."""

    method: str = "m2ib"
    numbers: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)  # by method: of the one that is used
    model: str = "phantom"
    sides: tuple[Side, ...] = ("image", "text")
    shares: tuple[float, ...] = DEFAULT_SHARES
    phantoms: int = 400
    held_out: float = 0.25  # share of the phantoms
    steps: int = 200
    batch: int = 32
    learning_rate: float = 2e-4
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            AuditError: a number lies outside its range, or the method is unknown.
        """
        if self.method not in METHODS:
            raise AuditError(f"--method {self.method}: unknown; one of {', '.join(METHODS)}")
        numbers_by_method([self.method], self.numbers)
        if not self.shares or not all(0 < share < 1 for share in self.shares):
            raise AuditError(f"--share {self.shares}: give shares between 0 and 1, such as 0.1")
        if not self.sides:
            raise AuditError("--side names none: give image, text or both")
        if self.phantoms < 8:
            raise AuditError(f"--phantoms {self.phantoms}: a quarter of them is held out; give 8 at least")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoarLine:
    """Retrieval on held-out phantoms after one fine-tuning."""

    side: Side
    removed: str  # by the method of that name, "random" or "nothing"
    share: float  # of patches or words; 0 for nothing
    auc: Interval
    found_first: float  # share of images whose own sentence comes before all that do not hold
    found_in_five: float
    fall: Interval | None  # of the AUC, against nothing removed; paired over phantoms
    beyond_random: Interval | None  # of the fall, against as much removed at random


@dataclass(frozen=True, slots=True, kw_only=True)
class Roar:
    """All lines, in the order in which they were measured."""

    settings: RoarSettings
    trained_on: int
    held_out: int
    lines: tuple[RoarLine, ...]


def as_text(roar: Roar) -> str:
    """Format the lines for a terminal."""
    settings = roar.settings
    head = (
        f"{settings.model}: {roar.trained_on} phantoms to train on, {roar.held_out} held out; {settings.steps} steps "
        f"of {settings.batch}, seed {settings.seed}\nAUC: share of the sentences that do not hold which come behind "
        "the image's own. 95 % intervals over phantoms\n"
    )
    names = ("side", "removed", "share", "AUC", "@1", "@5", "fall of AUC", "beyond random")
    rows = [names, *(_cells(line) for line in roar.lines)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(names))]
    padded = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return head + "\n".join(padded)


def _cells(line: RoarLine) -> tuple[str, ...]:
    share = f"{100 * line.share:.0f} %" if line.share else ""
    found = (f"{line.found_first:.2f}", f"{line.found_in_five:.2f}")
    return (line.side, line.removed, share, _format(line.auc), *found, _format(line.fall), _format(line.beyond_random))


def _format(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explained:
    """All pairs, training first, and the method's heat on them."""

    pairs: CaptionedImages
    image_heat: tuple[Float[Tensor, "grid_rows grid_columns"], ...]
    word_heat: tuple[tuple[float, ...], ...]
    seeds: tuple[int, ...]
    mask_id: int


def run_roar(settings: RoarSettings, *, progress: Progress = lambda _stage, _done, _total: None) -> Roar:
    """Measure how much a phantom encoder loses when the parts that a method calls important are removed.

    Raises:
        ModelError: the model is not a CLIP with a mask token, or the method cannot explain it.
        AuditError: the method does not explain words but the text side is requested, or there are too few phantoms.
    """
    method = build_method(settings.method, settings.numbers.get(settings.method, {}))
    if "text" in settings.sides and not method.explains_words:
        raise AuditError(f"--method {method.name} does not explain words: pass --side image")
    encoder = load_encoder(settings.model)
    model, mask_id = _trainable(settings.model, encoder)
    explained = _explained(settings, method, encoder, mask_id, progress)
    train = slice(0, settings.phantoms - max(2, round(settings.held_out * settings.phantoms)))
    if bool(explained.pairs.part(slice(train.stop, None)).truth.all()):
        raise AuditError(
            f"--phantoms {settings.phantoms}: every held-out sentence is true of every held-out phantom; give more"
        )
    trial = _Trial(settings, model, explained, train, progress)
    return Roar(
        settings=settings,
        trained_on=train.stop,
        held_out=settings.phantoms - train.stop,
        lines=tuple(trial.lines()),
    )


_TRAINABLE: dict[str, type[CLIPModel] | type[VisionTextDualEncoderModel]] = {
    "clip": CLIPModel,
    "vision-text-dual-encoder": VisionTextDualEncoderModel,
}


def _trainable(name: str, encoder: DualEncoder) -> tuple[Trainable, int]:
    """Load the model in trainable form, and the token that replaces a removed word."""
    if encoder.info.family not in _TRAINABLE:
        raise ModelError(
            f"--model {name}: roar trains an encoder as `m2ib-audit phantom train` writes it, not a "
            f"{encoder.info.family}; pass --model phantom"
        )
    folder = model_folder(name)
    tokenizer = load_tokenizer(folder)
    if _MASK not in tokenizer.get_vocab():
        raise ModelError(
            f"--model {name}: its vocabulary has no {_MASK}, which stands for a removed word; pass --model phantom"
        )
    model: Trainable = load_pretrained(_TRAINABLE[encoder.info.family], folder, torch.device("cpu"))
    return model, tokenizer.get_vocab()[_MASK]


def _explained(
    settings: RoarSettings, method: Method, encoder: DualEncoder, mask_id: int, progress: Progress
) -> _Explained:
    """Sample phantoms with a location-free sentence each, about one of their findings, and explain them."""
    seeds = [pair_seed(settings.seed, "roar", str(index)) for index in range(settings.phantoms)]
    explainer = Explainer(
        encoder=encoder,
        methods=(method,),
        words="text" in settings.sides,
        device=torch.device("cpu"),
        seed=settings.seed,
        seed_of=lambda name: seeds[int(name)],
    )
    phantoms = [_CaptionedPhantom.sample(settings.seed, index) for index in range(settings.phantoms)]
    images, heats, words = [], [], []
    loaded = (phantom.load(str(index), encoder) for index, phantom in enumerate(phantoms))
    for done, study in enumerate(explainer.explained(loaded), start=1):
        if not study.cases:
            raise AuditError(f"roar cannot go on: {study.left_out[-1].reason}")
        (case,) = study.cases
        ((explanation,),) = case.explanations
        images.append(case.loaded.inputs)
        heats.append(explanation.heat)
        words.append(tuple(heat for _, heat in explanation.words))
        progress("Explaining phantoms", done, settings.phantoms)
    tokens = encoder.text.tokenise([phantom.sentence for phantom in phantoms])
    truth = torch.tensor([[other.finding in phantom.present for other in phantoms] for phantom in phantoms])
    return _Explained(
        pairs=CaptionedImages(
            images=torch.stack(images),
            ids=tokens.ids,
            mask=tokens.mask,
            words=tuple(tuple(members for _, members in of_one) for of_one in tokens.words),
            truth=truth,
        ),
        image_heat=tuple(heats),
        word_heat=tuple(words),
        seeds=tuple(seeds),
        mask_id=mask_id,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _CaptionedPhantom:
    """A phantom with a sentence about one of its findings."""

    phantom: Phantom
    present: frozenset[str]  # its findings
    finding: str  # of the sentence
    sentence: str

    @classmethod
    def sample(cls, seed: int, index: int) -> "_CaptionedPhantom":
        rng = np.random.default_rng([seed, index, 2])
        phantom = sample_phantom(rng, at_least=1)
        present = sorted({lesion.finding for lesion in phantom.lesions})
        claim = Claim(finding=str(rng.choice(present)))
        sentence = sentence_of(claim, rng)
        return cls(phantom=phantom, present=frozenset(present), finding=claim.finding, sentence=sentence)

    def load(self, name: str, encoder: DualEncoder) -> LoadedStudy:
        def rendered() -> Picture:
            return as_picture(render(self.phantom, columns=_COLUMNS).image)

        return load_picture(name, [self.sentence], rendered, encoder)


class _Trial:
    """Fine-tunes once per kind of removal, and stores the results."""

    def __init__(
        self, settings: RoarSettings, model: Trainable, explained: _Explained, train: slice, progress: Progress
    ) -> None:
        self._settings, self._model, self._explained, self._train = settings, model, explained, train
        self._progress, self._trained = progress, 0
        self._training = TrainingSettings(
            steps=settings.steps,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            warmup=max(1, settings.steps // 10),
            seed=settings.seed,
        )

    def lines(self) -> Iterator[RoarLine]:
        """Measure everything."""
        whole = self._retrieval(self._explained.pairs)
        for side in self._settings.sides:
            yield self._line(side, _NOTHING, 0.0, (whole, None, None))
            for share in self._settings.shares:
                at_random = self._retrieval(self._without(side, _RANDOM, share))
                own = self._retrieval(self._without(side, self._settings.method, share))
                yield self._line(side, self._settings.method, share, (own, whole, at_random))
                yield self._line(side, _RANDOM, share, (at_random, whole, None))

    def _without(self, side: Side, by: str, share: float) -> CaptionedImages:
        """Remove parts from all pairs, for training and held-out."""
        explained, seeds = self._explained, self._explained.seeds
        if side == "image":
            heats: Sequence[Tensor] = explained.image_heat
            if by == _RANDOM:
                heats = [torch.zeros_like(heat) for heat in heats]  # ties are broken by the pair's seed
            return remove_patches(explained.pairs, heats, share=share, seeds=seeds)
        words: Sequence[Sequence[float]] = explained.word_heat
        if by == _RANDOM:
            words = [[0.0] * len(heat) for heat in words]
        return remove_words(explained.pairs, words, share=share, seeds=seeds, mask_id=explained.mask_id)

    def _retrieval(self, pairs: CaptionedImages) -> Retrieval:
        trainings = 1 + 2 * len(self._settings.sides) * len(self._settings.shares)
        tuned = fine_tuned(self._model, pairs.part(self._train), self._training)
        self._trained += 1
        self._progress("Fine-tuning", self._trained, trainings)
        return retrieve(tuned, pairs.part(slice(self._train.stop, None)))

    def _line(
        self, side: Side, removed: str, share: float, found: tuple[Retrieval, Retrieval | None, Retrieval | None]
    ) -> RoarLine:
        own, whole, at_random = found
        return RoarLine(
            side=side,
            removed=removed,
            share=share,
            auc=self._mean(own.auc),
            found_first=float(np.nanmean(own.found_first)),
            found_in_five=float(np.nanmean(own.found_in_five)),
            fall=None if whole is None else self._mean(whole.auc - own.auc),
            beyond_random=None if at_random is None else self._mean(at_random.auc - own.auc),
        )

    def _mean(self, values: Float[np.ndarray, " pairs"]) -> Interval:
        measured = np.flatnonzero(~np.isnan(values))
        return patient_interval(values[measured], [str(index) for index in measured])
