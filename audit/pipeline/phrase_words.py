"""The words of a phrase as its record shows and scores them."""

from collections.abc import Mapping, Sequence

from audit.attribution.pairs import Attribution
from audit.metrics.words import WordReferences, kinds_of_words, score_words
from audit.pipeline.explain import ExplainedCase
from audit.pipeline.load import phrase_texts
from audit.privacy.redaction import safe_words, shown_groups
from pipelines.privacy.masking import MaskedText
from pipelines.study import Phrase
from reports.record import Score, TokenHeat

__all__ = ["PhraseWords"]


class PhraseWords:
    """The words of one phrase, with what their heat is compared with."""

    def __init__(self, phrase: Phrase, explained: ExplainedCase) -> None:
        self._phrase = phrase
        place = phrase_texts(explained.loaded).index(phrase.text)
        self._references = explained.words[place] if explained.words else None
        words = () if self._references is None else self._references.words
        self._kinds = kinds_of_words(phrase.text, phrase.finding, words)

    def tokens(self, shown: MaskedText, own: Attribution) -> tuple[TokenHeat, ...]:
        """Return the main method's heat of each shown word, with the word's kind and references."""
        heats = safe_words(self._phrase.text, shown, own.words)
        references = self._references
        if references is None or not heats:
            return heats
        groups = shown_groups(self._phrase.text, shown, references.words)
        about = (self._about(references, places) for _, places in groups)
        return tuple(heat.model_copy(update=each) for heat, each in zip(heats, about, strict=True))

    def _about(self, references: WordReferences, places: tuple[int, ...]) -> dict[str, object]:
        """Describe one shown word; several words under one mask have no fall, which is that of a single word."""
        alone = places[0] if len(places) == 1 else None
        untrained = references.untrained
        return {
            "kind": "other" if alone is None else self._kinds[alone].value,
            "fall": None if alone is None else references.falls[alone],
            "untrained": None if untrained is None else sum(untrained[place] for place in places),
        }

    def scores(self, heats: Mapping[str, Sequence[tuple[str, float]]]) -> tuple[Score, ...]:
        """Score the word heat of every method that has one."""
        if self._references is None:
            return ()
        given = [(method, [heat for _, heat in words]) for method, words in heats.items() if words]
        return score_words(self._kinds, given, self._references)
