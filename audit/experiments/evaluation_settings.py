"""The configuration of an evaluation, and the methods with their hyperparameters."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import Field

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.engine import Method
from audit.attribution.iba import IBA
from audit.attribution.layers import default_layer
from audit.attribution.m2ib import M2IB
from audit.attribution.methods import build_method, check_fit, chosen_methods, numbers_by_method
from audit.configuration import ComposedConfig, MethodConfig, ModelConfig
from audit.encoders.protocol import DualEncoder
from audit.faithfulness.confidence import TextMask
from pipelines.errors import AuditError

__all__ = ["PRESETS", "EvaluationConfig", "Preset", "check_methods", "methods_of", "text_mask_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """M2IB's hyperparameters and word weights as in its authors' code, for one kind of image."""

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


class EvaluationConfig(ComposedConfig):
    """The configuration of one ``m2ib-audit evaluate``."""

    data_path: Path
    output_path: Path
    pairs: int = Field(default=500, ge=1)  # that are drawn
    preset: str | None = None  # one of PRESETS; None: as the model's folder says, else ms-cxr
    image_root: Path | None = None  # None: the table's folder
    resume: bool = False
    overwrite: bool = False
    text_mask: TextMask | None = None  # None: the preset's, else minmax
    model: ModelConfig = ModelConfig()
    method: MethodConfig = MethodConfig()


def check_methods(settings: EvaluationConfig) -> None:
    """Refuse, before anything is loaded, settings that fit no model.

    Raises:
        AuditError: an unknown method or preset, or a hyperparameter that none of the methods has.
    """
    if settings.preset is not None and settings.preset not in PRESETS:
        raise AuditError(f"--preset {settings.preset}: unknown; one of {', '.join(PRESETS)}")
    numbers_by_method(chosen_methods(settings.method.method), settings.method.hyperparameters)


def text_mask_of(settings: EvaluationConfig) -> TextMask:
    """Return how words are weighted: by the flag, otherwise by the preset, otherwise by their min-max heat."""
    if settings.text_mask is not None:
        return settings.text_mask
    return TextMask.MINMAX if settings.preset is None else PRESETS[settings.preset].text_mask


def methods_of(settings: EvaluationConfig, encoder: DualEncoder) -> tuple[Method, ...]:
    """Build the methods; hyperparameters come from the flags, then the preset, the model's folder and the paper.

    Raises:
        AuditError: the hyperparameters do not fit the model.
        ModelError: a method cannot explain a model of this kind.
    """
    preset, names = _preset_numbers(settings, encoder), chosen_methods(settings.method.method)
    methods = tuple(
        build_method(name, {**preset.get(name, {}), **numbers})
        for name, numbers in numbers_by_method(names, settings.method.hyperparameters).items()
    )
    for method in methods:
        check_fit(method, encoder)
    return methods


def _preset_numbers(settings: EvaluationConfig, encoder: DualEncoder) -> dict[str, dict[str, float]]:
    """Return M2IB's published hyperparameters, and the layers for IBA, scaled to the towers' depths."""
    if settings.preset is None:
        return {}
    preset = PRESETS[settings.preset]
    layers = {
        "image_layer": default_layer(preset.image_layer, encoder.image.depth),
        "text_layer": default_layer(preset.text_layer, encoder.text.depth),
    }
    return {M2IB.name: {**asdict(preset.settings), **layers}, IBA.name: dict(layers)}
