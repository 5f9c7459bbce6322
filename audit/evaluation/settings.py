"""What one evaluation is asked to do, and the methods with their numbers that follow from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from audit.attribution.explain import M2IB, default_layer
from audit.attribution.iba import IBA
from audit.attribution.m2ib import M2IBSettings
from audit.attribution.methods import METHODS, Method
from audit.attribution.nib import NIB
from audit.encoders.protocol import DualEncoder
from pipelines.errors import AuditError
from pipelines.geometry import Fit

__all__ = ["PRESETS", "EvaluationSettings", "Preset", "check_methods", "methods_of"]

_NUMBERS = {"beta": "beta", "variance": "variance", "steps": "steps", "noise_samples": "samples"}
_LAYERED: Mapping[str, Callable[..., Method]] = {IBA.name: IBA, NIB.name: NIB}
"""Methods beside M2IB that squeeze the same layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """M2IB's numbers as its authors published them for one kind of image."""

    settings: M2IBSettings
    image_layer: int  # of 12 blocks, from 0
    text_layer: int


PRESETS: Mapping[str, Preset] = {
    "natural": Preset(settings=M2IBSettings(beta=0.1, variance=1.0, steps=10, samples=10), image_layer=9, text_layer=9),
    "ms-cxr": Preset(settings=M2IBSettings(beta=1.0, variance=1.0, steps=10, samples=10), image_layer=9, text_layer=7),
}
"""Photographs with CLIP, and chest X-rays with BiomedCLIP: the settings of the authors' code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """One ``m2ib-audit evaluate``, as the command line hands it over."""

    data_path: Path
    output_path: Path
    samples: int = 500  # pairs that are drawn
    seed: int = 0
    methods: tuple[str, ...] = ("m2ib",)
    model: str = "biomedclip"
    preset: str | None = None  # one of PRESETS; None: as the model's folder says, else ms-cxr
    image_root: Path | None = None  # None: the table's folder
    device: str = "auto"
    fit: Fit | None = None  # None: as the model's own files say, which is how the authors' code lays images
    resume: bool = False
    overwrite: bool = False
    beta: float | None = None
    variance: float | None = None
    steps: int | None = None
    noise_samples: int | None = None  # of M2IB's noise, each step
    image_layer: int | None = None
    text_layer: int | None = None


def check_methods(settings: EvaluationSettings) -> None:
    """Refuse what no model can mend, before anything is loaded.

    Raises:
        AuditError: an unknown or repeated method or preset, or a flag that suits none of the methods.
    """
    for name in settings.methods:
        if name not in METHODS:
            raise AuditError(f"--method {name}: unknown; one of {', '.join(METHODS)}")
    if not settings.methods or len(set(settings.methods)) < len(settings.methods):
        raise AuditError("--method: each method once, and one at least")
    if settings.preset is not None and settings.preset not in PRESETS:
        raise AuditError(f"--preset {settings.preset}: unknown; one of {', '.join(PRESETS)}")
    layered = {M2IB.name, *_LAYERED}
    for flags, methods in ((_NUMBERS, {M2IB.name}), (("image_layer", "text_layer"), layered)):
        given = [flag.replace("_", "-") for flag in flags if getattr(settings, flag) is not None]
        if given and not methods & set(settings.methods):
            raise AuditError(f"--{given[0]} is a number of {', '.join(sorted(methods))}: leave it away, or add one")


def methods_of(settings: EvaluationSettings, encoder: DualEncoder) -> tuple[Method, ...]:
    """Build the methods: numbers from the flags, then the preset, the model's folder and the paper.

    Raises:
        AuditError: the numbers do not fit the model.
        ModelError: a method cannot explain a model of this kind.
    """
    try:
        methods = tuple(_method(name, settings, encoder) for name in settings.methods)
        for method in methods:
            method.numbers_for(encoder)
    except ValueError as error:
        raise AuditError(f"the method's numbers do not fit the model: {error}") from error
    return methods


def _method(name: str, settings: EvaluationSettings, encoder: DualEncoder) -> Method:
    image_layer, text_layer = _layers(settings, encoder)
    if name in _LAYERED:
        return _LAYERED[name](image_layer=image_layer, text_layer=text_layer)
    if name != M2IB.name:
        return METHODS[name]()
    preset = None if settings.preset is None else PRESETS[settings.preset]
    numbers = M2IB().settings_for(encoder)[0] if preset is None else preset.settings
    given = {number: getattr(settings, flag) for flag, number in _NUMBERS.items()}
    numbers = replace(numbers, **{number: value for number, value in given.items() if value is not None})
    return M2IB(numbers, image_layer=image_layer, text_layer=text_layer)


def _layers(settings: EvaluationSettings, encoder: DualEncoder) -> tuple[int | None, int | None]:
    """Layers by flag or preset, the latter taken to the depth of this model's towers; None: the method's own."""
    preset = None if settings.preset is None else PRESETS[settings.preset]
    image = None if preset is None else default_layer(preset.image_layer, encoder.image.depth)
    text = None if preset is None else default_layer(preset.text_layer, encoder.text.depth)
    return (
        image if settings.image_layer is None else settings.image_layer,
        text if settings.text_layer is None else settings.text_layer,
    )
