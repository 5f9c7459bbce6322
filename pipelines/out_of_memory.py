"""Work that needs more memory than there is: how it is recognised, and what is said of it."""

import errno

__all__ = ["NEEDS_MORE_MEMORY", "is_out_of_memory"]

NEEDS_MORE_MEMORY = (
    "needs more memory than there is: free memory or give fewer --workers, then run again with --retry-failed"
)
"""Said of a study or an image, behind what it is."""

_CPU_MESSAGES = ("can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be allocated, here or by torch, which reading a file does not import.

    torch has an ``OutOfMemoryError`` for devices; its allocator on the CPU is known only by its message.
    """
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError" or any(message in str(error) for message in _CPU_MESSAGES)
    )
