"""Grad-ECLIP: a block's values, weighted by the pooled token's gradient and the similarity of query and key.

    heat_p = ReLU(sum over d of (d cos / d o)_d v_pd w_p),   w_p = min-max over p of cos(W q, W k_p)

o is the pooled token's attention output before the output projection W, q its query, and v_p and k_p a token's value
and key, in the last block unless another is given. The similarity w replaces the softmax, which leaves all but a few
tokens near 0. In a phrase, p runs over the tokens of words, and the pooled token is the end of the text.

Departure from the authors' code: the last block keeps its heads (there it has one), so the cosine is the model's own.

Source: Zhao et al. 2024, "Gradient-based visual explanation for transformer-based CLIP" (ICML).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.attention import attend, embedding_of, open_tower, pooled_rows
from audit.attribution.engine import Method
from audit.attribution.layers import check_layer
from audit.attribution.pairs import Maps, Pairs, TowerBatch, both_towers
from audit.encoders.blocks import run_block
from audit.encoders.protocol import DualEncoder
from audit.encoders.transformer import Pooling
from pipelines.errors import ModelError

__all__ = ["GradECLIP"]


class GradECLIP(Method):
    """Gradient-weighted values of one block, for both towers."""

    name = "grad_eclip"
    unit = "dimensionless"
    explains_words = True

    numbers: Mapping[str, type] = {"image_layer": int, "text_layer": int}

    def __init__(self, *, image_layer: int | None = None, text_layer: int | None = None) -> None:
        """Set the blocks to read, 0-based; None is the last block of the tower, as published."""
        self._image_layer, self._text_layer = image_layer, text_layer

    def hyperparameters(self, encoder: DualEncoder) -> dict[str, float]:
        """Return the hyperparameters for a model.

        Raises:
            ValueError: the model has no such block.
        """
        image, text = self._layers(encoder)
        return {"image_layer": image, "text_layer": text}

    def attribute(self, pairs: Pairs) -> Maps:
        """Weight the values of one block of each tower.

        Raises:
            ModelError: a tower has no transformer blocks, or pools all tokens, so that there is no single query.
        """
        return both_towers(pairs, self._weigh, self._layers(pairs.encoder))

    def _layers(self, encoder: DualEncoder) -> tuple[int, int]:
        image = encoder.image.depth - 1 if self._image_layer is None else self._image_layer
        text = encoder.text.depth - 1 if self._text_layer is None else self._text_layer
        check_layer("image", image, encoder.image.depth)
        check_layer("text", text, encoder.text.depth)
        return image, text

    def _weigh(self, side: TowerBatch, layer: int) -> Float[Tensor, "pairs tokens"]:
        opened = open_tower(side, method=self.name)
        if opened.stack.pool is Pooling.ALL:
            raise ModelError(
                f"{self.name} follows the single token that becomes the embedding, but this model pools all of them "
                "(SigLIP's attention pooling): choose another method, such as legrad or nib"
            )
        block = opened.stack.blocks[layer]
        seen = attend(block, opened.before(layer), opened.allowed)
        hidden = seen.output
        for later in opened.stack.blocks[layer + 1 :]:
            hidden = run_block(later, hidden, opened.allowed)
        fit = cosine_similarity(embedding_of(opened, hidden), side.target).sum()
        (gradient,) = torch.autograd.grad(fit, seen.mixed)
        with torch.no_grad():
            queries = pooled_rows(opened, block.out(seen.query))[:, None]
            alike = _unit_range(cosine_similarity(queries, block.out(seen.key), dim=-1), side.content)
            pull = pooled_rows(opened, gradient)[:, None]
            return ((pull * seen.value).sum(-1) * alike).relu()


def _unit_range(
    values: Float[Tensor, "pairs tokens"], content: Bool[Tensor, "#pairs tokens"]
) -> Float[Tensor, "pairs tokens"]:
    """Scale each row's own content from its minimum to its maximum; 0 elsewhere, and if all values are equal."""
    low = values.masked_fill(~content, float("inf")).amin(1, keepdim=True)
    high = values.masked_fill(~content, float("-inf")).amax(1, keepdim=True)
    scaled = torch.where(high > low, (values - low) / (high - low), 0.0)
    return torch.where(content, scaled, 0.0)
