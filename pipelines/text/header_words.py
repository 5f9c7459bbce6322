"""What the headers of a study's images say is masked wherever the study's report repeats it."""

import re
from collections.abc import Iterator
from functools import lru_cache

from pipelines.study import Identifiers
from pipelines.text.mask_patterns import Masked
from pipelines.text.normal_form import normal_form

__all__ = ["header_words_in"]


def header_words_in(text: str, known: Identifiers) -> Iterator[Masked]:
    """Find what a header says, however it is written."""
    for mask, pattern in _patterns(known):
        for found in pattern.finditer(text):
            yield found.start(), found.end(), mask


@lru_cache(maxsize=512)
def _patterns(known: Identifiers) -> tuple[tuple[str, re.Pattern[str]], ...]:
    patterns = []
    for mask, values in (("number", known.others), ("name", known.names)):
        forms = {normal_form(value) for value in values}
        if forms:
            longest_first = sorted(forms, key=len, reverse=True)
            pattern = "|".join(r"\s+".join(map(re.escape, value.split())) for value in longest_first)
            patterns.append((mask, re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)))
    return tuple(patterns)
