"""Encoders whose cosine is known in closed form: u / sqrt(u^2 + 1), where u is a sum over patches or over words."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from audit.encoders.protocol import Encoder, EncoderInfo, Tokens
from pipelines.transforms import Preprocessing

SIZE = 12
PHRASE = "anything at all"
INFO = EncoderInfo(name="toy", family="toy", source="toy", sha256="", terms="", is_phantom=True)


def cosine_of(u: float) -> float:
    return u / math.sqrt(u * u + 1.0)


def embedding_of(u: Tensor) -> Tensor:
    return torch.stack([u, torch.ones_like(u)], dim=1)


def unit(rows: int) -> Tensor:
    return torch.tensor([[1.0, 0.0]]).expand(rows, 2)


class ToyImages:
    """u is the sum of the means of the patches; with ``fixed`` every image is the unit vector."""

    depth, parameters, leading_tokens = 1, 0, 0

    def __init__(self, side: int, *, fixed: bool = False) -> None:
        self.side, self.fixed = side, fixed

    def grid_at(self, layer: int) -> tuple[int, int]:  # noqa: ARG002 - as the protocol has it
        return self.side, self.side

    def prefix(self, pixels: Tensor, layer: int) -> Tensor:  # noqa: ARG002
        return adaptive_avg_pool2d(pixels.mean(1, keepdim=True), self.side).flatten(2).transpose(1, 2)

    def suffix(self, hidden: Tensor, layer: int, mask: Tensor | None = None) -> Tensor:  # noqa: ARG002
        return unit(len(hidden)) if self.fixed else embedding_of(hidden.sum((1, 2)))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.suffix(self.prefix(pixels, 0), 0)


class ToyWords:
    """u is the sum of the words' values, half of each in either of its two tokens; ``fixed`` as above."""

    depth, parameters, context = 1, 0, 99

    def __init__(self, values: dict[str, float], *, fixed: bool = False) -> None:
        self.values, self.fixed = values, fixed

    def tokenise(self, phrases: Sequence[str]) -> Tokens:
        split = [phrase.split() for phrase in phrases]
        length = 2 + 2 * max(len(words) for words in split)
        mask = torch.zeros(len(phrases), length, dtype=torch.bool)
        ids = torch.zeros(len(phrases), length, dtype=torch.long)
        known = list(self.values)
        for row, words in enumerate(split):
            mask[row, : 2 + 2 * len(words)] = True
            for place, word in enumerate(words):
                ids[row, 1 + 2 * place : 3 + 2 * place] = 1 + known.index(word) if word in known else 0
        members = tuple(
            tuple((word, (1 + 2 * place, 2 + 2 * place)) for place, word in enumerate(words)) for words in split
        )
        return Tokens(ids=ids, mask=mask, special=ids == 0, words=members)

    def embed(self, tokens: Tokens) -> Tensor:
        return torch.tensor([0.0, *(value / 2 for value in self.values.values())])[tokens.ids][..., None]

    def run(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return unit(len(embedded)) if self.fixed else embedding_of((embedded[..., 0] * mask).sum(1))

    def prefix(self, tokens: Tokens, layer: int) -> Tensor:  # noqa: ARG002
        return self.embed(tokens)

    def suffix(self, hidden: Tensor, layer: int, mask: Tensor | None = None) -> Tensor:  # noqa: ARG002
        return self.run(hidden, torch.ones(hidden.shape[:2]) if mask is None else mask)

    def forward(self, tokens: Tokens) -> Tensor:
        return self.run(self.embed(tokens), tokens.mask)


def of_patches(side: int = 3) -> Encoder:
    """The cosine depends on the image alone."""
    return _encoder(ToyImages(side), ToyWords({}, fixed=True))


def of_words(values: dict[str, float]) -> Encoder:
    """The cosine depends on the phrase alone."""
    return _encoder(ToyImages(3, fixed=True), ToyWords(values))


def _encoder(image: ToyImages, text: ToyWords) -> Encoder:
    preprocessing = Preprocessing(size=SIZE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return Encoder(info=INFO, preprocessing=preprocessing, image=image, text=text)


def image_of(patches: Tensor) -> Tensor:
    """An image each of whose patches is constant."""
    times = SIZE // patches.shape[0]
    return patches.float().repeat_interleave(times, 0).repeat_interleave(times, 1).expand(3, SIZE, SIZE).clone()
