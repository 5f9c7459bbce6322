"""What pages show of words: each word of a phrase beside its references, and the scores over all phrases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reports.outcomes import method_name
from reports.record import ScoredPhrase, TokenHeat
from reports.run_record import RunRecord, ScoreDifference, ScoreSummary
from reports.score_catalogue import (
    SCORES,
    UNIFORM_WORDS,
    UNTRAINED,
    WORD_REFERENCES,
    WORDS_ON_FINDING,
    WORDS_ON_PLACE,
    kind_of,
)
from reports.texts import named, text

__all__ = ["WordLine", "WordScoreRow", "WordTable", "word_score_rows", "word_table"]

NORM_DRIVEN: Final = 0.9
"""Share of a phrase's pairs of words, in the order of the untrained bottleneck, from which the page says so."""

_FEWEST_RANKED: Final = 3  # words


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLine:
    """One word of a phrase with its references."""

    token: TokenHeat
    kind: str  # what it names, in words
    is_largest_fall: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WordTable:
    """The words of one phrase, and sentences about them."""

    lines: tuple[WordLine, ...]
    sentences: tuple[str, ...]
    has_untrained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WordScoreRow:
    """One score of word heat over all phrases, beside its references."""

    method: str
    name: str
    better: str  # "lower" or "higher"
    summary: ScoreSummary
    references: tuple[float | None, ...]  # in the order of WORD_REFERENCES
    over_uniform: ScoreDifference | None
    over_untrained: ScoreDifference | None


def word_table(phrase: ScoredPhrase, *, method: str) -> WordTable | None:
    """Lay out a phrase's words; None for a phrase without word heat, or of an older record."""
    tokens = phrase.tokens
    if not tokens or all(token.kind is None for token in tokens):
        return None
    falls = [token.fall for token in tokens if token.fall is not None]
    largest = max(falls, default=0.0)
    return WordTable(
        lines=tuple(
            WordLine(
                token=token,
                kind=named("word_kind", token.kind or "other"),
                is_largest_fall=token.fall is not None and largest > 0.0 and token.fall == largest,
            )
            for token in tokens
        ),
        sentences=tuple(_sentences(phrase, method)),
        has_untrained=any(token.untrained is not None for token in tokens),
    )


def _sentences(phrase: ScoredPhrase, method: str) -> list[str]:
    values = {(score.method, score.score): score.value for score in phrase.scores}
    told = []
    shares = [values.get((method, name)) for name in (WORDS_ON_FINDING, WORDS_ON_PLACE)]
    uniform = [values.get((UNIFORM_WORDS, name)) for name in (WORDS_ON_FINDING, WORDS_ON_PLACE)]
    if shares[0] is not None and uniform[0] is not None:
        own, plain = (sum(value or 0.0 for value in of) for of in (shares, uniform))
        told.append(text("words.share", share=f"{own:.0%}", uniform=f"{plain:.0%}"))
    largest = max(phrase.tokens, key=lambda token: token.fall if token.fall is not None else -2.0)
    if largest.fall is not None and largest.fall > 0.0:
        told.append(text("words.largest_fall", word=largest.word, fall=f"{largest.fall:.2f}"))
    if _follows_norms(phrase.tokens):
        told.append(text("words.follows_norms"))
    return told


def _follows_norms(tokens: Sequence[TokenHeat]) -> bool:
    """Whether the words have nearly the order that the untrained bottleneck gives them."""
    pairs = [(token.nats, token.untrained) for token in tokens if token.untrained is not None]
    if len(pairs) < max(len(tokens), _FEWEST_RANKED):
        return False
    agree = [
        (one[0] - other[0]) * (one[1] - other[1]) > 0.0
        for place, one in enumerate(pairs)
        for other in pairs[place + 1 :]
    ]
    return sum(agree) >= NORM_DRIVEN * len(agree)


def word_score_rows(run: RunRecord) -> tuple[WordScoreRow, ...]:
    """List the scores of word heat over all phrases, each phrase counted once."""
    overall = [
        each
        for each in run.summaries
        if (each.finding, each.averaging, kind_of(each.score)) == (None, "micro", "words")
    ]
    estimates = {(each.method, each.score): each.estimate for each in overall}
    rows = []
    for summary in overall:
        if summary.method in WORD_REFERENCES or summary.estimate is None:
            continue
        spec = SCORES[summary.score]
        differences = {each.reference: each for each in summary.differences}
        rows.append(
            WordScoreRow(
                method=method_name(summary.method),
                name=spec.label,
                better="higher" if spec.higher_is_better else "lower",
                summary=summary,
                references=tuple(estimates.get((reference, summary.score)) for reference in WORD_REFERENCES),
                over_uniform=differences.get(UNIFORM_WORDS),
                over_untrained=differences.get(UNTRAINED),
            )
        )
    return tuple(rows)
