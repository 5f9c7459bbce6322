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

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, normalize
from transformers import CLIPModel, PreTrainedTokenizerFast, VisionTextDualEncoderModel

from audit.attribution.numerics import flushed_denormals
from audit.phantom.architecture import IMAGE_MEAN, IMAGE_STD, build_model, build_tokenizer, initialise, save_processor
from audit.phantom.pool import PhantomPool, make_pool
from audit.phantom.text_training import MASK, TextSettings, embed_images, rate_at, train_text_tower, with_bert
from pipelines.errors import OutputError
from pipelines.phantom.wording import CLAIMS, sentence_of

__all__ = ["HINTS", "TrainingGoal", "TrainingSettings", "pairwise_loss", "train", "train_to_folder"]


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


def _augmented(images: np.ndarray, rng: np.random.Generator, shift_px: int) -> Float[Tensor, "batch 3 size size"]:
    """Shift, and change gain and gamma; never mirrored, because sides are named."""
    out = np.empty(images.shape, dtype=np.float32)
    for index, image in enumerate(images):
        rows, columns = rng.integers(-shift_px, shift_px + 1, 2)
        shifted = np.roll(image, (rows, columns), axis=(0, 1)).astype(np.float32) / 255.0
        out[index] = shifted ** np.exp(rng.normal(0.0, 0.12)) * rng.uniform(0.9, 1.1)
    tensor = torch.from_numpy((out - IMAGE_MEAN) / IMAGE_STD)
    return tensor[:, None].expand(-1, 3, -1, -1)


def _normalised(images: UInt8[np.ndarray, "batch size size"]) -> Float[Tensor, "batch 3 size size"]:
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
    pixels = _augmented(images, rng, settings.shift_px)
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


_SIZE = 160  # px
_TELL_EVERY = 50  # steps
_TEXT_BETA = 1.0  # of the bottleneck in the new text tower; at 10 all words lose their information

HINTS = {
    "phantom": True,
    "image_layer": 0,
    "text_layer": 0,
    "beta": 10.0,
    "terms": "Apache-2.0; trained on synthetic radiographs only: it says nothing about patients",
}
"""Contents of ``m2ib_audit.json`` for this model: where it is explained best, and what it is."""


class TrainingGoal(StrEnum):
    """What an encoder is trained to be. The last two are known to be bad, and an audit must detect them."""

    GROUNDED = "grounded"
    UNGROUNDED = "ungrounded"  # no multiple-instance loss: it classifies without having to look
    SHORTCUT = "shortcut"  # a tag in the corner reveals each finding of its training images


def train_to_folder(
    out: Path,
    *,
    steps: int | None,
    pool_size: int,
    seed: int | None,
    kind: TrainingGoal,
    processes: int,
    on_message: Callable[[str], None],
) -> None:
    """Train a phantom encoder and write it as a transformers folder with half-precision weights.

    Raises:
        OutputError: ``out`` holds files already, or cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = next(out.iterdir(), None)
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}): name another folder") from error
    if held is not None:
        raise OutputError(f"{out} already holds files ({held.name}): name an empty or a new folder")
    default = TrainingSettings()
    settings = replace(
        default,
        steps=steps or default.steps,
        seed=default.seed if seed is None else seed,
        multiple_instance=0.0 if kind is TrainingGoal.UNGROUNDED else default.multiple_instance,
    )
    on_message(f"Rendering {pool_size} phantoms in {processes} processes")
    pool = make_pool(
        pool_size, size=_SIZE, seed=settings.seed, processes=processes, tagged=kind is TrainingGoal.SHORTCUT
    )
    hints: dict[str, object] = {**HINTS, "kind": kind.value, "phantoms": pool_size, "training": str(settings)}
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, seed=settings.seed)
    initialise(model, pool.images, seed=settings.seed)
    start = time.perf_counter()

    def report(step: int, losses: dict[str, float]) -> None:
        if (step + 1) % _TELL_EVERY == 0:
            rate = (step + 1) * settings.batch / (time.perf_counter() - start)
            losses_text = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            on_message(f"step {step + 1} of {settings.steps}: {losses_text}; {rate:.0f} images/s")

    with flushed_denormals():
        train(model, tokenizer, pool, settings, report=report)
        trained: CLIPModel | VisionTextDualEncoderModel = model
        if kind is TrainingGoal.GROUNDED:
            of_words = TextSettings()
            of_words = replace(of_words, text_steps=min(settings.steps, of_words.text_steps), seed=settings.seed)
            trained = _with_words(model, tokenizer, pool, of_words, on_message)
            hints |= {"text_beta": _TEXT_BETA, "text_training": str(of_words)}
    trained.save_pretrained(out)
    _halve(out / "model.safetensors")
    tokenizer.save_pretrained(out)
    save_processor(out, _SIZE)
    (out / "m2ib_audit.json").write_text(json.dumps(hints, indent=2) + "\n", "utf-8")


def _with_words(
    model: CLIPModel,
    tokenizer: PreTrainedTokenizerFast,
    pool: PhantomPool,
    settings: TextSettings,
    on_message: Callable[[str], None],
) -> VisionTextDualEncoderModel:
    """Replace the text tower of a trained encoder by one that reads its words, on the same image tower."""
    tokenizer.add_special_tokens({"mask_token": MASK})  # an entry of the vocabulary already
    on_message(f"Training the text tower for {settings.text_steps} steps")
    batches = (pool.images[start : start + settings.images] for start in range(0, len(pool), settings.images))
    embeddings = embed_images(model, (_normalised(images) for images in batches))
    joined = with_bert(model, tokenizer, seed=settings.seed)

    def report(step: int, losses: dict[str, float]) -> None:
        if (step + 1) % _TELL_EVERY == 0:
            losses_text = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            on_message(f"text step {step + 1} of {settings.text_steps}: {losses_text}")

    train_text_tower(joined, tokenizer, (embeddings, pool.truth), settings, report=report)
    return joined


def _halve(path: Path) -> None:
    """Store weights in half precision: half the size, with the same results."""
    weights = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
