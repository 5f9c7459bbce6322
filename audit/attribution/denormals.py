"""Numbers below 1e-38 taken for 0 while a heat is worked out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["flushed_denormals"]


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
