"""The attribution methods by name, and their hyperparameters.

The same rule applies to all commands. A flag such as ``--image-layer`` applies to every chosen method that has a
hyperparameter of that name. ``--set METHOD.NUMBER=VALUE`` applies to that method only and takes precedence over the
flag. A hyperparameter that none of the chosen methods has is an error. Missing values come from the model's folder, or
else from the publication.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

import numpy as np

from audit.attribution.chefer import Chefer
from audit.attribution.engine import Method
from audit.attribution.explanation import Explanation
from audit.attribution.grad_cam import GradCAM
from audit.attribution.grad_eclip import GradECLIP
from audit.attribution.iba import IBA
from audit.attribution.kernel_shap import KernelSHAP
from audit.attribution.legrad import LeGrad
from audit.attribution.m2ib import M2IB
from audit.attribution.nib import NIB
from audit.attribution.patch_similarity import PatchSimilarity
from audit.attribution.rise import RISE
from audit.attribution.rollout import Rollout
from audit.attribution.saliency import Saliency
from audit.encoders.protocol import DualEncoder
from pipelines.errors import AuditError
from pipelines.image_file import Picture

__all__ = [
    "METHODS",
    "GivenNumbers",
    "Numbers",
    "SharedNumber",
    "build_method",
    "check_fit",
    "explain",
    "numbers_by_method",
    "parse_settings",
]

METHODS: Mapping[str, Callable[[], Method]] = {
    "m2ib": M2IB,
    "iba": IBA,
    "nib": NIB,
    "grad_cam": GradCAM,
    "grad_eclip": GradECLIP,
    "chefer": Chefer,
    "legrad": LeGrad,
    "saliency": Saliency,
    "rise": RISE,
    "kernel_shap": KernelSHAP,
    "rollout": Rollout,
    "patch_similarity": PatchSimilarity,
}


def explain(
    encoder: DualEncoder,
    image: Picture | np.ndarray,
    phrase: str,
    *,
    method: Method | None = None,
    seed: int = 0,
) -> Explanation:
    """Explain one image with one phrase, by default with M2IB; see :meth:`Method.explain`."""
    return (method or M2IB()).explain(encoder, image, phrase, seed=seed)


Numbers = Mapping[str, float | str]
"""Values of one method's hyperparameters, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedNumber:
    """A hyperparameter that is given for every chosen method that has it."""

    flag: str  # the flag as typed, for messages
    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenNumbers:
    """All hyperparameters that were given to a command."""

    shared: tuple[SharedNumber, ...] = ()
    own: Mapping[str, Numbers] = field(default_factory=dict)  # by method, from ``--set``


def parse_settings(texts: Iterable[str]) -> dict[str, dict[str, float | str]]:
    """Parse the values of ``--set``, each METHOD.NUMBER=VALUE, by method.

    Raises:
        AuditError: a malformed value, an unknown method or hyperparameter, a wrong type, or a duplicate.
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
    """Assign the given hyperparameters to the chosen methods.

    Raises:
        AuditError: a hyperparameter is for a method that is unknown or not chosen, or none of the chosen has it.
    """
    result: dict[str, dict[str, float | str]] = {name: {} for name in methods}
    for shared in given.shared:
        takers = [name for name in methods if shared.name in _numbers_of(name, f"--method {name}")]
        if not takers:
            having = [name for name, make in METHODS.items() if shared.name in make().numbers]
            raise AuditError(
                f"{shared.flag} is a number of {', '.join(having)}, and none of them is among the methods "
                f"({', '.join(methods)}): omit the flag, or add one of them"
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
    """Create a method with these hyperparameters instead of its defaults.

    Args:
        name: one of ``METHODS``.
        numbers: arguments of its class.

    Raises:
        AuditError: the method is unknown, or a hyperparameter is out of its range.
    """
    _numbers_of(name, f"--method {name}")
    try:
        return METHODS[name](**numbers)
    except ValueError as error:
        raise AuditError(f"{name}: {error}") from error


def check_fit(method: Method, encoder: DualEncoder) -> None:
    """Check that the hyperparameters fit the model.

    Raises:
        AuditError: the model has no such block.
        ModelError: the method cannot explain a model of this kind.
    """
    try:
        method.hyperparameters(encoder)
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
