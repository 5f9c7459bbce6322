"""The input and output of a method: a batch of pairs, one tower's half of it, and maps.

A method that treats both towers alike is a function of a :class:`TowerBatch`; :func:`both_towers` turns it into maps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from audit.encoders.protocol import DualEncoder, Tokens, Tower

__all__ = ["Attribution", "Maps", "Pairs", "Request", "TowerBatch", "both_towers", "on_grid"]

Hidden = Float[Tensor, "batch tokens width"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One image and the phrases to explain it with."""

    pixels: Float[Tensor, "3 size size"]
    phrases: Sequence[str]
    seeds: Sequence[int]  # one per phrase, and the only source of a pair's noise

    def __post_init__(self) -> None:
        if len(self.seeds) != len(self.phrases):
            raise ValueError(f"{len(self.phrases)} phrases need as many seeds, got {len(self.seeds)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """The result of one method for one pair, on the CPU."""

    heat: Float[Tensor, "grid_rows grid_columns"]  # in the method's unit, one value per patch
    words: tuple[tuple[str, float], ...]  # word, heat; without start, end and padding
    cosine: float  # of the whole image and the whole phrase, -1 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerBatch:
    """One tower's half of a batch of pairs."""

    tower: Tower
    inputs: Tensor | Tokens  # inputs of the tower: each image once, or each pair's phrase
    rows: Int[Tensor, " pairs"]  # index of each pair's input
    prefix: Callable[[int], Hidden]  # output of a block, one row per pair, without a graph
    target: Float[Tensor, "pairs dim"]  # the other tower's embeddings
    mask: Bool[Tensor, "pairs tokens"] | None  # False for padding; None if there is none
    seeds: tuple[int, ...]
    content: Bool[Tensor, "#pairs tokens"]  # True for patches, or for tokens of words

    def seen(self) -> Bool[Tensor, "pairs tokens"]:
        """Return which tokens are visible to the tower."""
        if self.mask is not None:
            return self.mask
        return torch.ones(len(self.rows), self.content.shape[1], dtype=torch.bool, device=self.target.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """A batch of images with one phrase each, and the embeddings of both; no tensor has a gradient."""

    encoder: DualEncoder
    images: Float[Tensor, "images 3 size size"]
    image_of: Int[Tensor, " pairs"]
    tokens: Tokens
    seeds: tuple[int, ...]
    image_embedding: Float[Tensor, "pairs dim"]
    text_embedding: Float[Tensor, "pairs dim"]
    words: bool  # whether to explain the text side
    # A block whose output is already known: its index, and one row per pair.
    image_hidden: tuple[int, Float[Tensor, "pairs image_tokens image_width"]] | None = None
    text_hidden: tuple[int, Float[Tensor, "pairs text_tokens text_width"]] | None = None

    def image_side(self, layer: int) -> TowerBatch:
        """The image half; ``layer`` only determines the number of tokens."""
        tower = self.encoder.image
        rows, columns = tower.grid_at(layer)
        content = torch.ones(1, tower.leading_tokens + rows * columns, dtype=torch.bool, device=self.images.device)
        content[:, : tower.leading_tokens] = False
        return TowerBatch(
            tower=tower,
            inputs=self.images,
            rows=self.image_of,
            prefix=self._image_prefix,
            target=self.text_embedding,
            mask=None,
            seeds=tuple(seed * 2 for seed in self.seeds),
            content=content,
        )

    def text_side(self) -> TowerBatch:
        """The text half."""
        return TowerBatch(
            tower=self.encoder.text,
            inputs=self.tokens,
            rows=torch.arange(len(self.seeds), device=self.images.device),
            prefix=self._text_prefix,
            target=self.image_embedding,
            mask=self.tokens.mask,
            seeds=tuple(seed * 2 + 1 for seed in self.seeds),
            content=~self.tokens.special,
        )

    def _image_prefix(self, layer: int) -> Hidden:
        if self.image_hidden is not None and self.image_hidden[0] == layer:
            return self.image_hidden[1]
        return self.encoder.image.prefix(self.images, layer)[self.image_of]

    def _text_prefix(self, layer: int) -> Hidden:
        if self.text_hidden is not None and self.text_hidden[0] == layer:
            return self.text_hidden[1]
        return self.encoder.text.prefix(self.tokens, layer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """A method's result for a batch of pairs."""

    image: Float[Tensor, "pairs grid_rows grid_columns"]
    tokens: Float[Tensor, "pairs text_tokens"] | None = None


def on_grid(
    heat: Float[Tensor, "pairs tokens"], encoder: DualEncoder, layer: int
) -> Float[Tensor, "pairs grid_rows grid_columns"]:
    """Drop the tokens before the grid and arrange the others in rows and columns."""
    rows, columns = encoder.image.grid_at(layer)
    return heat[:, encoder.image.leading_tokens :].reshape(-1, rows, columns)


def both_towers(pairs: Pairs, attribute: Callable[[TowerBatch, int], Tensor], layers: tuple[int, int]) -> Maps:
    """Explain the image and, if words are requested, the phrase, each at its tower's layer."""
    image_layer, text_layer = layers
    heat = attribute(pairs.image_side(image_layer), image_layer)
    return Maps(
        image=on_grid(heat, pairs.encoder, image_layer),
        tokens=attribute(pairs.text_side(), text_layer) if pairs.words else None,
    )
