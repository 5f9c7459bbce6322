"""Saliency: gradient of the cosine with respect to each pixel and each token's embedding.

    image: max over channels of |d cos / d pixel|, averaged over each cell of the model's grid
    words: norm over the width of d cos / d embedding, per token

Departure from the source: the map is reduced to the model's grid, to be comparable with other methods.

Source: Simonyan, Vedaldi and Zisserman 2014, "Deep inside convolutional networks: visualising image classification
models and saliency maps", section 3; for words Li et al. 2016, "Visualizing and understanding neural models in NLP".
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from audit.attribution.attention import open_tower
from audit.attribution.engine import Method
from audit.attribution.layers import cosine_gradient
from audit.attribution.pairs import Maps, Pairs

__all__ = ["Saliency"]


class Saliency(Method):
    """The magnitude of the input's gradient, for both towers."""

    name = "saliency"
    unit = "cosine"
    explains_words = True

    def attribute(self, pairs: Pairs) -> Maps:
        """Differentiate the cosine with respect to the pixels and the embedded tokens."""
        tower = pairs.encoder.image
        pixels = pairs.images[pairs.image_of]
        gradient = cosine_gradient(tower.forward, pixels, pairs.text_embedding)
        heat = adaptive_avg_pool2d(gradient.abs().amax(1), tower.grid_at(0))
        return Maps(image=heat, tokens=self._of_tokens(pairs) if pairs.words else None)

    def _of_tokens(self, pairs: Pairs) -> Float[Tensor, "pairs text_tokens"]:
        side = pairs.text_side()
        opened = open_tower(side, method=self.name)
        gradient = cosine_gradient(lambda x: opened.stack.run_all(x, side.mask), opened.embedded, side.target)
        norms: Tensor = torch.linalg.vector_norm(gradient, dim=-1)
        return norms
