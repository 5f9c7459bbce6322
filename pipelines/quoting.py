"""What a sentence repeats of a file's content stands in double quotes, so that who shows it can mask it."""

import re
from collections.abc import Callable

__all__ = ["quoted", "requoted"]

_QUOTED = re.compile(r'"([^"]*)"')
_LONGEST = 200


def quoted(value: object, *, most: int = _LONGEST) -> str:
    """Put a value of a file into a sentence; quotes and line ends of its own cannot end it."""
    return '"' + " ".join(str(value)[:most].replace('"', "'").split()) + '"'


def requoted(sentence: str, shown: Callable[[str], str]) -> str:
    """Replace what a sentence quotes by what ``shown`` makes of it; an open quote reaches to the end."""
    masked = _QUOTED.sub(lambda match: f'"{shown(match[1])}"', sentence)
    if masked.count('"') % 2:
        start = masked.rindex('"')
        masked = f'{masked[:start]}"{shown(masked[start + 1 :])}"'
    return masked
