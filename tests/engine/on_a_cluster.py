"""A program of the tests: Ray in a process of its own, since it leaves sockets and processes to the garbage collector.

``fates`` says what befalls actors on this machine's own Ray; ``killed-node RUN...`` does ``m2ib-audit run RUN...`` on a
cluster of three nodes, of which one is killed once OUT holds two studies. Both print one line of JSON.
"""

import json
import os
import secrets
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}

from ray.cluster_utils import Cluster

from audit.cli import app
from audit.execution.on_ray.cluster import DataLostError, Stage, WorkerLostError
from audit.execution.on_ray.machines import RayMachines, connect
from pipelines.errors import ModelError

NODE = {"object_store_memory": 100 * 2**20}


class Fragile:
    """An actor that does what it is told."""

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self) -> None:
        if self.name == "no model":
            raise ModelError("no such folder")

    def work(self, told: Any) -> Any:
        if told == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if told == "bug":
            raise ZeroDivisionError(told)
        if told == "make":
            return bytes(5_000_000), "summary"  # too large to travel with the answer
        return f"{self.name} {told}", "summary"


def fate(machines: RayMachines, reference: Any) -> str:
    try:
        return str(machines.fetch(reference))
    except (DataLostError, WorkerLostError) as error:
        return type(error).__name__  # Ray's own words differ from time to time
    except Exception as error:  # noqa: BLE001 - whatever an actor raised
        return f"{type(error).__name__}: {error}"


def fates() -> dict[str, Any]:
    connect()
    machines = RayMachines({Stage.DECODE: (Fragile, "decoder"), Stage.FINISH: (Fragile, "no model")}, on_gpu=False)
    worker, started = machines.start(Stage.DECODE, 0.5)
    node = machines.fetch(started)
    references = [*machines.call(worker, ["well"], results=1), machines.call(worker, ["bug"], results=1)[-1]]
    work = [fate(machines, reference) for reference in references]  # before the death that could take them along
    behind = [machines.call(worker, [told], results=1)[-1] for told in ("die", "well")]
    _, refused = machines.start(Stage.FINISH, 0.5)
    return {
        "work": [*work, *(fate(machines, reference) for reference in behind)],
        "start": fate(machines, refused),
        "alive": [machines.is_alive(node), machines.is_alive("no such node")],
        "joined again": connect(),
    }


def cluster_of_three() -> Cluster:
    """A head that does no work, and three nodes of two processors."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **NODE})
    for _ in range(3):
        cluster.add_node(num_cpus=2, **NODE)
    os.environ["RAY_ADDRESS"] = cluster.address
    return cluster


def lost_result() -> dict[str, Any]:
    cluster = cluster_of_three()
    connect()
    machines = RayMachines({Stage.DECODE: (Fragile, "decoder")}, on_gpu=False)
    workers = [machines.start(Stage.DECODE, 1.0) for _ in range(6)]
    places = {machines.fetch(started): worker for worker, started in workers}
    victim = next(iter(cluster.worker_nodes))
    made, summary = machines.call(places.pop(victim.node_id), ["make"], results=1)
    machines.fetch(summary)
    cluster.remove_node(victim, allow_graceful=False)
    elsewhere, taker = next(iter(places.items()))
    told = fate(machines, machines.call(taker, [made], results=1)[-1])
    return {"told": told, "alive": [machines.is_alive(elsewhere), machines.is_alive(victim.node_id)]}


def killed_node(flags: list[str]) -> dict[str, Any]:
    cluster = cluster_of_three()
    studies = Path(flags[flags.index("--out") + 1]) / "studies"
    done: list[int] = []

    def kill() -> None:
        while len(list(studies.glob("*/record.json"))) < 2:
            time.sleep(0.02)
        done.append(len(list(studies.glob("*/record.json"))))
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)

    threading.Thread(target=kill, daemon=True).start()
    code = app(["run", *flags, "--set", "execution.engine=ray"], standalone_mode=False)
    return {"code": code or 0, "done when it died": done, "nodes left": len(cluster.worker_nodes)}


if __name__ == "__main__":
    command, *flags = sys.argv[1:]
    said = {"fates": fates, "lost-result": lost_result, "killed-node": lambda: killed_node(flags)}[command]()
    print(json.dumps(said), flush=True)
