"""Address and credentials: from file and environment, checked, and shown to nobody."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.pacs import settings
from audit.pacs.opening import open_archive
from audit.pacs.settings import Retrieve, load_settings
from pipelines.errors import PacsError

HIDDEN = "swordfish-4711"
FILE = f"""
[dicomweb]
url = "https://pacs.example/dicom-web/"
user = "audit"
password = "{HIDDEN}"

[dimse]
host = "pacs.example"
port = 11112
ae_title = "PACS"
retrieve = "move"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pacs.toml"
    path.write_text(FILE)
    path.chmod(0o600)
    return path


def test_a_file_gives_both_ways(file: Path) -> None:
    settings = load_settings(file, {})
    assert settings.dicomweb is not None
    assert settings.dimse is not None
    assert settings.dicomweb.url == "https://pacs.example/dicom-web"
    assert settings.dicomweb.password is not None
    assert settings.dicomweb.password.get_secret_value() == HIDDEN
    assert (settings.dimse.port, settings.dimse.retrieve) == (11112, Retrieve.MOVE)
    assert HIDDEN not in repr(settings) + str(settings.model_dump())


def test_the_environment_goes_before_the_file(file: Path) -> None:
    settings = load_settings(file, {"M2IB_AUDIT_DIMSE_PORT": "104", "M2IB_AUDIT_DICOMWEB_USER": "other"})
    assert settings.dimse is not None
    assert settings.dicomweb is not None
    assert (settings.dimse.port, settings.dimse.host) == (104, "pacs.example")
    assert settings.dicomweb.user == "other"


@pytest.mark.parametrize("host", ["127.evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"])
def test_a_host_that_only_begins_as_this_machine_gets_no_credentials_in_the_clear(host: str) -> None:
    environment = {"M2IB_AUDIT_DICOMWEB_URL": f"http://{host}/dicom-web", "M2IB_AUDIT_DICOMWEB_TOKEN": HIDDEN}
    with pytest.raises(PacsError, match="unencrypted"):
        load_settings(None, environment)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "[::1]"])
def test_this_machine_may_be_asked_without_tls(host: str) -> None:
    environment = {"M2IB_AUDIT_DICOMWEB_URL": f"http://{host}/dicom-web", "M2IB_AUDIT_DICOMWEB_TOKEN": HIDDEN}
    assert load_settings(None, environment).dicomweb is not None


def test_the_environment_names_the_file(file: Path) -> None:
    assert load_settings(None, {"M2IB_AUDIT_PACS_CONFIG": str(file)}).dimse is not None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_may_read_is_refused_with_its_mend(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(PacsError, match="chmod 600"):
        load_settings(file, {})


BAD = {
    "a misspelt key": ("dimse", 'ae_titel = "PACS"', "ae_titel"),
    "no url": ("dicomweb", f'password = "{HIDDEN}"', "url"),
    "a password in the url": ("dicomweb", f'url = "https://me:{HIDDEN}@pacs.example"', "not hold user and password"),
    "another scheme": ("dicomweb", 'url = "ftp://pacs.example"', "https://"),
    "a password without user": ("dicomweb", f'url = "https://p.example"\npassword = "{HIDDEN}"', "belong together"),
    "token and user": (
        "dicomweb",
        f'url = "https://p.example"\nuser = "u"\npassword = "{HIDDEN}"\ntoken = "{HIDDEN}"',
        "exclude",
    ),
    "a token in the clear": ("dicomweb", f'url = "http://p.example"\ntoken = "{HIDDEN}"', "unencrypted"),
    "no such port": ("dimse", 'host = "p"\nport = 99999\nae_title = "A"', "port"),
    "a long title": ("dimse", 'host = "p"\nport = 104\nae_title = "SEVENTEEN-LETTERS"', "ae_title"),
    "no such file": ("dicomweb", 'url = "https://p.example"\nca_file = "/nowhere/ca.pem"', "is not a file"),
    "no TOML": ("dicomweb", f"password = {HIDDEN} =", "not a TOML"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_settings_are_named_without_the_secret(case: str, file: Path) -> None:
    section, content, named = BAD[case]
    file.write_text(f"[{section}]\n{content}\n")
    with pytest.raises(PacsError) as raised:
        load_settings(file, {})
    assert named in str(raised.value)
    assert HIDDEN not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_credentials_may_go_in_the_clear_within_this_machine(file: Path) -> None:
    file.write_text(f'[dicomweb]\nurl = "http://127.0.0.1:8042/dicom-web"\ntoken = "{HIDDEN}"\n')
    assert load_settings(file, {}).dicomweb is not None


def test_nothing_set_up_says_what_to_set(file: Path) -> None:
    file.write_text("")
    with pytest.raises(PacsError, match="set M2IB_AUDIT_DICOMWEB_URL"):
        open_archive(None, file)
    with pytest.raises(PacsError, match="for dimse: set M2IB_AUDIT_DIMSE_HOST"):
        open_archive("dimse", file)


@pytest.mark.parametrize("command", ["pull", "push"])
def test_without_the_extra_the_commands_say_how_to_install_it(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PACKAGES", ("highdicom", "no_such_package"))
    words = {
        "pull": ["pull", "--into", str(tmp_path), "--from", "2026-01-01"],
        "push": ["push", str(tmp_path), "--dicom-dir", str(tmp_path)],
    }
    done = CliRunner().invoke(app, words[command])
    assert done.exit_code == 1
    assert done.stderr == "m2ib-audit: no_such_package is not installed: run pip install 'm2ib-audit[pacs]'\n"


@pytest.mark.parametrize("command", ["pull", "push"])
def test_no_command_takes_a_secret(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout.lower()
    assert not any(f"--{word}" in shown for word in ("password", "token", "user", "key"))
