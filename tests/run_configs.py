"""A short run: its configuration from flat values, and the flags that make a command short."""

from audit.configuration import RunConfig

__all__ = ["FAST", "run_config"]

FAST = ("--model", "phantom", "--device", "cpu", "--set", "all.steps=1", "--set", "all.samples=1")
"""Flags of a command: the shipped model on the processor, one step and one sample of the method."""

_SHARED = ("beta", "variance", "steps", "samples", "image_layer", "text_layer")


def run_config(*, hyperparameters: dict[str, object] | None = None, **values: object) -> RunConfig:
    """Build a configuration without an index; a hyperparameter by its name alone is for every method that has it."""
    shared = {name: value for name in _SHARED if (value := values.pop(name, None)) is not None}
    numbers = {**({"all": shared} if shared else {}), **(hyperparameters or {})}
    return RunConfig.of(**{"index": "none", "hyperparameters": numbers, **values})
