"""NIB: the narrowed information bottleneck, an integral of gradients along the hidden state, without noise.

M2IB's noise is replaced by a scalar that lets everything or nothing of the hidden state h through. The cosine's rise
along that way, from 0 to h, is shared out over the elements:

    A = sum over i = 1..N of (1/N) h * d cos(suffix(x), e)/dx at x = (i/N) h

The heat of a token is A summed over the width; it may be negative, and it is the same in every run. A is the right-hand
sum of an integral that adds up to cos(suffix(h), e) - cos(suffix(0), e); ten steps keep to that only roughly, being
coarse near 0, where a LayerNorm turns fast.

The blocks are those of the authors' code, which squeezes the input of block 9 of 12 in both towers: the output of
block 8, counted from 0. M2IB's code squeezes the output of block 9, and of block 7 in the text tower for chest X-rays;
to compare both at one place, give NIB M2IB's layers.

Departure from the authors' code: heat is unscaled (there it is min-maxed, and the image's brought to 224 px first).

Source: Zhu et al. 2025, "Narrowing information bottleneck theory for multimodal image-text representations
interpretability" (ICLR), and the function ``nib`` of the authors' code (``num_steps=10``, ``target_layer=9``).
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from audit.attribution.explain import Clock, Request, layers_for
from audit.attribution.gradients import cosine_gradient
from audit.attribution.pairs import Explained, Maps, Pairs, Side, both_towers, explain_pairs, no_clock
from audit.encoders.protocol import DualEncoder

__all__ = ["NIB"]

_PUBLISHED_LAYERS = (8, 8)  # image and text block of 12 whose output is squeezed


class NIB:
    """Narrowed information bottleneck attribution for both towers."""

    name = "nib"
    unit = "cosine"
    explains_words = True
    numbers: Mapping[str, type] = {"steps": int, "image_layer": int, "text_layer": int}

    def __init__(self, *, steps: int = 10, image_layer: int | None = None, text_layer: int | None = None) -> None:
        """Take the number of steps of the integral, and the blocks whose output is squeezed, 0-based.

        Blocks that are not given are those of the model's folder, else the published ones.

        Raises:
            ValueError: less than one step.
        """
        if steps < 1:
            raise ValueError(f"NIB needs one step at least, got {steps}")
        self._steps, self._image_layer, self._text_layer = steps, image_layer, text_layer

    def numbers_for(self, encoder: DualEncoder) -> dict[str, float]:
        """The method's numbers for a model."""
        image, text = self._layers(encoder)
        return {"steps": self._steps, "image_layer": image, "text_layer": text}

    def explain_batch(
        self, encoder: DualEncoder, requests: Sequence[Request], *, words: bool = True, clock: Clock = no_clock
    ) -> Explained:
        """Explain several images, each with its own phrases."""
        return explain_pairs(encoder, requests, self._attribute, words=words, clock=clock)

    def _attribute(self, pairs: Pairs) -> Maps:
        return both_towers(pairs, self._integrate, self._layers(pairs.encoder))

    def _layers(self, encoder: DualEncoder) -> tuple[int, int]:
        return layers_for(encoder, self._image_layer, self._text_layer, published=_PUBLISHED_LAYERS)

    def _integrate(self, side: Side, layer: int) -> Float[Tensor, "pairs tokens"]:
        hidden = side.prefix(layer)
        total = torch.zeros_like(hidden)
        for step in range(1, self._steps + 1):
            at = hidden * (step / self._steps)
            total += cosine_gradient(lambda x: side.tower.suffix(x, layer, side.mask), at, side.target)
        return (hidden * total / self._steps).sum(-1)
