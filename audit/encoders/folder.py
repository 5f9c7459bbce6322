"""What a transformers model folder holds: weights, tokeniser and preprocessing, with errors that name the file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from pipelines.errors import ModelError
from pipelines.geometry import Fit
from pipelines.transforms import Preprocessing

__all__ = ["load_pretrained", "load_tokenizer", "read_json", "read_preprocessing"]

Model = TypeVar("Model", bound=PreTrainedModel)

_TOKENISER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
_NAMED_TENSORS = 6  # how many a message lists before it counts the rest


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelError: the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error}); bring the model's file again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: a JSON object is needed, not a {type(content).__name__}; bring the file again")
    return content


def load_pretrained(kind: type[Model], folder: Path) -> Model:
    """Load weights in fp32, in evaluation mode, none of them asking for a gradient.

    Safetensors are taken where the folder has them; a pickle is read with ``weights_only=True``.

    Raises:
        ModelError: unreadable weights, or tensors that are missing, unexpected or of another shape.
    """
    try:
        with _quiet_transformers():  # what it would warn of becomes an error below
            loaded: Any = kind.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, dtype=torch.float32, weights_only=True
            )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{folder}: these weights cannot be loaded as a {kind.__name__}: {first_line}") from error
    model, report = loaded
    wrong = {name: report[f"{name}_keys"] for name in ("missing", "unexpected", "mismatched") if report[f"{name}_keys"]}
    if wrong:
        told = "; ".join(f"{name}: {_listed([str(key) for key in sorted(keys)])}" for name, keys in wrong.items())
        raise ModelError(f"{folder}: the weights do not fit config.json as a {kind.__name__}: {told}")
    model.requires_grad_(False)
    evaluated: Model = model.eval()
    return evaluated


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


def _listed(names: list[str]) -> str:
    rest = len(names) - _NAMED_TENSORS
    return ", ".join(names[:_NAMED_TENSORS]) + (f" and {rest} more" if rest > 0 else "")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the folder's own tokeniser.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    if not any((folder / name).is_file() for name in _TOKENISER_FILES):
        raise ModelError(f"{folder}: no readable tokeniser in this model folder; bring tokenizer.json")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: the tokeniser of this model folder cannot be read ({error})") from error
    return tokenizer


def read_preprocessing(folder: Path, *, default_size: int, fit: Fit) -> Preprocessing:
    """Read input size, mean and standard deviation from preprocessor_config.json.

    Raises:
        ModelError: the file is missing or its numbers are not usable.
    """
    path = folder / "preprocessor_config.json"
    content = read_json(path)
    size = content.get("crop_size", content.get("size", default_size))
    if isinstance(size, dict):
        size = size.get("height", size.get("shortest_edge", default_size))
    mean: Any = content.get("image_mean")
    std: Any = content.get("image_std")
    usable = isinstance(size, int) and size > 0 and _three_numbers(mean) and _three_numbers(std) and min(std) > 0
    if not usable:
        raise ModelError(
            f"{path}: size {size!r}, image_mean {mean!r}, image_std {std!r} are not usable; bring the file again"
        )
    return Preprocessing(size=size, mean=tuple(mean), std=tuple(std), fit=fit)


def _three_numbers(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(number, int | float) for number in value)
