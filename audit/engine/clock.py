"""How long each stage of a run takes, in this process and in others."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

__all__ = ["Clock", "Stopwatch"]

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
