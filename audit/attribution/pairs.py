"""Pairs in batches for the methods beside M2IB: what each asks for, and how its maps become explanations.

A method is a function from :class:`Pairs` to :class:`Maps`. One that treats both towers alike is a function of a
:class:`Side`, from which :func:`both_towers` makes the maps.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.batching import free_bytes, in_chunks, pairs_at_once
from audit.attribution.denormals import flushed_denormals
from audit.attribution.explain import Clock, Explanation, Request
from audit.encoders.protocol import DualEncoder, Tokens, Tower

__all__ = ["Attribute", "Explained", "Maps", "Pairs", "Side", "both_towers", "explain_pairs", "no_clock", "on_grid"]

_FLOATS_A_BLOCK = 24  # kept for the backward pass, per token and unit of width, attention maps among them

Hidden = Float[Tensor, "batch tokens width"]
Explained = tuple[tuple[Explanation, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One tower's half of a batch of pairs."""

    tower: Tower
    inputs: Tensor | Tokens  # what the tower reads: each image once, each pair's phrase
    rows: Int[Tensor, " pairs"]  # which of the inputs is a pair's
    prefix: Callable[[int], Hidden]  # output of a block, a row a pair, without a graph
    target: Float[Tensor, "pairs dim"]  # the other tower's embeddings
    mask: Bool[Tensor, "pairs tokens"] | None  # False for padding; None where there is none
    seeds: tuple[int, ...]
    content: Bool[Tensor, "#pairs tokens"]  # True for patches, or for tokens of words

    def seen(self) -> Bool[Tensor, "pairs tokens"]:
        """Which tokens the tower sees."""
        if self.mask is not None:
            return self.mask
        return torch.ones(len(self.rows), self.content.shape[1], dtype=torch.bool, device=self.target.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """A batch of images with a phrase each, and the embeddings of both; no tensor has a gradient."""

    encoder: DualEncoder
    images: Float[Tensor, "images 3 size size"]
    image_of: Int[Tensor, " pairs"]
    tokens: Tokens
    seeds: tuple[int, ...]
    image_embedding: Float[Tensor, "pairs dim"]
    text_embedding: Float[Tensor, "pairs dim"]
    words: bool  # whether the text side is asked for

    def image_side(self, layer: int) -> Side:
        """The image half; ``layer`` only says how many tokens there are."""
        tower = self.encoder.image
        rows, columns = tower.grid_at(layer)
        content = torch.ones(1, tower.leading_tokens + rows * columns, dtype=torch.bool, device=self.images.device)
        content[:, : tower.leading_tokens] = False
        return Side(
            tower=tower,
            inputs=self.images,
            rows=self.image_of,
            prefix=lambda at: tower.prefix(self.images, at)[self.image_of],
            target=self.text_embedding,
            mask=None,
            seeds=tuple(seed * 2 for seed in self.seeds),
            content=content,
        )

    def text_side(self) -> Side:
        """The text half."""
        tower = self.encoder.text
        return Side(
            tower=tower,
            inputs=self.tokens,
            rows=torch.arange(len(self.seeds), device=self.images.device),
            prefix=lambda at: tower.prefix(self.tokens, at),
            target=self.image_embedding,
            mask=self.tokens.mask,
            seeds=tuple(seed * 2 + 1 for seed in self.seeds),
            content=~self.tokens.special,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """A method's answer to a batch of pairs."""

    image: Float[Tensor, "pairs grid_rows grid_columns"]
    tokens: Float[Tensor, "pairs text_tokens"] | None = None


Attribute = Callable[[Pairs], Maps]


def no_clock(_stage: str) -> nullcontext[None]:
    """A clock that measures nothing."""
    return nullcontext()


def explain_pairs(
    encoder: DualEncoder,
    requests: Sequence[Request],
    attribute: Attribute,
    *,
    words: bool,
    clock: Clock,
) -> Explained:
    """Run ``attribute`` on the pairs of all requests, in batches that memory holds.

    Returns:
        For each request one explanation a phrase, on the CPU.
    """
    pairs = [
        (request.pixels, phrase, seed)
        for request in requests
        for phrase, seed in zip(request.phrases, request.seeds, strict=True)
    ]
    if not pairs:
        return tuple(() for _ in requests)
    work = partial(_explain_chunk, encoder, attribute, words=words)
    with flushed_denormals(), torch.enable_grad(), clock("attribution"):
        explained, _ = in_chunks(pairs, work, size=_size(encoder, pairs[0][0]))
    iterator = iter(explained)
    return tuple(tuple(next(iterator) for _ in request.phrases) for request in requests)


def on_grid(
    heat: Float[Tensor, "pairs tokens"], encoder: DualEncoder, layer: int
) -> Float[Tensor, "pairs grid_rows grid_columns"]:
    """Leave out the tokens before the grid and lay the rest out in rows and columns."""
    rows, columns = encoder.image.grid_at(layer)
    return heat[:, encoder.image.leading_tokens :].reshape(-1, rows, columns)


def both_towers(pairs: Pairs, attribute: Callable[[Side, int], Tensor], layers: tuple[int, int]) -> Maps:
    """Explain the image and, where words are asked for, the phrase, each by its tokens at its tower's layer."""
    image_layer, text_layer = layers
    heat = attribute(pairs.image_side(image_layer), image_layer)
    return Maps(
        image=on_grid(heat, pairs.encoder, image_layer),
        tokens=attribute(pairs.text_side(), text_layer) if pairs.words else None,
    )


def _size(encoder: DualEncoder, pixels: Tensor) -> int:
    with torch.no_grad():
        hidden = encoder.image.prefix(pixels[None], 0)
    bytes_per_pair = hidden.numel() * 4 * encoder.image.depth * _FLOATS_A_BLOCK
    return pairs_at_once(free_bytes(pixels.device), bytes_per_pair, device_type=pixels.device.type)


def _explain_chunk(
    encoder: DualEncoder,
    attribute: Attribute,
    chunk: Sequence[tuple[Tensor, str, int]],
    *,
    words: bool,
) -> list[Explanation]:
    distinct: dict[int, int] = {}  # phrases of one image share its prefix
    image_of = [distinct.setdefault(id(pixels), len(distinct)) for pixels, _, _ in chunk]
    firsts = [image_of.index(number) for number in range(len(distinct))]
    images = torch.stack([chunk[first][0] for first in firsts])
    tokens = encoder.text.tokenise([phrase for _, phrase, _ in chunk])
    rows = torch.tensor(image_of, device=images.device)
    pairs = Pairs(
        encoder=encoder,
        images=images,
        image_of=rows,
        tokens=tokens,
        seeds=tuple(seed for _, _, seed in chunk),
        image_embedding=encoder.image.whole(images)[rows],
        text_embedding=encoder.text.whole(tokens),
        words=words,
    )
    maps = attribute(pairs)
    cosines = cosine_similarity(pairs.image_embedding, pairs.text_embedding).tolist()
    per_token = [None] * len(chunk) if maps.tokens is None else maps.tokens.tolist()
    return [
        Explanation(heat=heat, words=() if values is None else _by_word(members, values), cosine=cosine)
        for heat, members, values, cosine in zip(
            maps.image.detach().float().cpu(), tokens.words, per_token, cosines, strict=True
        )
    ]


def _by_word(words: tuple[tuple[str, tuple[int, ...]], ...], values: Sequence[float]) -> tuple[tuple[str, float], ...]:
    return tuple((word, sum(values[index] for index in members)) for word, members in words)
