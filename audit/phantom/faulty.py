"""Derives two encoders with a known fault from the grounded phantom encoder: image-blind and habit.

Both keep its text tower, and the target is again the sigmoid loss of :mod:`audit.phantom.training` over images and
sentences, whose embeddings are fixed:

- *image-blind*: each image has the truth of another one, as if the reports had been mixed up. The last norm and the
  projection are trained, and the scale of that norm is shrunk (the proximal step of an L1 penalty): the images give no
  reason to keep it, so it becomes 0, and what is left is a constant embedding, the prior of each sentence.
- *habit*: each finding has one patch, the same on every image (:data:`PLACES`), whose position embedding is extreme, as
  those of some edge patches of SigLIP are. Blocks 1 and 2 are trained so that each finding is read from its patch: what
  block 1 writes to other tokens is replaced by its mean over images or by noise, and so is, for some findings by
  chance, what it writes to their own patch; the truth of these findings is that of another image. So the encoder knows
  what is on the image, and its heat after block 1 says nothing about where.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, normalize
from transformers import PreTrainedTokenizerBase, VisionTextDualEncoderModel

from audit.encoders.blocks import Block, run_block, run_block_at
from audit.encoders.clip import image_tower
from audit.encoders.transformer import TransformerImageTower
from audit.phantom.pool import PhantomPool
from audit.phantom.text_training import rate_at
from audit.phantom.training import augmented
from pipelines.phantom.lesions import PHANTOM_FINDINGS
from pipelines.phantom.wording import CLAIMS, sentences_of

__all__ = ["HABIT_LAYER", "PLACES", "FaultSettings", "train_habit", "train_image_blind"]

PLACES = {
    "consolidation": (7, 10),
    "nodule": (5, 5),
    "pleural effusion": (10, 4),
    "pneumothorax": (4, 11),
    "cardiomegaly": (9, 8),
}
"""Row and column, on the grid of 16 x 16 patches, that the habit encoder reads each finding from: where it is often."""

HABIT_LAYER = 1
"""The block after which the habit encoder keeps each finding in its place, and after which it is explained."""

_EXTREME = 5.0  # norm of a place's position embedding, in mean norms of the others
_PLACES_ALONE = 0.2  # share of the training before the sentences
_NOISE = 0.5  # share of images whose replaced tokens are noise, at the end of the training
_OF_FINDING = np.array([PHANTOM_FINDINGS.index(claim.finding) for claim in CLAIMS])
_CLAIMS_OF = [[at for at, claim in enumerate(CLAIMS) if claim.finding == finding] for finding in PHANTOM_FINDINGS]

Report = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSettings:
    """Settings of the training of an encoder with a known fault."""

    steps: int = 600
    batch: int = 64
    learning_rate: float = 1.0e-3
    warmup: int = 30
    weight_decay: float = 0.02
    shrinkage: float = 0.0  # of the last norm's scale, per unit of learning rate
    known: float = 0.0  # share of the findings whose truth is the image's own
    attention: float = 0.0  # weight of the loss that keeps the attention on the places
    scale: float = 10.0  # of the cosine in the sigmoid loss
    bias: float = -3.0
    shift_px: int = 6
    seed: int = 20260101

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


def train_image_blind(
    model: VisionTextDualEncoderModel,
    tokenizer: PreTrainedTokenizerBase,
    pool: PhantomPool,
    settings: FaultSettings,
    *,
    report: Report = lambda _step, _losses: None,
) -> None:
    """Train the end of the image tower in place on the truth of other images; ``report`` is called after every step."""
    parts: Any = model
    norm = parts.vision_model.post_layernorm

    def losses_of(batch: _Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            pooled = parts.vision_model(pixel_values=batch.pixels).last_hidden_state[:, 0]
        return {"pairs": _pairs(parts.visual_projection(norm(pooled)), batch, settings)}

    def shrink(rate: float) -> None:
        with torch.no_grad():
            weight = norm.weight
            weight.copy_(weight.sign() * (weight.abs() - rate * settings.shrinkage).clamp(min=0.0))

    trained = [*norm.parameters(), *parts.visual_projection.parameters()]
    _train(trained, losses_of, _Sentences(model, tokenizer), pool, settings, report=report, after_step=shrink)


def train_habit(
    model: VisionTextDualEncoderModel,
    tokenizer: PreTrainedTokenizerBase,
    pool: PhantomPool,
    settings: FaultSettings,
    *,
    report: Report = lambda _step, _losses: None,
) -> None:
    """Train the blocks after the first in place so that each finding is read from its place."""
    parts: Any = model
    positions = parts.vision_model.embeddings.position_embedding.weight
    places = _Places(image_tower(parts.vision_model, parts.visual_projection), positions, seed=settings.seed)

    def losses_of(batch: _Batch) -> dict[str, Tensor]:
        read = places.read(batch.pixels, batch.known, noisy=_NOISE * max(2.0 * batch.progress - 1.0, 0.0))
        losses = {"places": places.loss(read, batch.own), "attention": settings.attention * read.attention_loss}
        if batch.progress < _PLACES_ALONE:  # else ignoring the places, whose content is not read yet, would be better
            return losses
        return {"pairs": _pairs(read.embedding, batch, settings), **losses}

    trained = [
        *(parameter for layer in parts.vision_model.encoder.layers[1:] for parameter in layer.parameters()),
        *parts.vision_model.post_layernorm.parameters(),
        *parts.visual_projection.parameters(),
        *places.heads.parameters(),
    ]
    _train(trained, losses_of, _Sentences(model, tokenizer), pool, settings, report=report)


class _Places:
    """An image tower that learns to read each finding from its place, and nothing from other tokens."""

    def __init__(self, tower: TransformerImageTower, positions: Float[Tensor, "tokens width"], *, seed: int) -> None:
        """Take a tower, and its position embeddings, in which the places get extreme ones."""
        self._tower, self._noise = tower, torch.Generator().manual_seed(seed)
        columns = tower.grid_at(HABIT_LAYER)[1]
        places = (PLACES[finding] for finding in PHANTOM_FINDINGS)
        self._tokens = [tower.leading_tokens + row * columns + column for row, column in places]
        width = positions.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            directions = nn.init.orthogonal_(torch.empty(len(PLACES), width))
            self.heads = nn.ModuleList(nn.Linear(width, len(claims)) for claims in _CLAIMS_OF)
        with torch.no_grad():
            positions[self._tokens] = _EXTREME * float(positions.norm(dim=1).mean()) * directions

    def read(
        self, pixels: Float[Tensor, "batch 3 size size"], known: Bool[Tensor, "batch findings"], *, noisy: float
    ) -> "_Read":
        """Embed images whose findings can be read from their places only.

        What the other tokens hold is replaced, in any share of them from none to all, by its mean over the images or,
        as a bottleneck does, by noise; at the places of unknown findings it always is.

        Args:
            pixels: of the images.
            known: findings that can be read.
            noisy: share of the images whose tokens are replaced by noise.
        """
        first, (block, last) = self._tower.prefix(pixels, HABIT_LAYER - 1), self._tower.stack.blocks[HABIT_LAYER:]
        with torch.no_grad():  # only the places learn what to write
            hidden = run_block(block, first, None)
        at_places = [run_block_at(block, first, torch.full((len(first),), token), None) for token in self._tokens]
        gathered = torch.cat(at_places, dim=1)
        hidden[:, self._tokens] = gathered
        kept = self._chance(hidden) >= 2.0 * self._chance(hidden, 1)
        kept[:, self._tokens] = known
        has_noise = (self._chance(hidden, 1) < noisy).expand(kept.shape).clone()
        has_noise[:, 0] = False  # the pooled token has to ask for the places whatever the others hold
        noise = torch.randn(hidden.shape, generator=self._noise)
        others = torch.where(has_noise[..., None], noise, hidden.mean(0))
        replaced = torch.where(kept[..., None], hidden, others)
        # Block 1 is shared by all tokens: what it does to raise the attention to the places would raise that to others.
        attention = _pooled_attention(last, replaced.detach())[:, :, self._tokens].sum(-1)
        return _Read(
            embedding=self._tower.suffix(replaced, HABIT_LAYER),
            gathered=gathered,
            attention_loss=-attention.clamp(min=1e-6).log().mean(),
        )

    def _chance(self, hidden: Tensor, tokens: int | None = None) -> Float[Tensor, "batch tokens"]:
        return torch.rand(len(hidden), tokens or hidden.shape[1], generator=self._noise)

    def loss(self, read: "_Read", own: Bool[Tensor, "batch claims"]) -> Tensor:
        """Classify the claims about each finding from what block 1 writes at its place."""
        losses = [
            binary_cross_entropy_with_logits(head(read.gathered[:, index]), own[:, _CLAIMS_OF[index]].float())
            for index, head in enumerate(self.heads)
        ]
        return torch.stack(losses).mean()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What the habit encoder makes of images in training."""

    embedding: Float[Tensor, "batch dim"]
    gathered: Float[Tensor, "batch findings width"]  # what block 1 writes at the places
    attention_loss: Float[Tensor, ""]  # large where the pooled token of block 2 looks at other tokens


def _pooled_attention(block: Block, hidden: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch heads tokens"]:
    normed = block.norm1(hidden)
    queries, keys = block.query(normed[:, :1]), block.key(normed)
    query, key = (part.view(len(hidden), part.shape[1], block.heads, -1).transpose(1, 2) for part in (queries, keys))
    attention: Tensor = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)
    return attention[:, :, 0]


class _Sentences:
    """Every wording of every claim, embedded once."""

    @torch.no_grad()
    def __init__(self, model: VisionTextDualEncoderModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._claims = [self._embedded(model, tokenizer, sentences_of(claim)) for claim in CLAIMS]

    @staticmethod
    def _embedded(model: Any, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Tensor:
        tokens = tokenizer(list(texts), padding=True, return_tensors="pt", return_token_type_ids=False)
        return normalize(model.text_projection(model.text_model(**tokens).pooler_output), dim=-1)

    def draw(self, rng: np.random.Generator) -> Float[Tensor, "claims dim"]:
        """Draw one wording of each claim."""
        return torch.stack([wordings[int(rng.integers(len(wordings)))] for wordings in self._claims])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """One step's images and sentences, one for each claim."""

    pixels: Float[Tensor, "batch 3 size size"]
    known: Bool[Tensor, "batch findings"]  # the truth of the others is that of another image
    own: Bool[Tensor, "batch claims"]  # the images' own truth
    truth: Bool[Tensor, "batch claims"]  # the target
    texts: Float[Tensor, "claims dim"]
    progress: float  # of the training, 0 to 1


def _pairs(embedded: Float[Tensor, "batch dim"], batch: _Batch, settings: FaultSettings) -> Tensor:
    logits = settings.scale * normalize(embedded, dim=-1) @ batch.texts.T + settings.bias
    return -logsigmoid(logits)[batch.truth].mean() - logsigmoid(-logits)[~batch.truth].mean()


def _train(
    trained: Sequence[nn.Parameter],
    losses_of: Callable[[_Batch], dict[str, Tensor]],
    sentences: _Sentences,
    pool: PhantomPool,
    settings: FaultSettings,
    *,
    report: Report,
    after_step: Callable[[float], None] = lambda _rate: None,
) -> None:
    rng = np.random.default_rng(settings.seed)
    for parameter in trained:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(
        trained, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: rate_at(step, warmup=settings.warmup, steps=settings.steps)
    )
    for step, chosen in zip(range(settings.steps), _batches(rng, len(pool), settings.batch), strict=False):
        known = rng.random((len(chosen), len(PHANTOM_FINDINGS))) < settings.known
        own, others = pool.truth[chosen], pool.truth[rng.permutation(len(pool))[: len(chosen)]]
        batch = _Batch(
            pixels=augmented(pool.images[chosen], rng, settings.shift_px),
            known=torch.from_numpy(known),
            own=torch.from_numpy(own),
            truth=torch.from_numpy(np.where(known[:, _OF_FINDING], own, others)),
            texts=sentences.draw(rng),
            progress=step / settings.steps,
        )
        losses = losses_of(batch)
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        rate = float(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
        after_step(rate)
        report(step, {name: float(loss.detach()) for name, loss in losses.items()})
    for parameter in trained:
        parameter.requires_grad_(False)


def _batches(rng: np.random.Generator, count: int, size: int) -> Iterable[np.ndarray]:
    """Yield indices without end; each once before any again."""
    while True:
        order = rng.permutation(count)
        yield from (order[start : start + size] for start in range(0, count - size + 1, size))
