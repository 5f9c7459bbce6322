"""IBA: the information bottleneck with the scaling of its first paper, per pair.

The noise that replaces a part of the hidden state h looks like h: it has its mean m and standard deviation s, feature
by feature, so that z = lam h + (1 - lam)(m + s eps), and

    loss = 10 mean(C) - mean over samples of cos(suffix(z), e)
    C = KL(N(lam h + (1 - lam) m, ((1 - lam) s)^2) || N(m, s^2))

With r = (h - m) / s this is M2IB's bottleneck on r with variance 1, whose suffix first goes back to m + s r; so M2IB's
code runs it. M2IB differs in its noise, N(0, v) whatever h is, and in its beta.

Departures from the source: the cosine with the other tower's embedding stands for the cross-entropy of a class; m and s
are those of the pair's own tokens, as no training images are at hand; lam is not smoothed by a Gaussian over the grid,
which is there against the checkerboards of strided convolutions.

Source: Schulz et al. 2020, "Restricting the flow: information bottlenecks for attribution" (ICLR), sections 3 and 4
(beta = 10 / k with the capacity summed over k elements; 10 steps, 10 samples, learning rate 1, initial value 5).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from audit.attribution.explain import M2IB, Clock, Request
from audit.attribution.m2ib import BOTTLENECK_NUMBERS, M2IBSettings, bottleneck, changed_settings
from audit.attribution.pairs import Explained, Maps, Pairs, Side, both_towers, explain_pairs, no_clock
from audit.encoders.protocol import DualEncoder

__all__ = ["IBA"]

_PAPER = M2IBSettings(beta=10.0, variance=1.0, steps=10, samples=10, learning_rate=1.0, initial=5.0)
_LEAST_SPREAD = 0.01  # of a feature: a constant one would have no scale


class IBA:
    """Information bottleneck attribution, scaled by the hidden state's own statistics, for both towers."""

    name = "iba"
    unit = "nats"
    explains_words = True
    numbers: Mapping[str, type] = {**BOTTLENECK_NUMBERS, "image_layer": int, "text_layer": int}

    def __init__(
        self,
        settings: M2IBSettings = _PAPER,
        *,
        image_layer: int | None = None,
        text_layer: int | None = None,
        **numbers: float,
    ) -> None:
        """Take the bottleneck's numbers, and the blocks whose output is squeezed; those not given are M2IB's.

        Args:
            settings: numbers of the bottleneck; the variance is in units of each feature's own.
            image_layer: block of the image tower, 0-based.
            text_layer: block of the text tower, 0-based.
            numbers: single numbers of the bottleneck by name, in place of those of ``settings``.

        Raises:
            TypeError: the bottleneck has no number of that name.
            ValueError: a number is out of its range.
        """
        self._settings = changed_settings(settings, numbers)
        self._layers = M2IB(image_layer=image_layer, text_layer=text_layer)

    def numbers_for(self, encoder: DualEncoder) -> dict[str, float]:
        """The method's numbers for a model."""
        _, image, text = self._layers.settings_for(encoder)
        return {**asdict(self._settings), "image_layer": image, "text_layer": text}

    def explain_batch(
        self, encoder: DualEncoder, requests: Sequence[Request], *, words: bool = True, clock: Clock = no_clock
    ) -> Explained:
        """Explain several images, each with its own phrases."""
        return explain_pairs(encoder, requests, self._attribute, words=words, clock=clock)

    def _attribute(self, pairs: Pairs) -> Maps:
        _, image, text = self._layers.settings_for(pairs.encoder)
        return both_towers(pairs, self._squeeze, (image, text))

    def _squeeze(self, side: Side, layer: int) -> Float[Tensor, "pairs tokens"]:
        hidden, mask = side.prefix(layer), side.seen()
        mean, spread = _statistics(hidden, mask)

        def suffix(scaled: Tensor, rows: Tensor) -> Tensor:
            repeats = len(scaled) // len(hidden)
            back = mean.repeat_interleave(repeats, 0) + scaled * spread.repeat_interleave(repeats, 0)
            return side.tower.suffix(back, layer, None if side.mask is None else rows)

        generators = [torch.Generator(hidden.device).manual_seed(seed % 2**63) for seed in side.seeds]
        return bottleneck(
            (hidden - mean) / spread,
            mask,
            side.target,
            suffix,
            settings=self._settings,
            generators=generators,
        )


def _statistics(
    hidden: Float[Tensor, "pairs tokens width"], mask: Bool[Tensor, "pairs tokens"]
) -> tuple[Float[Tensor, "pairs 1 width"], Float[Tensor, "pairs 1 width"]]:
    """Mean and standard deviation of each feature over the tokens that are seen."""
    weight = mask[..., None] / mask.sum(1)[:, None, None]
    mean = (hidden * weight).sum(1, keepdim=True)
    spread = ((hidden - mean) ** 2 * weight).sum(1, keepdim=True).sqrt()
    return mean, spread.clamp_min(_LEAST_SPREAD)
