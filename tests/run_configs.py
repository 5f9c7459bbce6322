"""The configuration of a short run, from flat values."""

from audit.configuration import RunConfig

__all__ = ["run_config"]

_SHARED = ("beta", "variance", "steps", "samples", "image_layer", "text_layer")


def run_config(*, hyperparameters: dict[str, object] | None = None, **values: object) -> RunConfig:
    """Build a configuration without an index; a hyperparameter by its name alone is for every method that has it."""
    shared = {name: value for name in _SHARED if (value := values.pop(name, None)) is not None}
    numbers = {**({"all": shared} if shared else {}), **(hyperparameters or {})}
    return RunConfig.of(**{"index": "none", "hyperparameters": numbers, **values})
