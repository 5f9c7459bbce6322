"""What installs the program: the pins, make, the wheel, the container's recipe and the scripts of .ci."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("audit/", "pipelines/", "reports/")
DEBIAN = ("chromium", "dicom3tools", "fonts-dejavu-core", "openssl", "orthanc", "orthanc-dicomweb")
DOCUMENTS = ("README.md", "CONTRIBUTING.md")


def spoken_name(requirement: str) -> str:
    """Give a requirement's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=\[ ]", requirement)[0]).lower()


def pins() -> dict[str, str]:
    return {spoken_name(line): line.split("==")[1] for line in (ROOT / "constraints.txt").read_text().splitlines()}


def test_the_constraints_are_nothing_but_exact_versions_in_order() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[0-9][0-9a-z.]*", line)] == []
    names = [spoken_name(line) for line in lines]
    assert names == sorted(set(names))


def test_the_constraints_pin_torch_for_every_device_and_none_of_its_heavy_neighbours() -> None:
    assert pins()["torch"] == "2.13.0"  # no +cpu: elsewhere the same pin gives the CUDA build
    assert not pins().keys() & {"torchvision", "open-clip-torch", "timm"}


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {spoken_name(line) for line in wanted} <= pins().keys()


def locked(name: str) -> dict[str, str]:
    """Give each package of a lock with its version; one without a checksum is an error."""
    text = (ROOT / "locks" / f"{name}.lock").read_text()
    found = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        pinned, *checksums = entry.split("\n")
        assert checksums, pinned
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line) for line in checksums), pinned
        package, version = re.match(r"(\S+)==(\S+)", pinned).groups()  # type: ignore[union-attr]
        found[spoken_name(package)] = version
    return found


@pytest.mark.parametrize("name", ["development", "container", "cluster"])
def test_a_lock_has_the_pinned_versions_with_their_checksums(name: str) -> None:
    versions = locked(name)
    assert {package: version for package, version in versions.items() if pins().get(package, version) != version} == {}
    assert not versions.keys() & {"torch", "triton"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {"development": ["dev"], "container": ["pacs"], "cluster": ["pacs", "ray", "slurm"]}[name]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    assert {spoken_name(line) for line in wanted} - {"torch"} <= versions.keys()


def test_the_lock_of_development_holds_all_that_is_pinned_but_torch_and_what_the_licence_leaves_to_the_user() -> None:
    assert pins().keys() - locked("development").keys() == {"torch", "pylibjpeg-libjpeg"}


def test_pip_refuses_a_file_with_another_checksum(tmp_path: Path) -> None:
    wheel = tmp_path / "made_up-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("made_up-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
        archive.writestr("made_up-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("made_up-1.0.dist-info/RECORD", "")
    (tmp_path / "wrong.lock").write_text(f"made-up==1.0 \\\n    --hash=sha256:{64 * '0'}\n")
    flags = re.search(r"install (--require-hashes --no-deps) --requirement", (ROOT / "Makefile").read_text())
    assert flags is not None
    pip = [sys.executable, "-m", "pip", "install", "--no-index", f"--find-links={tmp_path}", f"--target={tmp_path}/t"]
    refused = subprocess.run(
        [*pip, *flags[1].split(), "--requirement", tmp_path / "wrong.lock"], capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr or "No matching distribution" in refused.stderr


def test_imports_point_one_way() -> None:
    checker = Path(sys.executable).parent / "lint-imports"
    checked = subprocess.run([checker, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert targets
    for target in targets:
        made = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr


def test_make_help_names_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^make ([a-z-]+)", shown, re.MULTILINE) == phony[1].split()


def test_setup_refuses_an_old_python_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "locks/development.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    old = tmp_path / "old-python"
    old.write_text(
        f'#!{sys.executable}\nimport sys\nsys.version_info, sys.version = (3, 9, 2), "3.9.2 (old)"\nexec(sys.argv[2])\n'
    )
    old.chmod(0o755)
    made = subprocess.run(["make", "setup", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode != 0
    assert "needs Python 3.11 or newer, this is 3.9.2" in made.stderr
    assert "make setup PYTHON=" in made.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder for PATH whose apt-get, sudo and dpkg-query write down what they are asked and install nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    commands = {
        "dpkg-query": 'for last; do :; done\ncase " $INSTALLED " in *" $last "*) printf installed ;; *) exit 1 ;; esac',
        "apt-get": f'echo "$DEBIAN_FRONTEND $*" >> {tmp_path}/asked',
        "sudo": 'exec "$@"',
        "systemctl": "exit 0",
    }
    for name, body in commands.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [
        pytest.param(" ".join(DEBIAN), None, id="nothing is missing"),
        pytest.param(" ".join(DEBIAN[1:]), DEBIAN[0], id="the browser is missing"),
        pytest.param(" ".join(DEBIAN[:-2]), "orthanc orthanc-dicomweb", id="the archive is missing"),
        pytest.param("", " ".join(DEBIAN), id="all are missing"),
    ],
)
def test_only_missing_debian_packages_are_installed(machine: Path, installed: str, wanted: str | None) -> None:
    environment = {"PATH": f"{machine / 'bin'}:{os.environ['PATH']}", "INSTALLED": installed}
    subprocess.run([ROOT / ".ci" / "debian-packages"], env=environment, check=True)
    asked = (machine / "asked").read_text().splitlines() if (machine / "asked").exists() else []
    if wanted is None:
        assert asked == []
    else:
        update, install = asked
        assert update.startswith("noninteractive update")
        assert install.startswith("noninteractive install")
        assert install.endswith(f"--no-install-recommends {wanted}")


def instructions() -> list[tuple[str, str]]:
    """Give the Dockerfile's instructions with their words, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in text.splitlines())]


def test_the_container_copies_only_what_is_tracked_and_not_ignored(tracked_files: frozenset[str]) -> None:
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    for word, rest in instructions():
        if word != "COPY" or rest.startswith("--from="):
            continue
        for source in rest.split()[:-1]:
            assert source in let_in
            assert any(name == source or name.startswith(f"{source}/") for name in tracked_files), source


def test_the_container_runs_the_command_as_nobody_special_on_the_cpu_by_default() -> None:
    words = instructions()
    last = len(words) - 1 - [word for word, _ in reversed(words)].index("FROM")
    final = dict(words[last:])
    assert int(final["USER"]) > 0
    assert final["ENTRYPOINT"] == '["m2ib-audit"]'
    assert next(rest for _, rest in words if rest.startswith("TORCH_INDEX=")).endswith("/whl/cpu")
    assert {rest.split()[0] for word, rest in words if word == "FROM"} == {"${PYTHON_IMAGE}"}
    (base,) = [rest for word, rest in words if word == "ARG" and rest.startswith("PYTHON_IMAGE=")]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+-slim-\w+", base)


def test_the_container_compares_checksums_and_asks_one_index_at_a_time() -> None:
    lock, torch, own = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert "--require-hashes --no-deps --requirement" in lock
    assert "--constraint constraints.txt --index-url" in torch
    assert "--no-deps --no-index --no-build-isolation ." in own
    assert "--extra-index-url" not in (ROOT / "Dockerfile").read_text()


@pytest.mark.slow
def test_the_wheel_holds_every_tracked_file_and_audits_from_any_folder(
    tracked_files: frozenset[str], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    files = {name for name in tracked_files if name.startswith(PACKAGES)}
    for name in (*files, "pyproject.toml", "README.md", "LICENSE"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert files - set(archive.namelist()) == set()
        archive.extractall(tmp_path / "installed")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed"), "M2IB_AUDIT_SALT": "a salt for tests only"}
    code = "import audit.cli, sys; assert 'installed' in audit.cli.__file__; audit.cli.main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "demo", "--phantoms", "2", "--out", "demo"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / done.stdout.splitlines()[-1]).is_file()
