"""A cluster as the flow of studies sees it: its capacity, how many workers each stage gets, and what may be lost.

Ray's own is in :mod:`audit.execution.on_ray.machines`, the only module that imports Ray.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Any, Protocol, runtime_checkable

__all__ = ["Capacity", "DataLostError", "Machines", "Pools", "Stage", "WorkerLostError", "pools_for"]

_A_HELPER = 12  # processors that attribute on a CPU for one that decodes and one that scores: 18 s to 1 s (RESULTS.md)


class Stage(StrEnum):
    """The three stages of a study, each with workers of its own."""

    DECODE = "decode"
    EXPLAIN = "explain"
    FINISH = "finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a cluster has."""

    processors: float
    gpus: float
    store_bytes: float  # of the object stores, together


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """How many workers each stage should have, and what share of a processor each of them asks for."""

    sizes: Mapping[Stage, int]
    share: float


def pools_for(capacity: Capacity, *, on_gpu: bool) -> Pools:
    """Share out a cluster: a GPU each for attribution and the processors for the rest; without GPUs most attribute.

    Every stage gets one worker at least. Where there are fewer processors than workers, each asks for one part in k of
    a processor, so that every processor has room for k of them, on whatever node it is.
    """
    processors = max(1, int(capacity.processors))
    if on_gpu:
        explain = max(1, int(capacity.gpus))
        decode = max(1, (processors - explain) * 2 // 3)
        finish = max(1, processors - explain - decode)
    else:
        decode = finish = max(1, processors // (_A_HELPER + 2))
        explain = max(1, processors - decode - finish)
    sizes = {Stage.DECODE: decode, Stage.EXPLAIN: explain, Stage.FINISH: finish}
    return Pools(sizes=sizes, share=1.0 / ceil(sum(sizes.values()) / processors))


class WorkerLostError(Exception):
    """A worker's process, or its node, is gone."""


class DataLostError(Exception):
    """A result was on a node that is gone."""


@runtime_checkable
class Machines(Protocol):
    """What the flow asks of a cluster. References and workers are opaque."""

    def capacity(self) -> Capacity:
        """Say what the cluster has now."""
        ...

    def start(self, stage: Stage, share: float) -> tuple[Any, Any]:
        """Start a worker; gives it, and a reference that is ready when it is and then holds its node's name."""
        ...

    def stop(self, worker: Any) -> None:
        """End a worker, whatever it does."""
        ...

    def is_alive(self, node: str) -> bool:
        """Whether a node still takes part."""
        ...

    def call(self, worker: Any, arguments: Sequence[Any], *, results: int) -> list[Any]:
        """Hand a worker a task; return references to its results and, last, to its summary."""
        ...

    def ready(self, references: Sequence[Any], *, timeout: float) -> list[Any]:
        """Wait for one reference at least, and give those that are ready."""
        ...

    def fetch(self, reference: Any) -> Any:
        """Give what a reference holds.

        Raises:
            WorkerLostError: who was to make it is gone.
            DataLostError: what it was to be made from is gone.
        """
        ...
