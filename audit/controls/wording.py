"""Other sentences in a phrase's place: nonsense, the other side, the finding denied."""

import re

import numpy as np

from pipelines.study import Phrase

__all__ = ["negated", "nonsense", "side_swapped"]

_THINGS = "bell boat cup drum fork hat jam key kite lamp leaf mat oar pan rug sock tea toy tub yarn"
_BETWEEN = "a as at by in of on to"
_MOST_WORDS = 6  # short ones: a small vocabulary spells them by letters, and contexts are short

_SWAPS = {
    "left": "right",
    "right": "left",
    "left-sided": "right-sided",
    "right-sided": "left-sided",
    "leftward": "rightward",
    "rightward": "leftward",
}
_SIDE = re.compile(r"\b(" + "|".join(sorted(_SWAPS, key=len, reverse=True)) + r")\b", re.IGNORECASE)


def nonsense(text: str, generator: np.random.Generator) -> str:
    """Write a sentence about nothing on a radiograph, with as many words as ``text`` has, six at most."""
    count = min(_MOST_WORDS, max(1, len(text.split())))
    things, between = _THINGS.split(), _BETWEEN.split()
    words = [str(generator.choice(things if (count - index) % 2 else between)) for index in range(count)]
    sentence = " ".join(words)
    return sentence[0].upper() + sentence[1:] + "."


def side_swapped(text: str) -> str | None:
    """Swap left and right; None where the sentence names no side, or both, which swapping leaves in place."""
    named = {match[0].lower().removesuffix("-sided").removesuffix("ward") for match in _SIDE.finditer(text)}
    if len(named) != 1:
        return None
    return _SIDE.sub(lambda match: _like(match[0], _SWAPS[match[0].lower()]), text)


def negated(phrase: Phrase) -> str | None:
    """Deny the phrase's finding in a reader's usual words; None where the phrase names none."""
    return None if phrase.finding is None else f"No evidence of {phrase.finding}."


def _like(original: str, word: str) -> str:
    if original.isupper():
        return word.upper()
    return word.capitalize() if original[0].isupper() else word
