"""The flow of studies over workers that may die: bounded, in order; each study is done once, or excluded with a reason.

This module does not depend on Ray: it uses a :class:`cluster.Machines`, which :mod:`machines` implements with Ray.

A worker has one task in progress and one that waits. When it dies, the study in progress is suspected and the waiting
one is not. Suspected studies are retried alone, on a worker without other tasks: a study that kills its workers is
detected after three of them, and affects no other study. A worker that died together with its node is not counted.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.execution.on_ray.actors import TaskSummary
from audit.execution.on_ray.cluster import Capacity, DataLostError, Machines, Pools, Stage, WorkerLostError
from audit.pipeline.finished import FinishedStudy
from pipelines.errors import AuditError
from pipelines.study import Exclusion, Study

__all__ = ["Flow", "Lost"]

Lost = Callable[[Study, Exception], Exclusion]
"""Returns the reason why a study was lost to a bug."""

_NEXT = {Stage.DECODE: Stage.EXPLAIN, Stage.EXPLAIN: Stage.FINISH}
_TASKS_A_WORKER = 2  # one in progress and one waiting, so that no worker waits for the run
_DEATHS = 3  # workers that a study may kill on nodes that survive
_TRIES = 8  # losses of workers, nodes and results that a study may suffer, for any reason
_FAILED_STARTS = 5  # in a row
_ADJUST_EVERY = 10.0  # s
_POLL = 1.0  # s
_WINDOW = 4  # finished studies that wait for an earlier one, as a multiple of those in progress

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Job:
    index: int
    study: Study
    weight: int  # bytes that it may occupy in the object stores
    payload: Any  # input of its next stage
    stage: Stage = Stage.DECODE
    pairs: int = 0
    deaths: list[str] = field(default_factory=list)  # nodes on which a worker died over it
    tries: int = 0
    suspect: bool = False  # to be retried alone

    def restart(self) -> None:
        self.stage, self.payload = Stage.DECODE, self.study


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    jobs: tuple[_Job, ...]
    results: tuple[Any, ...]
    summary: Any


@dataclass(slots=True, eq=False)
class _Actor:
    handle: Any
    stage: Stage
    starting: Any  # a reference, until it has started
    node: str = ""
    leaving: bool = False
    tasks: deque[_Task] = field(default_factory=deque)

    @property
    def room(self) -> int:
        """Number of tasks that it can accept; 0 while it has a suspected study."""
        if self.starting is not None or self.leaving or any(job.suspect for task in self.tasks for job in task.jobs):
            return 0
        return _TASKS_A_WORKER - len(self.tasks)


class Flow:
    """One pass of studies over a cluster's workers."""

    def __init__(
        self,
        machines: Machines,
        *,
        pools: Callable[[Capacity], Pools],
        pairs_a_batch: int,
        lost: Lost,
        clock: Callable[[Mapping[str, float]], None] = lambda _seconds: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a flow on a cluster.

        Args:
            machines: the cluster.
            pools: divides it among the stages.
            pairs_a_batch: number of pairs of image and sentence that fill the device.
            lost: returns the reason why a study was lost to a bug.
            clock: called with the seconds of each task, by stage.
            now: seconds on a monotonic clock.
        """
        self._machines, self._pools, self._pairs = machines, pools, pairs_a_batch
        self._lost, self._clock, self._now = lost, clock, now
        self._workers: list[_Actor] = []
        self._waiting: dict[Stage, deque[_Job]] = {stage: deque() for stage in Stage}
        self._done: dict[int, FinishedStudy] = {}
        self._active: dict[int, _Job] = {}
        self._failed_starts = 0
        self._adjusted = -_ADJUST_EVERY
        self._capacity = Capacity(processors=1, gpus=0, store_bytes=0)

    def finished(
        self, studies: Sequence[Study], weights: Callable[[Study], int], stop: Callable[[], bool] = lambda: False
    ) -> Iterator[FinishedStudy]:
        """Process studies, a bounded number at once, and yield them in order, until ``stop`` returns True.

        Raises:
            AuditError: no worker starts, a node lacks the model, or OUT cannot be written.
        """
        coming = deque(enumerate(studies))
        given = 0
        try:
            while coming or self._active:
                if stop():
                    coming.clear()
                self._adjust_workers()
                while coming and self._admits(coming[0][1], weights):
                    index, study = coming.popleft()
                    self._active[index] = job = _Job(index, study, weights(study), study)
                    self._waiting[Stage.DECODE].append(job)
                self._dispatch()
                self._collect()
                while given in self._done:
                    yield self._done.pop(given)
                    given += 1
        finally:
            for worker in self._workers:
                self._machines.stop(worker.handle)

    def _admits(self, study: Study, weights: Callable[[Study], int]) -> bool:
        """Return True if one more study may start: bounded in number, and in bytes by half of the object stores."""
        if not self._active:
            return True
        sizes = self._pools(self._capacity).sizes
        most = _TASKS_A_WORKER * (sum(sizes.values()) + (self._pairs - 1) * sizes[Stage.EXPLAIN])
        held = sum(job.weight for job in self._active.values()) + weights(study)
        room = held <= self._capacity.store_bytes / 2
        return room and len(self._active) < most and len(self._done) < _WINDOW * most

    def _adjust_workers(self) -> None:
        """Adjust the number of workers per stage to the present capacity of the cluster."""
        if self._now() - self._adjusted < _ADJUST_EVERY:
            return
        self._adjusted = self._now()
        self._capacity = self._machines.capacity()
        pools = self._pools(self._capacity)
        for stage, size in pools.sizes.items():
            own = [worker for worker in self._workers if worker.stage is stage and not worker.leaving]
            for worker in sorted(own, key=lambda each: (each.starting is None, len(each.tasks)))[: len(own) - size]:
                worker.leaving = True
            for _ in range(size - len(own)):
                handle, starting = self._machines.start(stage, pools.share)
                self._workers.append(_Actor(handle, stage, starting))
        self._stop_idle()

    def _stop_idle(self) -> None:
        for worker in [each for each in self._workers if each.leaving and not each.tasks]:
            self._machines.stop(worker.handle)
            self._workers.remove(worker)

    def _dispatch(self) -> None:
        for stage, waiting in self._waiting.items():
            for depth in range(_TASKS_A_WORKER):  # idle workers first
                if depth > 0 and any(job.suspect for job in waiting):
                    break  # it needs a worker without tasks
                for worker in self._workers:
                    if worker.stage is stage and len(worker.tasks) == depth and worker.room:
                        self._give(worker, waiting)

    def _give(self, worker: _Actor, waiting: deque[_Job]) -> None:
        """Give a worker its next task, if there is one."""
        suspect = next((job for job in waiting if job.suspect), None)
        if suspect is not None and not worker.tasks:
            jobs = [suspect]
        else:
            jobs = self._batch([job for job in waiting if not job.suspect], worker)
        if not jobs:
            return
        for job in jobs:
            waiting.remove(job)
        results = 0 if worker.stage is Stage.FINISH else len(jobs)
        *made, summary = self._machines.call(worker.handle, [job.payload for job in jobs], results=results)
        worker.tasks.append(_Task(tuple(jobs), tuple(made), summary))

    def _batch(self, jobs: list[_Job], worker: _Actor) -> list[_Job]:
        """Select as many studies as fill the device; fewer only if it would otherwise be idle."""
        if worker.stage is not Stage.EXPLAIN:
            return jobs[:1]
        pairs = 0
        for count, job in enumerate(jobs, start=1):
            pairs += job.pairs
            if pairs >= self._pairs:
                return jobs[:count]
        return jobs if not worker.tasks else []

    def _collect(self) -> None:
        """Wait for a task or start to complete, and process all that have."""
        awaited = {
            id(reference): worker for worker in self._workers if (reference := _next_reference(worker)) is not None
        }
        references = [_next_reference(worker) for worker in awaited.values()]
        if not references:
            raise ValueError("studies are in progress, but no task is pending")
        for reference in self._machines.ready(references, timeout=_POLL):
            worker = awaited[id(reference)]
            if worker.starting is not None:
                self._started(worker)
            else:
                self._ended(worker)
        self._stop_idle()

    def _started(self, worker: _Actor) -> None:
        try:
            worker.node = self._machines.fetch(worker.starting)
        except (WorkerLostError, DataLostError) as error:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise AuditError(
                    f"execution.engine ray: {_FAILED_STARTS} workers in a row died while starting, the last one in "
                    f"stage {worker.stage}; is there memory for one copy of the model each? See Ray's logs on the nodes"
                ) from error
            self._remove_dead(worker)
        else:
            worker.starting, self._failed_starts = None, 0

    def _ended(self, worker: _Actor) -> None:
        """Process the end of a worker's first task."""
        task = worker.tasks[0]
        try:
            summary = self._machines.fetch(task.summary)
        except WorkerLostError:
            self._remove_dead(worker)
        except DataLostError:
            worker.tasks.popleft()
            for job in task.jobs:
                job.restart()
                self._retry(job)
        except AuditError:
            raise
        except Exception as error:  # noqa: BLE001 - a batch isolates a study (see also explaining.py and workers.py)
            worker.tasks.popleft()
            for job in task.jobs:
                if len(task.jobs) == 1:
                    self._finish(job, FinishedStudy(left_out=(self._lost(job.study, error),)))
                else:
                    job.suspect = True
                    self._retry(job)
        else:
            worker.tasks.popleft()
            self._advance(task, summary)

    def _advance(self, task: _Task, summary: TaskSummary | FinishedStudy) -> None:
        if isinstance(summary, FinishedStudy):
            (job,) = task.jobs
            self._finish(job, summary)
            return
        self._clock(summary.seconds)
        for job, payload in zip(task.jobs, task.results, strict=True):
            job.pairs = job.pairs or summary.pairs
            job.stage, job.payload, job.suspect = _NEXT[job.stage], payload, False
            self._waiting[job.stage].append(job)

    def _remove_dead(self, worker: _Actor) -> None:
        """Remove a dead worker and requeue its tasks; the task in progress is suspected, the waiting one is not."""
        self._machines.stop(worker.handle)  # an unreachable worker may still be alive
        self._workers.remove(worker)
        self._adjusted = -_ADJUST_EVERY  # a new one is due
        _log.warning("a worker of stage %s died; its studies are repeated", worker.stage)
        for place, task in enumerate(worker.tasks):
            for job in task.jobs:
                if place > 0:
                    self._waiting[job.stage].appendleft(job)
                    continue
                job.deaths.append(worker.node)
                job.suspect = True
                self._retry(job)

    def _retry(self, job: _Job) -> None:
        """Put a study back at the head of its queue, or exclude it after too many attempts."""
        job.tries += 1
        if len(job.deaths) >= _DEATHS:
            job.deaths = [node for node in job.deaths if self._machines.is_alive(node)]
        if len(job.deaths) >= _DEATHS or job.tries >= _TRIES:
            reason = (
                f"the audit of this study killed {len(job.deaths)} worker processes (out of memory?) and was given up"
                if len(job.deaths) >= _DEATHS
                else f"the cluster lost this study {job.tries} times; run it again on one machine"
            )
            source = job.study.cases[0].image.source
            failure = Exclusion(source=source, stage="audit", reason=reason, failed=True)
            self._finish(job, FinishedStudy(left_out=(failure,)))
            return
        self._waiting[job.stage].appendleft(job)

    def _finish(self, job: _Job, finished: FinishedStudy) -> None:
        self._done[job.index] = finished
        del self._active[job.index]


def _next_reference(worker: _Actor) -> Any:
    """Return the reference whose completion shows a worker's next progress."""
    if worker.starting is not None:
        return worker.starting
    return worker.tasks[0].summary if worker.tasks else None
