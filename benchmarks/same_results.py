"""Whether two versions give the same results: make a fixed set of results with each, then compare.

    python -m benchmarks.same_results make FOLDER        # with one version, and again with the other
    python -m benchmarks.same_results compare BEFORE AFTER

The set: the demo, a run of three methods with controls and faithfulness, a run on a real radiograph, a comparison, an
evaluation and a sanity check on phantoms; about ten minutes on two cores. Tables and records are compared value by
value; what must differ (times, versions, checksums of files) is left out by name.
"""

import argparse
import csv
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

from pydicom.data import get_testdata_file

from benchmarks.commands import audit_command, audit_environment
from pipelines.phantom.cohort import make_cohort

__all__ = ["differences"]

_TOLERANCE = 1e-6  # absolute or relative
_REPORT = (
    "FINDINGS: Small left pleural effusion. The heart is enlarged. No pneumothorax. Opacity in the right lower lobe."
)
_METHODS = ("m2ib", "iba", "chefer")
# Parts of the names of what differs between two runs of one version: times, places, versions, checksums, seals.
_PARTS_LEFT_OUT = (
    "second",
    "time",
    "started",
    "finished",
    "moment",
    "created",
    "stamp",
    "audited",
    "version",
    "sha256",
    "seal",
    "memory",
)
_LEFT_OUT = frozenset(
    {"peak_bytes", "path_key", "command", "run", "folder", "out", "hash", "head", "history", "packages", "host"}
)


def main() -> None:
    """Make a set of results, or compare two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("make").add_argument("folder", type=Path)
    compare = commands.add_parser("compare")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "make":
        make(arguments.folder)
        return
    found = list(differences(arguments.before, arguments.after))
    for line in found[:50]:
        print(line)
    print(f"{len(found)} differences")
    sys.exit(bool(found))


def make(folder: Path) -> None:
    """Run every command of the set, each into a folder of its own.

    Raises:
        subprocess.CalledProcessError: a command failed.
    """
    inputs = folder / "inputs"
    make_cohort(inputs / "twelve", count=12, seed=3)
    make_cohort(inputs / "six", count=6, seed=4)
    captions = _write_captions(inputs)
    real = inputs / "real"
    for name in ("dicom", "reports"):
        (real / name).mkdir(parents=True)
    copyfile(str(get_testdata_file("RG1_UNCR.dcm")), real / "dicom" / "RG1.dcm")
    (real / "reports" / "RG1.txt").write_text(_REPORT, encoding="utf-8")
    methods = [word for name in _METHODS for word in ("--method", name)]
    phantom = ("--model", "phantom", "--device", "cpu")
    six = ("--dicom-dir", str(inputs / "six" / "dicom"), "--reports", str(inputs / "six" / "reports"))
    boxes = ("--boxes", str(inputs / "six" / "boxes.csv"))
    cli = [sys.executable, "-m", "audit.cli"]
    for command in (
        [*cli, "demo", "--out", str(folder / "demo")],
        audit_command(
            inputs / "twelve", folder / "run", *phantom, *methods, "--faithfulness", "6", "--set", "inputs.index=none"
        ),
        [
            *(*cli, "run", "--dicom-dir", str(real / "dicom"), "--reports", str(real / "reports")),
            *("--out", str(folder / "real"), *phantom, "--set", "inputs.index=none"),
        ],
        [
            *cli,
            "compare",
            "--out",
            str(folder / "compare"),
            *six,
            *boxes,
            *phantom,
            "--methods",
            "m2ib,nib,rise",
            "--set",
            "inputs.index=none",
        ],
        [
            *(*cli, "evaluate", "--data-path", str(captions), "--output-path", str(folder / "evaluate.csv")),
            *("--pairs", "6", "--method", "m2ib", "--method", "iba", "--text-mask", "median", *phantom),
        ],
    ):
        print("$", " ".join(command[2:5]), flush=True)
        subprocess.run(command, env=audit_environment(), check=True)
    sanity = [*cli, "sanity", *six, *boxes, *phantom, "--phrases", "3", "--set", "inputs.index=none"]
    with (folder / "sanity.txt").open("w", encoding="utf-8") as file:  # it writes no file of its own
        subprocess.run(sanity, env=audit_environment(), check=True, stdout=file)


def _write_captions(inputs: Path) -> Path:
    """Write a table of a caption and an image a row, as ``evaluate`` takes it."""
    path = inputs / "captions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("caption", "path"))
        for film in sorted((inputs / "six" / "dicom").rglob("*.dcm"))[:6]:
            writer.writerow(("There is a small left pleural effusion.", str(film.resolve())))
    return path


def differences(before: Path, after: Path) -> Iterator[str]:
    """Give what differs between two sets of results, a line each: files, rows, columns, values."""
    names = [{path.relative_to(root) for path in _results(root)} for root in (before, after)]
    for only, root in ((names[0] - names[1], before), (names[1] - names[0], after)):
        yield from (f"{name}: only in {root}" for name in sorted(only))
    for name in sorted(names[0] & names[1]):
        old, new = (_content(root / name) for root in (before, after))
        yield from (f"{name}: {line}" for line in _unlike(old, new, ""))


def _results(root: Path) -> Iterator[Path]:
    for pattern in ("*.csv", "run.json", "record.json", "comparison.json", "sanity.txt"):
        yield from (path for path in root.rglob(pattern) if "inputs" not in path.relative_to(root).parts)


def _content(path: Path) -> object:
    if path.suffix == ".csv":
        return _table(path)
    text = path.read_text(encoding="utf-8")
    return text.splitlines() if path.suffix == ".txt" else json.loads(text)


def _table(path: Path) -> list[dict[str, object]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _unlike(old: object, new: object, place: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}, key=str):
            if _is_compared(str(key)):
                yield from _unlike(old.get(key, "absent"), new.get(key, "absent"), f"{place}.{key}")
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{place}: {len(old)} against {len(new)} entries"
        for index, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from _unlike(one, other, f"{place}[{index}]")
    elif not _is_same(old, new):
        yield f"{place}: {old!r} against {new!r}"


def _is_compared(name: str) -> bool:
    return name not in _LEFT_OUT and not any(part in name.lower() for part in _PARTS_LEFT_OUT)


def _is_same(old: object, new: object) -> bool:
    numbers = (int, float)
    if isinstance(old, numbers) and isinstance(new, numbers) and not isinstance(old, bool):
        both_undefined = math.isnan(old) and math.isnan(new)
        return both_undefined or math.isclose(old, new, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return old == new


if __name__ == "__main__":
    main()
