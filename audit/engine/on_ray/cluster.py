"""What a flow of studies asks of a cluster, whatever it is."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from audit.engine.on_ray.pools import Capacity, Stage

__all__ = ["DataLostError", "Machines", "WorkerLostError"]


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
        """Hand a worker a task; gives a reference to each result and, last, to the receipt."""
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
