"""NIB: the narrowed information bottleneck, an integral of gradients along the hidden state, without noise.

A scalar that scales the hidden state h from 0 to 1 replaces M2IB's noise. The increase of the cosine along that path is
distributed over the elements:

    A = sum over i = 1..N of (1/N) h * d cos(suffix(x), e)/dx at x = (i/N) h

The heat of a token is A summed over the width. It may be negative, and it is the same in every run. A is a right
Riemann sum of an integral that equals cos(suffix(h), e) - cos(suffix(0), e). Ten steps approximate it only roughly,
because they are coarse near 0, where a LayerNorm changes direction quickly.

The blocks are those of the authors' code, which scales the input of block 9 of 12 in both towers: the output of block
8, counted from 0. M2IB's code uses the output of block 9, and of block 7 in the text tower for chest X-rays; to compare
both at the same place, give NIB the layers of M2IB.

Departure from the authors' code: heat is unscaled (there it is min-max scaled, after resizing the image's to 224 px).

Source: Zhu et al. 2025, "Narrowing information bottleneck theory for multimodal image-text representations
interpretability" (ICLR), and the function ``nib`` of the authors' code (``num_steps=10``, ``target_layer=9``).
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from audit.attribution.engine import Method
from audit.attribution.layers import cosine_gradient, layers_for
from audit.attribution.pairs import Maps, Pairs, TowerBatch, both_towers
from audit.encoders.protocol import DualEncoder

__all__ = ["NIB"]

_PUBLISHED_LAYERS = (8, 8)  # image and text block of 12 whose output is scaled


class NIB(Method):
    """Narrowed information bottleneck attribution for both towers."""

    name = "nib"
    unit = "cosine"
    explains_words = True
    numbers: Mapping[str, type] = {"steps": int, "image_layer": int, "text_layer": int}

    def __init__(self, *, steps: int = 10, image_layer: int | None = None, text_layer: int | None = None) -> None:
        """Set the number of steps of the integral, and the blocks whose output is scaled, 0-based.

        Missing blocks are those of the model's folder, or else the published ones.

        Raises:
            ValueError: less than one step.
        """
        if steps < 1:
            raise ValueError(f"NIB needs at least one step, got {steps}")
        self._steps, self._layers = steps, (image_layer, text_layer)

    def split(self, encoder: DualEncoder) -> tuple[int, int]:
        """Return the image and text block whose output is scaled: as given, else the model folder's, else published."""
        return layers_for(encoder, *self._layers, published=_PUBLISHED_LAYERS)

    def hyperparameters(self, encoder: DualEncoder) -> dict[str, float]:
        """Return the hyperparameters for a model."""
        image, text = self.split(encoder)
        return {"steps": self._steps, "image_layer": image, "text_layer": text}

    def attribute(self, pairs: Pairs) -> Maps:
        """Integrate in both towers."""
        return both_towers(pairs, self._integrate, self.split(pairs.encoder))

    def _integrate(self, side: TowerBatch, layer: int) -> Float[Tensor, "pairs tokens"]:
        hidden = side.prefix(layer)
        total = torch.zeros_like(hidden)
        for step in range(1, self._steps + 1):
            at = hidden * (step / self._steps)
            total += cosine_gradient(lambda x: side.tower.suffix(x, layer, side.mask), at, side.target)
        return (hidden * total / self._steps).sum(-1)
