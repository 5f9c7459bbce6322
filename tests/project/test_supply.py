"""What the program is made of: a bill of materials that is valid and whole, and licences that the core may have."""

import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from hashlib import sha256
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "reports" / "assets" / "vendor"


@cache
def supply() -> ModuleType:
    spec = spec_from_file_location("supply", ROOT / ".ci" / "supply.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["supply"] = module
    spec.loader.exec_module(module)
    return module


@cache
def bill() -> dict[str, Any]:
    return json.loads(supply().bill())


def test_the_bill_is_valid_cyclonedx_and_the_same_each_time() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(supply().bill()) is None
    assert supply().bill() == supply().bill()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str('{"bomFormat": "CycloneDX"}') is not None


def test_the_bill_has_every_run_time_dependency_in_the_locks_version() -> None:
    listed = {part["name"]: part["version"] for part in bill()["components"] if part["purl"].startswith("pkg:pypi/")}
    pins = supply().pins()
    assert listed.items() <= pins.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = {supply().spoken_name(re.split(r"[<>=\[ ]", text)[0]) for text in project["dependencies"]}
    assert direct <= listed.keys()
    for name in listed:  # what each needs at run time, asked of the packages anew
        needed = [text for text in distribution(name).requires or () if "extra ==" not in text and ";" not in text]
        names = {supply().spoken_name(re.split(r"[<>=!~\[ (;]", text)[0]) for text in needed}
        assert names & pins.keys() <= listed.keys(), name
    assert not {"pytest", "ray", "cyclonedx-python-lib"} & listed.keys()


def test_the_bill_has_every_library_that_the_pages_carry() -> None:
    listed = {part["purl"] for part in bill()["components"] if part["purl"].startswith("pkg:npm/")}
    carried = json.loads((VENDOR / "package.json").read_text())["dependencies"]
    assert "d3-scale" in carried
    assert listed == {f"pkg:npm/{name.replace('@', '%40')}@{version}" for name, version in carried.items()}
    assert supply().forbidden(supply().carried()) == []


def test_the_libraries_of_the_pages_are_the_bytes_that_their_list_names() -> None:
    readme = (VENDOR / "README.md").read_text()
    named = dict(re.findall(r"^\| `([\w.-]+\.js)` .*\| `([0-9a-f]{64})` \|$", readme, flags=re.MULTILINE))
    assert named == {path.name: sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.js")}
    for name, version in json.loads((VENDOR / "package.json").read_text())["dependencies"].items():
        assert re.search(rf"{re.escape(name)}\S* {re.escape(version)}", readme), name


def test_the_bill_says_what_needs_what() -> None:
    needs = {each["ref"]: each.get("dependsOn", []) for each in bill()["dependencies"]}
    listed = {part["bom-ref"] for part in bill()["components"]}
    assert f"torch@{supply().pins()['torch']}" in needs["m2ib-audit"]
    assert f"numpy@{supply().pins()['numpy']}" in needs[f"scipy@{supply().pins()['scipy']}"]
    assert {ref for each in needs.values() for ref in each} <= listed


def test_the_core_and_its_extras_have_no_licence_that_forbids_commerce_or_binds_what_uses_them() -> None:
    for extra in (None, "ray", "slurm", "notebook"):
        found = supply().packages(extra)
        assert found
        assert supply().forbidden(found) == []


def test_licences_with_no_place_in_the_core_are_found() -> None:
    names = ["GPL-3.0-only", "MIT AND AGPL-3.0-or-later", "GNU General Public License v3 (GPLv3)", "CC-BY-NC-4.0"]
    package = supply().Package
    bad = [package(name=name, version="1", licence=name, needs=()) for name in [*names, "not stated"]]
    good = [package(name=name, version="1", licence=name, needs=()) for name in ("MIT", "LGPL-3.0-only", "MPL-2.0")]
    assert supply().forbidden([*bad, *good]) == [f"{each.name}: {each.name}" for each in bad]


def test_the_committed_list_of_licences_is_that_of_the_lock() -> None:
    assert (ROOT / "docs" / "LICENSES.md").read_text(encoding="utf-8") == supply().licence_list(), "run `make sbom`"


def test_the_command_writes_both(tmp_path: Path) -> None:
    for what in ("sbom", "licences"):
        command = [sys.executable, ROOT / ".ci" / "supply.py", what, tmp_path / "new" / what]
        subprocess.run(command, check=True)
    assert json.loads((tmp_path / "new" / "sbom").read_text())["specVersion"] == "1.6"
    assert "| torch |" in (tmp_path / "new" / "licences").read_text()
