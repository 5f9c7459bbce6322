"""Attention rollout: which patches the embedding is made of, whatever the phrase says.

    R = product over the blocks of (mean over heads of A + I) / 2

The heat is the row of the pooled token; for SigLIP, whose head pools all tokens, the mean of all rows. The phrase takes
no part: all phrases of an image get the same map. It is here as a reference, to see what a map gains by reading.

Source: Abnar and Zuidema 2020, "Quantifying attention flow in transformers" (ACL), section 3.
"""

from collections.abc import Sequence

import torch

from audit.attribution.attention import attend, open_tower, pooled_rows
from audit.attribution.explain import Clock, Request
from audit.attribution.pairs import Explained, Maps, Pairs, explain_pairs, no_clock, on_grid
from audit.encoders.protocol import DualEncoder

__all__ = ["Rollout"]


class Rollout:
    """Attention rollout of the image: it sees the image and is blind to the words."""

    name = "rollout"
    unit = "dimensionless"
    explains_words = False

    def numbers_for(self, encoder: DualEncoder) -> dict[str, float]:
        """Say how many blocks are rolled out: all."""
        return {"image_blocks": encoder.image.depth}

    def explain_batch(
        self, encoder: DualEncoder, requests: Sequence[Request], *, words: bool = True, clock: Clock = no_clock
    ) -> Explained:
        """Explain several images, each with its own phrases; the words are not measured.

        Raises:
            ModelError: the image tower has no transformer blocks.
        """
        return explain_pairs(encoder, requests, self._attribute, words=words, clock=clock)

    def _attribute(self, pairs: Pairs) -> Maps:
        opened = open_tower(pairs.image_side(0), method=self.name)
        hidden = opened.embedded
        identity = torch.eye(hidden.shape[1], device=hidden.device)
        relevance = identity.expand(len(hidden), *identity.shape)
        for block in opened.stack.blocks:
            seen = attend(block, hidden.detach(), opened.allowed)
            relevance = (seen.weights.detach().mean(1) + identity) / 2 @ relevance
            hidden = seen.output
        return Maps(image=on_grid(pooled_rows(opened, relevance), pairs.encoder, 0))
