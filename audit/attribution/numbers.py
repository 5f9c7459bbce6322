"""Numbers of methods: which may be given, which method takes which, and the methods that are built with them.

One rule holds for all commands. A flag such as ``--image-layer`` is for every chosen method that has a number of its
name; ``--set METHOD.NUMBER=VALUE`` is for that method alone and wins over the flag. A number that none of the chosen
methods has is refused. What is not given is the method's own: from the model's folder, else as published.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

from audit.attribution.engine import Method
from audit.attribution.methods import METHODS
from audit.encoders.protocol import DualEncoder
from pipelines.errors import AuditError

__all__ = [
    "GivenNumbers",
    "Numbers",
    "SharedNumber",
    "build_method",
    "check_fit",
    "numbers_by_method",
    "parse_settings",
]

Numbers = Mapping[str, float | str]
"""Values of one method's numbers, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedNumber:
    """A number that is given for every chosen method that has it."""

    flag: str  # as it is typed, for messages
    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenNumbers:
    """All numbers that a command was given."""

    shared: tuple[SharedNumber, ...] = ()
    own: Mapping[str, Numbers] = field(default_factory=dict)  # by method, from ``--set``


def parse_settings(texts: Iterable[str]) -> dict[str, dict[str, float | str]]:
    """Read what ``--set`` was given, each METHOD.NUMBER=VALUE, by method.

    Raises:
        AuditError: another form, an unknown method or number, a value of another type, or a number given twice.
    """
    own: dict[str, dict[str, float | str]] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        method, _, number = name.strip().partition(".")
        if not separator or not number:
            raise AuditError(f"--set {text}: give METHOD.NUMBER=VALUE, for example m2ib.beta=0.5")
        numbers = _numbers_of(method, f"--set {text}: method {method}")
        if number not in numbers:
            has = f"has {', '.join(numbers)}" if numbers else "has no numbers"
            raise AuditError(f"--set {text}: {method} has no number {number}; it {has}")
        if number in own.setdefault(method, {}):
            raise AuditError(f"--set {text}: {method}.{number} is given twice")
        own[method][number] = _value(text, value.strip(), numbers[number])
    return own


def numbers_by_method(methods: Sequence[str], given: GivenNumbers) -> dict[str, dict[str, float | str]]:
    """Say which numbers each of the chosen methods gets.

    Raises:
        AuditError: a number is for a method that is unknown or not chosen, or none of the chosen methods has it.
    """
    result: dict[str, dict[str, float | str]] = {name: {} for name in methods}
    for shared in given.shared:
        takers = [name for name in methods if shared.name in _numbers_of(name, f"--method {name}")]
        if not takers:
            having = [name for name, make in METHODS.items() if shared.name in make().numbers]
            raise AuditError(
                f"{shared.flag} is a number of {', '.join(having)}, and none of them is among the methods "
                f"({', '.join(methods)}): leave the flag out, or add one of them"
            )
        for name in takers:
            result[name][shared.name] = shared.value
    for name, numbers in given.own.items():
        if name not in result:
            first = next(iter(numbers))
            raise AuditError(
                f"--set {name}.{first}: {name} is not among the methods ({', '.join(methods)}): add it, or leave "
                "--set out"
            )
        result[name] |= numbers
    return result


def build_method(name: str, numbers: Mapping[str, object]) -> Method:
    """Make a method with these numbers in place of its own.

    Args:
        name: one of ``METHODS``.
        numbers: arguments of its class.

    Raises:
        AuditError: the method is unknown, or a number is out of its range.
    """
    _numbers_of(name, f"--method {name}")
    try:
        return METHODS[name](**numbers)
    except ValueError as error:
        raise AuditError(f"{name}: {error}") from error


def check_fit(method: Method, encoder: DualEncoder) -> None:
    """Refuse numbers that do not fit the model.

    Raises:
        AuditError: the model has no such block.
        ModelError: the method cannot explain a model of this kind.
    """
    try:
        method.numbers_for(encoder)
    except ValueError as error:
        raise AuditError(f"the numbers of {method.name} do not fit the model: {error}") from error


def _numbers_of(method: str, said: str) -> Mapping[str, type]:
    if method not in METHODS:
        raise AuditError(f"{said}: unknown; one of {', '.join(METHODS)}")
    return METHODS[method]().numbers


def _value(said: str, text: str, kind: type) -> float | str:
    if issubclass(kind, StrEnum):
        wanted = f"one of {', '.join(kind)}"
    else:
        wanted = "a whole number" if kind is int else "a number"
    try:
        value: float | str = kind(text)
    except ValueError as error:
        raise AuditError(f"--set {said}: {text or 'nothing'} is not {wanted}") from error
    if isinstance(value, float) and not isfinite(value):
        raise AuditError(f"--set {said}: {text} is not a finite number")
    return value
