"""The methods of a run, built from what was asked for, the model's hints and the papers."""

from dataclasses import replace

from audit.attribution.explain import M2IB
from audit.attribution.methods import METHODS, Method
from audit.encoders.protocol import DualEncoder
from audit.engine.settings import RunSettings
from pipelines.errors import AuditError

__all__ = ["methods_of"]

_M2IB_NUMBERS = ("beta", "variance", "steps", "samples")
_M2IB_FLAGS = (*_M2IB_NUMBERS, "image_layer", "text_layer")


def methods_of(settings: RunSettings, encoder: DualEncoder) -> tuple[Method, ...]:
    """Build each method that was asked for, in their order.

    Raises:
        AuditError: a method is unknown, or a number is given that none of them has or that does not fit the model.
    """
    names = tuple(dict.fromkeys(settings.methods))
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise AuditError(f"--method {unknown[0]}: unknown; one of {', '.join(METHODS)}")
    given = [name for name in _M2IB_FLAGS if getattr(settings, name) is not None]
    given += ["compile"] if settings.compiled else []
    if given and M2IB.name not in names:
        flag = given[0].replace("_", "-")
        raise AuditError(f"--{flag} is a number of m2ib, not of {', '.join(names)}: leave it away")
    methods = tuple(_m2ib(settings, encoder) if name == M2IB.name else METHODS[name]() for name in names)
    for method in methods:
        method.numbers_for(encoder)
    return methods


def _m2ib(settings: RunSettings, encoder: DualEncoder) -> M2IB:
    given = {name: getattr(settings, name) for name in _M2IB_NUMBERS if getattr(settings, name) is not None}
    try:
        numbers = replace(M2IB().settings_for(encoder)[0], **given)
        method = M2IB(
            numbers,
            image_layer=settings.image_layer,
            text_layer=settings.text_layer,
            precision=settings.precision,
            compiler="inductor" if settings.compiled else None,
        )
        method.settings_for(encoder)
    except ValueError as error:
        raise AuditError(f"the method's numbers do not fit the model: {error}") from error
    return method
