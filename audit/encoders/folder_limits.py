"""Limits on the content of a model folder, checked before anything of it is loaded.

A model folder is not trusted: a number in its configuration can create millions of layers, a rule of its tokeniser can
expand one word to gigabytes, a number in its weights can claim terabytes, and ``auto_map`` names code to run.
"""

import pickle
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, is_zipfile

import torch
from torch import Tensor

from audit.encoders.model_folder import read_json
from audit.encoders.weights import weights_files
from pipelines.errors import ModelError
from pipelines.limits import MAX_CONFIG_BYTES, MAX_MODEL_LAYERS, MAX_TENSORS, MAX_TOKENISER_BYTES
from pipelines.text_files import parse_json

__all__ = ["refuse_unsafe", "refuse_weights"]

_LENGTH_BYTES = 8  # of the header's length, before the header of a safetensors file
_MAX_HEADER_BYTES = 2**24  # 100,000 tensors take it
_MOST_SHARING = 4  # times that tensors may share their numbers: towers that share a projection do


def refuse_weights(path: Path) -> None:
    """Refuse a file of weights whose tensors are larger than the file, or more than any model has.

    Raises:
        ModelError: they are; or a safetensors file has no header of its form. Of a pickle that cannot be read nothing
            is said here: its reader says it.
    """
    size = path.stat().st_size
    if path.suffix == ".safetensors":
        _refuse_safetensors(path, size)
    elif path.suffix != ".json":
        _refuse_pickle(path, size)


def _refuse_safetensors(path: Path, size: int) -> None:
    """Check the header.

    Source: safetensors, "Format": 8 bytes of length, JSON by tensors' names with dtype, shape and data_offsets.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > min(size - _LENGTH_BYTES, _MAX_HEADER_BYTES):
            raise ModelError(
                f"{path}: its header should have {length:,} bytes; the file has {size:,}, and no header more than "
                f"{_MAX_HEADER_BYTES:,}: replace the file"
            )
        header = file.read(length)
    try:
        content = parse_json(header.decode("utf-8"))
        entries = [entry for name, entry in content.items() if name != "__metadata__"]
        described = [(prod(map(_side, entry["shape"])), *map(_side, entry["data_offsets"])) for entry in entries]
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ModelError(f"{path}: its header is not that of safetensors ({error}); replace the file") from error
    _refuse_number(path, len(described))
    end = 0
    for count, first, last in sorted(described, key=lambda each: each[1:]):
        # A number takes four bits at least; tensors lie one after the other.
        if first != end or count > 2 * (last - first) or last > size - _LENGTH_BYTES - length:
            raise ModelError(f"{path}: its header describes tensors that the file does not hold; replace the file")
        end = last


def _side(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a size is not an integer")
    return value


def _refuse_pickle(path: Path, size: int) -> None:
    """Look at the tensors' shapes without their numbers."""
    try:
        if is_zipfile(path):
            with ZipFile(path) as archive:
                held = archive.infolist()
            if any("/code/" in info.filename for info in held):
                return  # TorchScript, which its reader refuses
            if any(info.compress_type != ZIP_STORED or info.file_size > size for info in held):
                raise ModelError(f"{path}: it is packed, and may unpack to any size; save it again with torch.save")
        tensors = list(_tensors(torch.load(path, map_location="meta", weights_only=True)))
    except (pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, BadZipFile):
        return  # its reader says why
    _refuse_number(path, len(tensors))
    sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
    if max(sizes, default=0) > size or sum(sizes) > _MOST_SHARING * size:
        raise ModelError(
            f"{path}: its tensors stand for more numbers than the file holds; save it again with torch.save"
        )


def _refuse_number(path: Path, count: int) -> None:
    if count > MAX_TENSORS:
        raise ModelError(
            f"{path}: it holds {count:,} tensors, more than {MAX_TENSORS:,}; use the model's original file"
        )


def _tensors(content: Any) -> Iterator[Tensor]:
    waiting = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Tensor):
            yield part
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()


_CONFIGS = (
    "config.json",
    "open_clip_config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "m2ib_audit.json",
)
_TOKENISERS = ("vocab.json", "merges.txt", "vocab.txt", "added_tokens.json", "spiece.model")
_MORE_TOKENISERS = ("sentencepiece.bpe.model", "tokenizer.model", "tokenizer.json")
_RUNS_CODE = "auto_map"

# The most of each number in config.json: about ten times that of the largest model of its kind.
_MOST = {
    "num_hidden_layers": MAX_MODEL_LAYERS,
    "num_attention_heads": 1_000,
    "hidden_size": 100_000,
    "intermediate_size": 400_000,
    "projection_dim": 100_000,
    "vocab_size": 10_000_000,
    "type_vocab_size": 1_000,
    "max_position_embeddings": 1_000_000,
    "num_patches": 1_000_000,
    "image_size": 16_384,
    "patch_size": 16_384,
    "num_channels": 1_000,
}
_MOST_ADDED_TOKENS = 20_000
_MOST_RULES = 200  # of one part of a tokeniser
_MOST_GROWTH = 1_000  # how many characters all rules together may make of one
_PARTS_WITH_RULES = ("normalizer", "pre_tokenizer", "post_processor", "decoder")


def refuse_unsafe(folder: Path, *, transformers: bool) -> None:
    """Refuse a model folder that asks for code to be run, for files elsewhere, or for more than any model.

    Raises:
        ModelError: it does; the message names the file and what is wrong.
    """
    _refuse_links_out(folder)
    weights = weights_files(folder, transformers=transformers)
    for name in _CONFIGS:
        if (folder / name).is_file():
            _refuse_config(folder / name, read_json(folder / name))
    for name in (*_TOKENISERS, *_MORE_TOKENISERS):
        if (folder / name).is_file() and (folder / name).stat().st_size > MAX_TOKENISER_BYTES:
            raise ModelError(
                f"{folder / name}: it has more than the {MAX_TOKENISER_BYTES:,} bytes of any tokeniser; replace it"
            )
    if (folder / "tokenizer.json").is_file():
        path = folder / "tokenizer.json"
        _refuse_tokeniser(path, read_json(path, most_bytes=MAX_TOKENISER_BYTES))
    if weights[0].suffix == ".json":
        read_json(weights[0], most_bytes=4 * MAX_CONFIG_BYTES)
    for path in weights:
        refuse_weights(path)
    if transformers:
        _refuse_oversized(folder, sum(path.stat().st_size for path in weights))


def _refuse_links_out(folder: Path) -> None:
    """Refuse files that are links out of the folder; in the hub's cache they lead to the blobs of the same model."""
    own = [folder.resolve()]
    if own[0].parent.name == "snapshots":
        own.append(own[0].parents[1] / "blobs")
    for path in folder.iterdir():
        if path.is_symlink() and not any(path.resolve().is_relative_to(place) for place in own):
            raise ModelError(f"{path}: it is a link that leads out of the model folder; put the file itself there")


def _refuse_config(path: Path, content: Mapping[str, Any]) -> None:
    for part in _parts(content):
        if _RUNS_CODE in part:
            raise ModelError(
                f"{path}: auto_map asks for code of the model's makers to be run, and none is; take auto_map out if "
                "the model is of a family that is read without it"
            )
        for name, most in _MOST.items():
            value = part.get(name)
            if isinstance(value, int | float) and not 0 <= value <= most:  # false for NaN as well
                raise ModelError(f"{path}: {name} is {value:,}; 0 to {most:,} is read: use the model's original file")


def _parts(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield an object and the objects within it, outermost first."""
    waiting: list[Any] = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()


def _refuse_tokeniser(path: Path, content: Mapping[str, Any]) -> None:
    added = content.get("added_tokens")
    if isinstance(added, list) and len(added) > _MOST_ADDED_TOKENS:
        raise ModelError(
            f"{path}: it adds {len(added):,} tokens, more than {_MOST_ADDED_TOKENS:,}; use its original file"
        )
    for name in _PARTS_WITH_RULES:
        rules = [part for part in _parts({"": content.get(name)}) if "type" in part]
        written = [rule.get(key) for rule in rules for key in ("content", "prepend", "replacement")]
        grown = [len(text) for text in written if isinstance(text, str) and text]
        if len(rules) > _MOST_RULES or prod(grown) > _MOST_GROWTH:
            raise ModelError(
                f"{path}: the {name} has {len(rules):,} rules that may make {prod(grown):,.0f} characters of one, more "
                f"than {_MOST_RULES:,} and {_MOST_GROWTH:,}; use the model's original file"
            )


def _refuse_oversized(folder: Path, weights_bytes: int) -> None:
    """Refuse a configuration with more weights than the files contain, which transformers would allocate in memory.

    The minimum of each half is counted: four square maps and two of the MLP in each block, and its vocabulary. A number
    takes at least one byte.
    """
    path = folder / "config.json"
    promised = sum(map(_least_parameters, _parts(read_json(path))))
    if promised > weights_bytes:
        raise ModelError(
            f"{path}: it describes at least {promised:,} weights, and the files of weights hold {weights_bytes:,} "
            "bytes: use the configuration of these weights"
        )


def _least_parameters(part: Mapping[str, Any]) -> int:
    layers, width, inner, words = (
        value if isinstance(value := part.get(name), int) else 0
        for name in ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
    )
    return layers * (4 * width * width + 2 * width * inner) + words * width
