"""Scores of the text side: how much of a phrase's word heat lies on the words that matter.

Every word is of one kind: it names the phrase's finding, its side or zone, or neither (:func:`kinds_of_words`). Three
references are scored like a method's heat:

- *uniform*: the same heat on every token, so that a word has as much as it has word pieces;
- *untrained bottleneck*: the capacity of M2IB's or IBA's bottleneck before its first step, which depends on the norms
  of the hidden state and on nothing else;
- *leave-one-word-out*: the fall of the cosine when a word is replaced by a neutral token
  (:mod:`audit.attribution.left_out`). It is the causal reference.

Source: Li, Monroe and Jurafsky 2016, "Understanding neural networks through representation erasure" (leaving out
words); DeYoung et al. 2020, "ERASER: a benchmark to evaluate rationalized NLP models" (heat against marked words).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from pipelines.findings import findings_in, spans_of_place
from pipelines.privacy.patterns import folded, normal_form
from reports.record import Score
from reports.score_catalogue import (
    LEAVE_ONE_WORD_OUT,
    UNIFORM_WORDS,
    UNTRAINED,
    WORDS_AS_LEFT_OUT,
    WORDS_ON_FINDING,
    WORDS_ON_OTHERS,
    WORDS_ON_PLACE,
    WORDS_RANK,
    names_of,
)

__all__ = ["WordKind", "WordReferences", "kinds_of_words", "mean_rank", "score_words", "spearman"]

_FEWEST_RANKED = 3  # words: of two, the correlation of ranks is 1 or -1 by chance

NO_FINDING_WORD = "none of the phrase's words names its finding"
NO_PLACE_WORD = "none of the phrase's words names a side or a zone"
NO_OTHER_WORD = "every word of the phrase names its finding, a side or a zone"
NO_HEAT = "no word has heat above 0"
NO_NUMBERS = "the heat of a word is not a number"
TOO_FEW_WORDS = f"a rank correlation needs at least {_FEWEST_RANKED} words whose values differ"


class WordKind(StrEnum):
    """What a word of a phrase contributes."""

    FINDING = "finding"  # names the phrase's finding
    PLACE = "place"  # names a side or a zone
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordReferences:
    """What the words of one phrase are compared with, in the order of the words."""

    words: tuple[str, ...]
    pieces: tuple[int, ...]  # tokens of each word
    falls: tuple[float, ...]  # of the cosine when the word is replaced
    untrained: tuple[float, ...] | None  # nats before the first step; None: no method of the run has a bottleneck


def kinds_of_words(sentence: str, finding: str | None, words: Sequence[str]) -> tuple[WordKind, ...]:
    """Return the kind of each word of a sentence, as the vocabulary of findings and places reads it.

    Args:
        sentence: the phrase as it was put to the model.
        finding: canonical name of the phrase's finding; words of other findings are ``OTHER``.
        words: in the order of the sentence, as the tokeniser splits them; a word that the tokeniser writes otherwise
            than the sentence is ``OTHER``.
    """
    composed = normal_form(sentence)
    plain = folded(composed)
    named = [(mention.start, mention.end) for mention in findings_in(plain) if mention.finding == finding]
    placed = spans_of_place(composed)  # "L" is a side and "l" is not
    kinds, end = [], 0
    for word in words:
        sought = folded(normal_form(word)).strip()
        start = plain.find(sought, end) if sought else -1
        if start < 0:
            kinds.append(WordKind.OTHER)
            continue
        end = start + len(sought)
        kinds.append(
            WordKind.FINDING
            if _meets(named, start, end)
            else WordKind.PLACE
            if _meets(placed, start, end)
            else WordKind.OTHER
        )
    return tuple(kinds)


def _meets(spans: Iterable[tuple[int, int]], start: int, end: int) -> bool:
    return any(first < end and start < last for first, last in spans)


def score_words(
    kinds: Sequence[WordKind],
    heats: Iterable[tuple[str, Sequence[float]]],
    references: WordReferences,
) -> tuple[Score, ...]:
    """Score the word heat of each method, and of the references on the same words.

    Args:
        kinds: of the phrase's words.
        heats: name and word heat of each method; a method without word heat has no entry.
        references: of the same words.

    Raises:
        ValueError: a heat and the references have different numbers of words.
    """
    of_references = [
        (UNIFORM_WORDS, np.array(references.pieces, dtype=float)),
        (LEAVE_ONE_WORD_OUT, np.array(references.falls, dtype=float)),
    ]
    if references.untrained is not None:
        of_references.insert(1, (UNTRAINED, np.array(references.untrained, dtype=float)))
    given = [(name, np.array(values, dtype=float)) for name, values in heats]
    if any(len(values) != len(kinds) for _, values in (*given, *of_references)):
        raise ValueError(f"{len(kinds)} words need as many values of each method and reference")
    falls = np.array(references.falls, dtype=float)
    return tuple(
        score for name, values in (*given, *of_references) for score in _scores(name, values, np.array(kinds), falls)
    )


def _scores(
    method: str, values: Float[np.ndarray, " words"], kinds: np.ndarray, falls: Float[np.ndarray, " words"]
) -> Iterator[Score]:
    if not np.isfinite(values).all():
        yield from (_unscored(method, name, NO_NUMBERS) for name in names_of("words"))
        return
    positive = np.clip(values, 0.0, None)
    total = float(positive.sum())
    for name, kind, missing in (
        (WORDS_ON_FINDING, WordKind.FINDING, NO_FINDING_WORD),
        (WORDS_ON_PLACE, WordKind.PLACE, NO_PLACE_WORD),
        (WORDS_ON_OTHERS, WordKind.OTHER, NO_OTHER_WORD),
    ):
        chosen = kinds == kind
        if not chosen.any():
            yield _unscored(method, name, missing)
        elif total <= 0.0:
            yield _unscored(method, name, NO_HEAT)
        else:
            yield _scored(method, name, float(positive[chosen].sum()) / total)
    on_finding = kinds == WordKind.FINDING
    if on_finding.any():
        # Uniform heat has no order: its rank is that of words in random order, whatever their word pieces.
        yield _scored(method, WORDS_RANK, mean_rank(values * (method != UNIFORM_WORDS), on_finding))
    else:
        yield _unscored(method, WORDS_RANK, NO_FINDING_WORD)
    if method in {UNIFORM_WORDS, LEAVE_ONE_WORD_OUT}:
        return
    correlation = spearman(values, falls)
    if correlation is None:
        yield _unscored(method, WORDS_AS_LEFT_OUT, TOO_FEW_WORDS)
    else:
        yield _scored(method, WORDS_AS_LEFT_OUT, correlation)


def mean_rank(values: Float[np.ndarray, " words"], chosen: Bool[np.ndarray, " words"]) -> float:
    """Return the rank of the first of the chosen words, 1 for the largest value; equal values are in random order.

    Of t equal values, of which c are chosen, the first chosen one is at place (t + 1) / (c + 1) on average.

    Raises:
        ValueError: no word is chosen.
    """
    if not chosen.any():
        raise ValueError("at least one word must be chosen")
    best = values[chosen].max()
    tied = values == best
    return float((values > best).sum() + (tied.sum() + 1) / ((tied & chosen).sum() + 1))


def spearman(one: Float[np.ndarray, " words"], other: Float[np.ndarray, " words"]) -> float | None:
    """Return the rank correlation of two values per word; None for fewer than three words or equal values."""
    if len(one) < _FEWEST_RANKED or np.ptp(one) == 0.0 or np.ptp(other) == 0.0:
        return None
    first, second = (rankdata(values) - (len(values) + 1) / 2 for values in (one, other))
    return float((first * second).sum() / math.sqrt((first**2).sum() * (second**2).sum()))


def _scored(method: str, name: str, value: float) -> Score:
    return Score(method=method, score=name, value=value, outcome="scored")


def _unscored(method: str, name: str, reason: str) -> Score:
    return Score(method=method, score=name, value=None, outcome="unscored", reason=reason)
