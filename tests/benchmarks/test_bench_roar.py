"""What heat is worth to the model is measured for each method by one command."""

import sys
from pathlib import Path

import pytest

from benchmarks import bench_roar, machine

FLAGS = ["--phantoms", "8", "--steps", "1", "--pairs", "2", "--methods", "chefer"]


def test_both_tables_of_each_method_are_written_with_their_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "RESULTS.md"
    written = machine.write_section
    monkeypatch.setattr(bench_roar, "write_section", lambda name, **told: written(name, **told, path=path))
    monkeypatch.setattr(sys, "argv", ["bench_roar.py", *FLAGS])
    bench_roar.main()
    text = path.read_text("utf-8")
    assert f"`python -m benchmarks.bench_roar {' '.join(FLAGS)}`" in text
    assert "6 phantoms to train on, 2 held out; 1 steps" in text
    assert "chefer on phantom, 2 phrases" in text
