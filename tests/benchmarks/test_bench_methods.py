"""The table of all methods is made by one command and names what it was made with, and no path."""

import re
import sys
from pathlib import Path

import pytest

from benchmarks import bench_methods

FLAGS = ["--phantoms", "2", "--methods", "grad_cam,grad_eclip,rise", "--masks", "4", "--faithfulness", "0"]
FLAGS += ["--word-phantoms", "2", "--sanity", "1"]


def test_the_file_says_how_it_was_made_and_holds_every_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "METHODS.md"
    monkeypatch.setattr(bench_methods, "METHODS_FILE", path)
    monkeypatch.setattr(sys, "argv", ["bench_methods.py", *FLAGS])
    bench_methods.main()
    text = path.read_text("utf-8")
    assert text.startswith("# Methods compared on 2 held-out phantoms\n")
    assert f"`python -m benchmarks.bench_methods {' '.join(FLAGS)}`" in text
    assert "RISE and KernelSHAP have 4 masks per pair" in text
    assert all(name in text for name in ("| Grad-CAM |", "| Grad-ECLIP |", "| RISE |", "| *Class-mean box* |"))
    assert re.search(r"^\| Grad-CAM \| \**[01]\.\d{3}", text, re.MULTILINE)
    assert "| *Mean heat of Grad-CAM on other images* |" in text
    assert "## Heat under a randomised model" in text
    words = text[text.index("# Words, on 2 phantoms whose reports name side and zone") :]
    assert "Word heat on side and zone" in words
    assert all(name in words for name in ("| Grad-ECLIP |", "| *Uniform words* |", "| *Leave one word out* |"))
    assert "Grad-CAM" not in words  # which has no words
    assert "1 threads" in text
    assert str(tmp_path) not in text


def test_nothing_is_written_when_only_a_look_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_methods, "METHODS_FILE", tmp_path / "METHODS.md")
    flags = ["--phantoms", "2", "--methods", "grad_cam", "--faithfulness", "0", "--no-write", "--sanity", "0"]
    monkeypatch.setattr(sys, "argv", ["bench_methods.py", *flags])
    bench_methods.main()
    assert list(tmp_path.iterdir()) == []
    assert "## Cost" in capsys.readouterr().out
