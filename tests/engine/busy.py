"""Work that imports nothing large, for processes of which only the life and death is looked at."""

import os
from pathlib import Path


def busy(path: Path) -> None:
    """Say which processes there are, then compute in C code that never lets the interpreter go."""
    path.with_suffix(".new").write_text(f"{os.getpid()} {os.getppid()}")
    path.with_suffix(".new").rename(path)
    pow(3, 10**9)
