"""The common parts of faithfulness scores: an explained pair, the order of its heat, and the cosine of changed inputs.

Flat heat, and heat without a finite value, points nowhere: its order is a seeded shuffle and its weights are 0.
Excluding such maps would reward a method for showing nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.batching import in_chunks
from audit.attribution.pairs import Attribution, Request
from audit.encoders.protocol import DualEncoder, TextTower, Tokens
from pipelines.errors import ModelError

__all__ = [
    "ExplainedPair",
    "WeightableTextTower",
    "cosines_of_images",
    "cosines_of_phrases",
    "order_by_heat",
    "shuffled",
    "unit_range",
]

_AT_ONCE = 32  # images or phrases through a tower; fewer where memory runs out

ImageChange = Callable[[], Float[Tensor, "3 size size"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPair:
    """One image with one phrase, and the heat that a method gave it."""

    pixels: Float[Tensor, "3 size size"]  # normalised, on the encoder's device
    phrase: str
    heat: Float[Tensor, "grid_rows grid_columns"]
    words: tuple[tuple[str, float], ...] = ()  # word and heat; empty where the text side was not explained
    seed: int = 0  # of the order of ties and of ROAD's noise: the same for every method that is compared

    @classmethod
    def all_of(cls, request: Request, explanations: Sequence[Attribution]) -> tuple["ExplainedPair", ...]:
        """Join a request with what a method answered to it, a pair a phrase."""
        return tuple(
            cls(
                pixels=request.pixels,
                phrase=phrase,
                heat=explanation.heat,
                words=explanation.words,
                seed=seed,
            )
            for phrase, seed, explanation in zip(request.phrases, request.seeds, explanations, strict=True)
        )


@runtime_checkable
class WeightableTextTower(TextTower, Protocol):
    """A text tower that hands out what its first block reads, so that words are weighted and ids are left alone."""

    def embed(self, tokens: Tokens) -> Float[Tensor, "batch tokens width"]:
        """Embed the tokens, without a graph."""
        ...

    def run(
        self, embedded: Float[Tensor, "batch tokens width"], mask: Bool[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch dim"]:
        """Continue to the embedding of the phrase."""
        ...


def unit_range(heat: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Min-max a heat to 0 to 1; 0 throughout where it is flat or not finite, since it picks nothing out."""
    low, high = heat.min(), heat.max()
    if not bool(torch.isfinite(heat).all()) or not bool(high > low):
        return torch.zeros_like(heat)
    return (heat - low) / (high - low)


def order_by_heat(heat: Float[Tensor, "*shape"], *, seed: int) -> Int[Tensor, " cells"]:
    """Return the cells of a heat map in descending order, as indices into its flattened form, on the CPU.

    Ties are broken by a seeded shuffle: an order by position would favour the top of the image, which is dark.
    """
    values = heat.detach().flatten().cpu()
    if not bool(torch.isfinite(values).all()):
        values = torch.zeros_like(values)
    shuffled = torch.randperm(values.numel(), generator=torch.Generator().manual_seed(seed % 2**63))
    return shuffled[values[shuffled].argsort(descending=True, stable=True)]


def shuffled(pair: ExplainedPair, *, seed: int) -> ExplainedPair:
    """Move the heat's values to random cells and words: a reference that depends on neither image nor phrase.

    It is as broad and as peaked as the heat itself, so that a score's difference to it depends only on location.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    cells = torch.randperm(pair.heat.numel(), generator=generator)
    order = torch.randperm(len(pair.words), generator=generator).tolist()
    return replace(
        pair,
        heat=pair.heat.flatten()[cells.to(pair.heat.device)].view_as(pair.heat),
        words=tuple((word, pair.words[place][1]) for (word, _), place in zip(pair.words, order, strict=True)),
    )


def cosines_of_images(
    encoder: DualEncoder, pairs: Sequence[ExplainedPair], changes: Sequence[Sequence[ImageChange]]
) -> list[list[float]]:
    """Cosine of each changed image with the whole phrase of its pair, -1 to 1.

    Args:
        encoder: the model; it is not changed and no gradient is stored.
        pairs: images and phrases.
        changes: for each pair, functions that return a changed image; an image lives for its batch only.
    """
    phrases = [pair.phrase for pair in pairs]
    targets, _ = in_chunks(phrases, lambda chunk: list(_embedded_phrases(encoder, chunk)), size=_AT_ONCE)
    flat = [(index, change) for index, own in enumerate(changes) for change in own]

    @torch.no_grad()
    def run(chunk: Sequence[tuple[int, ImageChange]]) -> list[float]:
        embedded = _embedded_images(encoder, torch.stack([change() for _, change in chunk]))
        found: list[float] = cosine_similarity(embedded, torch.stack([targets[index] for index, _ in chunk])).tolist()
        return found

    cosines, _ = in_chunks(flat, run, size=_AT_ONCE)
    return _regrouped(cosines, changes)


def cosines_of_phrases(
    encoder: DualEncoder, pairs: Sequence[ExplainedPair], weights: Sequence[Sequence[Sequence[float]]]
) -> list[list[float]]:
    """Cosine of each weighted phrase with the whole image of its pair, -1 to 1.

    The embedding of each of a word's tokens, position included, is multiplied by the word's weight; start, end and
    padding keep theirs.

    Args:
        encoder: the model; it is not changed and no gradient is stored.
        pairs: images and phrases.
        weights: for each pair any number of weightings, each with one number per word.

    Raises:
        ModelError: the text tower does not provide its embeddings.
        ValueError: a pair's words are not those of its phrase.
    """
    tower = encoder.text
    if not isinstance(tower, WeightableTextTower):
        raise ModelError(
            f"{encoder.info.name}: its text tower ({type(tower).__name__}) provides no token embeddings, so its words "
            "cannot be weighted; give it embed and run as TransformerTextTower has them"
        )
    targets, _ = in_chunks(pairs, lambda chunk: list(_embedded_images_of(encoder, chunk)), size=_AT_ONCE)
    flat = [(index, weighting) for index, own in enumerate(weights) for weighting in own]

    @torch.no_grad()
    def run(chunk: Sequence[tuple[int, Sequence[float]]]) -> list[float]:
        tokens = tower.tokenise([pairs[index].phrase for index, _ in chunk])
        embedded = tower.embed(tokens)
        factors = torch.ones(embedded.shape[:2], device=embedded.device)
        for row, (index, weighting) in enumerate(chunk):
            _check_words(pairs[index], [word for word, _ in tokens.words[row]])
            for weight, (_, members) in zip(weighting, tokens.words[row], strict=True):
                factors[row, list(members)] = weight
        phrases = tower.run(embedded * factors[..., None], tokens.mask)
        found: list[float] = cosine_similarity(phrases, torch.stack([targets[index] for index, _ in chunk])).tolist()
        return found

    cosines, _ = in_chunks(flat, run, size=_AT_ONCE)
    return _regrouped(cosines, weights)


@torch.no_grad()
def _embedded_phrases(encoder: DualEncoder, phrases: Sequence[str]) -> Float[Tensor, "batch dim"]:
    tokens = encoder.text.tokenise(phrases)
    return encoder.text.suffix(encoder.text.prefix(tokens, 0), 0, tokens.mask)


@torch.no_grad()
def _embedded_images(encoder: DualEncoder, pixels: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch dim"]:
    return encoder.image.suffix(encoder.image.prefix(pixels, 0), 0)


def _embedded_images_of(encoder: DualEncoder, pairs: Sequence[ExplainedPair]) -> Float[Tensor, "batch dim"]:
    return _embedded_images(encoder, torch.stack([pair.pixels for pair in pairs]))


def _check_words(pair: ExplainedPair, words: Sequence[str]) -> None:
    explained = [word for word, _ in pair.words]
    if explained != list(words):
        raise ValueError(f"the heat of {len(explained)} words is not that of a phrase of {len(words)}")


def _regrouped(cosines: Sequence[float], like: Sequence[Sequence[object]]) -> list[list[float]]:
    iterator = iter(cosines)
    return [[next(iterator) for _ in own] for own in like]
