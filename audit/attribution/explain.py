"""Explain pairs of images and phrases: heat over the patch grid, heat over the words, and the cosine."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.batching import free_bytes, in_chunks, pairs_at_once
from audit.attribution.denormals import flushed_denormals
from audit.attribution.m2ib import BOTTLENECK_NUMBERS, M2IBSettings, bottleneck, changed_settings
from audit.attribution.precision import Precision, autocast
from audit.encoders.protocol import DualEncoder, EncoderInfo, Tokens
from pipelines.image_file import Picture

if TYPE_CHECKING:
    from audit.attribution.on_image import Explained

__all__ = ["M2IB", "Clock", "Explanation", "Request", "check_layer", "default_layer", "layers_for", "pair_seed"]

Clock = Callable[[str], AbstractContextManager[None]]
"""Called with a stage's name ("prefix", "attribution"); what it gives surrounds that stage."""

_PAPER_LAYERS, _PAPER_DEPTH = (9, 7), 12  # image and text block whose output is squeezed, of 12
_IMAGES_AT_ONCE = 16  # through the prefix
_FLOATS_A_BLOCK = 16  # kept for the backward pass, per token and unit of width: norms, q, k, v, both ends of the MLP


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One image and the phrases that it is to be explained with."""

    pixels: Float[Tensor, "3 size size"]
    phrases: Sequence[str]
    seeds: Sequence[int]  # one a phrase: the noise of a pair depends on nothing else

    def __post_init__(self) -> None:
        if len(self.seeds) != len(self.phrases):
            raise ValueError(f"{len(self.phrases)} phrases need as many seeds, got {len(self.seeds)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What one method says of one pair."""

    heat: Float[Tensor, "grid_rows grid_columns"]  # nats per patch
    words: tuple[tuple[str, float], ...]  # word, nats; start, end and padding are left out
    cosine: float  # of the whole image and the whole phrase


@dataclass(frozen=True, slots=True)
class _Pair:
    image: int
    phrase: str
    seed: int


@dataclass(frozen=True, slots=True)
class _Image:
    hidden: Float[Tensor, "tokens width"]  # at the layer of the bottleneck
    embedding: Float[Tensor, " dim"]


def default_layer(paper_layer: int, depth: int) -> int:
    """Take the paper's layer (of 12 blocks) to a tower of ``depth`` blocks; one block at least comes after it."""
    return max(0, min(depth - 2, round(paper_layer * depth / _PAPER_DEPTH)))


def layers_for(
    encoder: DualEncoder, image_layer: int | None, text_layer: int | None, *, published: tuple[int, int]
) -> tuple[int, int]:
    """Choose the image and the text block whose output is squeezed: as given, else the model folder's, else published.

    Args:
        encoder: the model; its folder may name the blocks at which it is best explained.
        image_layer: 0-based, None if not given.
        text_layer: 0-based, None if not given.
        published: of towers of 12 blocks, taken to other depths in proportion.

    Raises:
        ValueError: the model has no such block.
    """
    info: EncoderInfo = encoder.info
    image = _first(image_layer, info.image_layer, default_layer(published[0], encoder.image.depth))
    text = _first(text_layer, info.text_layer, default_layer(published[1], encoder.text.depth))
    for name, layer, depth in (("image", image, encoder.image.depth), ("text", text, encoder.text.depth)):
        check_layer(name, layer, depth)
    return image, text


def check_layer(tower: str, layer: int, depth: int) -> None:
    """Refuse a block that a tower does not have.

    Raises:
        ValueError: ``layer`` is not one of the blocks 0 to ``depth - 1``.
    """
    if not 0 <= layer < depth:
        raise ValueError(f"{tower} layer {layer} is outside this model's blocks 0 to {depth - 1}")


def pair_seed(seed: int, *parts: str) -> int:
    """Derive a pair's own seed, so that its noise does not depend on the order or the batch it runs in."""
    digest = hashlib.sha256("\x1f".join([str(seed), *parts]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class M2IB:
    """Multi-modal information bottleneck attribution for both towers (see :mod:`audit.attribution.m2ib`)."""

    name = "m2ib"
    unit = "nats"
    explains_words = True
    numbers: Mapping[str, type] = {**BOTTLENECK_NUMBERS, "image_layer": int, "text_layer": int}

    def __init__(
        self,
        settings: M2IBSettings | None = None,
        *,
        image_layer: int | None = None,
        text_layer: int | None = None,
        precision: Precision = Precision.FP32,
        compiler: str | None = None,
        pairs_at_once: int | None = None,
        **numbers: float,
    ) -> None:
        """Take the numbers of the method; what is not given comes from the model's folder or the paper.

        Args:
            settings: numbers of the bottleneck.
            numbers: single numbers of the bottleneck by name, such as ``beta``, in place of those of ``settings``.
            image_layer: block of the image tower, 0-based.
            text_layer: block of the text tower, 0-based.
            precision: of the towers after the bottleneck; all before it, and the bottleneck itself, is fp32.
            compiler: backend of ``torch.compile`` for what comes after the bottleneck; None runs it as it is.
            pairs_at_once: pairs a batch; None chooses by free memory. Where they do not fit, they are halved.

        Raises:
            TypeError: the bottleneck has no number of that name.
            ValueError: a number is out of its range.
        """
        self._settings, self._image_layer, self._text_layer = settings, image_layer, text_layer
        self._numbers = numbers
        changed_settings(settings or M2IBSettings(), numbers)
        self.precision, self._compiler = precision, compiler
        self._pairs_that_fit = pairs_at_once  # given, or learnt where memory ran out

    def settings_for(self, encoder: DualEncoder) -> tuple[M2IBSettings, int, int]:
        """Settings, image layer and text layer for a model: as given, else its folder's, else the paper's."""
        info: EncoderInfo = encoder.info
        settings = self._settings or (M2IBSettings(beta=info.beta) if info.beta is not None else M2IBSettings())
        image, text = layers_for(encoder, self._image_layer, self._text_layer, published=_PAPER_LAYERS)
        return changed_settings(settings, self._numbers), image, text

    def numbers_for(self, encoder: DualEncoder) -> dict[str, float]:
        """The method's numbers for a model, by name."""
        settings, image, text = self.settings_for(encoder)
        return {**asdict(settings), "image_layer": image, "text_layer": text}

    @overload
    def explain(
        self, encoder: DualEncoder, image: Picture | np.ndarray, phrases: str, *, seed: int = 0
    ) -> "Explained": ...

    @overload
    def explain(
        self,
        encoder: DualEncoder,
        image: Float[Tensor, "3 size size"],
        phrases: Sequence[str],
        *,
        seeds: Sequence[int],
        words: bool = True,
    ) -> tuple[Explanation, ...]: ...

    def explain(
        self,
        encoder: DualEncoder,
        image: Picture | np.ndarray | Float[Tensor, "3 size size"],
        phrases: str | Sequence[str],
        *,
        seed: int = 0,
        seeds: Sequence[int] | None = None,
        words: bool = True,
    ) -> "Explained | tuple[Explanation, ...]":
        """Explain a picture with one phrase on its own pixels, or placed pixels with phrases on the model's grid.

        The former is :func:`audit.attribution.on_image.explain`; in the latter ``seeds`` has one number a phrase, and
        without ``words`` only the image is explained.

        Raises:
            TypeError: a picture with several phrases, or placed pixels without a list of phrases and of seeds.
        """
        if isinstance(image, Tensor):
            if isinstance(phrases, str) or seeds is None:
                raise TypeError("placed pixels need a list of phrases and as many seeds; a picture takes one phrase")
            request = Request(pixels=image, phrases=phrases, seeds=seeds)
            return self.explain_batch(encoder, [request], words=words)[0]
        if not isinstance(phrases, str):
            raise TypeError("a picture is explained with one phrase at a time; place its pixels to give several")
        from audit.attribution import on_image  # noqa: PLC0415 - it is built on this module

        return on_image.explain(encoder, image, phrases, method=self, seed=seed)

    def explain_batch(
        self,
        encoder: DualEncoder,
        requests: Sequence[Request],
        *,
        words: bool = True,
        clock: Clock = lambda _stage: nullcontext(),
    ) -> tuple[tuple[Explanation, ...], ...]:
        """Explain several images, each with its own phrases; a pair gives what it gives alone.

        Each image runs through its prefix once for all its phrases, each phrase once for both maps. Pairs of all
        images share batches as large as free memory allows. Without ``words`` only the images are explained.

        Returns:
            For each request one explanation a phrase.
        """
        pairs = [
            _Pair(index, phrase, seed)
            for index, request in enumerate(requests)
            for phrase, seed in zip(request.phrases, request.seeds, strict=True)
        ]
        if not pairs:
            return tuple(() for _ in requests)
        _, image_layer, _ = self.settings_for(encoder)
        with flushed_denormals():
            with clock("prefix"), torch.no_grad():
                pixels = [request.pixels for request in requests]
                images, _ = in_chunks(pixels, partial(_run_images, encoder, image_layer), size=_IMAGES_AT_ONCE)
            with clock("attribution"):
                explained, size = in_chunks(
                    pairs,
                    lambda chunk: self._explain_chunk(encoder, chunk, images, words=words),
                    size=self._pairs_at_once(encoder, images[0].hidden),
                )
        if size < len(pairs):
            self._pairs_that_fit = size
        iterator = iter(explained)
        return tuple(tuple(next(iterator) for _ in request.phrases) for request in requests)

    def _pairs_at_once(self, encoder: DualEncoder, hidden: Float[Tensor, "tokens width"]) -> int:
        """From free memory and the size of the graph that the image side keeps, or what was found to fit before."""
        if self._pairs_that_fit is not None:
            return self._pairs_that_fit
        settings, image_layer, _ = self.settings_for(encoder)
        blocks = encoder.image.depth - image_layer
        bytes_per_pair = hidden.numel() * 4 * settings.samples * blocks * _FLOATS_A_BLOCK
        return pairs_at_once(free_bytes(hidden.device), bytes_per_pair, device_type=hidden.device.type)

    def _explain_chunk(
        self,
        encoder: DualEncoder,
        pairs: Sequence[_Pair],
        images: Sequence[_Image],
        *,
        words: bool,
    ) -> list[Explanation]:
        settings, image_layer, text_layer = self.settings_for(encoder)
        device = images[0].hidden.device
        tokens = encoder.text.tokenise([pair.phrase for pair in pairs])
        text_hidden = encoder.text.prefix(tokens, text_layer)
        with torch.no_grad():
            text_embedding = encoder.text.suffix(text_hidden, text_layer, tokens.mask)
        image_hidden = torch.stack([images[pair.image].hidden for pair in pairs])
        image_embedding = torch.stack([images[pair.image].embedding for pair in pairs])
        seeds = [pair.seed for pair in pairs]
        image_heat = bottleneck(
            image_hidden,
            torch.ones(image_hidden.shape[:2], dtype=torch.bool, device=device),
            text_embedding,
            self._suffix(encoder.image.suffix, image_layer, device, masked=False),
            settings=settings,
            generators=_generators(seeds, device, stream=0),
        )
        token_heat = None
        if words:
            token_heat = bottleneck(
                text_hidden,
                tokens.mask,
                image_embedding,
                self._suffix(encoder.text.suffix, text_layer, device, masked=True),
                settings=settings,
                generators=_generators(seeds, device, stream=1),
            )
        rows, columns = encoder.image.grid_at(image_layer)
        grids = image_heat[:, encoder.image.leading_tokens :].reshape(-1, rows, columns).cpu()
        return _explanations(tokens, grids, token_heat, cosine_similarity(image_embedding, text_embedding))

    def _suffix(
        self, suffix: Callable[..., Tensor], layer: int, device: torch.device, *, masked: bool
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """Bind a tower's suffix to its layer, in the precision and through the compiler that were asked for."""
        run = suffix if self._compiler is None else torch.compile(suffix, backend=self._compiler)

        def in_precision(hidden: Tensor, mask: Bool[Tensor, "batch tokens"]) -> Tensor:
            with autocast(self.precision, device):
                return run(hidden, layer, mask if masked else None)

        return in_precision


def _run_images(encoder: DualEncoder, layer: int, pixels: Sequence[Float[Tensor, "3 size size"]]) -> list[_Image]:
    hidden = encoder.image.prefix(torch.stack(list(pixels)), layer)
    embeddings = encoder.image.suffix(hidden, layer)
    return [_Image(*image) for image in zip(hidden, embeddings, strict=True)]


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
