"""Precision and rounding of the model's arithmetic."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum

import torch

__all__ = ["Precision", "autocast", "flushed_denormals", "resolve"]


class Precision(StrEnum):
    """What ``--precision`` takes."""

    FP32 = "fp32"
    BF16 = "bf16"
    AUTO = "auto"  # bf16 on a GPU that has it, else fp32


def resolve(precision: Precision, device: torch.device) -> Precision:
    """Say what ``auto`` means on a device."""
    if precision is not Precision.AUTO:
        return precision
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return Precision.BF16 if has_bf16 else Precision.FP32


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Run matrix products in bf16 where that is asked for; norms and softmax stay in fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=resolve(precision, device) is Precision.BF16)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Take denormal numbers for 0 in this thread, and leave the setting as it was.

    A softmax's tail and Adam's squares hold such numbers, on which a CPU is some ten times slower.
    """
    already = bool(torch.tensor(1e-40) * 1.0 == 0.0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(already)
