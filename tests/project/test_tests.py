"""The tests stay readable, and hold the program by what it offers to others."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
PROGRAM = ("audit", "pipelines", "reports", "benchmarks")
LONGEST = 400  # lines of a module


def modules() -> Iterator[tuple[str, str]]:
    for path in sorted(TESTS.rglob("*.py")):
        yield str(path.relative_to(TESTS)), path.read_text(encoding="utf-8")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(source: str) -> set[str]:
    """Give the private names of the program that tests import, read from a module of it, or patch."""
    tree = ast.parse(source)
    found: set[str] = set()
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PROGRAM:
            imported |= {alias.asname or alias.name for alias in node.names}
            found |= {alias.name for alias in node.names if is_private(alias.name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            found |= {node.attr} if is_private(node.attr) else set()
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"setattr", "patch"}
        ):
            names = [a.value for a in node.args[:2] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            found |= {name for name in names if any(is_private(part) for part in name.split("."))}
    return found


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {name: source.count("\n") for name, source in modules()}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_test_patches_or_reads_a_private_name_of_the_program() -> None:
    assert {name: found for name, source in modules() if (found := private_names(source))} == {}


def test_private_names_are_found_however_they_are_reached() -> None:
    source = (
        "from audit import run, _hidden\n"
        "run._inner()\n"
        "monkeypatch.setattr(run, '_patched', 1)\n"
        "monkeypatch.setattr('audit.run._by_path', 1)\n"
        "other._own, run.__name__\n"
    )
    assert private_names(source) == {"_hidden", "_inner", "_patched", "audit.run._by_path"}
