"""Weights files: which of a folder's files are read, their checksum, and bare state dicts.

A pickle is only read with ``weights_only=True``, so it cannot run code. Safetensors are preferred if both exist.
"""

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import Module

from pipelines.errors import ModelError

__all__ = ["RUNS_CODE", "check_fit", "checksum", "fill", "has_state_dict", "listed", "read_state_dict", "weights_files"]

_TRANSFORMERS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_OPEN_CLIP = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_model.bin",
    "open_clip_pytorch_model.bin",
)
_KINDS = ((".safetensors",), (".bin", ".pt", ".pth", ".ckpt"))  # the first kind is preferred
_WRAPPERS = ("state_dict", "model_state_dict", "model")  # how training scripts nest a state dict
RUNS_CODE = (
    "this pickle holds more than tensors and could run code, so it is not read; "
    "save the model's state dict as safetensors where you trust the file"
)
_NAMED_TENSORS = 6  # how many a message lists before it counts the rest


def weights_files(folder: Path, *, transformers: bool) -> tuple[Path, ...]:
    """Find the weights that are read from a model folder; the shards where there are several.

    Raises:
        ModelError: there are none, or several single files of which none has a known name.
    """
    names = _TRANSFORMERS if transformers else _OPEN_CLIP
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is not None and found.suffix == ".json":
        return (found, *sorted(folder.glob(found.name.split(".")[0] + "-*-of-*" + _suffix_of_shards(found))))
    if found is None and not transformers:
        found = _only_state_dict(folder)
    if found is None:
        raise ModelError(f"{folder}: no weights in this model folder; one of {', '.join(names)} is needed")
    return (found,)


def _suffix_of_shards(index: Path) -> str:
    return Path(index.name.removesuffix(".index.json")).suffix


def has_state_dict(folder: Path) -> bool:
    """Return True if a folder contains a file that could be a bare state dict."""
    return any(_with_suffix(folder, suffixes) for suffixes in _KINDS)


def _with_suffix(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in suffixes and path.is_file())


def _only_state_dict(folder: Path) -> Path | None:
    for suffixes in _KINDS:
        found = _with_suffix(folder, suffixes)
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ModelError(f"{folder}: several files could be the weights ({names}); keep one in a model folder")
        if found:
            return found[0]
    return None


def checksum(files: tuple[Path, ...]) -> str:
    """SHA-256 of the concatenated contents of the files; for one file its usual checksum."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict in fp32 on the CPU, without the wrappings that training scripts put around it.

    Raises:
        ModelError: the file cannot be read without running code, or holds something else.
    """
    if path.suffix == ".safetensors":
        try:
            content: Any = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path}: cannot be read as safetensors ({error}); replace the file") from error
    else:
        content = _unpickled(path)
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ModelError(f"{path}: a state dict (names and tensors) is needed, not a {type(content).__name__}")
    tensors = {name: tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}
    if not tensors:
        raise ModelError(f"{path}: there is no tensor in this file; add the model's weights")
    if all(name.startswith("module.") for name in tensors):  # trained in parallel
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _unpickled(path: Path) -> Any:
    try:
        if _is_torchscript(path):
            raise ModelError(
                f"{path}: this is a TorchScript archive, which can run code, so it is not read; save its state dict "
                "(torch.jit.load(file).state_dict()) as safetensors where you trust the file"
            )
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(f"{path}: {RUNS_CODE}") from error
    except (OSError, RuntimeError, EOFError, ValueError, BadZipFile) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path}: cannot be read as weights ({first_line}); replace the file") from error


def _is_torchscript(path: Path) -> bool:
    """Return True for a TorchScript archive: a zip with a folder of code, which a state dict does not have."""
    if not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def check_fit(shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], *, folder: Path) -> None:
    """Compare a checkpoint with the names and shapes that a model has.

    Raises:
        ModelError: tensors that are missing, unexpected or of another shape; the message lists them.
    """
    wrong = {
        "missing": [name for name in shapes if name not in tensors],
        "unexpected": [name for name in tensors if name not in shapes],
        "mismatched": [
            f"{name} {tuple(tensor.shape)} instead of {shapes[name]}"
            for name, tensor in tensors.items()
            if name in shapes and shapes[name] != tuple(tensor.shape)
        ],
    }
    if any(wrong.values()):
        faults = "; ".join(f"{what}: {listed(sorted(names))}" for what, names in wrong.items() if names)
        raise ModelError(f"{folder}: the weights do not fit the architecture that they and the config name: {faults}")


def fill(module: Module, tensors: Mapping[str, Tensor], *, folder: Path) -> None:
    """Load ``tensors`` into ``module``, which has the names of the checkpoint; all frozen, in evaluation mode.

    Raises:
        ModelError: tensors that are missing, unexpected or of another shape; the message lists them.
    """
    check_fit({name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}, tensors, folder=folder)
    module.load_state_dict(dict(tensors), assign=True)
    module.requires_grad_(False)
    module.eval()


def listed(names: list[str]) -> str:
    """Return the first few names and the number of the others."""
    rest = len(names) - _NAMED_TENSORS
    return ", ".join(names[:_NAMED_TENSORS]) + (f" and {rest} more" if rest > 0 else "")
