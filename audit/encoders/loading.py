"""Find a model by name, folder or hub id, and load it by what its files say."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from audit.encoders import clip
from audit.encoders.folder import read_json
from audit.encoders.protocol import DualEncoder, EncoderInfo
from pipelines.errors import ModelError
from pipelines.geometry import Fit

__all__ = ["FAMILIES", "KNOWN", "KnownModel", "load_encoder", "model_folder", "phantom_folder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model that the tool knows by name."""

    hub_id: str
    terms: str


KNOWN = {
    "biomedclip": KnownModel(
        hub_id="microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        terms="MIT licence; its card says: research only, any deployed use case is out of scope",
    ),
}

FAMILIES: dict[str, Callable[[Path, EncoderInfo, torch.device, Fit], DualEncoder]] = {
    "clip": clip.load,
}
"""How a model of each ``model_type`` (config.json) is loaded; to add a family, write one file and add its line."""

_WEIGHTS = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin")


def phantom_folder() -> Path:
    """The committed phantom encoder."""
    return Path(__file__).parent / "phantom"


def model_folder(name: str) -> Path:
    """Say where a model's files lie, fetching them from the hub if they are not on this machine.

    Raises:
        ModelError: the files cannot be had; the message says how to bring them.
    """
    if name == "phantom":
        return phantom_folder()
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    hub_id = KNOWN[name].hub_id if name in KNOWN else name
    if hub_id.count("/") != 1 or folder.is_absolute() or name.startswith("."):
        known = ", ".join([*KNOWN, "phantom"])
        raise ModelError(
            f"--model {name}: no such folder, and neither a known name ({known}) nor a hub id (owner/name)"
        )
    try:
        return Path(snapshot_download(hub_id))
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"--model {name}: the hub has no model {hub_id}, or it needs a log-in (`hf auth login`)"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"--model {name}: the weights of {hub_id} are not on this machine and the hub cannot be reached; "
            f"run `hf download {hub_id} --local-dir FOLDER` where there is a network, copy FOLDER here and pass "
            "--model FOLDER, or pass --model phantom to try the tool without weights"
        ) from error


def load_encoder(name: str, *, device: str | torch.device = "cpu", fit: Fit = Fit.LETTERBOX) -> DualEncoder:
    """Load a model by known name, folder or hub id.

    Raises:
        ModelError: the files are missing, incomplete or of an unknown family.
    """
    folder = model_folder(name)
    family = _family(folder)
    return FAMILIES[family](folder, _info(name, folder, family), torch.device(device), fit)


def _family(folder: Path) -> str:
    config = folder / "config.json"
    if not config.is_file() and (folder / "open_clip_config.json").is_file():
        raise ModelError(
            f"{folder}: this is an open_clip checkpoint, a family that this version does not read; "
            f"bring a transformers folder of one of: {', '.join(sorted(FAMILIES))}"
        )
    if not config.is_file():
        raise ModelError(f"{folder}: no config.json in this model folder; bring the whole folder of the model")
    family = str(read_json(config).get("model_type", ""))
    if family not in FAMILIES:
        raise ModelError(f"{folder}: model_type {family!r} in config.json is none of {', '.join(sorted(FAMILIES))}")
    return family


def _info(name: str, folder: Path, family: str) -> EncoderInfo:
    weights = next((folder / file for file in _WEIGHTS if (folder / file).is_file()), None)
    if weights is None:
        raise ModelError(f"{folder}: no weights in this model folder; one of {', '.join(_WEIGHTS)} is needed")
    own = folder / "m2ib_audit.json"
    hints = read_json(own) if own.is_file() else {}
    with weights.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    terms = KNOWN[name].terms if name in KNOWN else str(hints.get("terms", "not stated: see the model's own card"))
    return EncoderInfo(
        name=name if name in {*KNOWN, "phantom"} else folder.name,
        family=family,
        source=KNOWN[name].hub_id if name in KNOWN else (folder.name if Path(name).is_dir() else name),
        sha256=checksum,
        terms=terms,
        is_phantom=hints.get("phantom") is True,
        image_layer=_optional_int(own, hints, "image_layer"),
        text_layer=_optional_int(own, hints, "text_layer"),
        beta=_optional_float(own, hints, "beta"),
    )


def _optional_int(path: Path, hints: dict[str, Any], key: str) -> int | None:
    value = hints.get(key)
    if value is not None and not isinstance(value, int):
        raise ModelError(f"{path}: {key} must be a whole number, not {value!r}")
    return value


def _optional_float(path: Path, hints: dict[str, Any], key: str) -> float | None:
    value = hints.get(key)
    if value is not None and not isinstance(value, int | float):
        raise ModelError(f"{path}: {key} must be a number, not {value!r}")
    return value
