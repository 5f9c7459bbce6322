"""The methods of a run, built from what was asked for, the model's hints and the papers."""

from audit.attribution.engine import Method
from audit.attribution.m2ib import M2IB
from audit.attribution.numbers import GivenNumbers, SharedNumber, build_method, check_fit, numbers_by_method
from audit.encoders.protocol import DualEncoder
from audit.engine.settings import RunSettings
from pipelines.errors import AuditError

__all__ = ["methods_of"]

_SHARED = ("beta", "variance", "steps", "samples", "image_layer", "text_layer")


def methods_of(settings: RunSettings, encoder: DualEncoder) -> tuple[Method, ...]:
    """Build each method that was asked for, in their order.

    Raises:
        AuditError: a method is unknown, or a number is given that none of them has or that does not fit the model.
    """
    names = tuple(dict.fromkeys(settings.methods))
    if settings.compiled and M2IB.name not in names:
        raise AuditError(f"--compile is for m2ib, which is not among the methods ({', '.join(names)}): leave it out")
    given = GivenNumbers(
        shared=tuple(
            SharedNumber(flag=f"--{name.replace('_', '-')}", name=name, value=value)
            for name in _SHARED
            if (value := getattr(settings, name)) is not None
        ),
        own=settings.numbers,
    )
    numbers = numbers_by_method(names, given)
    speed = {"precision": settings.precision, "compiler": "inductor" if settings.compiled else None}
    methods = tuple(
        build_method(name, {**numbers[name], **speed} if name == M2IB.name else numbers[name]) for name in names
    )
    for method in methods:
        check_fit(method, encoder)
    return methods
