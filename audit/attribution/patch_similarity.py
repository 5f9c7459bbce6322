"""Patch similarity: the cosine of the phrase with each patch's own token, passed through the head.

There is no gradient and no perturbation: each token of a block's output takes the place of the pooled token. The block
is the last unless another is given. SigLIP's attention pooling of a single token returns that token's value. In a CLIP
with patches that were never trained to be read, this map is often the opposite of what is expected; it is included as a
cheap reference.

Source: Zhou, Loy and Dai 2022, "Extract free dense labels from CLIP" (ECCV), section 3, without its change of the last
block.
"""

from collections.abc import Mapping

import torch
from torch.nn.functional import cosine_similarity

from audit.attribution.engine import Method
from audit.attribution.layers import check_layer
from audit.attribution.pairs import Maps, Pairs, on_grid
from audit.encoders.protocol import DualEncoder
from audit.encoders.transformer import Pooling, TransformerImageTower
from pipelines.errors import ModelError

__all__ = ["PatchSimilarity"]


class PatchSimilarity(Method):
    """Cosine of each patch with the phrase."""

    name = "patch_similarity"
    unit = "cosine"
    explains_words = False

    numbers: Mapping[str, type] = {"image_layer": int}

    def __init__(self, *, image_layer: int | None = None) -> None:
        """Set the block whose output is read, 0-based; None is the last."""
        self._layer = image_layer

    def hyperparameters(self, encoder: DualEncoder) -> dict[str, float]:
        """Return the hyperparameters for a model.

        Raises:
            ValueError: the model has no such block.
        """
        layer = encoder.image.depth - 1 if self._layer is None else self._layer
        check_layer("image", layer, encoder.image.depth)
        return {"image_layer": layer}

    @torch.no_grad()
    def attribute(self, pairs: Pairs) -> Maps:
        """Compare each patch with the phrase.

        Raises:
            ModelError: the image tower has no transformer blocks.
        """
        tower = pairs.encoder.image
        if not isinstance(tower, TransformerImageTower):
            raise ModelError(
                f"{self.name} reads the tokens of transformer blocks, but this model's {type(tower).__name__} has "
                "none: choose a method that does not need them, such as m2ib, nib or grad_cam"
            )
        layer = int(self.hyperparameters(pairs.encoder)["image_layer"])
        hidden = tower.prefix(pairs.images, layer)
        tokens = hidden.flatten(0, 1)
        embedded = tower.stack.head(tokens[:, None] if tower.stack.pool is Pooling.ALL else tokens)
        embedded = embedded.view(*hidden.shape[:2], -1)[pairs.image_of]
        heat = cosine_similarity(embedded, pairs.text_embedding[:, None], dim=-1)
        return Maps(image=on_grid(heat, pairs.encoder, layer))
