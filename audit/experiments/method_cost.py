"""The cost of a method: seconds per pair, and the largest growth of memory in one call."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from audit.attribution.engine import Clock, Method, no_clock
from audit.attribution.pairs import Attribution, Maps, Pairs, Request
from audit.encoders.protocol import DualEncoder
from audit.machine import MemoryReturn

__all__ = ["Cost", "MeasuredMethod", "PeakMemory", "measured_as"]

_STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclass(slots=True)
class Cost:
    """The accumulated cost of all calls so far."""

    pairs: int = 0
    seconds: float = 0.0
    peak_bytes: int | None = None  # None where it cannot be measured

    @property
    def seconds_a_pair(self) -> float | None:
        """Mean over all pairs; None before the first."""
        return self.seconds / self.pairs if self.pairs else None


class PeakMemory:
    """Context manager that measures the peak memory above the level at entry.

    On CUDA this is torch's allocated memory. On the CPU it is the process's resident memory by the kernel's high-water
    mark, so that no peak between two samples is missed. Freed memory is returned to the system first, because a call
    could otherwise reuse it unnoticed. Systems without such a mark measure nothing.

    Source: proc(5), ``/proc/pid/clear_refs`` (5 resets the mark) and ``VmHWM``.
    """

    def __init__(self, device: torch.device) -> None:
        """Measure on a device."""
        self._device = device
        self._memory = MemoryReturn()
        self.bytes: int | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Measure what is done inside; ``bytes`` holds the answer."""
        self.bytes = None
        before = self._before()
        yield
        if before is not None:
            self.bytes = max(0, self._peak() - before)

    def _before(self) -> int | None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            return torch.cuda.memory_allocated(self._device)
        self._memory.now()
        try:
            CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
        except OSError:
            return None
        return self._peak()

    def _peak(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text(encoding="ascii"))
        if found is None:
            raise ValueError(f"{_STATUS} has no VmHWM, though the mark could be reset")
        return int(found[1]) * 1024


def measured_as(device: torch.device) -> str:
    """Describe how memory was measured."""
    if device.type == "cuda":
        return "GPU memory that torch allocated beyond the model, at most in one call"
    return "resident memory that one call grew by, at most (by the kernel's high-water mark)"


class MeasuredMethod(Method):
    """A method that records the cost of its calls, with and without words; the results are unchanged."""

    def __init__(self, method: Method, device: torch.device) -> None:
        """Take a method and the device that it runs on."""
        self.method, self.name, self.unit = method, method.name, method.unit
        self.explains_words, self.numbers = method.explains_words, method.numbers
        self._device, self._memory = device, PeakMemory(device)
        self.costs = {False: Cost(), True: Cost()}  # by whether words were asked for

    def hyperparameters(self, encoder: DualEncoder) -> Mapping[str, float | str]:
        """The method's hyperparameters for a model, by name."""
        return self.method.hyperparameters(encoder)

    def untrained_words(self, encoder: DualEncoder, phrases: Sequence[str]) -> tuple[tuple[float, ...], ...] | None:
        """Return what the method has for each word before its first step."""
        return self.method.untrained_words(encoder, phrases)

    def untrained_heat(
        self, encoder: DualEncoder, pixels: Float[Tensor, "images 3 size size"]
    ) -> Float[Tensor, "images grid_rows grid_columns"] | None:
        """Return the heat that the method has before its first step."""
        return self.method.untrained_heat(encoder, pixels)

    def attribute(self, pairs: Pairs) -> Maps:
        """Compute the method's maps."""
        return self.method.attribute(pairs)

    def explain_batch(
        self, encoder: DualEncoder, requests: Sequence[Request], *, words: bool = True, clock: Clock = no_clock
    ) -> tuple[tuple[Attribution, ...], ...]:
        """Explain a batch and add its cost.

        Raises:
            ModelError: the method cannot explain a model of this kind.
        """
        with self._memory():
            start = time.perf_counter()
            explained = self.method.explain_batch(encoder, requests, words=words, clock=clock)
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            seconds = time.perf_counter() - start
        cost = self.costs[words]
        cost.pairs += sum(len(request.phrases) for request in requests)
        cost.seconds += seconds
        if self._memory.bytes is not None:
            cost.peak_bytes = max(cost.peak_bytes or 0, self._memory.bytes)
        return explained
