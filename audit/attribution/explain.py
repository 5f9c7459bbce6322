"""Explain pairs of one image with its phrases: heat over the patch grid, heat over the words, and the cosine."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.denormals import flushed_denormals
from audit.attribution.m2ib import M2IBSettings, bottleneck
from audit.encoders.protocol import DualEncoder, EncoderInfo, Tokens

__all__ = ["M2IB", "Explanation", "default_layer", "pair_seed"]

_MOST_PAIRS = 4  # explained at once: with ten samples each, full-size towers stay under 3 GB
_PAPER_IMAGE_LAYER, _PAPER_TEXT_LAYER, _PAPER_DEPTH = 9, 7, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What one method says of one pair."""

    heat: Float[Tensor, "grid_rows grid_columns"]  # nats per patch
    words: tuple[tuple[str, float], ...]  # word, nats; start, end and padding are left out
    cosine: float  # of the whole image and the whole phrase


def default_layer(paper_layer: int, depth: int) -> int:
    """Take the paper's layer (of 12 blocks) to a tower of ``depth`` blocks; one block at least comes after it."""
    return max(0, min(depth - 2, round(paper_layer * depth / _PAPER_DEPTH)))


def pair_seed(seed: int, *parts: str) -> int:
    """Derive a pair's own seed, so that its noise does not depend on the order or the batch it runs in."""
    digest = hashlib.sha256("\x1f".join([str(seed), *parts]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class M2IB:
    """Multi-modal information bottleneck attribution for both towers (see :mod:`audit.attribution.m2ib`)."""

    name = "m2ib"

    def __init__(
        self, settings: M2IBSettings | None = None, *, image_layer: int | None = None, text_layer: int | None = None
    ) -> None:
        self._settings, self._image_layer, self._text_layer = settings, image_layer, text_layer

    def settings_for(self, encoder: DualEncoder) -> tuple[M2IBSettings, int, int]:
        """Settings, image layer and text layer for a model: as given, else its folder's, else the paper's."""
        info: EncoderInfo = encoder.info
        settings = self._settings or (M2IBSettings(beta=info.beta) if info.beta is not None else M2IBSettings())
        image = _first(self._image_layer, info.image_layer, default_layer(_PAPER_IMAGE_LAYER, encoder.image.depth))
        text = _first(self._text_layer, info.text_layer, default_layer(_PAPER_TEXT_LAYER, encoder.text.depth))
        for name, layer, depth in (("image", image, encoder.image.depth), ("text", text, encoder.text.depth)):
            if not 0 <= layer < depth:
                raise ValueError(f"{name} layer {layer} is outside this model's blocks 0 to {depth - 1}")
        return settings, image, text

    def explain(
        self,
        encoder: DualEncoder,
        pixels: Float[Tensor, "3 size size"],
        phrases: Sequence[str],
        *,
        seeds: Sequence[int],
        words: bool = True,
    ) -> tuple[Explanation, ...]:
        """Explain one image with each of ``phrases``; ``seeds`` has one number a phrase.

        The image's prefix and embedding are computed once for all phrases, each phrase's once for both maps. Without
        ``words`` only the image is explained.
        """
        if len(seeds) != len(phrases):
            raise ValueError(f"{len(phrases)} phrases need as many seeds, got {len(seeds)}")
        _, image_layer, _ = self.settings_for(encoder)
        explained: list[Explanation] = []
        with flushed_denormals():
            image_hidden = encoder.image.prefix(pixels[None], image_layer)
            for start in range(0, len(phrases), _MOST_PAIRS):
                chunk = slice(start, start + _MOST_PAIRS)
                explained.extend(self._explain_chunk(encoder, image_hidden, phrases[chunk], seeds[chunk], words=words))
        return tuple(explained)

    def _explain_chunk(
        self,
        encoder: DualEncoder,
        image_hidden: Float[Tensor, "1 tokens width"],
        phrases: Sequence[str],
        seeds: Sequence[int],
        *,
        words: bool,
    ) -> list[Explanation]:
        settings, image_layer, text_layer = self.settings_for(encoder)
        tokens = encoder.text.tokenise(phrases)
        text_hidden = encoder.text.prefix(tokens, text_layer)
        with torch.no_grad():
            image_embedding = encoder.image.suffix(image_hidden, image_layer)
            text_embedding = encoder.text.suffix(text_hidden, text_layer, tokens.mask)
        pairs, device = len(phrases), image_hidden.device
        image_heat = bottleneck(
            image_hidden.expand(pairs, -1, -1),
            torch.ones(pairs, image_hidden.shape[1], dtype=torch.bool, device=device),
            text_embedding,
            lambda hidden, _mask: encoder.image.suffix(hidden, image_layer),
            settings=settings,
            generators=_generators(seeds, device, stream=0),
        )
        token_heat = None
        if words:
            token_heat = bottleneck(
                text_hidden,
                tokens.mask,
                image_embedding.expand(pairs, -1),
                lambda hidden, mask: encoder.text.suffix(hidden, text_layer, mask),
                settings=settings,
                generators=_generators(seeds, device, stream=1),
            )
        cosines = cosine_similarity(image_embedding, text_embedding)
        rows, columns = encoder.image.grid_at(image_layer)
        grids = image_heat[:, encoder.image.leading_tokens :].reshape(-1, rows, columns).cpu()
        return _explanations(tokens, grids, token_heat, cosines)


def _explanations(
    tokens: Tokens,
    grids: Float[Tensor, "pairs grid_rows grid_columns"],
    token_heat: Float[Tensor, "pairs text_tokens"] | None,
    cosines: Float[Tensor, " pairs"],
) -> list[Explanation]:
    per_token = [None] * len(grids) if token_heat is None else token_heat.tolist()
    return [
        Explanation(heat=grid, words=() if nats is None else _word_heat(words, nats), cosine=cosine)
        for grid, words, nats, cosine in zip(grids, tokens.words, per_token, cosines.tolist(), strict=True)
    ]


def _word_heat(words: tuple[tuple[str, tuple[int, ...]], ...], nats: Sequence[float]) -> tuple[tuple[str, float], ...]:
    return tuple((word, sum(nats[index] for index in members)) for word, members in words)


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _generators(seeds: Sequence[int], device: torch.device, *, stream: int) -> list[torch.Generator]:
    return [torch.Generator(device).manual_seed((seed * 2 + stream) % 2**63) for seed in seeds]
