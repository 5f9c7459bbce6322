"""The texts of the pages: one file, ``en.toml``, for a translator to edit; all code looks texts up by key."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Final

from markupsafe import Markup, escape

__all__ = ["all_texts", "counted", "marked_up", "named", "script_texts", "text"]

_FILE: Final = Path(__file__).with_name("en.toml")
_SCRIPTS: Final = "script"  # the section whose own sections are named as the files in ``assets``


@cache
def all_texts() -> Mapping[str, str]:
    """Read the file once: every text by its key, ``section.name``.

    Raises:
        ValueError: a value is not a string, or a placeholder is not a plain ``{name}``.
    """
    with _FILE.open("rb") as opened:
        texts = dict(_flat(tomllib.load(opened), ""))
    for key, pattern in texts.items():
        _names_in(key, pattern)
    return texts


def text(key: str, /, **values: object) -> str:
    """Return a text with its placeholders filled.

    Raises:
        ValueError: no text has the key, or the values do not match its placeholders.
    """
    return _pattern(key, values).format(**values)


def marked_up(key: str, /, **values: object) -> Markup:
    """Return a text for a template; everything except markup is escaped, including the text itself.

    Raises:
        ValueError: as for :func:`text`.
    """
    return escape(_pattern(key, values)).format(**values)


def counted(noun: str, count: int) -> str:
    """Format a number with its noun: ``1 study``, ``24 studies``. The nouns are in the file's section ``count``."""
    return text(f"count.{noun}.{'one' if count == 1 else 'other'}", count=f"{count:,}")


def named(section: str, identifier: str) -> str:
    """Return the wording of a record's term in a section; an unknown term is capitalised."""
    key = f"{section}.{identifier}"
    return text(key) if key in all_texts() else identifier[:1].upper() + identifier[1:]


def script_texts(scripts: Iterable[str]) -> dict[str, str]:
    """Return the texts of the named scripts, to be embedded in their page."""
    starts = tuple(f"{_SCRIPTS}.{Path(script).stem}." for script in scripts)
    return {key: pattern for key, pattern in all_texts().items() if key.startswith(starts)}


def _pattern(key: str, values: Mapping[str, object]) -> str:
    pattern = all_texts().get(key)
    if pattern is None:
        raise ValueError(f"no text has the key {key!r}: add it to {_FILE.name}")
    wanted = _names_in(key, pattern)
    if wanted != values.keys():
        raise ValueError(f"the text {key!r} takes {sorted(wanted)}, not {sorted(values)}")
    return pattern


@cache
def _names_in(key: str, pattern: str) -> frozenset[str]:
    fields = [field for _, *field in Formatter().parse(pattern) if field[0] is not None]
    if any(not name.isidentifier() or spec or conversion for name, spec, conversion in fields if name is not None):
        raise ValueError(f"the text {key!r} has a placeholder that is not a plain {{name}}: {pattern!r}")
    return frozenset(name for name, _, _ in fields if name is not None)


def _flat(table: Mapping[str, object], before: str) -> Iterable[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, str):
            yield f"{before}{name}", value
        else:
            raise ValueError(f"{before}{name} in {_FILE.name} is no text: {value!r}")  # noqa: TRY004 - of the file, not of a call
