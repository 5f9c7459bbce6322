"""The attribution methods by name, and their hyperparameters.

All commands follow one rule. ``m2ib.beta`` is a hyperparameter of that method only; ``all.image_layer`` applies to
every chosen method that has a hyperparameter of this name, unless the method has its own value. A value that no chosen
method takes is refused. Defaults come from the model's folder, otherwise from the publication.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from math import isfinite

import numpy as np
import torch

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
from audit.attribution.pairs import Request
from audit.attribution.patch_similarity import PatchSimilarity
from audit.attribution.rise import RISE
from audit.attribution.rollout import Rollout
from audit.attribution.saliency import Saliency
from audit.configuration import ALL
from audit.encoders.protocol import DualEncoder
from pipelines.errors import AuditError, ModelError
from pipelines.image_file import Picture

__all__ = [
    "METHODS",
    "Numbers",
    "build_method",
    "check_fit",
    "chosen_methods",
    "explain",
    "numbers_by_method",
    "read_number",
    "refusals",
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


def chosen_methods(names: Sequence[str]) -> tuple[str, ...]:
    """List the requested methods, once each; ``all`` means every method.

    Raises:
        AuditError: none is given, or one is unknown.
    """
    if not names:
        raise AuditError(f"--method names none: give all, or some of {', '.join(METHODS)}")
    unknown = [name for name in names if name != ALL and name not in METHODS]
    if unknown:
        raise AuditError(f"--method {unknown[0]}: unknown; give all, or some of {', '.join(METHODS)}")
    return tuple(METHODS) if ALL in names else tuple(dict.fromkeys(names))


def read_number(method: str, number: str, value: object, *, source: str) -> float | str:
    """Read one hyperparameter as the type that its method takes.

    Args:
        method: one of ``METHODS``, or ``all``.
        number: name of the hyperparameter.
        value: a text of the command line, or a value of a configuration file.
        source: how the setting was given, for messages.

    Raises:
        AuditError: an unknown method or hyperparameter, or a value of another type.
    """
    if method == ALL:
        kinds = {name: kind for make in METHODS.values() for name, kind in make().numbers.items()}
    else:
        kinds = dict(_numbers_of(method, f"{source}: method {method}"))
    if number not in kinds:
        has = f"has {', '.join(kinds)}" if kinds else "has no numbers"
        raise AuditError(f"{source}: {method} has no number {number}; it {has}")
    return _value(source, value, kinds[number])


def numbers_by_method(methods: Sequence[str], given: Mapping[str, Numbers]) -> dict[str, dict[str, float | str]]:
    """Return the hyperparameters of each chosen method.

    Args:
        methods: the chosen ones.
        given: by method, and under ``all`` for every chosen method that has the hyperparameter.

    Raises:
        AuditError: a value is for a method that is unknown or not chosen, none of the chosen methods has it, or it is
            of another type.
    """
    result: dict[str, dict[str, float | str]] = {name: {} for name in methods}
    for number, value in given.get(ALL, {}).items():
        read = read_number(ALL, number, value, source=f"{ALL}.{number}")
        takers = [name for name in methods if number in _numbers_of(name, f"--method {name}")]
        if not takers:
            having = [name for name, make in METHODS.items() if number in make().numbers]
            raise AuditError(
                f"{ALL}.{number} is a number of {', '.join(having)}, and none of them is among the methods "
                f"({', '.join(methods)}): leave it out, or add one of them"
            )
        for name in takers:
            result[name][number] = read
    for name, numbers in given.items():
        for number, value in numbers.items() if name != ALL else ():
            read = read_number(name, number, value, source=f"{name}.{number}")
            if name not in result:
                raise AuditError(
                    f"{name}.{number}: {name} is not among the methods ({', '.join(methods)}): add it, or leave "
                    f"{name}.{number} out"
                )
            result[name][number] = read
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


_TRIAL = "There is an opacity in the left lung."


def refusals(methods: Sequence[Method], encoder: DualEncoder, device: torch.device) -> dict[str, str]:
    """Let every method explain an empty image, to detect methods that cannot explain the model and to warm up.

    Returns:
        The reason of each method that cannot, by its name.

    Raises:
        AuditError: a method's hyperparameters do not fit the model.
    """
    side = encoder.preprocessing.size
    request = Request(pixels=torch.zeros(3, side, side, device=device), phrases=[_TRIAL], seeds=[0])
    refused = {}
    for method in methods:
        try:
            check_fit(method, encoder)
            method.explain_batch(encoder, [request])
        except ModelError as error:
            refused[method.name] = str(error)
    return refused


def _numbers_of(method: str, source: str) -> Mapping[str, type]:
    if method not in METHODS:
        raise AuditError(f"{source}: unknown; one of {', '.join(METHODS)}")
    return METHODS[method]().numbers


_TEXTS: tuple[type, ...] = (str,)


def _value(source: str, value: object, kind: type) -> float | str:
    if issubclass(kind, StrEnum):
        wanted, takes = f"one of {', '.join(kind)}", _TEXTS
    elif kind is int:
        wanted, takes = "a whole number", (*_TEXTS, int)
    else:
        wanted, takes = "a number", (*_TEXTS, int, float)
    if isinstance(value, bool) or not isinstance(value, takes):
        raise AuditError(f"{source}: {value} is not {wanted}")
    try:
        read: float | str = kind(value)
    except ValueError as error:
        raise AuditError(f"{source}: {value or 'nothing'} is not {wanted}") from error
    if isinstance(read, float) and not isfinite(read):
        raise AuditError(f"{source}: {value} is not a finite number")
    return read
