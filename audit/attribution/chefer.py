"""Chefer et al.: relevance carried from block to block by attention weighted with its gradient.

    R = I;   for each of the last blocks:  R <- R + mean over heads of ReLU(A * d cos / dA) R

The heat is the row of the token that is pooled. SigLIP's head pools all tokens: there it is the mean of all rows, the
head's own attention being left aside. The number of blocks is 1, as in the authors' notebook for CLIP.

Source: Chefer, Gur and Wolf 2021, "Generic attention-model explainability for interpreting bi-modal and encoder-decoder
transformers" (ICCV), equations 5 and 6.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.attention import attend, embedding_of, last_blocks, open_tower, pooled_rows
from audit.attribution.explain import Clock, Request
from audit.attribution.pairs import Explained, Maps, Pairs, Side, both_towers, explain_pairs, no_clock
from audit.encoders.protocol import DualEncoder

__all__ = ["Chefer"]


class Chefer:
    """Relevance by gradient-weighted attention, for both towers."""

    name = "chefer"
    unit = "dimensionless"
    explains_words = True

    def __init__(self, *, blocks: int = 1) -> None:
        """Take the number of last blocks that relevance is carried through; more than there are means all."""
        if blocks < 1:
            raise ValueError(f"Chefer's relevance needs one block at least, got {blocks}")
        self._blocks = blocks

    def numbers_for(self, encoder: DualEncoder) -> dict[str, float]:
        """The method's numbers for a model."""
        image, text = encoder.image.depth, encoder.text.depth
        return {"image_blocks": min(self._blocks, image), "text_blocks": min(self._blocks, text)}

    def explain_batch(
        self, encoder: DualEncoder, requests: Sequence[Request], *, words: bool = True, clock: Clock = no_clock
    ) -> Explained:
        """Explain several images, each with its own phrases.

        Raises:
            ModelError: a tower has no transformer blocks.
        """
        return explain_pairs(encoder, requests, self._attribute, words=words, clock=clock)

    def _attribute(self, pairs: Pairs) -> Maps:
        return both_towers(pairs, self._carry, (0, 0))

    def _carry(self, side: Side, _layer: int) -> Float[Tensor, "pairs tokens"]:
        opened = open_tower(side, method=self.name)
        chosen = last_blocks(opened, self._blocks)
        hidden, maps = opened.before(chosen[0]), []
        for number in chosen:
            seen = attend(opened.stack.blocks[number], hidden, opened.allowed)
            hidden = seen.output
            maps.append(seen.weights)
        fit = cosine_similarity(embedding_of(opened, hidden), side.target).sum()
        gradients = torch.autograd.grad(fit, maps)
        tokens = hidden.shape[1]
        relevance = torch.eye(tokens, device=hidden.device).expand(len(hidden), tokens, tokens)
        with torch.no_grad():
            for weights, gradient in zip(maps, gradients, strict=True):
                relevance = relevance + (weights * gradient).relu().mean(1) @ relevance
        return pooled_rows(opened, relevance)
