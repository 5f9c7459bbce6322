"""Trains the phantom encoder from image-level truth; it never sees a box.

Three losses:

- a sigmoid loss over the truth matrix of images and sentences (Zhai et al. 2023, "Sigmoid loss for language image
  pre-training", equation 1), averaged separately over positives and negatives, because one sentence is true of many
  images;
- classification of the claims from the image's embedding;
- multiple-instance learning (Ilse et al. 2018): each patch has a logit for each finding, the image's logit is the
  log-mean-exp over its patches, and the image-level truth is the target. Without this loss the encoder classifies
  without having to look: the known-bad control.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, normalize
from transformers import CLIPModel, PreTrainedTokenizerFast

from audit.phantom.architecture import IMAGE_MEAN, IMAGE_STD
from audit.phantom.pool import PhantomPool
from audit.phantom.text_training import rate_at
from pipelines.phantom.wording import CLAIMS, sentence_of

__all__ = ["TrainingSettings", "augmented", "normalised", "pairwise_loss", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Settings of a training run. The same settings on the same machine give the same weights."""

    steps: int = 4200
    batch: int = 48
    learning_rate: float = 1.2e-3
    warmup: int = 100
    weight_decay: float = 0.02
    classification: float = 0.5  # weight of the claims' classification
    multiple_instance: float = 2.0  # weight; 0 gives the ungrounded control
    sharpness: float = 3.0  # sharpness of the log-mean-exp over patches
    sentences: int = 64  # per step; every claim once, the rest at random
    scale: float = 10.0  # scale of the cosine in the sigmoid loss
    bias: float = -3.0
    shift_px: int = 6
    seed: int = 20260101

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


_INSTANCE_CLAIMS = tuple(
    index for index, claim in enumerate(CLAIMS) if not claim.absent and claim.zone is None and claim.side != "bilateral"
)


class _Heads(nn.Module):
    """Heads that exist only in training."""

    def __init__(self, embedding: int, width: int, depth: int) -> None:
        super().__init__()
        self.claims = nn.Linear(embedding, len(CLAIMS))
        patches = [nn.Linear(width, len(_INSTANCE_CLAIMS)) for _ in range(depth)]
        for head in patches:
            nn.init.constant_(head.bias, -2.0)
        self.patches = nn.ModuleList(patches)


def augmented(images: np.ndarray, rng: np.random.Generator, shift_px: int) -> Float[Tensor, "batch 3 size size"]:
    """Shift, and change gain and gamma; never mirrored, because sides are named."""
    out = np.empty(images.shape, dtype=np.float32)
    for index, image in enumerate(images):
        rows, columns = rng.integers(-shift_px, shift_px + 1, 2)
        shifted = np.roll(image, (rows, columns), axis=(0, 1)).astype(np.float32) / 255.0
        out[index] = shifted ** np.exp(rng.normal(0.0, 0.12)) * rng.uniform(0.9, 1.1)
    tensor = torch.from_numpy((out - IMAGE_MEAN) / IMAGE_STD)
    return tensor[:, None].expand(-1, 3, -1, -1)


def normalised(images: UInt8[np.ndarray, "batch size size"]) -> Float[Tensor, "batch 3 size size"]:
    """Prepare images for the image tower as they are."""
    tensor = torch.from_numpy((images.astype(np.float32) / 255.0 - IMAGE_MEAN) / IMAGE_STD)
    return tensor[:, None].expand(-1, 3, -1, -1)


def pairwise_loss(
    images: Float[Tensor, "batch dim"],
    texts: Float[Tensor, "sentences dim"],
    truth: Bool[Tensor, "batch sentences"],
    settings: TrainingSettings,
) -> Tensor:
    """Sigmoid loss over the truth of images and sentences, averaged separately over true and false pairs."""
    logits = settings.scale * normalize(images, dim=-1) @ normalize(texts, dim=-1).T + settings.bias
    positive, negative = -logsigmoid(logits)[truth], -logsigmoid(-logits)[~truth]
    return positive.mean() + negative.mean()


def _instance_loss(logits: Float[Tensor, "batch patches claims"], truth: Tensor, sharpness: float) -> Tensor:
    pooled = (torch.logsumexp(sharpness * logits, dim=1) - math.log(logits.shape[1])) / sharpness
    return binary_cross_entropy_with_logits(pooled, truth)


def _draw_sentences(
    rng: np.random.Generator, count: int, tokenizer: PreTrainedTokenizerFast
) -> tuple[np.ndarray, dict[str, Tensor]]:
    claims = np.concatenate([np.arange(len(CLAIMS)), rng.integers(len(CLAIMS), size=max(0, count - len(CLAIMS)))])
    sentences = [sentence_of(CLAIMS[index], rng) for index in claims]
    batch = tokenizer(sentences, padding=True, return_tensors="pt", return_token_type_ids=False)
    return claims, dict(batch)


def train(
    model: CLIPModel,
    tokenizer: PreTrainedTokenizerFast,
    pool: PhantomPool,
    settings: TrainingSettings,
    *,
    report: Callable[[int, dict[str, float]], None] = lambda _step, _losses: None,
) -> None:
    """Train ``model`` in place on ``pool`` and leave it in evaluation mode; ``report`` is called after every step."""
    vision: Any = model.config.vision_config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        heads = _Heads(int(model.config.projection_dim or 0), vision.hidden_size, vision.num_hidden_layers)
    rng = np.random.default_rng(settings.seed)
    parameters = [*model.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: rate_at(step, warmup=settings.warmup, steps=settings.steps)
    )
    order = np.empty(0, dtype=int)
    model.train()
    for step in range(settings.steps):
        if len(order) < settings.batch:
            order = rng.permutation(len(pool))
        chosen, order = order[: settings.batch], order[settings.batch :]
        losses = _losses(model, heads, tokenizer, (pool.images[chosen], pool.truth[chosen]), settings, rng)
        total = torch.stack(list(losses.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        report(step, {name: float(loss.detach()) for name, loss in losses.items()})
    model.eval()  # type: ignore[no-untyped-call]


def _losses(
    model: Any,
    heads: _Heads,
    tokenizer: PreTrainedTokenizerFast,
    batch: tuple[np.ndarray, np.ndarray],
    settings: TrainingSettings,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """Return the weighted losses of one batch of (images, truth)."""
    images, truth = batch
    pixels = augmented(images, rng, settings.shift_px)
    claims, tokens = _draw_sentences(rng, settings.sentences, tokenizer)
    with torch.autocast("cpu", torch.bfloat16):
        seen = model.vision_model(pixel_values=pixels, output_hidden_states=True)
        image_embedding = model.visual_projection(seen.pooler_output)
        read = model.text_model(**tokens)
        text_embedding = model.text_projection(read.pooler_output)
    target = torch.from_numpy(truth.astype(np.float32))
    image_embedding = image_embedding.float()
    losses = {
        "pairs": pairwise_loss(image_embedding, text_embedding.float(), torch.from_numpy(truth[:, claims]), settings),
        "claims": settings.classification * binary_cross_entropy_with_logits(heads.claims(image_embedding), target),
    }
    if settings.multiple_instance:
        blocks = [
            _instance_loss(head(without_lesions[:, 1:].float()), target[:, list(_INSTANCE_CLAIMS)], settings.sharpness)
            for head, without_lesions in zip(heads.patches, seen.hidden_states[1:], strict=True)
        ]
        losses["instances"] = settings.multiple_instance * torch.stack(blocks[:2]).mean()
    return losses
