"""Cores, threads, memory and time of this process.

OpenMP (torch) and OpenBLAS (numpy) read their settings from the environment when they are loaded, so the command line
sets them first. A Python program that imports the packages keeps its own environment: only the command line calls
:func:`choose_threads`.
"""

import ctypes
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

__all__ = ["Clock", "MemoryReturn", "Stopwatch", "allowed_cores", "choose_threads", "thread_settings"]

# A waiting thread first spins and then sleeps. By default libgomp spins for milliseconds. On idle cores this gains
# little, and next to another process it takes the core from the very thread that it waits for
# (benchmarks/bench_busy.py). 1000 turns take a few tens of microseconds.
_SPIN_TURNS = "1000"  # for libgomp, which torch uses on Linux
_SPIN_MS = "1"  # for libomp and libiomp, which torch uses on macOS and Windows

_ITS_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_COUNTS_OF_BLAS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
_CGROUPS = Path("/sys/fs/cgroup")


def choose_threads() -> None:
    """Set the environment of OpenMP and OpenBLAS, for this process and its children.

    Variables that are already set are not changed.
    """
    os.environ.update(thread_settings(os.environ, cores=_cores(), allowed=allowed_cores(os.environ)))


def thread_settings(environment: Mapping[str, str], *, cores: int, allowed: int) -> dict[str, str]:
    """Return the variables to set: waiting threads sleep soon, and there are no more threads than cores.

    numpy's matrices are small here: OpenBLAS gets one thread, because more cost more than they gain.

    Args:
        environment: variables set by the user; these, and equivalent ones, take precedence.
        cores: number of cores that this process may run on.
        allowed: number of cores whose time it may use (:func:`allowed_cores`). If it equals ``cores``, torch chooses
            itself, and ignores a core's second hardware thread.
    """
    chosen: dict[str, str] = {}
    if not any(name in environment for name in _ITS_WAITING):
        chosen |= {"GOMP_SPINCOUNT": _SPIN_TURNS, "KMP_BLOCKTIME": _SPIN_MS}
    if not any(name in environment for name in _COUNTS_OF_BLAS):
        chosen["OPENBLAS_NUM_THREADS"] = "1"
    if allowed < cores and not any(name in environment for name in _COUNTS):
        chosen["OMP_NUM_THREADS"] = str(allowed)
    return chosen


def allowed_cores(environment: Mapping[str, str], *, cgroups: Path = _CGROUPS) -> int:
    """Return the number of cores whose time this process may use: at least 1.

    These are the cores that it may run on, or fewer with the limit of a container (``docker run --cpus 2``) or a Slurm
    task (``--cpus-per-task``).

    Args:
        environment: environment of this process.
        cgroups: folder of the limits of this process's control group.
    """
    limits = [_cores(), _quota(cgroups)]
    given_cores = environment.get("SLURM_CPUS_PER_TASK", "")
    if given_cores.isdecimal():
        limits.append(int(given_cores))
    return max(1, min(int(limit) for limit in limits if limit is not None))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(cgroups: Path) -> float | None:
    """Return the number of cores whose time a container may use; None without a limit.

    Source: cpu.max of control groups v2, cpu.cfs_quota_us and cpu.cfs_period_us of v1 (Linux kernel documentation,
    admin-guide/cgroup-v2 and scheduler/sched-bwc).
    """
    try:
        both = (cgroups / "cpu.max").read_text(encoding="ascii").split()
    except OSError:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        try:
            both = [(cgroups / "cpu" / name).read_text(encoding="ascii").strip() for name in names]
        except OSError:
            return None  # not Linux, or no control groups
    quota, period = both
    return int(quota) / int(period) if quota.isdecimal() else None  # "max" and -1 set no limit


_STUDIES = 16  # studies between two releases, which take a few milliseconds each


class MemoryReturn:
    """Makes the C library and Arrow return freed memory to the system after every few studies.

    glibc keeps the memory of freed large arrays for reuse. A run creates and frees such arrays for every study, and
    would otherwise grow by a hundred unused kilobytes per study.
    """

    def __init__(self) -> None:
        self._studies = 0
        library = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._trim = getattr(library, "malloc_trim", None)  # available in glibc, not in musl

    def after_study(self) -> None:
        """Count a study, and release memory when it is due."""
        self._studies += 1
        if self._studies % _STUDIES == 0:
            self.now()

    def now(self) -> None:
        """Release free memory."""
        import pyarrow as pa  # noqa: PLC0415 - threads are chosen before anything that computes is loaded

        pa.default_memory_pool().release_unused()
        if self._trim is not None:
            self._trim(0)


Clock = Callable[[str], AbstractContextManager[None]]
"""Called with a stage's name; returns a context manager for that stage."""


class Stopwatch:
    """Adds up seconds by stage; calling it returns the context manager of a stage."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Measure the time spent in the context."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add the times of another process."""
        for stage, more in seconds.items():
            self.seconds[stage] += more
