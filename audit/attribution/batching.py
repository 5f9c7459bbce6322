"""Batches sized to the available memory, and batches of masked inputs."""

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import psutil
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.encoders.protocol import DualEncoder
from pipelines.limits import is_out_of_memory

__all__ = ["free_bytes", "in_chunks", "masked_cosines", "pairs_at_once"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_SHARE = 0.6  # share of the free memory that a batch may use
_MOST = {"cpu": 4, "cuda": 64}  # larger batches are not faster (benchmarks/RESULTS.md)


def free_bytes(device: torch.device) -> int:
    """Return the available memory of the device in bytes."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's cache, not in use
        return int(free) + held
    return int(psutil.virtual_memory().available)


def pairs_at_once(free: int, bytes_per_pair: int, *, device_type: str) -> int:
    """Return how many pairs fit into ``free`` bytes; at least one."""
    return max(1, min(_MOST.get(device_type, 1), int(free * _SHARE) // max(1, bytes_per_pair)))


def in_chunks(
    items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]], *, size: int
) -> tuple[list[Result], int]:
    """Run ``work`` on chunks of ``size`` items; if memory runs out, keep the finished results and halve the size.

    Returns:
        One result per item, in their order, and the size that fitted.

    Raises:
        RuntimeError: a single item does not fit into memory; or any other error of ``work``.
    """
    done: list[Result] = []
    while len(done) < len(items):
        chunk = items[len(done) : len(done) + size]
        try:
            done.extend(work(chunk))
            continue
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(chunk) == 1:
                raise
        # Outside the handler: the traceback would keep the tensors alive that must be freed.
        size = len(chunk) // 2
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return done, size


_AT_ONCE = {"cpu": 16, "cuda": 256}  # masked images per pass; fewer if memory runs out


@torch.no_grad()
def masked_cosines(
    encoder: DualEncoder,
    pixels: Float[Tensor, "3 size size"],
    masks: Float[Tensor, "masks size size"],
    target: Float[Tensor, " dim"],
) -> Float[Tensor, " masks"]:
    """Return the cosine of the image under each mask with a phrase's embedding.

    A mask multiplies the normalised image, so masked pixels become the mean grey of the training images.
    """

    def run(chunk: Sequence[Tensor]) -> list[Tensor]:
        embedded = encoder.image.forward(pixels * torch.stack(list(chunk))[:, None])
        return list(cosine_similarity(embedded, target[None], dim=-1))

    cosines, _ = in_chunks(list(masks), run, size=_AT_ONCE.get(pixels.device.type, 1))
    return torch.stack(cosines)
