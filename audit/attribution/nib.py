"""NIB: the narrowed information bottleneck, an integral of gradients along the hidden state, without noise.

M2IB's noise is replaced by a scalar that lets everything or nothing of the hidden state h through. The cosine's rise
along that way, from 0 to h, is shared out over the elements:

    A = sum over i = 1..N of (1/N) h * d cos(suffix(x), e)/dx at x = (i/N) h

The heat of a token is A summed over the width; it may be negative, and it is the same in every run. A is the right-hand
sum of an integral that adds up to cos(suffix(h), e) - cos(suffix(0), e); ten steps keep to that only roughly, being
coarse near 0, where a LayerNorm turns fast.

Source: Zhu et al. 2025, "Narrowing information bottleneck theory for multimodal image-text representations
interpretability" (ICLR).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from audit.attribution.explain import M2IB, Clock, Request
from audit.attribution.gradients import cosine_gradient
from audit.attribution.pairs import Explained, Maps, Pairs, Side, both_towers, explain_pairs, no_clock
from audit.encoders.protocol import DualEncoder

__all__ = ["NIB"]


class NIB:
    """Narrowed information bottleneck attribution for both towers."""

    name = "nib"
    unit = "cosine"
    explains_words = True

    def __init__(self, *, steps: int = 10, image_layer: int | None = None, text_layer: int | None = None) -> None:
        """Take the number of steps of the integral, and the blocks; those not given are M2IB's for the model."""
        if steps < 1:
            raise ValueError(f"NIB needs one step at least, got {steps}")
        self._steps, self._layers = steps, M2IB(image_layer=image_layer, text_layer=text_layer)

    def numbers_for(self, encoder: DualEncoder) -> dict[str, float]:
        """The method's numbers for a model."""
        _, image, text = self._layers.settings_for(encoder)
        return {"steps": self._steps, "image_layer": image, "text_layer": text}

    def explain_batch(
        self, encoder: DualEncoder, requests: Sequence[Request], *, words: bool = True, clock: Clock = no_clock
    ) -> Explained:
        """Explain several images, each with its own phrases."""
        return explain_pairs(encoder, requests, self._attribute, words=words, clock=clock)

    def _attribute(self, pairs: Pairs) -> Maps:
        _, image, text = self._layers.settings_for(pairs.encoder)
        return both_towers(pairs, self._integrate, (image, text))

    def _integrate(self, side: Side, layer: int) -> Float[Tensor, "pairs tokens"]:
        hidden = side.prefix(layer)
        total = torch.zeros_like(hidden)
        for step in range(1, self._steps + 1):
            at = hidden * (step / self._steps)
            total += cosine_gradient(lambda x: side.tower.suffix(x, layer, side.mask), at, side.target)
        return (hidden * total / self._steps).sum(-1)
