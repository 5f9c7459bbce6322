"""What git tracks, for the tests of the project's own files."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tracked_files() -> frozenset[str]:
    """Tracked paths, relative to the root."""
    # safe.directory, since a checkout may belong to another user than the tests run as
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = frozenset(name for name in listed if name and (ROOT / name).is_file())
    assert "pyproject.toml" in files
    return files
