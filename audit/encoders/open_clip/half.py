"""One half of a checkpoint, as the file of each architecture takes it; and small pieces that they share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from audit.encoders.blocks import Affine
from audit.encoders.weights import fill
from pipelines.errors import ModelError

__all__ = ["Half", "QuickGELU", "depth_of", "finished", "rows_of"]

_LONGEST_NUMBER = 18  # digits
Filled = TypeVar("Filled", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """The tensors of one half under their names without its prefix, and what the config says of it."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]  # vision_cfg or text_cfg; empty where a state dict comes without a config
    folder: Path
    device: torch.device
    activation: Callable[[], nn.Module]  # of OpenAI's architectures: nn.GELU or QuickGELU


class QuickGELU(nn.Module):
    """x sigmoid(1.702 x), the activation of OpenAI's models.

    Source: Hendrycks and Gimpel 2016, "Gaussian error linear units", section 2.
    """

    def forward(self, value: Tensor) -> Tensor:
        """Elementwise."""
        return value * torch.sigmoid(1.702 * value)


def finished(module: Filled, half: Half) -> Filled:
    """Fill a module with the half's tensors and bring it to the half's device.

    Raises:
        ModelError: tensors that are missing, unexpected or of another shape.
    """
    fill(module, half.tensors, folder=half.folder)
    return module.to(half.device)


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


def rows_of(weight: Tensor, bias: Tensor | None, part: int, parts: int) -> Affine:
    """Take one of ``parts`` equal linear maps out of a fused one; the weights are shared, not copied."""
    return Affine(weight=weight.chunk(parts)[part], bias=None if bias is None else bias.chunk(parts)[part])
