"""The attribution engine: runs any method on images and phrases, in batches that fit into memory.

A method is a subclass of :class:`Method`; its :meth:`~Method.attribute` turns a batch of pairs into maps. The engine
does the rest for all methods: each image runs through the model once for all its phrases, pairs of several images share
batches, a batch that does not fit into memory is halved, and the heat of tokens is summed over words.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.batching import free_bytes, in_chunks, pairs_at_once
from audit.attribution.explanation import Explanation
from audit.attribution.numerics import flushed_denormals
from audit.attribution.pairs import Attribution, Maps, Pairs, Request
from audit.encoders.protocol import DualEncoder, Tokens
from pipelines.image_file import Picture, as_picture
from pipelines.transforms import place_image

__all__ = ["Clock", "Method", "no_clock", "pair_seed", "words_of_tokens"]

Clock = Callable[[str], AbstractContextManager[None]]
"""Called with a stage's name ("prefix", "attribution"); the returned context manager surrounds that stage."""

_IMAGES_AT_ONCE = 16  # images per forward pass, before any map is computed
_FLOATS_A_BLOCK = 24  # floats kept for the backward pass, per token and unit of width, including attention maps

Hidden = Float[Tensor, "tokens width"]


def no_clock(_stage: str) -> nullcontext[None]:
    """A clock that measures nothing."""
    return nullcontext()


def pair_seed(seed: int, *parts: str) -> int:
    """Derive a pair's own seed, so that its noise does not depend on order or batching."""
    digest = hashlib.sha256("\x1f".join([str(seed), *parts]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Method(ABC):
    """A method that attributes the cosine of an image and a phrase to parts of both."""

    name: str
    unit: str  # unit of the heat: "nats", "cosine" or "dimensionless"; comparable only within the same method
    explains_words: bool = False  # False: ``words`` of its attributions is empty, which means not measured
    numbers: Mapping[str, type] = {}  # type of each hyperparameter, by the name of the constructor's argument

    pairs_that_fit: int | None = None  # pairs per batch, if given or if memory ran out with more

    @abstractmethod
    def attribute(self, pairs: Pairs) -> Maps:
        """Compute the maps of a batch of pairs; a pair's map does not depend on other pairs.

        Raises:
            ModelError: the method cannot explain a model of this kind.
        """

    def hyperparameters(self, encoder: DualEncoder) -> Mapping[str, float | str]:  # noqa: ARG002 - most have some
        """Return the method's hyperparameters for a model, under the names of :attr:`numbers`, for the record.

        Raises:
            ValueError: a hyperparameter does not fit the model.
            ModelError: the method cannot explain a model of this kind.
        """
        return {}

    def split(self, encoder: DualEncoder) -> tuple[int, int] | None:  # noqa: ARG002 - for those that split
        """Return the image block and the text block whose outputs the method uses; None if it uses the inputs.

        The engine then runs each image up to its block only once, and takes the embeddings from there.
        """
        return None

    def untrained_words(
        self,
        encoder: DualEncoder,  # noqa: ARG002 - for methods with a bottleneck
        phrases: Sequence[str],  # noqa: ARG002
    ) -> tuple[tuple[float, ...], ...] | None:
        """Return what each word of each phrase has before the first step; None for a method without steps."""
        return None

    def untrained_heat(
        self,
        encoder: DualEncoder,  # noqa: ARG002 - for methods with a bottleneck
        pixels: Float[Tensor, "images 3 size size"],  # noqa: ARG002
    ) -> Float[Tensor, "images grid_rows grid_columns"] | None:
        """Return the heat of each image before the first step, for any phrase; None for a method without steps."""
        return None

    def states_kept(self, encoder: DualEncoder) -> int:
        """Return the maximum number of hidden states (tokens x width each) that a pair holds in memory."""
        return encoder.image.depth * _FLOATS_A_BLOCK

    def explain(self, encoder: DualEncoder, image: Picture | np.ndarray, phrase: str, *, seed: int = 0) -> Explanation:
        """Explain one image with one phrase, on the image's own pixels.

        Args:
            encoder: from ``load_encoder``.
            image: from ``read_image``, or values from 0 to 1 as [rows, columns] (grey) or [rows, columns, 3] (R, G, B).
            phrase: the phrase to look for.
            seed: seed of the method's noise, combined with the phrase.

        Raises:
            InputError: the array is not an image.
            ModelError: the method cannot explain a model of this kind.
            TypeError: ``image`` is not an image, or ``phrase`` is not one string.
        """
        _check_request(image, phrase)
        picture = as_picture(image)
        pixels, placement = place_image(picture.display, encoder.preprocessing)
        device = encoder.text.tokenise(["."]).ids.device  # a short phrase: a long one would cause a warning here too
        request = Request(pixels=pixels.to(device), phrases=(phrase,), seeds=(pair_seed(seed, phrase),))
        ((found,),) = self.explain_batch(encoder, [request])
        grid = found.heat.numpy()
        heat = placement.heat_to_source(grid)
        heat[~picture.valid] = np.nan
        return Explanation(
            picture=picture,
            phrase=phrase,
            method=self.name,
            unit=self.unit,
            heat=heat,
            grid=grid,
            words=found.words,
            cosine=found.cosine,
            placement=placement,
        )

    def explain_batch(
        self, encoder: DualEncoder, requests: Sequence[Request], *, words: bool = True, clock: Clock = no_clock
    ) -> tuple[tuple[Attribution, ...], ...]:
        """Explain several images, each with its own phrases; the result of a pair is the same as alone.

        Args:
            encoder: the model.
            requests: images on the model's grid, on its device.
            words: whether to explain the phrases too.
            clock: surrounds the stages "prefix" and "attribution".

        Returns:
            For each request, one attribution per phrase.

        Raises:
            ModelError: the method cannot explain a model of this kind.
        """
        waiting = list(_pairs_of(requests))
        if not waiting:
            return tuple(() for _ in requests)
        split = self.split(encoder)
        with flushed_denormals():
            with clock("prefix"), torch.no_grad():
                run = partial(_run_images, encoder, None if split is None else split[0])
                images, _ = in_chunks([request.pixels for request in requests], run, size=_IMAGES_AT_ONCE)
            with clock("attribution"), torch.enable_grad():
                work = partial(self._explain_chunk, encoder, images, split, words=words)
                done, size = in_chunks(waiting, work, size=self._pairs_at_once(encoder, images[0]))
        if size < len(waiting):
            self.pairs_that_fit = size
        found = iter(done)
        return tuple(tuple(next(found) for _ in request.phrases) for request in requests)

    def _pairs_at_once(self, encoder: DualEncoder, image: "_Image") -> int:
        if self.pairs_that_fit is not None:
            return self.pairs_that_fit
        hidden = image.hidden
        if hidden is None:
            hidden = encoder.image.prefix(image.pixels[None], 0)
        bytes_a_pair = hidden.numel() * 4 * self.states_kept(encoder)
        return pairs_at_once(free_bytes(hidden.device), bytes_a_pair, device_type=hidden.device.type)

    def _explain_chunk(
        self,
        encoder: DualEncoder,
        images: Sequence["_Image"],
        split: tuple[int, int] | None,
        chunk: Sequence["_Pair"],
        *,
        words: bool,
    ) -> list[Attribution]:
        pairs = _batch(encoder, images, split, chunk, words=words)
        maps = self.attribute(pairs)
        cosines = cosine_similarity(pairs.image_embedding, pairs.text_embedding).tolist()
        per_token = [None] * len(chunk) if maps.tokens is None else maps.tokens.tolist()
        return [
            Attribution(heat=heat, words=() if values is None else _by_word(members, values), cosine=cosine)
            for heat, members, values, cosine in zip(
                maps.image.detach().float().cpu(), pairs.tokens.words, per_token, cosines, strict=True
            )
        ]


def _check_request(image: object, phrase: object) -> None:
    if not isinstance(image, Picture | np.ndarray):
        raise TypeError(f"a {type(image).__name__} is not an image; pixels on the model's grid go to explain_batch")
    if not isinstance(phrase, str):
        raise TypeError(f"an image is explained with one phrase at a time, got a {type(phrase).__name__}")


@dataclass(frozen=True, slots=True)
class _Pair:
    image: int
    phrase: str
    seed: int


@dataclass(frozen=True, slots=True)
class _Image:
    pixels: Float[Tensor, "3 size size"]
    hidden: Hidden | None  # at the block at which the method splits the tower
    embedding: Float[Tensor, " dim"]


def _pairs_of(requests: Sequence[Request]) -> Iterator[_Pair]:
    for index, request in enumerate(requests):
        for phrase, seed in zip(request.phrases, request.seeds, strict=True):
            yield _Pair(index, phrase, seed)


def _run_images(
    encoder: DualEncoder, layer: int | None, pixels: Sequence[Float[Tensor, "3 size size"]]
) -> list[_Image]:
    batch = torch.stack(list(pixels))
    if layer is None:
        return [
            _Image(each, None, embedding) for each, embedding in zip(pixels, encoder.image.forward(batch), strict=True)
        ]
    hidden = encoder.image.prefix(batch, layer)
    embeddings = encoder.image.suffix(hidden, layer)
    return [_Image(*image) for image in zip(pixels, hidden, embeddings, strict=True)]


def _batch(
    encoder: DualEncoder,
    images: Sequence[_Image],
    split: tuple[int, int] | None,
    chunk: Sequence[_Pair],
    *,
    words: bool,
) -> Pairs:
    used = list(dict.fromkeys(pair.image for pair in chunk))  # phrases of one image share it
    pixels = torch.stack([images[index].pixels for index in used])
    image_of = torch.tensor([used.index(pair.image) for pair in chunk], device=pixels.device)
    tokens = encoder.text.tokenise([pair.phrase for pair in chunk])
    of_pairs = [images[pair.image] for pair in chunk]
    image_hidden = text_hidden = None
    with torch.no_grad():
        if split is None:
            text_embedding = encoder.text.forward(tokens)
        else:
            image_layer, text_layer = split
            image_hidden = image_layer, torch.stack([image.hidden for image in of_pairs if image.hidden is not None])
            text_hidden = text_layer, encoder.text.prefix(tokens, text_layer)
            text_embedding = encoder.text.suffix(text_hidden[1], text_layer, tokens.mask)
    return Pairs(
        encoder=encoder,
        images=pixels,
        image_of=image_of,
        tokens=tokens,
        seeds=tuple(pair.seed for pair in chunk),
        image_embedding=torch.stack([image.embedding for image in of_pairs]),
        text_embedding=text_embedding,
        words=words,
        image_hidden=image_hidden,
        text_hidden=text_hidden,
    )


def words_of_tokens(tokens: Tokens, values: Float[Tensor, "phrases tokens"]) -> tuple[tuple[float, ...], ...]:
    """Sum a value of each token over the words of each phrase."""
    return tuple(
        tuple(value for _, value in _by_word(words, row))
        for words, row in zip(tokens.words, values.tolist(), strict=True)
    )


def _by_word(words: tuple[tuple[str, tuple[int, ...]], ...], values: Sequence[float]) -> tuple[tuple[str, float], ...]:
    return tuple((word, sum(values[index] for index in members)) for word, members in words)
