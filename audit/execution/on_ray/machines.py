"""Implements the cluster with Ray; the only module that imports Ray."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from audit.execution.on_ray.cluster import Capacity, DataLostError, Stage, WorkerLostError
from pipelines.errors import AuditError

__all__ = ["RayMachines", "connect"]

_STARTS = 3  # tries to start Ray on a machine that is busy
_LOST = (RayActorError, NodeDiedError, WorkerCrashedError, OutOfMemoryError)


def connect() -> bool:
    """Join the cluster named by RAY_ADDRESS, or start one on this machine; False if the caller had joined one.

    The cluster that is started here has no dashboard, and only accepts clients with its token.

    Raises:
        AuditError: there is no cluster at that address, or Ray does not start here.
    """
    if ray.is_initialized():
        return False
    address = os.environ.get("RAY_ADDRESS")
    if address:
        try:
            ray.init(address=address, logging_level=logging.WARNING, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise AuditError(
                f"execution.engine ray: no cluster answers at RAY_ADDRESS={address}: start one (`ray start --head`), "
                "or unset the variable to use this machine alone"
            ) from error
        return True
    for tries_left in reversed(range(_STARTS)):
        try:
            ray.init(
                address="local",
                logging_level=logging.WARNING,
                configure_logging=False,
                include_dashboard=False,
            )
        except Exception as error:
            ray.shutdown()
            if tries_left == 0:
                raise AuditError(
                    f"execution.engine ray: Ray does not start here ({error}); is the machine busy?"
                ) from error
        else:
            break
    return True


class RayMachines:
    """Workers are Ray's actors; references are its object references."""

    def __init__(self, actors: Mapping[Stage, tuple[type, Any]], *, on_gpu: bool) -> None:
        """Store the class of each stage's actors, and their arguments."""
        self._classes = {stage: kind for stage, (kind, _) in actors.items()}
        self._arguments = {stage: ray.put(argument) for stage, (_, argument) in actors.items()}  # once for all nodes
        self._on_gpu = on_gpu

    def capacity(self) -> Capacity:
        """Return the present resources of the cluster."""
        has = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray's own lack of hints
        return Capacity(
            processors=has.get("CPU", 0.0), gpus=has.get("GPU", 0.0), store_bytes=has.get("object_store_memory", 0.0)
        )

    def start(self, stage: Stage, share: float) -> tuple[Any, Any]:
        """Start an actor wherever there is room; the flow itself starts another when it dies."""
        gpus = 1 if self._on_gpu and stage is Stage.EXPLAIN else 0
        kind: Any = ray.remote(self._classes[stage])
        placed = kind.options(
            num_cpus=share, num_gpus=gpus, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )
        actor = placed.remote(self._arguments[stage])
        return actor, actor.__ray_call__.remote(_start)

    def stop(self, worker: Any) -> None:
        """Kill an actor."""
        ray.kill(worker)

    def is_alive(self, node: str) -> bool:
        """Return True if a node is still part of the cluster."""
        nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's own lack of hints
        return any(each["NodeID"] == node and each["Alive"] for each in nodes)

    def call(self, worker: Any, arguments: Sequence[Any], *, results: int) -> list[Any]:
        """Send an actor a task."""
        made = worker.work.options(num_returns=results + 1).remote(*arguments)
        return [made] if results == 0 else list(made)

    def ready(self, references: Sequence[Any], *, timeout: float) -> list[Any]:
        """Wait for one reference at least, and give those that are ready."""
        found, _ = ray.wait(list(references), num_returns=1, timeout=timeout)
        if found:
            found, _ = ray.wait(list(references), num_returns=len(references), timeout=0)
        return list(found)

    def fetch(self, reference: Any) -> Any:
        """Return the value of a reference; an exception of an actor is raised here."""
        try:
            return ray.get(reference)
        except _LOST as error:
            raise WorkerLostError(str(error)) from error
        except ObjectLostError as error:  # of an argument too
            raise DataLostError(str(error)) from error
        except RayTaskError as error:
            raise error.cause from error


def _start(actor: Any) -> str:
    """Start an actor and say on which node it is; runs there."""
    actor.start()
    return str(ray.get_runtime_context().get_node_id())
