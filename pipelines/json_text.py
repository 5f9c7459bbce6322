"""JSON that other people wrote: parsed only where its values fit into memory and are not nested deeply."""

import json
import re
from typing import Any

from pipelines.limits import MAX_JSON_DEPTH, MAX_JSON_MEMORY

__all__ = ["JsonLimitError", "json_memory", "parse_json"]

# Bytes that CPython takes for what begins with a character. A comma stands for a number and its place in a list.
_BYTES_OF = {"{": 232, "[": 88, '"': 32, ",": 32, ":": 8}
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_WHOLE_NUMBER = 18  # digits; one of more is read as a float, which is infinite from 309 digits on


class JsonLimitError(ValueError):
    """A text is too large or too deeply nested to be parsed; the message says which, and how to mend it."""


def parse_json(text: str) -> Any:
    """Parse a text.

    Raises:
        JsonLimitError: its values would take more than ``MAX_JSON_MEMORY`` or are nested deeper than
            ``MAX_JSON_DEPTH``.
        ValueError: it is no JSON.
    """
    memory = json_memory(text)
    if memory > MAX_JSON_MEMORY:
        megabytes, most = memory / 2**20, MAX_JSON_MEMORY / 2**20
        raise JsonLimitError(
            f"its values would take about {megabytes:,.0f} MiB of memory, more than {most:,.0f}: split the file"
        )
    try:
        value = json.loads(text, parse_int=_number)
    except RecursionError as error:
        raise JsonLimitError(_too_deep()) from error
    _refuse_deep(value)
    return _without_lone_surrogates(value) if _ESCAPED_SURROGATE.search(text) else value


def json_memory(text: str) -> int:
    """Estimate from above, without parsing, the bytes that a text and its values take."""
    return len(text) + sum(size * text.count(character) for character, size in _BYTES_OF.items())


def _without_lone_surrogates(value: Any) -> Any:
    """Put U+FFFD in the place of halves of a character, which no file or stream in UTF-8 takes."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        value[:] = map(_without_lone_surrogates, value)  # in place: a second copy could be too much
    elif isinstance(value, dict):
        for name in list(value):
            value[_SURROGATE.sub("\ufffd", name)] = _without_lone_surrogates(value.pop(name))
    return value


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST_WHOLE_NUMBER else float(digits)


def _refuse_deep(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_JSON_DEPTH):
        if not level:
            return
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    if level:
        raise JsonLimitError(_too_deep())


def _too_deep() -> str:
    return f"its values are nested deeper than {MAX_JSON_DEPTH} levels: export the file again"
