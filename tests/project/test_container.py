"""What the container promises, as far as it can be seen without one: read-only, nobody special, no network."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from audit.cli import app
from pipelines.phantom.cohort import make_cohort
from reports.results_folder import read_run

ROOT = Path(__file__).parents[2]
CONFINED = Path(__file__).parent / "confined.sh"


def image_environment() -> dict[str, str]:
    """What the Dockerfile sets, but for the path to its own interpreter."""
    block = re.search(r"^ENV ((?:.*\\\n)*.*)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert block is not None
    given = dict(word.split("=", 1) for word in block[1].replace("\\\n", " ").split())
    assert given.pop("PATH").startswith("/opt/venv/bin:")
    return given


def confined(inputs: Path, out: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command without network and root, on file systems that are read-only but for OUT and a scratch folder."""
    shutil.chown(out, 10001, 10001)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT), "TMPDIR": "/srv"}
    environment |= {"OMP_NUM_THREADS": "1", "M2IB_AUDIT_SALT": "a salt for tests only", **image_environment()}
    return subprocess.run(
        [CONFINED, inputs, out, *command], env=environment, cwd="/", capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_confinement_confines(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    code = """
import os, socket, tempfile
print(os.getuid(), tempfile.gettempdir())
for place in ("/media", "/mnt", "/srv", "/tmp", "/etc", os.getcwd()):
    try:
        open(os.path.join(place, "probe"), "w").close()
        print(place, "written")
    except OSError:
        print(place, "refused")
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2)
except OSError as error:
    print(error.strerror)
"""
    told = confined(tmp_path / "in", tmp_path / "out", sys.executable, "-c", code)
    assert told.returncode == 0, told.stderr
    first, *places, network = told.stdout.splitlines()
    assert first == "10001 /srv"
    assert [each for each in places if each.endswith("written")] == ["/mnt written", "/srv written"]
    assert network == "Network is unreachable"


@pytest.mark.slow
def test_a_run_needs_no_network_no_home_no_root_and_writes_nowhere_but_out(tmp_path: Path) -> None:
    make_cohort(tmp_path / "in", count=4, seed=3, columns=160)  # the fourth is compressed: decoded in a child process
    (tmp_path / "out").mkdir()
    model = shutil.copytree(ROOT / "audit" / "encoders" / "phantom", tmp_path / "in" / "model")
    assert model.is_dir()
    inputs = ["--dicom-dir", "/media/dicom", "--reports", "/media/reports", "--boxes", "/media/boxes.csv"]
    flags = [
        *inputs,
        "--model",
        "/media/model",
        "--device",
        "cpu",
        "--set",
        "all.steps=2",
        "--set",
        "all.samples=2",
        "--controls",
        "2",
    ]
    told = confined(
        tmp_path / "in",
        tmp_path / "out",
        sys.executable,
        "-m",
        "audit.cli",
        "run",
        *flags,
        "--set",
        "inputs.index=none",
        "--out",
        "/mnt/a",
    )
    assert told.returncode == 0, told.stderr
    record = read_run(tmp_path / "out" / "a")
    assert (record.counts["audited"], record.counts["failed"]) == (4, 0)


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def test_every_service_of_the_audit_is_as_closed_as_its_work_allows() -> None:
    services = compose()["services"]
    audit = {name: service for name, service in services.items() if name != "orthanc"}
    assert audit.keys() == {"run", "pull", "push"}
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name  # and the runtime's own seccomp profile
        assert "privileged" not in service, name
    for name, service in audit.items():
        assert service["read_only"] is True, name
        assert service["tmpfs"] == ["/tmp:mode=1777"], name  # noqa: S108 - in the container
    assert services["run"]["network_mode"] == "none"
    assert services["pull"]["networks"] == services["push"]["networks"] == ["pacs"]
    assert compose()["networks"]["pacs"] == {"internal": True}  # no way out of this machine


@pytest.mark.parametrize("name", ["run", "pull", "push"])
def test_a_service_gives_only_flags_that_its_command_has(name: str) -> None:
    service = compose()["services"][name]
    words = [word for word in (*service.get("entrypoint", ()), *service.get("command", ())) if word != "m2ib-audit"]
    options = get_command(app).commands[words[0]].params
    known = {flag for option in options for flag in (*option.opts, *option.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_images_are_pinned_and_no_password_stands_in_the_compose_file() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    images = {service["image"] for service in compose()["services"].values()}
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", image) for image in images), images
    for service in compose()["services"].values():
        for name, value in (service.get("environment") or {}).items():
            is_secret = re.search("USERS|PASSWORD|SALT|TOKEN", name) is not None
            assert is_secret == (re.search(r"\$\{\w+:\?[^}]+\}", value) is not None), name
    assert "latest" not in text


def test_ports_are_open_to_this_machine_alone() -> None:
    ports = [port for service in compose()["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_image_says_how_it_is_run_closed() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for flag in ("--network none", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges", "--tmpfs /tmp"):
        assert flag in text
