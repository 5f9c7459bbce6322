"""The project's own files keep what they promise."""

import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from audit.cli import app

ROOT = Path(__file__).parents[2]
HEAVY_NEIGHBOURS = ("torchvision", "open_clip_torch", "open-clip-torch", "timm")


def commands(group: typer.Typer, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [(*prefix, c.name or c.callback.__name__) for c in group.registered_commands]
    for sub in group.registered_groups:
        found += commands(sub.typer_instance, (*prefix, str(sub.name)))
    return found


@pytest.mark.parametrize("command", commands(app), ids=" ".join)
def test_every_command_has_help_and_is_named_in_the_readme_or_the_changelog(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    documents = (ROOT / "README.md").read_text() + (ROOT / "CHANGELOG.md").read_text()
    assert " ".join(command) in documents


def test_help_answers_without_loading_torch() -> None:
    code = (
        "import sys, audit.cli; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'monai', 'pandas')))"
    )
    start = time.perf_counter()
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
    assert time.perf_counter() - start < 30  # a hang, not a benchmark


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert result.stdout.strip() == f"m2ib-audit {project['version']}"


def test_wrong_usage_ends_with_2() -> None:
    assert CliRunner().invoke(app, ["run", "--dicom-dir", "x"]).exit_code == 2


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_the_constraints_pin_torch_and_none_of_its_heavy_neighbours() -> None:
    assert pins()["torch"] == "2.13.0"
    assert not {name.lower() for name in pins()} & set(HEAVY_NEIGHBOURS)


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=\[ ]", line)[0].lower().replace("_", "-") for line in wanted}
    assert names <= {name.lower().replace("_", "-") for name in pins()}


def test_no_source_imports_torchvision_open_clip_or_timm() -> None:
    pattern = re.compile(r"^\s*(?:import|from) (?:torchvision|open_clip|timm)\b", re.MULTILINE)
    for folder in ("audit", "pipelines", "reports", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not pattern.search(path.read_text(encoding="utf-8")), path


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    homes = re.compile(rb"(?<![\w.])/(?:home|Users|root)/\w+")
    allowed = {"Dockerfile"}  # the container's own user
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if name not in allowed and path.is_file() and path.suffix not in {".png", ".safetensors"}:
            assert not homes.search(path.read_bytes()), name


def test_the_doctor_names_what_is_missing_and_its_mend(tmp_path: Path) -> None:
    good = CliRunner().invoke(app, ["doctor", "--model", "phantom", "--out", str(tmp_path)])
    assert good.exit_code == 0, good.output
    assert "JPEG 2000" in good.stdout
    bad = CliRunner().invoke(app, ["doctor", "--model", "no-such-model", "--out", str(tmp_path)])
    assert bad.exit_code == 1
    assert "MISSING  model no-such-model" in bad.stdout
