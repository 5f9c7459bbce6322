"""KernelSHAP: Shapley values of the cells of a coarse grid, by weighted least squares.

The image's cells are the players, the cosine of the image with the cells outside of a coalition greyed is its worth.
Shapley values are the coefficients of the linear model of the worth that is best under the weight

    (M - 1) / (C(M, |z|) |z| (M - |z|))

for a coalition z of M players, with the empty and the full one met exactly. Where all coalitions are fewer than
``coalitions`` they are all taken and the values are exact; else they are drawn by that weight, each with its
complement. A cell's value stands at each of the model's patches in it.

Source: Lundberg and Lee 2017, "A unified approach to interpreting model predictions" (NeurIPS), theorem 2; Covert and
Lee 2021, "Improving KernelSHAP" (AISTATS), for the complements.
"""

from collections.abc import Callable, Mapping
from math import comb

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate

from audit.attribution.batching import masked_cosines
from audit.attribution.engine import Method
from audit.attribution.pairs import Maps, Pairs
from audit.encoders.protocol import DualEncoder

__all__ = ["KernelSHAP", "shapley_values"]

Coalitions = Bool[Tensor, "coalitions players"]


class KernelSHAP(Method):
    """Shapley values of the image's cells; the words are not measured."""

    name = "kernel_shap"
    unit = "cosine"
    explains_words = False
    numbers: Mapping[str, type] = {"cells": int, "coalitions": int}

    def __init__(self, *, cells: int = 7, coalitions: int = 500) -> None:
        """Take the cells a side, and the most coalitions that are put to the model beside the empty and the full."""
        if cells < 2 or coalitions < 2:
            raise ValueError(f"KernelSHAP needs 2 cells a side and 2 coalitions at least: {cells}, {coalitions}")
        self._cells, self._coalitions = cells, coalitions

    def numbers_for(self, encoder: DualEncoder) -> dict[str, float]:  # noqa: ARG002 - the same for all models
        """The hyperparameters."""
        return {"cells": self._cells, "coalitions": self._coalitions}

    def attribute(self, pairs: Pairs) -> Maps:
        """Find the Shapley values of the cells of each pair's image."""
        rows = zip(pairs.image_of.tolist(), pairs.text_embedding, pairs.seeds, strict=True)
        values = torch.stack([self._one(pairs, pairs.images[row], *rest) for row, *rest in rows])
        grid = pairs.encoder.image.grid_at(0)
        return Maps(image=interpolate(values[:, None], size=grid, mode="nearest-exact")[:, 0])

    def _one(
        self, pairs: Pairs, pixels: Float[Tensor, "3 size size"], target: Float[Tensor, " dim"], seed: int
    ) -> Float[Tensor, "cells cells"]:
        cells, size = self._cells, pixels.shape[-1]

        def worth(coalitions: Coalitions) -> Float[Tensor, " coalitions"]:
            squares = coalitions.float().view(-1, 1, cells, cells).to(pixels.device)
            masks = interpolate(squares, size=(size, size), mode="nearest-exact")[:, 0]
            return masked_cosines(pairs.encoder, pixels, masks, target).cpu()

        generator = torch.Generator().manual_seed(seed % 2**63)
        values = shapley_values(worth, cells * cells, most=self._coalitions, generator=generator)
        return values.view(cells, cells).to(pixels.device)


def shapley_values(
    worth: Callable[[Coalitions], Float[Tensor, " coalitions"]],
    players: int,
    *,
    most: int,
    generator: torch.Generator,
) -> Float[Tensor, " players"]:
    """Share the worth of the full coalition over that of the empty one out to the players.

    Args:
        worth: of coalitions, a row each.
        players: their number, 2 at least.
        most: coalitions beyond the empty and the full one; if all are no more, the values are exact.
        generator: draws the coalitions where they are too many.
    """
    if players <= 30 and 2**players - 2 <= most:
        coalitions, weights = _all_coalitions(players)
    else:
        coalitions = _drawn_coalitions(players, most, generator)
        weights = torch.ones(len(coalitions), dtype=torch.float64)  # drawn by their weight already
    ends = torch.stack([torch.zeros(players, dtype=torch.bool), torch.ones(players, dtype=torch.bool)])
    empty, *between, full = worth(torch.cat([ends[:1], coalitions, ends[1:]])).double()
    gain = full - empty
    # The last player takes what the others leave, so that all together get the gain.
    members = coalitions.double()
    rest = members[:, :-1] - members[:, -1:]
    worths = torch.stack(between) - empty - members[:, -1] * gain
    root = weights.sqrt()[:, None]
    shares = torch.linalg.lstsq(rest * root, worths[:, None] * root, driver="gelsd").solution[:, 0]
    return torch.cat([shares, (gain - shares.sum())[None]]).float()


def _all_coalitions(players: int) -> tuple[Coalitions, Float[Tensor, " coalitions"]]:
    numbers = torch.arange(1, 2**players - 1)
    coalitions = (numbers[:, None] >> torch.arange(players)) % 2 == 1
    sizes = coalitions.sum(1).tolist()
    weights = [(players - 1) / (comb(players, size) * size * (players - size)) for size in sizes]
    return coalitions, torch.tensor(weights, dtype=torch.float64)


def _drawn_coalitions(players: int, most: int, generator: torch.Generator) -> Coalitions:
    of_size = torch.tensor([1 / (size * (players - size)) for size in range(1, players)], dtype=torch.float64)
    sizes = torch.multinomial(of_size, most // 2, replacement=True, generator=generator) + 1
    ranks = torch.rand(most // 2, players, generator=generator).argsort(1).argsort(1)
    drawn = ranks < sizes[:, None]
    return torch.cat([drawn, ~drawn])
