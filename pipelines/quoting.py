"""Writes values into messages and tables: quoted, counted, and safe to open in a spreadsheet."""

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
"""Precedes the quoted path of another file."""

OF_LABELS = "the label "
"""Precedes a quoted label of boxes."""

_OF_OWNERS = (OF_FILES, OF_LABELS, "its columns are ", "ends in ", "end in ")  # precede names given by a file's owner

_QUOTED = re.compile(r'"([^"]*)"')
_FILE = re.compile(f'{OF_FILES}"([^"]*)"')
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST = 200


def quoted(value: object, *, most: int = _LONGEST) -> str:
    """Quote a value from a file for a message; its own quotes and line ends cannot end the quote."""
    return '"' + " ".join(str(value)[:most].replace('"', "'").split()) + '"'


def printable(text: str) -> str:
    r"""Escape the bytes of a file name that are not UTF-8 as "\xfc".

    Python stores such a byte as a surrogate, which cannot be written to a file or stream in UTF-8.
    """
    return _SURROGATE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", text)


def requoted(sentence: str, shown: Callable[[str], str]) -> str:
    """Replace each quotation in a sentence by the result of ``shown``; an unclosed quote extends to the end."""
    return _requoted(sentence, lambda _before, content: shown(content))


def requoted_for_owner(sentence: str) -> str:
    """Keep quoted columns, labels and file suffixes; any other quoted content of a file becomes "..."."""
    return _requoted(sentence, lambda before, content: content if before.endswith(_OF_OWNERS) else "...")


def files_named_in(sentence: str) -> list[str]:
    """Return the names, without folders, of other files that a sentence names."""
    return [path.rsplit("/", maxsplit=1)[-1] for path in _FILE.findall(sentence)]


def _requoted(sentence: str, shown: Callable[[str, str], str]) -> str:
    """Replace each quotation by the result of ``shown`` for the text before it and the quotation."""
    masked = _QUOTED.sub(lambda match: f'"{shown(sentence[: match.start()], match[1])}"', sentence)
    if masked.count('"') % 2:
        start = masked.rindex('"')
        masked = f'{masked[:start]}"{shown(masked[:start], masked[start + 1 :])}"'
    return masked


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def defused(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would execute as a formula; other text is unchanged.

    Source: OWASP, "CSV Injection" (cells that begin with =, +, -, @, tab, carriage return or line feed, and the
    full-width forms of the first four, which some spreadsheets take for them).
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def counted(count: int, one: str, many: str | None = None) -> str:
    """Format a count: "1 study", "2,000 studies"; without ``many``, an s is added to ``one``."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
