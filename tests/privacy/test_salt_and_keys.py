"""Keys are salted, the salt lies outside OUT, and what a key stands for is told to its owner alone."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_cohort import make_cohort as made_up_cohort
from typer.testing import CliRunner

from audit.cli import app
from audit.logbook import AuditLog
from audit.output.pseudonym_map import KeyRow, keys_of_files, write_key_list
from audit.privacy.pseudonyms import SALT_VARIABLE, Pseudonyms, load_salt, salt_file
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
    with pytest.raises(OutputError, match="contains the salt"):
        load_salt(outside=tmp_path / name)
    assert not salt_file().exists()


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        pytest.param(b"", 0o600, "holds 0 bytes", id="empty, as a full disk left it"),
        pytest.param(b"fifteen letters", 0o600, "holds 15 bytes", id="too short"),
        pytest.param(b"x" * 5000, 0o600, "a salt has 16 to 4096", id="another file"),
        pytest.param(b"x" * 64, 0o640, "mode 0640.*chmod 600", id="readable by a group"),
    ],
)
def test_a_salt_that_keeps_no_secret_is_refused(home: Path, content: bytes, mode: int, told: str) -> None:
    salt_file().parent.mkdir(parents=True)
    salt_file().write_bytes(content)
    salt_file().chmod(mode)
    with pytest.raises(OutputError, match=told):
        load_salt()
    assert salt_file().read_bytes() == content


def test_a_disk_that_is_full_at_first_use_leaves_no_salt(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=r"neither be read nor made \(No space left"):
            load_salt()
    assert list(salt_file().parent.iterdir()) == []
    assert len(load_salt()) == 64


def test_processes_that_start_at_once_agree_on_one_salt(home: Path) -> None:
    """Forked once everything is imported, so that they meet at the file and not one after the other."""
    code = """
import os
from audit.privacy.pseudonyms import load_salt
reader, writer = os.pipe()
for _ in range(4):
    if os.fork() == 0:
        os.read(reader, 1)
        os.write(1, load_salt() + b"\\n")
        os._exit(0)
os.write(writer, b"1234")
assert [os.wait()[1] for _ in range(4)] == [0] * 4
"""
    started = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    told = started.stdout.splitlines()
    assert len(told) == 4
    assert len(set(told)) == 1
    assert [path.name for path in salt_file().parent.iterdir()] == ["salt"]


def tree_of(folder: Path) -> dict[str, bytes]:
    """Every file but the lock of a command, which is empty."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".m2ib-audit.lock")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def written_with(salt: bytes, out: Path) -> dict[str, bytes]:
    out.mkdir()
    log = AuditLog(out, salt)
    log.append("run started")
    log.append("run finished")
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_a_new_salt_is_told_and_where_results_need_the_old_one_none_is_made(home: Path, tmp_path: Path, caplog) -> None:
    before = written_with(b"a salt that is lost", tmp_path / "out")
    with pytest.raises(OutputError, match=r"out was made with a salt, and there is none at .*put your copy of it back"):
        load_salt(outside=tmp_path / "out")
    assert not home.exists()
    load_salt(outside=tmp_path / "new")
    assert [record.message for record in caplog.records] == [
        "a new salt for keys was created in your configuration folder: store a copy elsewhere"
    ]
    with pytest.raises(OutputError, match="written with another salt"):
        load_salt(outside=tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("command", ["run", "score", "render", "push"])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param(None, "was made with a salt, and there is none at", id="absent"),
        pytest.param("another salt of mine", "was written with another salt", id="changed"),
    ],
)
def test_a_command_whose_salt_is_absent_or_changed_says_so_before_it_writes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, given: str | None, told: str
) -> None:
    make_cohort(tmp_path / "cohort", count=1, seed=5, columns=64, brief=True)
    out = tmp_path / "out"
    written_with(b"a salt that is lost", out)
    (out / "studies").mkdir()
    (out / "run.json").write_text(made_up_cohort(0).run.model_dump_json())
    if given is not None:
        monkeypatch.setenv(SALT_VARIABLE, given)
    dicom, reports = str(tmp_path / "cohort" / "dicom"), str(tmp_path / "cohort" / "reports")
    words = {
        "run": ["--dicom-dir", dicom, "--reports", reports, "--out", str(out), "--model", "phantom"],
        "push": [str(out), "--dicom-dir", dicom, "--to-folder", str(tmp_path / "results")],
    }.get(command, [str(out)])
    before = tree_of(out)
    result = CliRunner().invoke(app, [command, *words])
    assert result.exit_code == 1, result.output
    assert told in " ".join(result.stderr.split())
    assert tree_of(out) == before
    assert not salt_file().exists()
    assert not (tmp_path / "results").exists()


def test_the_salt_of_an_out_is_its_own_though_the_last_line_is_torn_or_changed(tmp_path: Path) -> None:
    salt = load_salt()
    written_with(salt, tmp_path / "out")
    log = tmp_path / "out" / "audit.jsonl"
    for ending in (b'{"n": 3, "ev', b'{"n": 3, "event": "study done", "mac": "0"}\n'):
        whole = log.read_bytes()
        log.write_bytes(whole + ending)
        assert load_salt(outside=tmp_path / "out") == salt
        log.write_bytes(whole)


def test_the_salt_of_an_out_is_its_own_though_its_first_and_last_lines_were_changed(tmp_path: Path) -> None:
    salt = load_salt()
    written_with(salt, tmp_path / "out")
    log = tmp_path / "out" / "audit.jsonl"
    AuditLog(tmp_path / "out", salt).append("run finished")
    AuditLog(tmp_path / "out", salt).append("pages made again")
    first, *middle, last = log.read_bytes().splitlines(keepends=True)
    assert middle
    forged = [line.replace(b'"ts":"2', b'"ts":"1') for line in (first, last)]
    log.write_bytes(b"".join([forged[0], *middle, forged[1]]))
    assert load_salt(outside=tmp_path / "out") == salt
    log.write_bytes(b"".join(forged))
    with pytest.raises(OutputError, match="written with another salt"):
        load_salt(outside=tmp_path / "out")


def test_a_name_that_is_no_utf8_has_a_key() -> None:
    keys = Pseudonyms(b"a salt of sixteen")
    assert keys.file_key("M\udcfcller.dcm") != keys.file_key("Muller.dcm")


def test_keys_follow_from_the_salt_and_from_what_they_stand_for() -> None:
    one, other = Pseudonyms(b"a salt of sixteen"), Pseudonyms(b"another of sixteen")
    assert one.key("study", "1.2.3") == one.key("study", "1.2.3")
    assert len({one.key("study", "1.2.3"), one.key("patient", "1.2.3"), other.key("study", "1.2.3")}) == 3
    assert one.file_key("Doe.dcm") != other.file_key("Doe.dcm")


def test_the_keys_of_a_radiograph_are_those_that_a_run_gives(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=1, seed=5, columns=160)
    keys = Pseudonyms(load_salt())
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
    with pytest.raises(OutputError, match=r"output\.key-list"):
        write_key_list(tmp_path / "no" / "keys.csv", [])


@pytest.mark.parametrize("place", ["dicom", "out"])
def test_a_list_of_keys_among_images_or_results_is_refused(tmp_path: Path, place: str) -> None:
    make_cohort(tmp_path, count=1, seed=5, columns=160)
    command = ["run", "--dicom-dir", tmp_path / "dicom", "--reports", tmp_path / "reports", "--out", tmp_path / "out"]
    command += ["--model", "phantom", "--set", f"output.key-list={tmp_path / place / 'keys.csv'}"]
    result = CliRunner().invoke(app, [str(word) for word in command])
    assert (result.exit_code, "output.key-list" in result.stderr) == (1, True), result.output
    assert not (tmp_path / "out").exists()
