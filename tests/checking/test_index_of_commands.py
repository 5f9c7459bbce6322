"""Every command that reads a folder of headers keeps them for the next one, where its user says, or not at all."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_configs import run_config
from typer.testing import CliRunner

from audit.cli import app
from audit.pipeline.inputs import gather, index_path
from audit.storage.folder import CACHE_VARIABLE, index_of
from pipelines.errors import AuditError
from pipelines.images import scan as scanning
from pipelines.images import scan_index
from pipelines.phantom.cohort import make_cohort

HANDED_OVER = {
    "check": ("audit.input_check.check", index_path),
    "run": ("audit.execution.run.run", lambda config: index_path(config.inputs, out=config.output.out)),
    "compare": (
        "audit.experiments.comparison.compare",
        lambda config: index_path(config.inputs, out=config.output.out),
    ),
    "sanity": ("audit.experiments.sanity.check_sanity", lambda config: index_path(config.inputs)),
}


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    make_cohort(tmp_path / "cohort", count=2, seed=3, columns=96)
    return tmp_path / "cohort"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose headers are read; all files count as written long ago."""
    names: list[str] = []
    look: Callable[[Path], object] = scanning.inspect_path

    def watched(path: Path) -> object:
        names.append(path.name)
        return look(path)

    monkeypatch.setattr(scanning, "inspect_path", watched)
    monkeypatch.setattr(scan_index, "YOUNGEST_NS", -(10**18))
    return names


def flags(command: str, cohort: Path, *more: str) -> list[str]:
    given = [command, "--dicom-dir", str(cohort / "dicom"), "--reports", str(cohort / "reports")]
    return [*given, *(["--out", str(cohort / "out")] if command in {"run", "compare"} else []), *more]


@pytest.fixture(params=HANDED_OVER)
def indexed(
    request: pytest.FixtureRequest, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path | None]:
    """Gives the index that a command hands over; the command itself is left away."""
    target, index = HANDED_OVER[request.param]
    handed: list[Path | None] = []

    def instead(config: Any, *_: object, **__: object) -> None:
        handed.append(index(config))
        raise AuditError("far enough")

    monkeypatch.setattr(target, instead)

    def invoke(*more: str) -> Path | None:
        result = CliRunner().invoke(app, flags(request.param, cohort, *more))
        assert result.exit_code == 1
        if not handed:
            raise AuditError(result.stderr)
        return handed.pop()

    return invoke


def test_each_command_takes_the_folders_own_index_by_default(indexed, cohort, index_folder):
    assert indexed() == index_of(cohort / "dicom")
    assert indexed().is_relative_to(index_folder)


def test_each_command_takes_the_file_that_is_named(indexed, tmp_path):
    assert indexed("--set", f"inputs.index={tmp_path / 'mine.sqlite'}") == tmp_path / "mine.sqlite"


def test_each_command_keeps_nothing_on_demand(indexed):
    assert indexed("--set", "inputs.index=none") is None


@pytest.mark.parametrize("place", ["dicom", "reports", "dicom/below"])
def test_each_command_refuses_an_index_among_the_inputs(indexed, cohort, place):
    with pytest.raises(AuditError, match="patient and accession numbers: give a file elsewhere"):
        indexed("--set", f"inputs.index={cohort / place / 'index.sqlite'}")


@pytest.mark.parametrize("command", ["run", "compare"])
def test_results_hold_no_index(command, cohort):
    result = CliRunner().invoke(app, flags(command, cohort, "--set", f"inputs.index={cohort / 'out' / 'index.sqlite'}"))
    assert (result.exit_code, "is in" in result.stderr) == (1, True)
    assert not (cohort / "out").exists()


def test_phantoms_take_no_index(tmp_path):
    out = ["--out", str(tmp_path / "out")]
    result = CliRunner().invoke(
        app, ["compare", "--phantoms", "2", *out, "--set", f"inputs.index={tmp_path / 'index.sqlite'}"]
    )
    assert (result.exit_code, "omit --dicom-dir" in result.stderr) == (1, True)


def test_a_run_reads_no_header_that_a_check_has_read(cohort, tmp_path, read):
    index = tmp_path / "index.sqlite"
    assert CliRunner().invoke(app, flags("check", cohort, "--set", f"inputs.index={index}")).exit_code == 0
    assert stat.S_IMODE(index.stat().st_mode) == 0o600
    assert read == ["phantom-00001.dcm", "phantom-00002.dcm"]
    read.clear()
    folders = {"dicom_dir": cohort / "dicom", "reports": cohort / "reports", "out": tmp_path / "out"}
    by_index = gather(run_config(**folders, index=index).inputs)
    assert read == []
    assert by_index == gather(run_config(**folders).inputs)
    assert len(read) == 2


def test_a_check_reads_the_file_that_has_changed(cohort, index_folder, read):
    def studies() -> int:
        return json.loads(CliRunner().invoke(app, flags("check", cohort, "--json")).stdout)["counts"]["studies"]

    assert studies() == 2
    changed = cohort / "dicom" / "phantom-00002.dcm"
    changed.write_bytes(changed.read_bytes()[:-20])
    read.clear()
    assert (studies(), read) == (1, ["phantom-00002.dcm"])


def test_the_variable_says_where_indexes_lie(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "shared"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    assert index_of(tmp_path).parent == tmp_path / "shared" / "scans"


def test_a_user_without_a_home_keeps_no_index(monkeypatch, tmp_path):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert index_of(tmp_path) is None
