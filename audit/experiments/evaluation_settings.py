"""What one evaluation is asked to do, and the methods with their numbers that follow from it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.engine import Method
from audit.attribution.iba import IBA
from audit.attribution.layers import default_layer
from audit.attribution.m2ib import M2IB
from audit.attribution.methods import METHODS, GivenNumbers, SharedNumber, build_method, check_fit, numbers_by_method
from audit.encoders.protocol import DualEncoder
from audit.metrics.faithfulness.confidence import TextMask
from pipelines.errors import AuditError
from pipelines.geometry import Fit

__all__ = ["PRESETS", "EvaluationSettings", "Preset", "check_methods", "methods_of", "text_mask_of"]

_SHARED = {
    "beta": "beta",
    "variance": "variance",
    "steps": "steps",
    "noise_samples": "samples",
    "image_layer": "image_layer",
    "text_layer": "text_layer",
}
"""Field of :class:`EvaluationSettings`, and the number of the methods that it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """M2IB's numbers, and the weights of words, as its authors' code has them for one kind of image."""

    settings: BottleneckSettings
    image_layer: int  # of 12 blocks, from 0
    text_layer: int
    text_mask: TextMask = TextMask.MEDIAN


PRESETS: Mapping[str, Preset] = {
    "natural": Preset(
        settings=BottleneckSettings(beta=0.1, variance=1.0, steps=10, samples=10), image_layer=9, text_layer=9
    ),
    "ms-cxr": Preset(
        settings=BottleneckSettings(beta=1.0, variance=1.0, steps=10, samples=10), image_layer=9, text_layer=7
    ),
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
    text_mask: TextMask | None = None  # None: the preset's, else minmax
    numbers: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)  # by method: for that one alone
    beta: float | None = None  # this and what follows: for every method that has a number of the name
    variance: float | None = None
    steps: int | None = None
    noise_samples: int | None = None  # of a bottleneck's noise, each step
    image_layer: int | None = None
    text_layer: int | None = None


def check_methods(settings: EvaluationSettings) -> None:
    """Refuse what no model can mend, before anything is loaded.

    Raises:
        AuditError: an unknown or repeated method or preset, or a number that none of the methods has.
    """
    for name in settings.methods:
        if name not in METHODS:
            raise AuditError(f"--method {name}: unknown; one of {', '.join(METHODS)}")
    if not settings.methods or len(set(settings.methods)) < len(settings.methods):
        raise AuditError("--method: each method once, and one at least")
    if settings.preset is not None and settings.preset not in PRESETS:
        raise AuditError(f"--preset {settings.preset}: unknown; one of {', '.join(PRESETS)}")
    numbers_by_method(settings.methods, _given(settings))


def text_mask_of(settings: EvaluationSettings) -> TextMask:
    """How words are weighted: by the flag, else as the preset has it, else by the min-max of their heat."""
    if settings.text_mask is not None:
        return settings.text_mask
    return TextMask.MINMAX if settings.preset is None else PRESETS[settings.preset].text_mask


def methods_of(settings: EvaluationSettings, encoder: DualEncoder) -> tuple[Method, ...]:
    """Build the methods: numbers from the flags, then the preset, the model's folder and the paper.

    Raises:
        AuditError: the numbers do not fit the model.
        ModelError: a method cannot explain a model of this kind.
    """
    preset = _preset_numbers(settings, encoder)
    methods = tuple(
        build_method(name, {**preset.get(name, {}), **numbers})
        for name, numbers in numbers_by_method(settings.methods, _given(settings)).items()
    )
    for method in methods:
        check_fit(method, encoder)
    return methods


def _given(settings: EvaluationSettings) -> GivenNumbers:
    shared = tuple(
        SharedNumber(flag=f"--{flag.replace('_', '-')}", name=name, value=value)
        for flag, name in _SHARED.items()
        if (value := getattr(settings, flag)) is not None
    )
    return GivenNumbers(shared=shared, own=settings.numbers)


def _preset_numbers(settings: EvaluationSettings, encoder: DualEncoder) -> dict[str, dict[str, float]]:
    """M2IB's published numbers, and for IBA, whose layers are M2IB's, the layers; taken to the towers' depths."""
    if settings.preset is None:
        return {}
    preset = PRESETS[settings.preset]
    layers = {
        "image_layer": default_layer(preset.image_layer, encoder.image.depth),
        "text_layer": default_layer(preset.text_layer, encoder.text.depth),
    }
    return {M2IB.name: {**asdict(preset.settings), **layers}, IBA.name: dict(layers)}
