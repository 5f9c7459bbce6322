"""The machine that figures were measured on, and the file that keeps them."""

import argparse
import platform
import re
import resource
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

__all__ = [
    "NO_GPU",
    "RESULTS",
    "command_line",
    "command_parser",
    "describe",
    "peak_memory_gb",
    "write_device_section",
    "write_section",
]

NO_GPU = "not measured: no GPU at hand"
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


def command_parser(description: str | None, *, cohorts: int | None = None) -> argparse.ArgumentParser:
    """Make the parser of a benchmark that writes a section.

    Args:
        description: of the benchmark.
        cohorts: how many cohorts it draws by default, where it draws any.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--no-write", action="store_true", help="print only")
    if cohorts is not None:
        parser.add_argument("--cohorts", type=int, default=cohorts)
        parser.add_argument("--seed", type=int, default=0)
    return parser


def command_line(name: str) -> str:
    """Give the command that this process is, as somebody else would type it; of a path only its last part."""
    words = [re.sub(r"[^=]*/", "", word) for word in sys.argv[1:]]
    return shlex.join(["python", "-m", f"benchmarks.{name}", *words])


def write_section(name: str, *, command: str, lines: Sequence[str], path: Path = RESULTS) -> None:
    """Put a benchmark's lines into RESULTS.md in place of what it wrote there before."""
    _write(name, [f"`{command}`", "", describe(), "", *lines], path)


def write_device_section(name: str, *, command: str, lines: Sequence[str], on_gpu: bool, path: Path = RESULTS) -> None:
    """Put figures of a CPU and of a GPU into sections of their own: neither replaces the other.

    Figures of a CPU leave the GPU's section blank where nobody has measured it yet.
    """
    gpu_name = f"{name}_gpu"
    write_section(gpu_name if on_gpu else name, command=command, lines=lines, path=path)
    if not on_gpu and _begin(gpu_name) not in path.read_text(encoding="utf-8"):
        _write(gpu_name, [NO_GPU], path)


def _write(name: str, lines: Sequence[str], path: Path) -> None:
    begin, end = _begin(name), f"<!-- end {name} -->"
    section = "\n".join([begin, *lines, end])
    text = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if pattern.search(text):
        text = pattern.sub(lambda _: section, text)
    else:
        text = f"{text.rstrip()}\n\n## {name}\n\n{section}\n"
    path.write_text(text, encoding="utf-8")


def _begin(name: str) -> str:
    return f"<!-- begin {name} -->"
