"""RESULTS.md keeps one section a benchmark and device, and names neither host nor path."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.machine import NO_GPU, command_line, describe, peak_memory_gb, write_device_section, write_section

ROOT = Path(__file__).parents[2]


def test_a_process_that_was_started_does_not_answer_with_the_memory_of_the_one_that_started_it() -> None:
    held = torch.ones(200_000_000)  # 0.8 GB
    code = "from benchmarks.machine import peak_memory_gb; print(peak_memory_gb())"
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert peak_memory_gb() > held.nbytes / 1e9
    assert 0.02 < float(child.stdout) < 0.8


def test_a_section_is_written_once_and_then_replaced(tmp_path) -> None:
    path = tmp_path / "RESULTS.md"
    write_section("one", command="a", lines=["first"], path=path)
    write_section("two", command="b", lines=["second"], path=path)
    write_section("one", command="a", lines=[r"third \1"], path=path)
    text = path.read_text()
    assert "first" not in text
    assert text.count("## one") == text.count("## two") == 1
    assert text.index(r"third \1") < text.index("second")
    assert describe() in text


def test_figures_of_a_cpu_leave_the_gpus_blank_and_never_replace_them(tmp_path) -> None:
    path = tmp_path / "RESULTS.md"
    write_device_section("speed", command="a", lines=["slow"], on_gpu=False, path=path)
    assert path.read_text().count(NO_GPU) == 1
    write_device_section("speed", command="a --device cuda", lines=["fast"], on_gpu=True, path=path)
    write_device_section("speed", command="a", lines=["slower"], on_gpu=False, path=path)
    text = path.read_text()
    assert NO_GPU not in text
    assert [word in text for word in ("slow\n", "slower\n", "fast\n")] == [False, True, True]
    assert text.count("## speed\n") == text.count("## speed_gpu\n") == 1


def test_the_machine_is_described_without_its_name_or_a_path() -> None:
    described = describe()
    assert (platform.node() or "no name") not in described
    assert "/" not in described
    assert f"torch {torch.__version__}" in described


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "python -m benchmarks.bench_run"),
        (["--model", "/models/of somebody/a model"], "python -m benchmarks.bench_run --model 'a model'"),
        (["--model=/models/somebody/model"], "python -m benchmarks.bench_run --model=model"),
    ],
    ids=["without flags", "a path", "a path after an equals sign"],
)
def test_a_command_is_kept_without_paths(monkeypatch, words, line) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_run.py", *words])
    assert command_line("bench_run") == line
