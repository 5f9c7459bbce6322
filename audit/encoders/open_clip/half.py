"""One half of a checkpoint, as the file of each architecture takes it; and small pieces that they share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines.errors import ModelError

__all__ = ["Half", "depth_of"]

_LONGEST_NUMBER = 18  # digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """The tensors of one half under their names without its prefix, and what the config says of it."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]  # vision_cfg or text_cfg; empty where a state dict comes without a config
    folder: Path
    device: torch.device
    activation: str  # of OpenAI's architectures, as transformers names it: gelu or quick_gelu


def depth_of(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Count what is numbered under ``prefix``: one more than the highest number.

    Raises:
        ModelError: the highest number is more than the number of tensors.
    """
    numbers = {name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)}
    depth = 1 + max((int(number[:_LONGEST_NUMBER]) for number in numbers if number.isdecimal()), default=-1)
    if depth > len(tensors):
        raise ModelError(
            f"the weights number {prefix[:-1]} up to {depth - 1:,} and have {len(tensors):,} tensors there"
        )
    return depth
