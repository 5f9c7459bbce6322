"""Files of weights that stand for more numbers than they hold, refused before they are read into memory."""

import pickle
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, is_zipfile

import torch
from torch import Tensor

from pipelines.errors import ModelError
from pipelines.json_text import parse_json
from pipelines.limits import MAX_TENSORS

__all__ = ["refuse_weights"]

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
                f"{_MAX_HEADER_BYTES:,}: bring the file again"
            )
        header = file.read(length)
    try:
        content = parse_json(header.decode("utf-8"))
        entries = [entry for name, entry in content.items() if name != "__metadata__"]
        described = [(prod(map(_side, entry["shape"])), *map(_side, entry["data_offsets"])) for entry in entries]
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ModelError(f"{path}: its header is not that of safetensors ({error}); bring the file again") from error
    _refuse_number(path, len(described))
    end = 0
    for count, first, last in sorted(described, key=lambda each: each[1:]):
        # A number takes four bits at least; tensors lie one after the other.
        if first != end or count > 2 * (last - first) or last > size - _LENGTH_BYTES - length:
            raise ModelError(f"{path}: its header describes tensors that the file does not hold; bring the file again")
        end = last


def _side(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a size is no whole number")
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
        raise ModelError(f"{path}: it holds {count:,} tensors, more than {MAX_TENSORS:,}; bring the model's own file")


def _tensors(content: Any) -> Iterator[Tensor]:
    waiting = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Tensor):
            yield part
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()
