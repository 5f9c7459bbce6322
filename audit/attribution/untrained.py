"""What a bottleneck gives before its first step: heat that the norms of the hidden state alone determine."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from audit.attribution.bottleneck import BottleneckSettings, untrained_capacity
from audit.attribution.engine import Method, words_of_tokens
from audit.attribution.pairs import on_grid
from audit.encoders.protocol import DualEncoder

__all__ = ["BottleneckMethod"]

Hidden = Float[Tensor, "batch tokens width"]


class BottleneckMethod(Method):
    """A method with a bottleneck of :mod:`audit.attribution.bottleneck` in one block of each tower."""

    @abstractmethod
    def settings_for(self, encoder: DualEncoder) -> BottleneckSettings:
        """Return the hyperparameters of the image's bottleneck for a model."""

    @abstractmethod
    def split(self, encoder: DualEncoder) -> tuple[int, int]:
        """Return the image and text block of the bottleneck."""

    def restricted(self, hidden: Hidden, mask: Bool[Tensor, "batch tokens"]) -> Hidden:  # noqa: ARG002 - of IBA
        """Return what the bottleneck is applied to: by default the hidden state as it is."""
        return hidden

    @torch.no_grad()
    def untrained_words(self, encoder: DualEncoder, phrases: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Return the capacity of each word of each phrase before the first step, in nats."""
        tokens = encoder.text.tokenise(phrases)
        hidden = encoder.text.prefix(tokens, self.split(encoder)[1])
        return words_of_tokens(tokens, self._capacity(encoder, hidden, tokens.mask))

    @torch.no_grad()
    def untrained_heat(
        self, encoder: DualEncoder, pixels: Float[Tensor, "images 3 size size"]
    ) -> Float[Tensor, "images grid_rows grid_columns"]:
        """Return the capacity of each cell before the first step, in nats: what the norms alone give."""
        layer = self.split(encoder)[0]
        hidden = encoder.image.prefix(pixels, layer)
        mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        return on_grid(self._capacity(encoder, hidden, mask), encoder, layer)

    def _capacity(
        self, encoder: DualEncoder, hidden: Hidden, mask: Bool[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens"]:
        return untrained_capacity(self.restricted(hidden, mask), mask, self.settings_for(encoder))
