"""Precision and rounding of the model's arithmetic."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum

import torch

__all__ = ["Precision", "autocast", "flushed_denormals", "resolve"]


class Precision(StrEnum):
    """The values of ``model.precision``."""

    FP32 = "fp32"
    BF16 = "bf16"
    AUTO = "auto"  # bf16 on a GPU that supports it, else fp32


def resolve(precision: Precision, device: torch.device) -> Precision:
    """Return the precision that ``auto`` means on a device."""
    if precision is not Precision.AUTO:
        return precision
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return Precision.BF16 if has_bf16 else Precision.FP32


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Run matrix products in bf16 if requested; norms and softmax stay in fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=resolve(precision, device) is Precision.BF16)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat denormal numbers as 0 in this thread, and restore the setting afterwards.

    The tail of a softmax and Adam's squares hold denormal numbers, on which a CPU is about ten times slower.
    """
    already = bool(torch.tensor(1e-40) * 1.0 == 0.0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(already)
