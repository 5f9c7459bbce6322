"""Memory that is free but not given back."""

import ctypes
import sys

import pyarrow as pa

__all__ = ["MemoryReturn"]

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
        pa.default_memory_pool().release_unused()
        if self._trim is not None:
            self._trim(0)
