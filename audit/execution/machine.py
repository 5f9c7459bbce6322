"""The cores, threads, memory and time that this process uses.

OpenMP (torch) and OpenBLAS (numpy) read their settings from the environment once, when they are loaded, so the command
sets them first. A Python program that imports the packages keeps its own environment: only the command calls
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

# A thread that waits spins first and sleeps then. By default libgomp spins for milliseconds: on idle cores it gains
# little, and beside another process it takes the core from the very thread that it waits for
# (benchmarks/bench_busy.py). 1000 turns take some tens of microseconds.
_SPIN_TURNS = "1000"  # of libgomp, which torch brings on Linux
_SPIN_MS = "1"  # of libomp and libiomp, which it brings on macOS and Windows

_ITS_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_COUNTS_OF_BLAS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
_CGROUPS = Path("/sys/fs/cgroup")


def choose_threads() -> None:
    """Set what OpenMP and OpenBLAS read when they are loaded, for this process and those that it starts.

    What the environment sets already stays as it is.
    """
    os.environ.update(thread_settings(os.environ, cores=_cores(), allowed=allowed_cores(os.environ)))


def thread_settings(environment: Mapping[str, str], *, cores: int, allowed: int) -> dict[str, str]:
    """Give the variables to set: waiting threads sleep soon, and there are no more than cores for them.

    numpy's matrices are small here: OpenBLAS gets one thread, since the others cost more than they give.

    Args:
        environment: what the user has set; a variable in it wins, and so does another that says the same.
        cores: that this process may run on.
        allowed: cores whose time it may use (:func:`allowed_cores`). Where they are as many as ``cores``, torch counts
            for itself, without a core's second thread.
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
    """Count the cores whose time this process may use: at least 1.

    These are the cores it may run on, or fewer where a container's limit (``docker run --cpus 2``) or a task of Slurm
    (``--cpus-per-task``) says so.

    Args:
        environment: of this process.
        cgroups: where the limits of this process's control group are.
    """
    limits = [_cores(), _quota(cgroups)]
    asked = environment.get("SLURM_CPUS_PER_TASK", "")
    if asked.isdecimal():
        limits.append(int(asked))
    return max(1, min(int(limit) for limit in limits if limit is not None))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(cgroups: Path) -> float | None:
    """Cores' worth of time that a container may use; None without a limit.

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
            return None  # no Linux, or no control groups
    quota, period = both
    return int(quota) / int(period) if quota.isdecimal() else None  # "max" and -1 set no limit


_STUDIES = 16  # between two returns: each takes some milliseconds


class MemoryReturn:
    """Asks the C library and Arrow, every so many studies, to give freed memory back to the system.

    glibc keeps what large arrays leave behind in case it is wanted again. A run makes and frees such arrays for every
    study, and would otherwise grow by a hundred kilobytes a study that nobody uses.
    """

    def __init__(self) -> None:
        self._studies = 0
        library = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._trim = getattr(library, "malloc_trim", None)  # glibc has it, musl has not

    def after_study(self) -> None:
        """Count a study, and return memory when it is time."""
        self._studies += 1
        if self._studies % _STUDIES == 0:
            self.now()

    def now(self) -> None:
        """Return what is free."""
        import pyarrow as pa  # noqa: PLC0415 - threads are chosen before anything that computes is loaded

        pa.default_memory_pool().release_unused()
        if self._trim is not None:
            self._trim(0)


Clock = Callable[[str], AbstractContextManager[None]]
"""Called with a stage's name; what it gives surrounds that stage."""


class Stopwatch:
    """Adds up seconds by stage; calling it gives the context of one stage."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Measure what is done inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add what another process measured."""
        for stage, more in seconds.items():
            self.seconds[stage] += more
