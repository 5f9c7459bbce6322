"""Attention rollout: the patches from which the embedding is made, independent of the phrase.

    R = product over the last blocks, all unless a number is given, of (mean over heads of A + I) / 2

The heat is the row of the pooled token, or the mean of all rows for SigLIP, whose head pools all tokens. The phrase has
no effect: all phrases of an image get the same map. Rollout is a reference that shows what reading the phrase adds.

Source: Abnar and Zuidema 2020, "Quantifying attention flow in transformers" (ACL), section 3.
"""

from collections.abc import Mapping

import torch

from audit.attribution.attention import attend, open_tower, pooled_rows
from audit.attribution.engine import Method
from audit.attribution.layers import first_of_last
from audit.attribution.pairs import Maps, Pairs, on_grid
from audit.encoders.protocol import DualEncoder

__all__ = ["Rollout"]


class Rollout(Method):
    """Attention rollout of the image: it ignores the words."""

    name = "rollout"
    unit = "dimensionless"
    explains_words = False

    numbers: Mapping[str, type] = {"image_blocks": int}

    def __init__(self, *, image_blocks: int | None = None) -> None:
        """Set the number of last blocks to use; None, or a larger number than exists, means all.

        Raises:
            ValueError: less than one block.
        """
        if image_blocks is not None and image_blocks < 1:
            raise ValueError(f"rollout needs at least one block, got {image_blocks}")
        self._blocks = image_blocks

    def hyperparameters(self, encoder: DualEncoder) -> dict[str, float]:
        """Return the hyperparameters for a model."""
        depth = encoder.image.depth
        return {"image_blocks": depth if self._blocks is None else min(self._blocks, depth)}

    def attribute(self, pairs: Pairs) -> Maps:
        """Multiply the attention of the last blocks of the image tower.

        Raises:
            ModelError: the image tower has no transformer blocks.
        """
        opened = open_tower(pairs.image_side(0), method=self.name)
        first = first_of_last(pairs.encoder.image.depth, int(self.hyperparameters(pairs.encoder)["image_blocks"]))
        hidden = opened.before(first)
        identity = torch.eye(hidden.shape[1], device=hidden.device)
        relevance = identity.expand(len(hidden), *identity.shape)
        for block in opened.stack.blocks[first:]:
            seen = attend(block, hidden.detach(), opened.allowed)
            relevance = (seen.weights.detach().mean(1) + identity) / 2 @ relevance
            hidden = seen.output
        return Maps(image=on_grid(pooled_rows(opened, relevance), pairs.encoder, 0))
