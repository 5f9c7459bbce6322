"""RISE: the mean cosine of the masked images in which a pixel is visible.

Masks are random grids of ``cells`` x ``cells`` cells, each open with probability ``open_share``, enlarged bilinearly
and shifted by up to one cell:

    heat_p = sum over masks of cos(image * m, e) m_p / sum over masks of m_p

Departure from the source: the sum is divided by the masks' own sum at p, where the source divides by its expectation. A
cosine, unlike a class probability, is never near 0, so uneven random coverage would appear as heat.

Source: Petsiuk, Das and Saenko 2018, "RISE: randomized input sampling for explanation of black-box models" (BMVC),
equation 6 (7 x 7 cells, half of them open; there 4,000 masks and more).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from audit.attribution.batching import masked_cosines
from audit.attribution.engine import Method
from audit.attribution.pairs import Maps, Pairs
from audit.encoders.protocol import DualEncoder

__all__ = ["RISE", "random_masks"]


class RISE(Method):
    """Random masks on the image; words are not measured."""

    name = "rise"
    unit = "cosine"
    explains_words = False
    numbers: Mapping[str, type] = {"masks": int, "cells": int, "open_share": float}

    def __init__(self, *, masks: int = 500, cells: int = 7, open_share: float = 0.5) -> None:
        """Set the number of masks per pair, their cells per side and the share of open cells."""
        if masks < 1 or cells < 1 or not 0 < open_share < 1:
            raise ValueError(f"RISE needs masks, cells and a share between 0 and 1: {masks}, {cells}, {open_share}")
        self._masks, self._cells, self._open_share = masks, cells, open_share

    def hyperparameters(self, encoder: DualEncoder) -> dict[str, float]:  # noqa: ARG002 - the same for all models
        """Return the hyperparameters."""
        return {"masks": self._masks, "cells": self._cells, "open_share": self._open_share}

    def attribute(self, pairs: Pairs) -> Maps:
        """Average the cosines of each pair's masked images."""
        rows = zip(pairs.image_of.tolist(), pairs.text_embedding, pairs.seeds, strict=True)
        return Maps(image=torch.stack([self._one(pairs, pairs.images[row], *rest) for row, *rest in rows]))

    def _one(
        self, pairs: Pairs, pixels: Float[Tensor, "3 size size"], target: Float[Tensor, " dim"], seed: int
    ) -> Float[Tensor, "grid_rows grid_columns"]:
        generator = torch.Generator().manual_seed(seed % 2**63)
        size = pixels.shape[-1]
        masks = random_masks(self._masks, self._cells, self._open_share, size=size, generator=generator)
        masks = masks.to(pixels.device)
        cosines = masked_cosines(pairs.encoder, pixels, masks, target)
        small = adaptive_avg_pool2d(masks, pairs.encoder.image.grid_at(0))
        total = small.sum(0)
        weighted = (cosines[:, None, None] * small).sum(0)
        return torch.where(total > 0, weighted / total, cosines.mean())  # a pixel that was never visible is unknown


def random_masks(
    count: int, cells: int, open_share: float, *, size: int, generator: torch.Generator
) -> Float[Tensor, "masks size size"]:
    """Draw masks of 0 to 1 on the CPU from ``generator`` alone."""
    cell = -(-size // cells)
    grids = (torch.rand(count, 1, cells, cells, generator=generator) < open_share).float()
    shifts = torch.randint(0, cell, (count, 2), generator=generator).tolist()
    side = (cells + 1) * cell
    masks = torch.empty(count, size, size)
    for mask, grid, (down, right) in zip(masks, grids, shifts, strict=True):
        large = interpolate(grid[None], size=(side, side), mode="bilinear", align_corners=False)[0, 0].clamp(0, 1)
        mask.copy_(large[down : down + size, right : right + size])
    return masks
