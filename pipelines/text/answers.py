"""Answers that follow a finding, and how they are set off: "Effusion: none", "PTX - absent"."""

import re

from pipelines.text.clauses import BE, SEEN
from pipelines.text.meanings import Meaning

__all__ = ["ANSWER_PATTERNS"]

# "PTX - absent", "Effusion: none", "Consolidation (no)", "Pneumothorax?": what comes before is answered or asked.
_ANSWERS: tuple[tuple[Meaning, str], ...] = (
    (
        Meaning.ABSENT,
        (
            rf"no|none(?: {SEEN})?|nil|[-–]|neg(?:ative)?|absent|denied|not (?:{BE} )?{SEEN}|nothing {SEEN}|resolved|"
            rf"removed|(?:is |heart |size )*normal(?: size)?|unremarkable|clear"
        ),
    ),
    (
        Meaning.UNCERTAIN,
        (
            r"(?:un|less |more |very |most |highly )*(?:possibl[ey]|probabl[ey]|likely)|suspected|query|"
            r"questionable|equivocal|"
            r"doubtful|indeterminate|uncertain|not excluded|cannot exclude|cannot be excluded|maybe|perhaps"
        ),
    ),
)
_MARK = r"(?:\s*[:=?]|\s+-{1,2}|\s*[–—]|,?\s*\()\s*"
_ANSWER_END = r"(?=\s*(?:[.,;)]|\Z)|\s+[A-Z][\w ]{0,30}:)"


def _answer(words: str) -> re.Pattern[str]:
    return re.compile(rf"{_MARK}(?i:{words.replace(' ', '[ ]+')}){_ANSWER_END}")


ANSWER_PATTERNS = tuple((meaning, _answer(words)) for meaning, words in _ANSWERS)
"""Compiled answers with what each says about the finding before it. Letter case tells where the next heading begins."""
