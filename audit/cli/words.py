"""The words of a command line, put together again from what was given: for the same command elsewhere."""

from collections.abc import Collection
from enum import Enum
from typing import Any

import typer

__all__ = ["given_words"]


def given_words(context: typer.Context, *, without: Collection[str]) -> list[str]:
    """Give the options that stood on the command line; ``without`` names parameters to leave out."""
    words: list[str] = []
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name in without or source is None or source.name != "COMMANDLINE":
            continue
        words += _words(parameter, context.params[str(parameter.name)])
    return words


def _words(parameter: Any, value: Any) -> list[str]:
    if getattr(parameter, "is_flag", False):
        return [(parameter.opts if value else parameter.secondary_opts)[0]]
    values = value if isinstance(value, list | tuple) else [value]
    texts = (str(each.value if isinstance(each, Enum) else each) for each in values)
    return [word for text in texts for word in (parameter.opts[0], text)]
