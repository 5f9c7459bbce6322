"""The number format of the towers while heat is worked out; alpha, capacity and Adam are always fp32."""

from contextlib import AbstractContextManager
from enum import StrEnum

import torch

__all__ = ["Precision", "autocast", "resolve"]


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
