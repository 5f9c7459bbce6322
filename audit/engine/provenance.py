"""What was run: the model, the method's numbers, the software and the device."""

from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version

import torch

from audit.attribution.engine import Method
from audit.attribution.m2ib import M2IB
from audit.attribution.precision import Precision, resolve
from audit.encoders.protocol import DualEncoder
from pipelines.errors import AuditError
from reports.record import ModelRecord

__all__ = [
    "device_name",
    "method_settings",
    "model_record",
    "pick_device",
    "settings_by_method",
    "software_versions",
    "tokeniser_digest",
]

_SENTENCES = (  # each short enough for any context
    "Small left-sided pleural effusion.",
    "Adjacent atelectasis; cardiomegaly?",
    "No pneumothorax (unchanged since 2019).",
)
_NAMED = ("m2ib-audit", "torch", "transformers", "pydicom", "monai", "numpy", "scikit-image", "pandas")


def software_versions() -> dict[str, str]:
    """Versions of the packages that shape a result."""
    return {name: version(name) for name in _NAMED}


def model_record(encoder: DualEncoder) -> ModelRecord:
    """Describe the audited model."""
    info = encoder.info
    return ModelRecord(
        name=info.name,
        family=info.family,
        source=info.source,
        sha256=info.sha256,
        terms=info.terms,
        is_phantom=info.is_phantom,
    )


def method_settings(
    methods: Sequence[Method], encoder: DualEncoder, device: torch.device
) -> dict[str, float | int | str | bool | None]:
    """Every number that shapes a heat, by name; those of further methods carry their method's name."""
    numbers: dict[str, float | int | str | bool | None] = {}
    for place, (method, settings) in enumerate(settings_by_method(methods, encoder, device).items()):
        prefix = "" if place == 0 else f"{method} "
        for name, number in settings.items():
            numbers[prefix + name.replace("_layer", " layer")] = number
    return {"precision": Precision.FP32.value, **numbers, "fit": encoder.preprocessing.fit.value}


def settings_by_method(
    methods: Sequence[Method], encoder: DualEncoder, device: torch.device
) -> dict[str, dict[str, float | int | str | bool | None]]:
    """Each method's numbers under the names that ``--set`` takes, and M2IB's precision."""
    settings: dict[str, dict[str, float | int | str | bool | None]] = {}
    for method in methods:
        settings[method.name] = dict(method.numbers_for(encoder))
        if isinstance(method, M2IB):
            settings[method.name]["precision"] = resolve(method.precision, device).value
    return settings


def tokeniser_digest(encoder: DualEncoder) -> str:
    """Hash how sentences are cut into tokens: the checksum of the weights does not speak of the tokeniser."""
    ids = encoder.text.tokenise(_SENTENCES).ids
    return sha256(str(ids.tolist()).encode()).hexdigest()[:16]


def pick_device(name: str) -> torch.device:
    """Turn ``--device`` into a device; "auto" takes a GPU where there is one.

    Raises:
        AuditError: the device is unknown or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise AuditError(f"--device {name}: unknown; give auto, cpu, cuda or cuda:1") from error
    if device.type not in {"cpu", "cuda"}:
        raise AuditError(f"--device {name}: not supported; give auto, cpu, cuda or cuda:1")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise AuditError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; give auto or cpu"
        )
    return device


def device_name(device: torch.device) -> str:
    """Name a device as its maker does."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"cpu ({threads} {'thread' if threads == 1 else 'threads'})"
