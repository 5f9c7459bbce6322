"""LeGrad: gradient of the cosine of a block's output with respect to that block's attention, over the last blocks.

The model's head is applied to the output Z_l of each of the last blocks: s_l = cos(head(mean over tokens of Z_l), e).

    heat = sum over l of mean over heads and queries of ReLU(d s_l / d A_l)

for each key. Only the block's own attention is differentiated; its input is constant. ``pool`` selects what the head
reads: ``mean`` is the mean of all tokens (with CLS, without padding), as in the authors' code; ``own`` is the token
that the model itself pools. The last two blocks are summed, as in that code.

Departures from the authors' code: the sum over the blocks is not min-max scaled, because heat is unscaled here. The
text side, which that code does not explain, is treated like the image. In SigLIP, whose head pools all tokens by
attention, the head is applied to all tokens of each block and the block's own attention is differentiated; that code
differentiates the attention of the head, and blanks patches that are hot for an empty text.

Source: Bousselham et al. 2024, "LeGrad: an explainability method for vision transformers via feature formation
sensitivity", section 3, and ``compute_legrad_clip`` of the authors' code (``layer_index=-2``).
"""

from collections.abc import Mapping
from enum import StrEnum

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.attention import attend, embedding_of, mean_embedding, open_tower
from audit.attribution.engine import Method
from audit.attribution.layers import first_of_last
from audit.attribution.pairs import Maps, Pairs, TowerBatch, both_towers
from audit.encoders.protocol import DualEncoder

__all__ = ["LeGrad", "LeGradPool"]


class LeGradPool(StrEnum):
    """The part of a block's output that the head reads."""

    MEAN = "mean"  # of all tokens, as in the authors' code
    OWN = "own"  # the token that the model pools: CLS, or the end of the text


class LeGrad(Method):
    """Layer-wise gradients of attention, for both towers."""

    name = "legrad"
    unit = "cosine"
    explains_words = True
    numbers: Mapping[str, type] = {"image_blocks": int, "text_blocks": int, "pool": LeGradPool}

    def __init__(self, *, image_blocks: int = 2, text_blocks: int = 2, pool: LeGradPool = LeGradPool.MEAN) -> None:
        """Set the number of last blocks to sum (a larger number than exists means all), and what the head reads.

        Raises:
            ValueError: less than one block.
        """
        if min(image_blocks, text_blocks) < 1:
            raise ValueError(f"LeGrad needs at least one block, got {image_blocks} and {text_blocks}")
        self._blocks, self._pool = (image_blocks, text_blocks), pool

    def hyperparameters(self, encoder: DualEncoder) -> dict[str, float | str]:
        """Return the hyperparameters for a model."""
        image, text = (min(*pair) for pair in zip(self._blocks, _depths(encoder), strict=True))
        return {"image_blocks": image, "text_blocks": text, "pool": self._pool.value}

    def attribute(self, pairs: Pairs) -> Maps:
        """Sum the gradients of attention over the last blocks of both towers.

        Raises:
            ModelError: a tower has no transformer blocks.
        """
        image, text = (first_of_last(*pair) for pair in zip(_depths(pairs.encoder), self._blocks, strict=True))
        return both_towers(pairs, self._sum_blocks, (image, text))

    def _sum_blocks(self, side: TowerBatch, first: int) -> Float[Tensor, "pairs tokens"]:
        opened, is_seen = open_tower(side, method=self.name), side.seen()
        hidden = opened.before(first)
        heat = hidden.new_zeros(hidden.shape[:2])
        for block in opened.stack.blocks[first:]:
            attended = attend(block, hidden.detach(), opened.allowed)
            if self._pool is LeGradPool.MEAN:
                embedded = mean_embedding(opened, attended.output, is_seen)
            else:
                embedded = embedding_of(opened, attended.output)
            (gradient,) = torch.autograd.grad(cosine_similarity(embedded, side.target).sum(), attended.weights)
            per_query = gradient.relu().mean(1) * is_seen[:, :, None]  # padding is not a query
            heat += per_query.sum(1) / is_seen.sum(1, keepdim=True)
            hidden = attended.output.detach()
        return heat


def _depths(encoder: DualEncoder) -> tuple[int, int]:
    return encoder.image.depth, encoder.text.depth
