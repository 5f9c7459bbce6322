"""M2IB: the multi-modal information bottleneck, which restricts one block of each tower to the other's embedding.

See :mod:`audit.attribution.bottleneck` for the loss. The hidden state is the output of block 9 of 12 in the image and
of block 7 in the text tower, counted from 0; the noise is N(0, v) whatever the hidden state is.

Departures from the authors' code: the variance v is used. Every pair has its own noise, so that a batch gives the same
results as single runs. The prefix and the other tower run once. No weight collects a gradient. The last step, of which
only the capacity at its start is used, does not run a tower.

Source: Wang, Rudner and Wilson 2023, "Visual explanations of image-text representations via multi-modal information
bottleneck attribution" (NeurIPS), equations 5 to 8.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from audit.attribution.bottleneck import (
    BOTTLENECK_NUMBERS,
    BottleneckSettings,
    bottleneck,
    changed_settings,
    generators_of,
)
from audit.attribution.engine import words_of_tokens
from audit.attribution.layers import layers_for
from audit.attribution.numerics import Precision, autocast, flushed_denormals
from audit.attribution.pairs import Maps, Pairs, TowerBatch, both_towers
from audit.attribution.untrained import BottleneckMethod
from audit.encoders.protocol import DualEncoder

__all__ = ["M2IB", "M2IB_LAYERS"]

M2IB_LAYERS = (9, 7)  # image and text block of 12 with the bottleneck
_FLOATS_A_BLOCK = (
    16  # floats kept for the backward pass, per token and unit of width: norms, q, k, v, MLP input, output
)


class M2IB(BottleneckMethod):
    """Multi-modal information bottleneck attribution for both towers."""

    name = "m2ib"
    unit = "nats"
    explains_words = True
    numbers: Mapping[str, type] = {**BOTTLENECK_NUMBERS, "text_beta": float, "image_layer": int, "text_layer": int}

    def __init__(
        self,
        settings: BottleneckSettings | None = None,
        *,
        text_beta: float | None = None,
        image_layer: int | None = None,
        text_layer: int | None = None,
        precision: Precision = Precision.FP32,
        compiler: str | None = None,
        pairs_at_once: int | None = None,
        **numbers: float,
    ) -> None:
        """Set the hyperparameters; missing ones come from the model's folder or the paper.

        Args:
            settings: hyperparameters of the bottleneck.
            numbers: single hyperparameters of the bottleneck by name, such as ``beta``, which replace those of
                ``settings``.
            text_beta: beta of the text tower; None: as given for both towers, else of the model's folder.
            image_layer: block of the image tower, 0-based.
            text_layer: block of the text tower, 0-based.
            precision: precision of the towers after the bottleneck; the rest is fp32.
            compiler: backend of ``torch.compile`` for the blocks after the bottleneck; None does not compile.
            pairs_at_once: pairs per batch; None chooses by free memory. A batch that does not fit is halved.

        Raises:
            TypeError: the bottleneck has no hyperparameter of that name.
            ValueError: a value is out of its range.
        """
        self._settings, self._layers, self._numbers = settings, (image_layer, text_layer), numbers
        changed_settings(settings or BottleneckSettings(), numbers)
        if text_beta is not None:
            changed_settings(BottleneckSettings(), {"beta": text_beta})
        self._text_beta = text_beta
        self.precision, self._compiler = precision, compiler
        self.pairs_that_fit = pairs_at_once

    def settings_for(self, encoder: DualEncoder) -> BottleneckSettings:
        """Return the bottleneck's hyperparameters for a model: as given, else its folder's, else the paper's."""
        beta = encoder.info.beta
        settings = self._settings or (BottleneckSettings() if beta is None else BottleneckSettings(beta=beta))
        return changed_settings(settings, self._numbers)

    def text_settings_for(self, encoder: DualEncoder) -> BottleneckSettings:
        """Return the hyperparameters of the text tower, whose beta may be its own (as in the authors' code)."""
        settings, own = self.settings_for(encoder), self._text_beta
        if own is None and self._settings is None and "beta" not in self._numbers:
            own = encoder.info.text_beta
        return settings if own is None else changed_settings(settings, {"beta": own})

    def split(self, encoder: DualEncoder) -> tuple[int, int]:
        """Return the image and text block of the bottleneck: as given, else the model folder's, else published."""
        return layers_for(encoder, *self._layers, published=M2IB_LAYERS)

    def hyperparameters(self, encoder: DualEncoder) -> dict[str, float]:
        """Return the hyperparameters for a model, by name."""
        image, text = self.split(encoder)
        text_beta = self.text_settings_for(encoder).beta
        return {**asdict(self.settings_for(encoder)), "text_beta": text_beta, "image_layer": image, "text_layer": text}

    def states_kept(self, encoder: DualEncoder) -> int:
        """Count the states of every sample in every block after the bottleneck."""
        samples = self.settings_for(encoder).samples
        return samples * (encoder.image.depth - self.split(encoder)[0]) * _FLOATS_A_BLOCK

    def explain_words(
        self, encoder: DualEncoder, pixels: Float[Tensor, "3 size size"], phrases: Sequence[str], seeds: Sequence[int]
    ) -> tuple[tuple[float, ...], ...]:
        """Return the heat of each word of each phrase, the same as in ``explain_batch``, without the image's heat."""
        tokens = encoder.text.tokenise(phrases)
        with torch.no_grad():
            image = encoder.image.forward(pixels[None])
        side = TowerBatch(
            tower=encoder.text,
            inputs=tokens,
            rows=torch.arange(len(phrases), device=image.device),
            prefix=partial(encoder.text.prefix, tokens),
            target=image.expand(len(phrases), -1),
            mask=tokens.mask,
            seeds=tuple(seed * 2 + 1 for seed in seeds),
            content=~tokens.special,
        )
        with flushed_denormals():
            return words_of_tokens(tokens, self._squeeze(encoder, side, self.split(encoder)[1]))

    def attribute(self, pairs: Pairs) -> Maps:
        """Apply the bottleneck to both towers."""
        squeeze = partial(self._squeeze, pairs.encoder)
        return both_towers(pairs, squeeze, self.split(pairs.encoder))

    def _squeeze(self, encoder: DualEncoder, side: TowerBatch, layer: int) -> Float[Tensor, "pairs tokens"]:
        is_text = side.tower is encoder.text
        settings = self.text_settings_for(encoder) if is_text else self.settings_for(encoder)
        hidden = side.prefix(layer)
        return bottleneck(
            hidden,
            side.seen(),
            side.target,
            self._suffix(side, layer),
            settings=settings,
            generators=generators_of(side.seeds, hidden.device),
        )

    def _suffix(self, side: TowerBatch, layer: int) -> Callable[[Tensor, Tensor], Tensor]:
        """Bind a tower's suffix to its layer, with the requested precision and compiler."""
        suffix = side.tower.suffix
        run = suffix if self._compiler is None else torch.compile(suffix, backend=self._compiler)

        def in_precision(hidden: Tensor, mask: Bool[Tensor, "batch tokens"]) -> Tensor:
            with autocast(self.precision, hidden.device):
                return run(hidden, layer, None if side.mask is None else mask)

        return in_precision
