"""Processes that work beside others keep to one thread each."""

import torch
from threadpoolctl import threadpool_limits

__all__ = ["keep_to_one_thread"]


def keep_to_one_thread() -> None:
    """Let torch and numpy compute with one thread in this process.

    As many processes as there are cores, with a thread a core in each, would only wait for one another.
    """
    torch.set_num_threads(1)
    threadpool_limits(1)
