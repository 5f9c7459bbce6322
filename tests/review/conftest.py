"""An OUT to review and a real server on loopback over it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_up_review import REVIEWERS, ROOT, Server, lay_down, three_studies

Starter = Callable[..., Server]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An OUT of three studies."""
    folder = tmp_path / "out"
    folder.mkdir()
    return lay_down(folder, *three_studies())


@pytest.fixture(scope="module")
def start_server() -> Iterator[Starter]:
    """Start servers that end by themselves when a test forgets them."""
    running: list[subprocess.Popen] = []

    def start(out: Path, *options: str, reviewers: tuple[str, ...] = REVIEWERS) -> Server:
        names = [word for name in reviewers for word in ("--reviewer", name)]
        command = [sys.executable, "-m", "audit.cli", "review", str(out), "--no-browser", "--idle-minutes", "1"]
        process = subprocess.Popen([*command, *names, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        running.append(process)
        addresses = {}
        for _ in reviewers:
            name, _, address = process.stdout.readline().strip().partition(": ")
            addresses[name] = address
        return Server(process, addresses)

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()
