"""The project's own files keep what they promise."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from audit.cli import app

ROOT = Path(__file__).parents[2]


def commands(group: typer.Typer, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [(*prefix, c.name or c.callback.__name__) for c in group.registered_commands]
    for sub in group.registered_groups:
        found += commands(sub.typer_instance, (*prefix, str(sub.name)))
    return found


@pytest.mark.parametrize("command", commands(app), ids=" ".join)
def test_every_command_has_help_and_is_shown_in_the_readme_or_the_docs(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    documents = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    assert re.search(rf"(?:m2ib-audit |`|\(or ){' '.join(command)}\b", documents)


def test_help_answers_without_loading_torch() -> None:
    code = (
        "import sys, audit.cli; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'monai', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_a_run_needs_no_extra() -> None:
    code = (
        "import sys, audit.execution.run, audit.cli.running; "
        "sys.exit(any(m in sys.modules for m in ('ray', 'submitit', 'highdicom', 'pynetdicom')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert result.stdout.strip() == f"m2ib-audit {project['version']}"


def test_wrong_usage_ends_with_2() -> None:
    assert CliRunner().invoke(app, ["run", "--dicom-dir", "x"]).exit_code == 2


def test_no_source_imports_torchvision_open_clip_or_timm() -> None:
    pattern = re.compile(r"^\s*(?:import|from) (?:torchvision|open_clip|timm)\b", re.MULTILINE)
    for folder in ("audit", "pipelines", "reports", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not pattern.search(path.read_text(encoding="utf-8")), path


def test_no_tracked_file_names_a_path_of_one_machine(tracked_files: frozenset[str]) -> None:
    homes = re.compile(rb"(?<![\w.$}])/(?:home|Users|root|work)/\w+|\.\./shared\b")
    assert homes.search(b"cd /home/somebody")
    own = Path(__file__).relative_to(ROOT).as_posix()
    texts = {name for name in tracked_files if not name.endswith((".png", ".safetensors"))} - {own}
    assert [name for name in sorted(texts) if homes.search((ROOT / name).read_bytes())] == []


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"])
def test_every_file_that_a_document_links_to_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    tops = "audit|pipelines|reports|tests|docs|\\.ci"
    named = re.findall(rf"`((?:{tops})/[\w./-]+)`", text)
    assert [name for name in {*links, *named} if not (ROOT / name).exists()] == []


def test_the_doctor_takes_a_folder_with_other_files_for_one_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("a clone", encoding="utf-8")
    found = CliRunner().invoke(app, ["doctor", "--model", "phantom", "--out", str(tmp_path)])
    (line,) = (line for line in found.output.splitlines() if "write access" in line)
    assert line.startswith("ok ")
    assert "holds other files: give --out of a run an empty or a new folder" in line
    refused = CliRunner().invoke(app, ["doctor", "--model", "phantom", "--out", str(tmp_path / "README.md" / "out")])
    assert any(line.startswith("MISSING  write access") for line in refused.output.splitlines())


def test_the_doctor_names_what_is_missing_and_its_mend(tmp_path: Path) -> None:
    good = CliRunner().invoke(app, ["doctor", "--model", "phantom", "--out", str(tmp_path)])
    assert good.exit_code == 0, good.output
    assert "JPEG 2000" in good.stdout
    bad = CliRunner().invoke(app, ["doctor", "--model", "no-such-model", "--out", str(tmp_path)])
    assert bad.exit_code == 1
    assert "MISSING  model no-such-model" in bad.stdout
