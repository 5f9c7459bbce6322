"""The interface of a cluster for the flow of studies: capacity, workers per stage, and possible losses.

:mod:`audit.execution.on_ray.machines`, the only module that imports Ray, implements it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Any, Protocol, runtime_checkable

__all__ = ["Capacity", "DataLostError", "Machines", "Pools", "Stage", "WorkerLostError", "pools_for"]

_A_HELPER = 12  # processors that attribute on a CPU for one that decodes and one that scores: 18 s to 1 s (RESULTS.md)


class Stage(StrEnum):
    """The three stages of a study, each with its own workers."""

    DECODE = "decode"
    EXPLAIN = "explain"
    FINISH = "finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The resources of a cluster."""

    processors: float
    gpus: float
    store_bytes: float  # of the object stores, together


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """The number of workers per stage, and the share of a processor that each requests."""

    sizes: Mapping[Stage, int]
    share: float


def pools_for(capacity: Capacity, *, on_gpu: bool) -> Pools:
    """Divide a cluster: one attribution worker per GPU, other processors for the rest; without GPUs most explain.

    Every stage gets at least one worker. If there are fewer processors than workers, each requests one k-th of a
    processor, so that every processor has room for k of them, on any node.
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
    """A worker's process, or its node, has died."""


class DataLostError(Exception):
    """A result was on a node that has died."""


@runtime_checkable
class Machines(Protocol):
    """The operations that the flow needs from a cluster. References and workers are opaque."""

    def capacity(self) -> Capacity:
        """Return the present resources of the cluster."""
        ...

    def start(self, stage: Stage, share: float) -> tuple[Any, Any]:
        """Start a worker; gives it, and a reference that is ready when it is and then holds its node's name."""
        ...

    def stop(self, worker: Any) -> None:
        """End a worker, whatever it does."""
        ...

    def is_alive(self, node: str) -> bool:
        """Return True if a node is still part of the cluster."""
        ...

    def call(self, worker: Any, arguments: Sequence[Any], *, results: int) -> list[Any]:
        """Send a worker a task; return references to its results and, last, to its summary."""
        ...

    def ready(self, references: Sequence[Any], *, timeout: float) -> list[Any]:
        """Wait for one reference at least, and give those that are ready."""
        ...

    def fetch(self, reference: Any) -> Any:
        """Return the value of a reference.

        Raises:
            WorkerLostError: its worker has died.
            DataLostError: its inputs are lost.
        """
        ...
