"""How busy the GPU is while something else uses it."""

import shutil
import subprocess
import threading
from collections.abc import Sequence
from types import TracebackType

__all__ = ["BusyGPU", "busy_share"]

_QUERY = ("--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0")


class BusyGPU:
    """Ask the driver, as long as this context lasts, in how much of the last moment a kernel ran on the first GPU.

    Without ``nvidia-smi`` there are no samples.
    """

    def __init__(self, *, every: float = 1.0) -> None:
        """Take the seconds between two questions."""
        self.percentages: list[float] = []
        self._every, self._stop = every, threading.Event()
        self._thread = threading.Thread(target=self._ask, name="asks nvidia-smi", daemon=True)

    def __enter__(self) -> "BusyGPU":
        """Begin to ask."""
        if shutil.which("nvidia-smi"):
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop asking."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _ask(self) -> None:
        while not self._stop.wait(self._every):
            asked = subprocess.run(["nvidia-smi", *_QUERY], capture_output=True, text=True, check=False)
            if asked.returncode == 0 and (answer := asked.stdout.strip()).isdigit():
                self.percentages.append(float(answer))


def busy_share(percentages: Sequence[float]) -> float | None:
    """Mean share of time in which the GPU was busy, from its first work to its last; None where it had none.

    Before its first work the program starts and reads headers, after its last the cohort page is made.
    """
    at_work = [index for index, value in enumerate(percentages) if value > 0]
    if not at_work:
        return None
    between = percentages[at_work[0] : at_work[-1] + 1]
    return sum(between) / len(between) / 100
