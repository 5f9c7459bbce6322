"""An entry of the audit log as a line to read."""

from collections.abc import Mapping

from audit.logbook.lines import Value

__all__ = ["as_text"]

_NOT_SHOWN = frozenset({"n", "ts", "event", "prev", "mac"})


def as_text(entry: Mapping[str, Value] | None) -> str:
    """Number, time and event, then what it holds; control characters of a forged line are written out."""
    if entry is None:
        return "     ?  (no entry)"
    words = [f"{name}={_shown(value)}" for name, value in entry.items() if name not in _NOT_SHOWN]
    line = f"{entry.get('n')!s:>6}  {entry.get('ts')!s}  {entry.get('event')!s:<18}  {' '.join(words)}".rstrip()
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


def _shown(value: Value) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_shown(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value)
