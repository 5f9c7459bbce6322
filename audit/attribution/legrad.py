"""LeGrad: how the cosine after each block rises with that block's own attention, summed over the blocks.

The head is put on every block's output, not on the last alone: s_l = cos(head(pooled Z_l), e). Then

    heat = sum over l of mean over heads and queries of ReLU(d s_l / d A_l)

for each key. Only the block's own attention is differentiated; what came before it is taken as given. SigLIP's pooling
head is put on all tokens of each block, as in the source.

Departure from the source: the sum over the blocks is not min-maxed: heat here is unscaled.

Source: Bousselham et al. 2024, "LeGrad: an explainability method for vision transformers via feature formation
sensitivity", section 3.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.attention import attend, embedding_of, last_blocks, open_tower
from audit.attribution.explain import Clock, Request
from audit.attribution.pairs import Explained, Maps, Pairs, Side, both_towers, explain_pairs, no_clock
from audit.encoders.protocol import DualEncoder

__all__ = ["LeGrad"]


class LeGrad:
    """Layer-wise gradients of attention, for both towers."""

    name = "legrad"
    unit = "cosine"
    explains_words = True

    def __init__(self, *, blocks: int | None = None) -> None:
        """Take the number of last blocks that are summed; None sums all."""
        if blocks is not None and blocks < 1:
            raise ValueError(f"LeGrad needs one block at least, got {blocks}")
        self._blocks = blocks

    def numbers_for(self, encoder: DualEncoder) -> dict[str, float]:
        """The method's numbers for a model."""
        image, text = encoder.image.depth, encoder.text.depth
        return {"image_blocks": min(self._blocks or image, image), "text_blocks": min(self._blocks or text, text)}

    def explain_batch(
        self, encoder: DualEncoder, requests: Sequence[Request], *, words: bool = True, clock: Clock = no_clock
    ) -> Explained:
        """Explain several images, each with its own phrases.

        Raises:
            ModelError: a tower has no transformer blocks.
        """
        return explain_pairs(encoder, requests, self._attribute, words=words, clock=clock)

    def _attribute(self, pairs: Pairs) -> Maps:
        return both_towers(pairs, self._sum_blocks, (0, 0))

    def _sum_blocks(self, side: Side, _layer: int) -> Float[Tensor, "pairs tokens"]:
        opened = open_tower(side, method=self.name)
        chosen = last_blocks(opened, self._blocks)
        hidden = opened.before(chosen[0])
        heat = hidden.new_zeros(hidden.shape[:2])
        for number in chosen:
            seen = attend(opened.stack.blocks[number], hidden.detach(), opened.allowed)
            fit = cosine_similarity(embedding_of(opened, seen.output), side.target).sum()
            (gradient,) = torch.autograd.grad(fit, seen.weights)
            per_query = gradient.relu().mean(1) * side.seen()[:, :, None]  # padding asks nothing
            heat += per_query.sum(1) / side.seen().sum(1, keepdim=True)
            hidden = seen.output.detach()
        return heat
