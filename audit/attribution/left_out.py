"""Leave one word out: the fall of the cosine when a word of the phrase is replaced by a neutral token.

The neutral token is the tokeniser's mask token, at each of the word's positions. For a tokeniser without one (CLIP,
SigLIP) the phrase is read without the word. This needs forward passes of the text tower only; all words of several
phrases share batches.

Source: Li, Monroe and Jurafsky 2016, "Understanding neural networks through representation erasure".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.numerics import flushed_denormals
from audit.encoders.protocol import DualEncoder, TextTower, Tokens

__all__ = ["LeftOutWord", "leave_one_word_out"]

_PHRASES_AT_ONCE = 64  # rows of the text tower


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutWord:
    """A word of a phrase, and what the cosine loses without it."""

    word: str
    pieces: int  # tokens
    fall: float  # cosine of the whole phrase minus that without the word: -2 to 2


@torch.no_grad()
def leave_one_word_out(
    encoder: DualEncoder, pixels: Float[Tensor, "3 size size"], phrases: Sequence[str]
) -> tuple[tuple[LeftOutWord, ...], ...]:
    """Replace each word of each phrase in turn and return the fall of the cosine with an image.

    Args:
        encoder: the model.
        pixels: the image on the model's grid, on its device.
        phrases: the phrases to read.

    Returns:
        For each phrase its words in order.
    """
    if not phrases:
        return ()
    with flushed_denormals():
        image = encoder.image.forward(pixels[None])
        tokens = encoder.text.tokenise(phrases)
        whole = cosine_similarity(image, encoder.text.forward(tokens), dim=-1)
        without = iter(_cosines_without(encoder.text, image, tokens, phrases))
        return tuple(
            tuple(
                LeftOutWord(word=word, pieces=len(places), fall=float(cosine) - next(without)) for word, places in words
            )
            for cosine, words in zip(whole, tokens.words, strict=True)
        )


def _cosines_without(
    tower: TextTower, image: Float[Tensor, "1 dim"], tokens: Tokens, phrases: Sequence[str]
) -> list[float]:
    """Return the cosines without each word, phrase by phrase."""
    left_out = [(row, place) for row, words in enumerate(tokens.words) for place in range(len(words))]
    cosines: list[float] = []
    for start in range(0, len(left_out), _PHRASES_AT_ONCE):
        chunk = left_out[start : start + _PHRASES_AT_ONCE]
        if tokens.neutral is None:
            read = tower.tokenise([_without(phrases[row], tokens.words[row], place) for row, place in chunk])
        else:
            read = _masked(tokens, tokens.neutral, chunk)
        cosines += cosine_similarity(image, tower.forward(read), dim=-1).tolist()
    return cosines


def _masked(tokens: Tokens, neutral: int, left_out: Sequence[tuple[int, int]]) -> Tokens:
    """Repeat phrases with the tokens of one word each replaced by the neutral one."""
    rows = torch.tensor([row for row, _ in left_out], device=tokens.ids.device)
    ids = tokens.ids[rows].clone()
    for line, (row, place) in enumerate(left_out):
        ids[line, list(tokens.words[row][place][1])] = neutral
    return replace(
        tokens,
        ids=ids,
        mask=tokens.mask[rows],
        special=tokens.special[rows],
        words=tuple(tokens.words[row] for row, _ in left_out),
    )


def _without(phrase: str, words: Sequence[tuple[str, tuple[int, ...]]], left_out: int) -> str:
    """Cut one word out of a phrase; a word that the tokeniser writes otherwise is left out of its own list."""
    end = 0
    for place, (word, _) in enumerate(words):
        start = phrase.find(word, end)
        if start < 0:
            return " ".join(other for index, (other, _) in enumerate(words) if index != left_out)
        end = start + len(word)
        if place == left_out:
            return f"{phrase[:start]}{phrase[end:].lstrip()}".strip()
    raise ValueError(f"the phrase has {len(words)} words, not {left_out + 1}")
