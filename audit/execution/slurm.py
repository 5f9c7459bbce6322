"""Runs a cohort on a Slurm cluster: its shards as an array of jobs, and a last job for tables and pages.

Each job is an ordinary ``m2ib-audit run`` on the same OUT, which continues where an earlier one stopped. A shard that
reaches its time limit or is preempted is therefore requeued, and the last job does what shards have left undone.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audit.configuration import SlurmConfig
from audit.machine import allowed_cores
from pipelines.errors import AuditError

__all__ = ["Submitted", "closing_words", "shard_words", "share_of_cores", "submit"]

_GOOD = (0, 3)  # exit statuses: all audited, and finished with failures listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What was submitted to the scheduler."""

    shards: tuple[str, ...]  # job numbers
    closing: str
    folder: Path  # folder of scripts and logs
    status: int | None  # exit status of the last job, if it was waited for


def shard_words(words: Sequence[str], shards: int) -> list[list[str]]:
    """Return the arguments of each shard's ``m2ib-audit``."""
    return [["run", *words, "--set", f"execution.shard={number}/{shards}"] for number in range(1, shards + 1)]


def closing_words(words: Sequence[str]) -> list[str]:
    """Return the arguments of the last job: studies that the shards have done are reused."""
    return ["run", *words]


def share_of_cores(shards: int) -> int:
    """Return the number of threads for each shard if all run on this machine at once: at least 1."""
    return max(1, allowed_cores(os.environ) // shards)


class Command:
    """An ``m2ib-audit`` command in its own process; it is requeued when its time is up.

    With ``threads`` it computes with that number, unless the environment sets one; without it, it counts its cores.
    """

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads

    def __call__(self, words: Sequence[str]) -> int:
        """Run the command and return its exit status.

        Raises:
            AuditError: it could not run.
        """
        command = [sys.executable, "-m", "audit.cli", *words]
        status = subprocess.run(command, env=self.environment(os.environ), check=False).returncode  # noqa: S603
        if status not in _GOOD:
            raise AuditError(f"m2ib-audit {words[0]} ended with status {status}; its log says why")
        return status

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the process."""
        return {**({} if self._threads is None else {"OMP_NUM_THREADS": str(self._threads)}), **given}

    def checkpoint(self, words: Sequence[str]) -> Any:
        """Return how to continue: with the same command."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415 - an extra

        return DelayedSubmission(self, words)


def submit(words: Sequence[str], options: SlurmConfig, folder: Path) -> Submitted:
    """Submit the shards and, depending on them, the job that completes the run.

    Args:
        words: arguments of the run, without those that select Slurm.
        options: the resources to request.
        folder: folder for scripts and logs, readable only by its owner; on a disk that the nodes share, like OUT.

    Raises:
        AuditError: submitit is not installed, or the scheduler refuses.
    """
    if find_spec("submitit") is None:
        raise AuditError("execution.engine slurm: submitit is not installed; pip install 'm2ib-audit[slurm]'")
    from submitit import AutoExecutor  # noqa: PLC0415 - an extra
    from submitit.core.utils import FailedJobError, UncompletedJobError  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    try:
        executor = AutoExecutor(folder=folder / "%j", cluster=options.cluster)
        executor.update_parameters(**_parameters(options))
        threads = None if options.cluster == "slurm" else share_of_cores(options.shards)
        shards = executor.map_array(Command(threads=threads), shard_words(words, options.shards))
        if options.cluster != "slurm":
            for job in shards:
                job.wait()
        closing = AutoExecutor(folder=folder / "%j", cluster=options.cluster)
        closing.update_parameters(**_closing_parameters(options, shards[0].job_id.split("_")[0]))
        last = closing.submit(Command(), closing_words(words))
        status = None if options.cluster == "slurm" else int(last.result())
    except (FailedJobError, UncompletedJobError, RuntimeError, OSError) as error:
        raise AuditError(f"execution.engine slurm: {str(error).splitlines()[-1]}; the logs are in {folder}") from error
    return Submitted(shards=tuple(job.job_id for job in shards), closing=last.job_id, folder=folder, status=status)


def _parameters(options: SlurmConfig) -> dict[str, Any]:
    given = {
        "name": "m2ib-audit",
        "timeout_min": options.minutes,
        "mem_gb": options.mem_gb,
        "cpus_per_task": options.cpus,
        "gpus_per_node": options.gpus or None,
        "slurm_array_parallelism": options.at_once or options.shards,
        "slurm_partition": options.partition,
        "slurm_account": options.account,
        "slurm_qos": options.qos,
        "slurm_constraint": options.constraint,
        "slurm_setup": list(options.setup) or None,
        "stderr_to_stdout": True,
    }
    return {name: value for name, value in given.items() if value is not None}


def _closing_parameters(options: SlurmConfig, array: str) -> dict[str, Any]:
    """Start the last job when every shard has ended, successfully or not, because it does what is left undone."""
    own = {
        "name": "m2ib-audit-closing",
        "timeout_min": options.closing_minutes,
        "mem_gb": options.closing_mem_gb,
        "slurm_dependency": f"afterany:{array}",
    }
    return {**_parameters(options), **own}
