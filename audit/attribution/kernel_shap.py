"""KernelSHAP: Shapley values of the cells of a coarse grid, by weighted least squares.

The cells of the image are the players. The value of a coalition is the cosine of the image with all other cells greyed.
Shapley values are the coefficients of the linear model of the value that is optimal under the weight

    (M - 1) / (C(M, |z|) |z| (M - |z|))

for a coalition z of M players; the empty and the full coalition are fitted exactly. If there are no more than
``coalitions`` coalitions, all of them are used and the values are exact. Otherwise they are drawn by that weight, each
with its complement. A cell's value is assigned to each of the model's patches in it.

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
    """Shapley values of the image's cells; words are not measured."""

    name = "kernel_shap"
    unit = "cosine"
    explains_words = False
    numbers: Mapping[str, type] = {"cells": int, "coalitions": int}

    def __init__(self, *, cells: int = 7, coalitions: int = 500) -> None:
        """Set the cells per side, and the maximum number of coalitions apart from the empty and the full one."""
        if cells < 2 or coalitions < 2:
            raise ValueError(f"KernelSHAP needs at least 2 cells per side and 2 coalitions: {cells}, {coalitions}")
        self._cells, self._coalitions = cells, coalitions

    def hyperparameters(self, encoder: DualEncoder) -> dict[str, float]:  # noqa: ARG002 - the same for all models
        """Return the hyperparameters."""
        return {"cells": self._cells, "coalitions": self._coalitions}

    def attribute(self, pairs: Pairs) -> Maps:
        """Compute the Shapley values of the cells of each pair's image."""
        rows = zip(pairs.image_of.tolist(), pairs.text_embedding, pairs.seeds, strict=True)
        values = torch.stack([self._one(pairs, pairs.images[row], *rest) for row, *rest in rows])
        grid = pairs.encoder.image.grid_at(0)
        return Maps(image=interpolate(values[:, None], size=grid, mode="nearest-exact")[:, 0])

    def _one(
        self, pairs: Pairs, pixels: Float[Tensor, "3 size size"], target: Float[Tensor, " dim"], seed: int
    ) -> Float[Tensor, "cells cells"]:
        cells, size = self._cells, pixels.shape[-1]

        def value(coalitions: Coalitions) -> Float[Tensor, " coalitions"]:
            squares = coalitions.float().view(-1, 1, cells, cells).to(pixels.device)
            masks = interpolate(squares, size=(size, size), mode="nearest-exact")[:, 0]
            return masked_cosines(pairs.encoder, pixels, masks, target).cpu()

        generator = torch.Generator().manual_seed(seed % 2**63)
        values = shapley_values(value, cells * cells, most=self._coalitions, generator=generator)
        return values.view(cells, cells).to(pixels.device)


def shapley_values(
    value: Callable[[Coalitions], Float[Tensor, " coalitions"]],
    players: int,
    *,
    most: int,
    generator: torch.Generator,
) -> Float[Tensor, " players"]:
    """Distribute the difference in value between the full and the empty coalition over the players.

    Args:
        value: returns the value of coalitions, one per row.
        players: number of players, at least 2.
        most: maximum number of coalitions apart from the empty and the full one; if that covers all, values are exact.
        generator: draws the coalitions if there are too many.
    """
    if players <= 30 and 2**players - 2 <= most:
        coalitions, weights = _all_coalitions(players)
    else:
        coalitions = _drawn_coalitions(players, most, generator)
        weights = torch.ones(len(coalitions), dtype=torch.float64)  # they were drawn by their weight
    ends = torch.stack([torch.zeros(players, dtype=torch.bool), torch.ones(players, dtype=torch.bool)])
    empty, *between, full = value(torch.cat([ends[:1], coalitions, ends[1:]])).double()
    gain = full - empty
    # The last player gets the remainder, so that the values sum to the difference.
    members = coalitions.double()
    rest = members[:, :-1] - members[:, -1:]
    gains = torch.stack(between) - empty - members[:, -1] * gain
    root = weights.sqrt()[:, None]
    shares = torch.linalg.lstsq(rest * root, gains[:, None] * root, driver="gelsd").solution[:, 0]
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
