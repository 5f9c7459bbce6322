"""The source stays readable: one name for one thing, few modules of one name, imports that go one way."""

import ast
from collections import Counter, defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("audit", "pipelines", "reports")


@cache
def sources() -> dict[str, ast.Module]:
    """Give each module of the program by its dotted name."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return {_dotted(path): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(module: ast.Module) -> set[str]:
    """Give the modules of the program that a module imports at its top, where a circle would stop it."""
    found = set()
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & sources().keys()) or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & sources().keys()


def test_no_two_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for name, module in sources().items():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(name)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def test_no_more_than_two_modules_have_one_name() -> None:
    paths = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    names = Counter(path.stem for path in paths if path.stem != "__init__")
    assert {name: count for name, count in names.items() if count > 2} == {}


def test_no_imports_go_in_a_circle() -> None:
    graph = {name: imports(module) - {name} for name, module in sources().items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(f"imports go in a circle: {' -> '.join(error.args[1])}") from error


def test_the_stages_of_a_study_are_files_of_their_names() -> None:
    for stage in ("load", "explain", "score", "write"):
        docstring = ast.get_docstring(sources()[f"audit.pipeline.{stage}"]) or ""
        assert docstring.startswith(f"{stage.capitalize()}: ")
