"""Chefer et al.: relevance propagated from block to block by gradient-weighted attention.

    R = I;   for each of the last blocks:  R <- R + mean over heads of ReLU(A * d cos / dA) R

The heat is the row of the pooled token. SigLIP's head pools all tokens: for it the heat is the mean of all rows, and
the head's own attention is not used. The number of blocks is 1, as in the authors' notebook for CLIP.

Departure from the authors' notebook: it differentiates the logit, which is the cosine times the model's logit scale
(about 100 in CLIP). Here the cosine itself is differentiated, as in every other method. With one block, the heat of the
patches is that of the notebook divided by the scale. With several blocks the form of the map differs too: products of
the blocks' terms shrink with powers of the scale relative to the identity, so the map is closer to the sum of the
terms.

Source: Chefer, Gur and Wolf 2021, "Generic attention-model explainability for interpreting bi-modal and encoder-decoder
transformers" (ICCV), equations 5 and 6.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.attention import attend, embedding_of, open_tower, pooled_rows
from audit.attribution.engine import Method
from audit.attribution.layers import first_of_last
from audit.attribution.pairs import Maps, Pairs, TowerBatch, both_towers
from audit.encoders.protocol import DualEncoder

__all__ = ["Chefer"]


class Chefer(Method):
    """Relevance by gradient-weighted attention, for both towers."""

    name = "chefer"
    unit = "dimensionless"
    explains_words = True
    numbers: Mapping[str, type] = {"image_blocks": int, "text_blocks": int}

    def __init__(self, *, image_blocks: int = 1, text_blocks: int = 1) -> None:
        """Set the number of last blocks to propagate relevance through; a larger number than exists means all.

        Raises:
            ValueError: less than one block.
        """
        if min(image_blocks, text_blocks) < 1:
            raise ValueError(f"Chefer's relevance needs at least one block, got {image_blocks} and {text_blocks}")
        self._image_blocks, self._text_blocks = image_blocks, text_blocks

    def hyperparameters(self, encoder: DualEncoder) -> dict[str, float]:
        """Return the hyperparameters for a model."""
        image, text = encoder.image.depth, encoder.text.depth
        return {"image_blocks": min(self._image_blocks, image), "text_blocks": min(self._text_blocks, text)}

    def attribute(self, pairs: Pairs) -> Maps:
        """Propagate relevance through the last blocks of both towers.

        Raises:
            ModelError: a tower has no transformer blocks.
        """
        image = first_of_last(pairs.encoder.image.depth, self._image_blocks)
        text = first_of_last(pairs.encoder.text.depth, self._text_blocks)
        return both_towers(pairs, self._carry, (image, text))

    def _carry(self, side: TowerBatch, first: int) -> Float[Tensor, "pairs tokens"]:
        opened = open_tower(side, method=self.name)
        hidden, maps = opened.before(first), []
        for block in opened.stack.blocks[first:]:
            seen = attend(block, hidden, opened.allowed)
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
