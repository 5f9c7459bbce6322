#!/usr/bin/env python3
"""What the program is made of, from the lock: a bill of materials (CycloneDX) and the list of licences.

``supply.py sbom FILE`` writes the bill, ``supply.py licences FILE`` the list. Both read ``constraints.txt`` and what is
installed in those versions, and the libraries that the pages carry; ``make sbom`` does both. A package outside the lock
(the CUDA libraries that torch brings elsewhere) is in neither.
"""

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.contrib.this.builders import this_component
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

__all__ = ["Package", "bill", "carried", "forbidden", "licence_list", "packages"]

ROOT = Path(__file__).parents[1]
_EXTRAS = ("ray", "slurm", "notebook")
_LONGEST_NAME = 60  # characters: some packages put the whole text into the field for the name
_NAMES = {  # as packages call them, in SPDX's words
    "MIT License": "MIT",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD 3-Clause License": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC license": "ISC",
    "ISC License (ISCL)": "ISC",
    "PSFL": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_FORBIDDEN = re.compile(
    r"\b(?:A?GPL|GNU (?:Affero )?General Public|NonCommercial|Non-Commercial|CC-BY-NC)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package of the lock, as it is installed."""

    name: str
    version: str
    licence: str
    needs: tuple[str, ...]  # names of packages of the lock


def spoken_name(name: str) -> str:
    """Give a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """Read the lock: versions by name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {spoken_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def packages(extra: str | None = None) -> tuple[Package, ...]:
    """Give what the program needs at run time, or what an extra adds to it, by name.

    Raises:
        SystemExit: a package of the lock is not installed, or in another version.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = _closure(project["dependencies"])
    wanted = core if extra is None else _closure(project["optional-dependencies"][extra]) - core
    return tuple(_package(name) for name in sorted(wanted))


def carried() -> tuple[Package, ...]:
    """Give the libraries that the pages carry, by name."""
    listed = json.loads((ROOT / "reports/assets/vendor/package.json").read_text(encoding="utf-8"))
    versions, licences = listed["dependencies"], listed["licences"]
    return tuple(
        Package(name=name, version=versions[name], licence=licences[name], needs=()) for name in sorted(versions)
    )


def _closure(requirements: Sequence[str]) -> set[str]:
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name, asked = spoken_name(requirement.name), f"{requirement.name}{sorted(requirement.extras)}"
        if name in pins() and asked not in seen:
            seen.add(asked)
            found.add(name)
            waiting += _needs(name, sorted(requirement.extras))
    return found


def _needs(name: str, extras: Sequence[str] = ()) -> Iterator[Requirement]:
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        sys.exit(f"{name} is in constraints.txt and not installed: run `make setup`")
    for text in installed.requires or ():
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield needed


def _package(name: str) -> Package:
    installed, pinned = distribution(name), pins()[name]
    if installed.version.partition("+")[0] != pinned:
        sys.exit(f"{name} {installed.version} is installed, constraints.txt has {pinned}: run `make setup`")
    needs = sorted({spoken_name(needed.name) for needed in _needs(name)} & pins().keys())
    return Package(name=name, version=pinned, licence=_licence(name), needs=tuple(needs))


def _licence(name: str) -> str:
    """Take the licence's name as the package gives it: the SPDX expression, else the classifier, else a short field."""
    metadata = distribution(name).metadata
    expression, field = metadata.get("License-Expression"), (metadata.get("License") or "").strip()
    if expression:
        return expression
    if field not in {"", "UNKNOWN"} and len(field) <= _LONGEST_NAME and "\n" not in field:
        return _NAMES.get(field, field)
    classifiers = [each for each in metadata.get_all("Classifier") or () if each.startswith("License ::")]
    names = [each.rpartition(" :: ")[2] for each in classifiers]
    return " AND ".join(_NAMES.get(each, each) for each in names) or "not stated"


def forbidden(found: Sequence[Package]) -> list[str]:
    """Name the packages whose licence has no place in the core: GPL, AGPL, none for profit, or not stated."""
    return [
        f"{each.name}: {each.licence}"
        for each in found
        if _FORBIDDEN.search(each.licence) or each.licence == "not stated"
    ]


def bill() -> str:
    """Make the bill of materials of core and pages: CycloneDX 1.6 as JSON, the same bytes from the same lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = packages()
    root = Component(
        name=project["name"],
        version=project["version"],
        type=ComponentType.APPLICATION,
        bom_ref=project["name"],
        licenses=[LicenseFactory().make_from_string(project["license"])],
    )
    made = {each.name: _component(each, PackageURL("pypi", None, each.name, each.version)) for each in found}
    in_pages = [_component(each, _npm(each)) for each in carried()]
    bom = Bom(components=[*made.values(), *in_pages])
    bom.metadata.component = root
    bom.metadata.tools.components.add(this_component())
    direct = {spoken_name(Requirement(text).name) for text in project["dependencies"]}
    bom.register_dependency(root, [*(made[name] for name in sorted(direct)), *in_pages])
    for each in found:
        bom.register_dependency(made[each.name], [made[name] for name in each.needs if name in made])
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    text = re.sub(r'^ "serialNumber": .*\n', "", text, flags=re.MULTILINE)  # random, and optional
    return re.sub(r'^  "timestamp": "[^"]*",?\n', "", text, flags=re.MULTILINE) + "\n"


def _component(package: Package, address: PackageURL) -> Component:
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{package.name}@{package.version}",
        purl=address,
        licenses=[LicenseFactory().make_from_string(package.licence)],
    )


def _npm(package: Package) -> PackageURL:
    scope, _, name = package.name.rpartition("/")
    return PackageURL("npm", scope or None, name, package.version)


def licence_list() -> str:
    """Make the list of licences, the extras behind the core."""
    lines = [
        "# Licences",
        "",
        "What m2ib-audit (Apache-2.0) installs, in the versions of `constraints.txt`, with the licence that each",
        "package states. Made by `make sbom`; a test holds it to the lock, and the core to licences without GPL, AGPL",
        "or a ban on commerce. The extra `extended` (pylibjpeg-libjpeg, GPL) is not listed: nothing brings it along.",
    ]
    parts = {"Core": packages(), "In the pages, from npm": carried()}
    parts |= {f"Extra `{extra}`, beside the core": packages(extra) for extra in _EXTRAS}
    for title, found in parts.items():
        lines += ["", f"## {title}", "", "| package | version | licence |", "|---|---|---|"]
        lines += [f"| {each.name} | {each.version} | {each.licence} |" for each in found]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("sbom", "licences"))
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    given.file.parent.mkdir(parents=True, exist_ok=True)
    given.file.write_text(bill() if given.what == "sbom" else licence_list(), encoding="utf-8")


if __name__ == "__main__":
    main()
