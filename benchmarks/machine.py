"""The machine that figures were measured on, and the file that keeps them."""

import platform
import re
import resource
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

__all__ = ["RESULTS", "describe", "peak_memory_gb", "write_section"]

RESULTS = Path(__file__).parent / "RESULTS.md"
_PACKAGES = ("m2ib-audit", "torch", "transformers", "numpy", "pydicom", "monai")


def describe() -> str:
    """One paragraph: processor, memory, GPU, versions, date. No host name and no path."""
    memory = psutil.virtual_memory().total / 2**30
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    day = datetime.now(UTC).date().isoformat()
    return (
        f"{day}; {_processor()}, {psutil.cpu_count()} cores, {torch.get_num_threads()} threads, {memory:.0f} GiB; "
        f"{gpu}; Python {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def peak_memory_gb() -> float:
    """Most memory that this process has held since it began, in 10^9 bytes.

    Linux carries ``ru_maxrss`` over into a started program: a child would answer with its parent's peak. The high-water
    mark of the process's own address space begins anew.

    Source: getrusage(2), proc(5).
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(found[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def write_section(name: str, *, command: str, lines: list[str], path: Path = RESULTS) -> None:
    """Put a benchmark's lines into RESULTS.md in place of what it wrote there before."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    section = "\n".join([begin, f"`{command}`", "", describe(), "", *lines, end])
    text = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    text = (
        pattern.sub(lambda _: section, text) if pattern.search(text) else f"{text.rstrip()}\n\n## {name}\n\n{section}\n"
    )
    path.write_text(text, encoding="utf-8")
