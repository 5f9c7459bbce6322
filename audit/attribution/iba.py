"""IBA: the information bottleneck with the scaling of the original paper, applied per pair.

The noise that replaces a part of the hidden state h is distributed like h: it has its mean m and standard deviation s
per feature, so that z = lam h + (1 - lam)(m + s eps), and

    loss = 10 mean(C) - mean over samples of cos(suffix(z), e)
    C = KL(N(lam h + (1 - lam) m, ((1 - lam) s)^2) || N(m, s^2))

With r = (h - m) / s this is the bottleneck of M2IB on r with variance 1 and a suffix that first maps back to m + s r.
M2IB differs in its noise, N(0, v) whatever h is, and in its beta.

Departures from the source: the cosine with the other tower's embedding replaces the cross-entropy of a class. m and s
are computed from the pair's own tokens, because there are no training images. lam is not smoothed by a Gaussian over
the grid, which in the source removes the checkerboard patterns of strided convolutions.

Source: Schulz et al. 2020, "Restricting the flow: information bottlenecks for attribution" (ICLR), sections 3 and 4
(beta = 10 / k with the capacity summed over k elements; 10 steps, 10 samples, learning rate 1, initial value 5).
"""

from collections.abc import Mapping

from jaxtyping import Bool, Float
from torch import Tensor

from audit.attribution.bottleneck import (
    BOTTLENECK_NUMBERS,
    BottleneckSettings,
    bottleneck,
    changed_settings,
    generators_of,
)
from audit.attribution.m2ib import M2IB
from audit.attribution.pairs import Maps, Pairs, TowerBatch, both_towers
from audit.attribution.untrained import BottleneckMethod
from audit.encoders.protocol import DualEncoder

__all__ = ["IBA"]

_PAPER = BottleneckSettings(beta=10.0, variance=1.0, steps=10, samples=10, learning_rate=1.0, initial=5.0)
_LEAST_SPREAD = 0.01  # minimum standard deviation of a feature: a constant one would have no scale


class IBA(BottleneckMethod):
    """Information bottleneck attribution, scaled by the hidden state's own statistics, for both towers."""

    name = "iba"
    unit = "nats"
    explains_words = True
    numbers: Mapping[str, type] = {**BOTTLENECK_NUMBERS, "image_layer": int, "text_layer": int}

    def __init__(
        self,
        settings: BottleneckSettings = _PAPER,
        *,
        image_layer: int | None = None,
        text_layer: int | None = None,
        **numbers: float,
    ) -> None:
        """Set the hyperparameters of the bottleneck, and its blocks; missing ones are those of M2IB.

        Args:
            settings: hyperparameters of the bottleneck; the variance is relative to each feature's own variance.
            image_layer: block of the image tower, 0-based.
            text_layer: block of the text tower, 0-based.
            numbers: single hyperparameters by name, which replace those of ``settings``.

        Raises:
            TypeError: the bottleneck has no hyperparameter of that name.
            ValueError: a value is out of its range.
        """
        self._settings = changed_settings(settings, numbers)
        self._of_m2ib = M2IB(self._settings, image_layer=image_layer, text_layer=text_layer)

    def split(self, encoder: DualEncoder) -> tuple[int, int]:
        """Return the image and text block of the bottleneck: those of M2IB."""
        return self._of_m2ib.split(encoder)

    def hyperparameters(self, encoder: DualEncoder) -> dict[str, float]:
        """Return the hyperparameters for a model."""
        of_m2ib = self._of_m2ib.hyperparameters(encoder)
        return {name: of_m2ib[name] for name in self.numbers}

    def states_kept(self, encoder: DualEncoder) -> int:
        """Return the same number as M2IB."""
        return self._of_m2ib.states_kept(encoder)

    def settings_for(self, encoder: DualEncoder) -> BottleneckSettings:  # noqa: ARG002 - the same for every model
        """Return the hyperparameters as given, else the paper's."""
        return self._settings

    def restricted(
        self, hidden: Float[Tensor, "batch tokens width"], mask: Bool[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        """Return the hidden state with mean 0 and standard deviation 1 of each feature."""
        mean, spread = _statistics(hidden, mask)
        return (hidden - mean) / spread

    def attribute(self, pairs: Pairs) -> Maps:
        """Apply the bottleneck to both towers."""
        return both_towers(pairs, self._squeeze, self.split(pairs.encoder))

    def _squeeze(self, side: TowerBatch, layer: int) -> Float[Tensor, "pairs tokens"]:
        hidden, mask = side.prefix(layer), side.seen()
        mean, spread = _statistics(hidden, mask)

        def suffix(scaled: Tensor, rows: Tensor) -> Tensor:
            repeats = len(scaled) // len(hidden)
            back = mean.repeat_interleave(repeats, 0) + scaled * spread.repeat_interleave(repeats, 0)
            return side.tower.suffix(back, layer, None if side.mask is None else rows)

        return bottleneck(
            (hidden - mean) / spread,
            mask,
            side.target,
            suffix,
            settings=self._settings,
            generators=generators_of(side.seeds, hidden.device),
        )


def _statistics(
    hidden: Float[Tensor, "pairs tokens width"], mask: Bool[Tensor, "pairs tokens"]
) -> tuple[Float[Tensor, "pairs 1 width"], Float[Tensor, "pairs 1 width"]]:
    """Return the mean and standard deviation of each feature over the visible tokens."""
    weight = mask[..., None] / mask.sum(1)[:, None, None]
    mean = (hidden * weight).sum(1, keepdim=True)
    spread = ((hidden - mean) ** 2 * weight).sum(1, keepdim=True).sqrt()
    return mean, spread.clamp_min(_LEAST_SPREAD)
