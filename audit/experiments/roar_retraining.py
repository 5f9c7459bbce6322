"""Pairs of images and sentences with their hottest parts removed, and the fine-tuning on them."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import CLIPModel, VisionTextDualEncoderModel

from audit.attribution.numerics import flushed_denormals
from audit.faithfulness.pairs import order_by_heat
from audit.phantom.text_training import rate_at
from audit.phantom.training import TrainingSettings, pairwise_loss

__all__ = [
    "CaptionedImages",
    "Retrieval",
    "Trainable",
    "Words",
    "fine_tuned",
    "remove_patches",
    "remove_words",
    "retrieve",
]

Trainable = CLIPModel | VisionTextDualEncoderModel
"""Models whose two towers and projections have the same names."""

Words = tuple[tuple[int, ...], ...]
"""A sentence's words, each with the positions of its tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedImages:
    """Images, each with one sentence that is true of it."""

    images: Float[Tensor, "pairs 3 size size"]  # normalised: the films' mean is 0
    ids: Int[Tensor, "pairs tokens"]
    mask: Bool[Tensor, "pairs tokens"]  # False for padding
    words: tuple[Words, ...]
    truth: Bool[Tensor, "pairs pairs"]  # whether a row's image bears out a column's sentence

    def __len__(self) -> int:
        return len(self.images)

    def part(self, rows: slice) -> "CaptionedImages":
        """Return some of the pairs."""
        return CaptionedImages(
            images=self.images[rows],
            ids=self.ids[rows],
            mask=self.mask[rows],
            words=self.words[rows],
            truth=self.truth[rows, rows],
        )


def remove_patches(
    pairs: CaptionedImages,
    heats: Sequence[Float[Tensor, "grid_rows grid_columns"]],
    *,
    share: float,
    seeds: Sequence[int],
) -> CaptionedImages:
    """Replace the hottest ``share`` of each image's patches, at least one, by the images' mean.

    Cells of equal heat are ordered by the pair's seed.
    """
    images = pairs.images.clone()
    size = images.shape[-1]
    for image, heat, seed in zip(images, heats, seeds, strict=True):
        chosen = order_by_heat(heat, seed=seed)[: _count(share, heat.numel())]
        rows, columns = heat.shape
        for cell in chosen.tolist():
            row, column = divmod(cell, columns)
            down = slice(row * size // rows, (row + 1) * size // rows)
            across = slice(column * size // columns, (column + 1) * size // columns)
            image[:, down, across] = 0.0
    return replace(pairs, images=images)


def remove_words(
    pairs: CaptionedImages, heats: Sequence[Sequence[float]], *, share: float, seeds: Sequence[int], mask_id: int
) -> CaptionedImages:
    """Replace the hottest ``share`` of each sentence's words, at least one, by the mask token.

    Raises:
        ValueError: the number of heats differs from the number of words.
    """
    ids = pairs.ids.clone()
    for row, words, heat, seed in zip(ids, pairs.words, heats, seeds, strict=True):
        if len(words) != len(heat):
            raise ValueError(f"a sentence of {len(words)} words has {len(heat)} heats")
        for word in order_by_heat(torch.tensor(heat), seed=seed)[: _count(share, len(words))].tolist():
            row[list(words[word])] = mask_id
    return replace(pairs, ids=ids)


def _count(share: float, parts: int) -> int:
    """Return the number of parts in the share, rounded up: 10 % of three words is one word."""
    return min(parts, max(1, math.ceil(share * parts - 1e-9)))


_AT_ONCE = 64  # pairs through the towers without a graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Rank of each pair's own sentence among those that are false of its image; NaN if all are true."""

    auc: Float[np.ndarray, " pairs"]  # share of them with a lower cosine, ties counted as a half
    found_first: Float[np.ndarray, " pairs"]  # 1 where none of them has a higher cosine or the same
    found_in_five: Float[np.ndarray, " pairs"]  # 1 where fewer than five have


def fine_tuned(
    model: Trainable,
    pairs: CaptionedImages,
    settings: TrainingSettings,
    *,
    report: Callable[[int, float], None] = lambda _step, _loss: None,
) -> Trainable:
    """Return a copy of ``model`` trained on ``pairs`` with the sigmoid loss; the model itself is unchanged.

    The batches depend only on the seed and the number of pairs, so that trainings on the same pairs with other parts
    removed use the same order. The settings of heads, wording and augmentation are ignored.
    """
    learner: Any = copy.deepcopy(model).requires_grad_(True)
    rng = np.random.default_rng(settings.seed)
    optimiser = torch.optim.AdamW(
        learner.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: rate_at(step, warmup=settings.warmup, steps=settings.steps)
    )
    order = np.empty(0, dtype=int)
    batch = min(settings.batch, len(pairs))
    learner.train()
    with flushed_denormals(), torch.enable_grad():
        for step in range(settings.steps):
            if len(order) < batch:
                order = rng.permutation(len(pairs))
            chosen, order = torch.from_numpy(order[:batch]), order[batch:]
            truth = pairs.truth[chosen][:, chosen]
            if bool(truth.all()):
                continue  # nothing to tell apart
            images = _embedded_images(learner, pairs.images[chosen])
            texts = _embedded_texts(learner, pairs.ids[chosen], pairs.mask[chosen])
            loss = pairwise_loss(images, texts, truth, settings)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            report(step, float(loss.detach()))
    learner.eval()
    tuned: Trainable = learner
    return tuned


@torch.no_grad()
def retrieve(model: Trainable, pairs: CaptionedImages) -> Retrieval:
    """Rank each pair's own sentence among the other pairs' sentences that are false of its image."""
    starts = range(0, len(pairs), _AT_ONCE)
    with flushed_denormals():
        parts = [pairs.part(slice(start, start + _AT_ONCE)) for start in starts]
        images = torch.cat([_embedded_images(model, part.images) for part in parts])
        texts = torch.cat([_embedded_texts(model, part.ids, part.mask) for part in parts])
    cosines = (normalize(images, dim=-1) @ normalize(texts, dim=-1).T).double()
    own, false = cosines.diagonal()[:, None], ~pairs.truth
    rivals = false.sum(1)
    beaten = ((own > cosines) & false).sum(1) + 0.5 * ((own == cosines) & false).sum(1)
    above = ((cosines >= own) & false).sum(1)
    unasked = rivals == 0

    def values(of: Tensor) -> Float[np.ndarray, " pairs"]:
        found: Float[np.ndarray, " pairs"] = torch.where(unasked, torch.nan, of.double()).numpy()
        return found

    return Retrieval(
        auc=values(beaten / rivals.clamp(min=1)), found_first=values(above == 0), found_in_five=values(above < 5)
    )


def _embedded_images(model: Any, images: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch dim"]:
    with torch.autocast("cpu", torch.bfloat16):
        embedded: Tensor = model.visual_projection(model.vision_model(pixel_values=images).pooler_output)
    return embedded.float()


def _embedded_texts(model: Any, ids: Tensor, mask: Tensor) -> Float[Tensor, "batch dim"]:
    with torch.autocast("cpu", torch.bfloat16):
        read = model.text_model(input_ids=ids, attention_mask=mask.long())
        embedded: Tensor = model.text_projection(read.pooler_output)
    return embedded.float()
