"""Studies over workers that die, without Ray: order, bounds, and whom a death is laid on."""

import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_image import made_up_image

from audit.execution.on_ray.actors import TaskSummary
from audit.execution.on_ray.cluster import Capacity, DataLostError, Pools, Stage, WorkerLostError, pools_for
from audit.execution.on_ray.flow import Flow
from audit.pipeline.finished import FinishedStudy
from pipelines.errors import AuditError, ModelError, OutputError
from pipelines.study import Case, Exclusion, Report, Study

PENDING = object()


def study(name: str) -> Study:
    image = made_up_image(name, sop_instance_uid=name, study_instance_uid=name, patient_id="", rows=1, columns=1)
    report = Report(source="made up", text="")
    case = Case(image=image, phrases=(), boxes=())
    return Study(study_instance_uid=name, report=report, report_joined_by="file name", cases=(case,))


@dataclass(eq=False)
class Reference:
    value: Any = PENDING  # an exception is raised
    node: str = ""  # where the value lies


@dataclass(eq=False)
class Worker:
    stage: Stage
    node: str | None  # None: there is no room for it yet
    starting: Reference
    tasks: deque[tuple[list[Any], list[Reference]]] = field(default_factory=deque)
    dead: bool = False


class FakeCluster:
    """Workers that do what the names of their studies say, one step at a time in a seeded order.

    A name may hold "kills STAGE", "bug in STAGE", "full" or "no model"; "node" stops the node of the first worker that
    explains it, once.
    """

    def __init__(self, nodes: dict[str, int], *, seed: int = 0, faint: int = 0) -> None:
        self.nodes, self.random, self.faint = dict(nodes), random.Random(seed), faint
        self.workers: list[Worker] = []
        self.worked: Counter[tuple[str, Stage]] = Counter()
        self.most_at_once, self.begun, self.batches = 0, 0, []

    def capacity(self) -> Capacity:
        return Capacity(processors=sum(self.nodes.values()), gpus=0, store_bytes=1000)

    def _place(self) -> None:
        for worker in self.workers:
            if worker.node is None:
                used = Counter(each.node for each in self.workers if not each.dead)
                free = [node for node, size in self.nodes.items() if used[node] < size]
                worker.node = self.random.choice(free) if free else None

    def start(self, stage: Stage, share: float) -> tuple[Worker, Reference]:
        assert share == 1.0
        worker = Worker(stage, None, Reference())
        self.workers.append(worker)
        return worker, worker.starting

    def stop(self, worker: Worker) -> None:
        self._die(worker)

    def _die(self, worker: Worker) -> None:
        worker.dead = True
        for reference in [worker.starting, *(each for _, made in worker.tasks for each in made)]:
            if reference.value is PENDING:
                reference.value = WorkerLostError("gone")
        self.workers = [each for each in self.workers if each is not worker]

    def lose(self, node: str) -> None:
        del self.nodes[node]
        for worker in [each for each in self.workers if each.node == node]:
            self._die(worker)

    def is_alive(self, node: str) -> bool:
        return node in self.nodes

    def call(self, worker: Worker, arguments: list[Any], *, results: int) -> list[Reference]:
        made = [Reference() for _ in range(results + 1)]
        if worker.dead:
            for reference in made:
                reference.value = WorkerLostError("gone")
        worker.tasks.append((list(arguments), made))
        return made

    def ready(self, references: list[Reference], *, timeout: float) -> list[Reference]:
        assert timeout > 0.0
        self._place()
        self.most_at_once = max(self.most_at_once, sum(len(each.tasks) for each in self.workers))
        for _ in range(100):
            found = [each for each in references if each.value is not PENDING]
            if found:
                return found
            able = [each for each in self.workers if each.node and (each.starting.value is PENDING or each.tasks)]
            self._step(self.random.choice(able))
        raise AssertionError("nothing moves")

    def _step(self, worker: Worker) -> None:
        if worker.starting.value is PENDING:
            if self.faint:
                self.faint -= 1
                self._die(worker)
            else:
                worker.starting.value = worker.node
            return
        arguments, made = worker.tasks[0]
        if any(isinstance(each, Reference) and each.node not in self.nodes for each in arguments):
            worker.tasks.popleft()
            for reference in made:
                reference.value = DataLostError("gone")
            return
        names = [each.value if isinstance(each, Reference) else each.study_instance_uid for each in arguments]
        self.batches.append((worker.stage, names))
        for name in names:
            self.worked[name, worker.stage] += 1
            if f"kills {worker.stage}" in name:
                self._die(worker)
                return
            if (
                "node" in name
                and worker.stage is Stage.EXPLAIN
                and len(self.nodes) > 1
                and self.worked[name, worker.stage] == 1
            ):
                self.lose(worker.node)
                return
        worker.tasks.popleft()
        for reference, value in zip(made, self._done(worker.stage, names), strict=True):
            reference.value, reference.node = value, worker.node

    def _done(self, stage: Stage, names: list[str]) -> list[Any]:
        results = 0 if stage is Stage.FINISH else len(names)
        if any(f"bug in {stage}" in name for name in names):
            return [ZeroDivisionError(names)] * (results + 1)
        if stage is Stage.FINISH:
            return [
                OutputError("the disk is full")
                if "full" in names[0]
                else FinishedStudy(images=1, rows=({"study": names[0]},))
            ]
        if any("no model" in name for name in names):
            return [ModelError("cannot be explained")] * (results + 1)
        return [*names, TaskSummary(pairs=2, seconds={stage.value: 1.0})]

    def fetch(self, reference: Reference) -> Any:
        assert reference.value is not PENDING
        if isinstance(reference.value, Exception):
            raise reference.value
        return reference.value


def lost(study: Study, error: Exception) -> Exclusion:
    return Exclusion(source=study.study_instance_uid, stage="audit", reason=type(error).__name__, failed=True)


def a_worker_a_processor(capacity: Capacity) -> Pools:
    processors = int(capacity.processors)
    return Pools(sizes={Stage.DECODE: 1, Stage.EXPLAIN: max(1, processors - 2), Stage.FINISH: 1}, share=1.0)


def outcomes(
    cluster: FakeCluster,
    names: list[str],
    *,
    pairs_a_batch: int = 1,
    weight: int = 0,
    pools: Callable[[Capacity], Pools] = a_worker_a_processor,
) -> list[str]:
    flow = Flow(cluster, pools=pools, pairs_a_batch=pairs_a_batch, lost=lost)
    return [
        f"{one.left_out[0].source}: {one.left_out[0].reason}" if one.left_out else str(one.rows[0]["study"])
        for one in flow.finished([study(name) for name in names], lambda _study: weight)
    ]


NODES = {"one": 3, "two": 3, "three": 3}
PLAIN = [str(number) for number in range(30)]


def test_every_study_is_done_once_and_comes_in_its_order_and_no_worker_is_left() -> None:
    cluster = FakeCluster(NODES)
    assert outcomes(cluster, PLAIN) == PLAIN
    assert set(cluster.worked.values()) == {1}
    assert cluster.workers == []


def test_asked_to_stop_it_gives_what_is_under_way_in_order_and_takes_no_further_study() -> None:
    cluster = FakeCluster(NODES)
    flow = Flow(cluster, pools=a_worker_a_processor, pairs_a_batch=1, lost=lost)
    asked = count()
    finished = flow.finished([study(name) for name in PLAIN], lambda _study: 0, lambda: next(asked) > 3)
    came = [str(one.rows[0]["study"]) for one in finished]
    assert came == PLAIN[: len(came)]
    assert 0 < len(came) < len(PLAIN)
    assert cluster.workers == []


@pytest.mark.parametrize("stage", list(Stage))
def test_a_study_that_kills_its_workers_is_left_after_three_and_takes_no_other_with_it(stage: Stage) -> None:
    cluster = FakeCluster(NODES)
    names = [*PLAIN[:5], f"kills {stage}", *PLAIN[5:]]
    told = outcomes(cluster, names)
    assert told[5].startswith(f"kills {stage}: the audit of this study killed 3 worker processes")
    assert told[:5] + told[6:] == PLAIN
    assert cluster.worked[f"kills {stage}", stage] == 3


def test_two_killers_in_one_batch_are_found_and_the_others_of_it_are_done() -> None:
    names = ["1", "kills explain 2", "3", "kills explain 4", "5", "6", "7", "8", "9"]
    told = outcomes(FakeCluster(NODES), names, pairs_a_batch=8)
    assert [name for name in told if "killed 3" not in name] == ["1", "3", "5", "6", "7", "8", "9"]


def test_a_node_that_dies_costs_no_study_however_many_there_were_on_it() -> None:
    cluster = FakeCluster({"one": 3, "two": 3, "three": 3, "four": 3, "five": 3})
    names = [f"{number} node" if number in {3, 4, 20} else str(number) for number in range(30)]
    assert outcomes(cluster, names) == names
    assert len(cluster.nodes) == 2


def test_a_cluster_that_shrinks_to_one_node_still_has_a_worker_for_every_stage() -> None:
    cluster = FakeCluster(NODES)
    names = ["0", "1 node", "2", "3 node", *PLAIN[4:]]
    assert outcomes(cluster, names) == names
    assert len(cluster.nodes) == 1


@pytest.mark.parametrize("stage", list(Stage))
def test_a_bug_loses_its_own_study(stage: Stage) -> None:
    names = ["1", "2", f"bug in {stage}", "4"]
    told = outcomes(FakeCluster(NODES), names, pairs_a_batch=4)
    assert told == ["1", "2", f"bug in {stage}: ZeroDivisionError", "4"]


@pytest.mark.parametrize(("name", "error"), [("full", OutputError), ("no model", ModelError)])
def test_what_no_other_node_would_do_better_ends_the_run_and_every_worker(name: str, error: type[Exception]) -> None:
    cluster = FakeCluster(NODES)
    with pytest.raises(error):
        outcomes(cluster, ["1", name, "3"])
    assert cluster.workers == []


def test_workers_that_die_at_their_start_are_started_again_but_not_for_ever() -> None:
    assert outcomes(FakeCluster(NODES, faint=4), PLAIN) == PLAIN
    with pytest.raises(AuditError, match="5 workers in a row died while starting"):
        outcomes(FakeCluster(NODES, faint=1000), PLAIN)


def test_no_more_studies_are_under_way_than_the_workers_can_use() -> None:
    cluster = FakeCluster({"one": 4})
    outcomes(cluster, PLAIN)
    assert 4 <= cluster.most_at_once <= 8


def test_studies_under_way_hold_at_most_half_of_the_object_stores_but_one_may_hold_more() -> None:
    cluster = FakeCluster(NODES)
    outcomes(cluster, PLAIN, weight=240)  # of 1000 bytes
    assert cluster.most_at_once <= 2
    assert outcomes(FakeCluster(NODES), PLAIN, weight=10_000) == PLAIN


def test_a_device_gets_batches_that_fill_it_and_never_more() -> None:
    cluster = FakeCluster({"one": 12})
    sizes = {Stage.DECODE: 8, Stage.EXPLAIN: 1, Stage.FINISH: 3}
    outcomes(cluster, PLAIN, pairs_a_batch=8, pools=lambda _: Pools(sizes=sizes, share=1.0))
    batches = [len(names) for stage, names in cluster.batches if stage is Stage.EXPLAIN]
    assert max(batches) == 4
    assert batches.count(4) >= len(PLAIN) // 8


@given(
    seed=st.integers(0, 10_000),
    marks=st.lists(
        st.sampled_from(["", "", "", "", "node", "kills decode", "kills explain", "kills finish", "bug in explain"]),
        min_size=1,
        max_size=25,
    ),
    pairs=st.sampled_from([1, 6]),
)
def test_whatever_dies_when_each_study_comes_once_and_only_the_guilty_fail(
    seed: int, marks: list[str], pairs: int
) -> None:
    names = [f"{number} {mark}" for number, mark in enumerate(marks)]
    cluster = FakeCluster({"one": 3, "two": 4, "three": 3}, seed=seed)
    told = outcomes(cluster, names, pairs_a_batch=pairs)
    for name, got in zip(names, told, strict=True):
        assert got.split(":")[0] == name
        assert (got != name) == ("kills" in name or "bug" in name)


@pytest.mark.parametrize(
    ("processors", "gpus", "on_gpu", "sizes", "share"),
    [
        (1, 0, False, (1, 1, 1), 1 / 3),
        (2, 0, False, (1, 1, 1), 1 / 2),
        (8, 0, False, (1, 6, 1), 1.0),
        (56, 0, False, (4, 48, 4), 1.0),
        (16, 1, True, (10, 1, 5), 1.0),
        (128, 8, True, (80, 8, 40), 1.0),
        (1, 4, True, (1, 4, 1), 1 / 6),
    ],
)
def test_a_cluster_is_shared_out_whole(processors, gpus, on_gpu, sizes, share) -> None:
    pools = pools_for(Capacity(processors=processors, gpus=gpus, store_bytes=0), on_gpu=on_gpu)
    assert tuple(pools.sizes[stage] for stage in Stage) == sizes
    assert pools.share == pytest.approx(share)
    assert sum(pools.sizes.values()) * pools.share <= processors
