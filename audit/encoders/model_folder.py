"""Reads a transformers model folder: weights, tokeniser and preprocessing; errors name the file."""

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import Module
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from audit.encoders.weights import RUNS_CODE, listed
from pipelines.errors import ModelError
from pipelines.geometry import Fit
from pipelines.limits import MAX_CONFIG_BYTES
from pipelines.text_files import parse_json
from pipelines.transforms import Preprocessing

__all__ = [
    "features",
    "load_pretrained",
    "load_tokenizer",
    "make_preprocessing",
    "parameters_of",
    "read_json",
    "read_preprocessing",
]

_LOAD_ERRORS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, EOFError),
    *(RuntimeError, MemoryError, SafetensorError, BadZipFile),  # RecursionError is a RuntimeError
)
_LONGEST_QUOTE = 300  # characters of another library's message
_MOST = 1e6  # pixels are in [0, 1] when mean and standard deviation are applied
_TOKENISER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")


def read_json(path: Path, *, most_bytes: int = MAX_CONFIG_BYTES) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelError: the file is missing, holds something else, or is larger or nested deeper than any model's.
    """
    try:
        if path.stat().st_size > most_bytes:
            raise ModelError(f"{path}: it has more than the {most_bytes:,} bytes of any model's; replace the file")
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error}); replace the file") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: a JSON object is needed, not a {type(content).__name__}; replace the file")
    return content


def load_pretrained(
    kind: type[PreTrainedModel],
    folder: Path,
    device: torch.device,
    *,
    config: PreTrainedConfig | None = None,
    tensors: Mapping[str, Tensor] | None = None,
    **options: Any,
) -> Any:
    """Load weights in fp32, in evaluation mode, without gradients.

    Safetensors are preferred; a pickle is read with ``weights_only=True``.

    Args:
        kind: class of the model.
        folder: the model's.
        device: for the weights.
        config: replaces the folder's config.json; only with ``tensors``.
        tensors: replace the folder's weights, under the names of ``kind``.
        options: further arguments of the class.

    Raises:
        ModelError: unreadable weights, or tensors that are missing, unexpected or of another shape.
    """
    try:
        with _quiet_transformers():  # what it would warn of becomes an error below
            loaded: Any = kind.from_pretrained(
                folder if tensors is None else None,
                config=config,
                state_dict=None if tensors is None else dict(tensors),
                local_files_only=True,
                output_loading_info=True,
                dtype=torch.float32,
                weights_only=True,
                trust_remote_code=False,
                **options,
            )
    except pickle.UnpicklingError as error:
        raise ModelError(f"{folder}: {RUNS_CODE}") from error
    except _LOAD_ERRORS as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{folder}: these weights cannot be loaded as a {kind.__name__}: {first_line}") from error
    model, report = loaded
    wrong = {name: report[f"{name}_keys"] for name in ("missing", "unexpected", "mismatched") if report[f"{name}_keys"]}
    if wrong:
        faults = "; ".join(f"{name}: {listed([str(key) for key in sorted(keys)])}" for name, keys in wrong.items())
        raise ModelError(f"{folder}: the weights do not fit config.json as a {kind.__name__}: {faults}")
    model.requires_grad_(False)
    return model.eval().to(device)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers' log and bars off stderr, and leave its settings as they were."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the folder's tokeniser.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    if not any((folder / name).is_file() for name in _TOKENISER_FILES):
        raise ModelError(f"{folder}: no readable tokeniser in this model folder; add tokenizer.json")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # tokenizers raises bare exceptions of its own
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:_LONGEST_QUOTE]
        raise ModelError(f"{folder}: the tokeniser of this model folder cannot be read ({first_line})") from error
    return tokenizer


def read_preprocessing(folder: Path, *, size: int, channels: int, fit: Fit | None, sized: bool = True) -> Preprocessing:
    """Read mean, standard deviation and the model's own fit from preprocessor_config.json (or processor_config.json).

    Args:
        folder: the model's.
        size: side of the image tower's square input, px.
        channels: of the image tower.
        fit: how images are fitted to the square; None uses the model's own way.
        sized: the file must state the same size.

    Raises:
        ModelError: the file is missing, its numbers are invalid, or they do not match the tower.
    """
    path, content = _image_processor(folder)
    stated = content.get("crop_size", content.get("size", size)) if sized else size
    if isinstance(stated, dict):
        stated = stated.get("height", stated.get("shortest_edge", size))
    if stated != size:
        raise ModelError(
            f"{path}: it prepares images of {stated!r} px, but the model takes {size} px; use the model's own file"
        )
    normalises = content.get("do_normalize", True)
    mean, std = (content.get("image_mean"), content.get("image_std")) if normalises else ([0.0] * 3, [1.0] * 3)
    rescale = content.get("rescale_factor", 1 / 255)
    if not isinstance(rescale, int | float) or abs(rescale * 255 - 1) > 1e-3:
        raise ModelError(f"{path}: rescale_factor {rescale!r} is not 1/255: the model takes another range of values")
    return make_preprocessing(path, size=size, mean=mean, std=std, channels=channels, fit=fit or _own_fit(content))


def make_preprocessing(path: Path, *, size: int, mean: object, std: object, channels: int, fit: Fit) -> Preprocessing:
    """Check what a model's files say of its images.

    Raises:
        ModelError: the numbers are not usable; the message names ``path``.
    """
    if channels != 3:
        raise ModelError(f"{path.parent}: the image tower takes {channels} channels; models of 3 channels are read")
    means, deviations = _triple(mean), _triple(std)
    if size < 1 or means is None or deviations is None or min(deviations) <= 0:
        raise ModelError(f"{path}: size {size!r}, mean {mean!r}, std {std!r} are not usable; replace the file")
    return Preprocessing(size=size, mean=means, std=deviations, fit=fit)


def _image_processor(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Read the image part of the folder's processor, which transformers 5 writes into processor_config.json."""
    path, joint = folder / "preprocessor_config.json", folder / "processor_config.json"
    if path.is_file() or not joint.is_file():
        return path, read_json(path)
    part = read_json(joint).get("image_processor")
    if not isinstance(part, dict):
        raise ModelError(f"{joint}: it has no image_processor; add preprocessor_config.json")
    return joint, part


def _own_fit(content: dict[str, Any]) -> Fit:
    size = content.get("size")
    to_square = isinstance(size, dict) and "height" in size
    return Fit.CROP if content.get("do_center_crop", not to_square) else Fit.STRETCH


def _triple(value: object) -> tuple[float, float, float] | None:
    """Three finite numbers, or None for what JSON holds in their place."""
    if not isinstance(value, list | tuple) or not all(isinstance(number, int | float) for number in value):
        return None
    if len(value) != 3 or not all(abs(number) < _MOST for number in value):  # false for NaN as well
        return None
    return (float(value[0]), float(value[1]), float(value[2]))


def features(output: Any) -> Tensor:
    """Return the embeddings from the result of ``get_image_features``: a tensor, or a ModelOutput's pooled part."""
    found: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return found


def parameters_of(*modules: Module) -> int:
    """Count the weights of modules."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())
