"""Values written into messages and tables: quoted, counted, and safe to open in a spreadsheet."""

import re
from collections.abc import Callable

__all__ = [
    "OF_FILES",
    "OF_LABELS",
    "counted",
    "defused",
    "files_named_in",
    "printable",
    "quoted",
    "requoted",
    "requoted_for_owner",
]

OF_FILES = "The file "
"""Before the quoted path of a file that is not the sentence's own."""

OF_LABELS = "the label "
"""Before a quoted label of boxes."""

_OF_OWNERS = (OF_FILES, OF_LABELS, "its columns are ", "ends in ", "end in ")  # before names that a file's owner gave

_QUOTED = re.compile(r'"([^"]*)"')
_FILE = re.compile(f'{OF_FILES}"([^"]*)"')
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST = 200


def quoted(value: object, *, most: int = _LONGEST) -> str:
    """Put a value of a file into a sentence; quotes and line ends of its own cannot end it."""
    return '"' + " ".join(str(value)[:most].replace('"', "'").split()) + '"'


def printable(text: str) -> str:
    r"""Write the bytes of a file name that are no UTF-8 as "\xfc".

    Python keeps such a byte as a surrogate, which neither a file nor a stream in UTF-8 takes.
    """
    return _SURROGATE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", text)


def requoted(sentence: str, shown: Callable[[str], str]) -> str:
    """Replace what a sentence quotes by what ``shown`` makes of it; an open quote reaches to the end."""
    return _requoted(sentence, lambda _before, content: shown(content))


def requoted_for_owner(sentence: str) -> str:
    """Keep the columns, labels and file endings that a sentence quotes; any other content of a file becomes "..."."""
    return _requoted(sentence, lambda before, content: content if before.endswith(_OF_OWNERS) else "...")


def files_named_in(sentence: str) -> list[str]:
    """Give the names, without folders, of other files that a sentence names."""
    return [path.rsplit("/", maxsplit=1)[-1] for path in _FILE.findall(sentence)]


def _requoted(sentence: str, shown: Callable[[str, str], str]) -> str:
    """Replace each quote by what ``shown`` makes of the sentence before it and of the quote."""
    masked = _QUOTED.sub(lambda match: f'"{shown(sentence[: match.start()], match[1])}"', sentence)
    if masked.count('"') % 2:
        start = masked.rindex('"')
        masked = f'{masked[:start]}"{shown(masked[:start], masked[start + 1 :])}"'
    return masked


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def defused(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula; other text comes back as it is.

    Source: OWASP, "CSV Injection" (cells that begin with =, +, -, @, tab, carriage return or line feed, and the
    full-width forms of the first four, which some spreadsheets take for them).
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def counted(count: int, one: str, many: str | None = None) -> str:
    """Write a number and what it counts: "1 study", "2,000 studies"; without ``many`` it is ``one`` with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
