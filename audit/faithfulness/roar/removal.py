"""Pairs of images and sentences, and what is left of them when their hottest parts are removed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from audit.faithfulness.pairs import hottest_first

__all__ = ["Pairs", "Words", "remove_patches", "remove_words"]

Words = tuple[tuple[int, ...], ...]
"""A sentence's words, each with the positions of its tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Images, each with a sentence of its own that holds of it."""

    images: Float[Tensor, "pairs 3 size size"]  # normalised: the films' mean is 0
    ids: Int[Tensor, "pairs tokens"]
    mask: Bool[Tensor, "pairs tokens"]  # False for padding
    words: tuple[Words, ...]
    truth: Bool[Tensor, "pairs pairs"]  # whether a row's image bears out a column's sentence

    def __len__(self) -> int:
        return len(self.images)

    def part(self, rows: slice) -> "Pairs":
        """Take some of the pairs."""
        return Pairs(
            images=self.images[rows],
            ids=self.ids[rows],
            mask=self.mask[rows],
            words=self.words[rows],
            truth=self.truth[rows, rows],
        )


def remove_patches(
    pairs: Pairs, heats: Sequence[Float[Tensor, "grid_rows grid_columns"]], *, share: float, seeds: Sequence[int]
) -> Pairs:
    """Put the films' mean in place of the hottest ``share`` of each image's patches, one at least.

    Cells of equal heat are taken in an order that the pair's seed draws.
    """
    images = pairs.images.clone()
    size = images.shape[-1]
    for image, heat, seed in zip(images, heats, seeds, strict=True):
        hottest = hottest_first(heat, seed=seed)[: _count(share, heat.numel())]
        rows, columns = heat.shape
        for cell in hottest.tolist():
            row, column = divmod(cell, columns)
            down = slice(row * size // rows, (row + 1) * size // rows)
            across = slice(column * size // columns, (column + 1) * size // columns)
            image[:, down, across] = 0.0
    return replace(pairs, images=images)


def remove_words(
    pairs: Pairs, heats: Sequence[Sequence[float]], *, share: float, seeds: Sequence[int], mask_id: int
) -> Pairs:
    """Put the mask token in place of the hottest ``share`` of each sentence's words, one at least.

    Raises:
        ValueError: a sentence has not as many heats as words.
    """
    ids = pairs.ids.clone()
    for row, words, heat, seed in zip(ids, pairs.words, heats, seeds, strict=True):
        if len(words) != len(heat):
            raise ValueError(f"a sentence of {len(words)} words has {len(heat)} heats")
        for word in hottest_first(torch.tensor(heat), seed=seed)[: _count(share, len(words))].tolist():
            row[list(words[word])] = mask_id
    return replace(pairs, ids=ids)


def _count(share: float, parts: int) -> int:
    """As many parts as the share, rounded up: 10 % of three words is one word."""
    return min(parts, max(1, math.ceil(share * parts - 1e-9)))
