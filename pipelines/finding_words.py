"""Lists the wordings of findings as words, for people who look up what is read."""

import re
from collections.abc import Iterator
from itertools import islice, product

from pipelines.finding_patterns import WORDINGS
from pipelines.findings import added_findings, findings_in

__all__ = ["wordings_of"]

_MOST_OF_A_PATTERN = 24
_TOKEN = re.compile(
    r"(?P<look>\(\?(?:=|!|<=|<!))|(?P<open>\((?:\?:)?)|(?P<close>\))|(?P<bar>\|)|(?P<set>\[\^?[^\]]*\])"
    r"|(?P<escape>\\.)|(?P<letter>[^\\])"
)
_REPEAT = re.compile(r"\?|\*|\+|\{(\d+),?\d*\}")
_ANY_ENDING = "…"


def wordings_of(finding: str) -> tuple[str, ...]:
    """Return the added wordings of a finding, and the known ones without their optional parts.

    "…" stands for any ending of a word. Each is read as the finding. The list is an extract: patterns also allow
    plurals, hyphens and words in between.
    """
    own = [wording for name, wording in added_findings().wordings if name == finding and wording != finding]
    found = (
        form for pattern in WORDINGS.get(finding, ()) for form in islice(_Reader(pattern).forms(), _MOST_OF_A_PATTERN)
    )
    forms = dict.fromkeys(" ".join(form.split()) for form in found if form.strip())
    return (*own, *(form for form in forms if _ANY_ENDING in form or _means(form, finding)))


def _means(form: str, finding: str) -> bool:
    return any(mention.finding == finding for mention in findings_in(form))


class _Reader:
    """Enumerates what a pattern matches, for the parts of the syntax that the wordings use."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._at = pattern, 0

    def forms(self) -> Iterator[str]:
        """Yield the plainest forms: optional parts are left away, and parts that look ahead or behind are ignored."""
        yield from self._alternatives()

    def _alternatives(self) -> list[str]:
        found: list[str] = []
        parts: list[list[str]] = []
        while self._at < len(self._pattern):
            token = _TOKEN.match(self._pattern, self._at)
            if token is None:
                break
            self._at = token.end()
            if token["close"]:
                break
            if token["bar"]:
                found += _joined(parts)
                parts = []
                continue
            choices = self._choices(token)
            repeat = _REPEAT.match(self._pattern, self._at)
            if repeat is not None:
                self._at = repeat.end()
                least = repeat[1] if repeat[1] is not None else "1" if repeat[0] == "+" else "0"
                choices = choices if int(least) else [""] if choices != [_ANY_ENDING] else choices
            parts.append(choices)
        return found + _joined(parts)

    def _choices(self, token: re.Match[str]) -> list[str]:
        if token["look"]:
            self._alternatives()
            return [""]
        if token["open"]:
            return self._alternatives()
        if token["set"]:
            return [" "] if r"\s" in token["set"] else [token["set"].strip("[]")[0]]
        if token["escape"]:
            return [{"w": _ANY_ENDING, "s": " ", "b": "", "S": "", "d": _ANY_ENDING}.get(token[0][1], token[0][1])]
        return [token["letter"]]


def _joined(parts: list[list[str]]) -> list[str]:
    return ["".join(form) for form in islice(product(*parts), _MOST_OF_A_PATTERN)]
