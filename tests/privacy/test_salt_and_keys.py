"""Keys are salted, the salt lies outside OUT, and what a key stands for is told to its owner alone."""

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.engine.key_list import KeyRow, keys_of_files, write_key_list
from audit.engine.keys import SALT_VARIABLE, Keys, load_salt, salt_file
from pipelines.errors import InputError, OutputError
from pipelines.phantom.cohort import make_cohort


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user's home without a salt."""
    monkeypatch.delenv(SALT_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path / "home"


def test_the_salt_is_made_once_readable_by_its_owner_alone_and_outside_out(home: Path, tmp_path: Path) -> None:
    first, second = load_salt(outside=tmp_path / "out"), load_salt(outside=tmp_path / "out")
    assert first == second
    assert salt_file().is_relative_to(home)
    assert stat.S_IMODE(salt_file().stat().st_mode) == 0o600
    assert len(first) >= 32
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["home", "home/.config", "home/.config/m2ib-audit"])
def test_an_out_that_would_hold_the_salt_is_refused(home: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="holds the salt"):
        load_salt(outside=tmp_path / name)
    assert not salt_file().exists()


def test_keys_follow_from_the_salt_and_from_what_they_stand_for() -> None:
    one, other = Keys(b"a salt of sixteen"), Keys(b"another of sixteen")
    assert one.key("study", "1.2.3") == one.key("study", "1.2.3")
    assert len({one.key("study", "1.2.3"), one.key("patient", "1.2.3"), other.key("study", "1.2.3")}) == 3
    assert one.file_key("Doe.dcm") != other.file_key("Doe.dcm")


def test_the_keys_of_a_radiograph_are_those_that_a_run_gives(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=1, seed=5, columns=160)
    keys = Keys(load_salt())
    rows = {row.kind: row for row in keys_of_files([tmp_path / "dicom"], keys)}
    assert set(rows) == {"file", "image", "study", "patient"}
    assert rows["file"].key == keys.file_key("phantom-00001.dcm")
    assert rows["study"].key == keys.key("study", rows["study"].stands_for)
    with pytest.raises(InputError, match="neither"):
        list(keys_of_files([tmp_path / "none"], keys))


def test_a_list_of_keys_is_readable_by_its_owner_alone_whatever_lay_there(tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    path.write_text("old")
    path.chmod(0o644)
    write_key_list(path, [KeyRow("file-1", "file", "=Doe.dcm")])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().splitlines() == ["key,kind,stands_for", "file-1,file,'=Doe.dcm"]
    with pytest.raises(OutputError, match="--key-list"):
        write_key_list(tmp_path / "no" / "keys.csv", [])


@pytest.mark.parametrize("place", ["dicom", "out"])
def test_a_list_of_keys_among_images_or_results_is_refused(tmp_path: Path, place: str) -> None:
    make_cohort(tmp_path, count=1, seed=5, columns=160)
    command = ["run", "--dicom-dir", tmp_path / "dicom", "--reports", tmp_path / "reports", "--out", tmp_path / "out"]
    command += ["--model", "phantom", "--key-list", tmp_path / place / "keys.csv"]
    result = CliRunner().invoke(app, [str(word) for word in command])
    assert (result.exit_code, "--key-list" in result.stderr) == (1, True), result.output
    assert not (tmp_path / "out").exists()
