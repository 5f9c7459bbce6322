"""Nothing in the program is there for its tests alone."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ("audit", "pipelines", "reports")
USERS = (*PROGRAM, "benchmarks", "docs", "examples")
CALLED_BY_LIBRARIES = {
    "IPython": ("_repr_png_",),
    "logging": ("emit",),
    "click": ("make_context",),
    "urllib3 and requests": ("readinto", "init_poolmanager", "build_response"),
    "pynetdicom": ("recv", "do_action", "get_request", "_create_association", "_create_socket", "_shutdown_socket"),
    "asyncio": ("connection_made", "data_received", "connection_lost", "pause_writing"),
}
# Decorators that leave it to the program to call what they decorate; all others hand it to typer, FastAPI or pydantic.
CALLED_BY_NAME = {
    "abstractmethod",
    "cache",
    "cached_property",
    "classmethod",
    "contextmanager",
    "property",
    "staticmethod",
    "no_grad",
    "override",
    "runtime_checkable",
}

Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


def uses(tree: ast.AST) -> Iterator[str]:
    """Give each name that code reads, imports, or has in a text ("name" or "module:name") outside ``__all__``."""
    listed = {
        id(text)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
        for text in ast.walk(node.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name.rpartition(".")[2]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in listed:
            yield node.value.rpartition(":")[2]


def definitions(module: ast.Module) -> Iterator[tuple[str, Definition]]:
    """Give the functions, methods, classes and module constants of a module by their names."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
    for node in module.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield from ((name.id, node) for name in ast.walk(target) if isinstance(name, ast.Name))


def is_registered(node: Definition) -> bool:
    """Whether a decorator hands a function to a library, which then calls it."""
    decorators = getattr(node, "decorator_list", [])
    names = [(d.func if isinstance(d, ast.Call) else d) for d in decorators]
    return any((n.attr if isinstance(n, ast.Attribute) else n.id) not in CALLED_BY_NAME for n in names) and isinstance(
        node, ast.FunctionDef
    )


def unused(program: dict[str, ast.Module], users: Iterable[ast.Module], words: set[str]) -> list[str]:
    """List what is defined in the program and used nowhere but in its own definition."""
    used = Counter(name for module in users for name in uses(module))
    return [
        f"{home}: {name}"
        for home, module in program.items()
        for name, node in definitions(module)
        if not (re.fullmatch(r"__\w+__|_", name) or name in words or is_registered(node))
        and used[name] <= Counter(uses(node))[name]
    ]


def parsed(folders: tuple[str, ...], *endings: str) -> dict[str, ast.Module]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.suffix in endings]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def test_everything_is_used_by_the_program_its_documents_or_its_benchmarks() -> None:
    templates = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "reports").rglob("*.html*"))
    documents = " ".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    )
    code = re.findall(r"\{[{%].*?[%}]\}", templates, re.DOTALL)
    code += re.findall(r"```python\n.*?```", documents, re.DOTALL)
    words = set(re.findall(r"\w+", " ".join(code)))
    words |= {name for names in CALLED_BY_LIBRARIES.values() for name in names}
    assert unused(parsed(PROGRAM, ".py"), parsed(USERS, ".py", ".pyi").values(), words) == []


def test_what_only_calls_itself_or_is_only_listed_is_found() -> None:
    module = ast.parse(
        "__all__ = ['LISTED', 'again']\n"
        "LISTED = 1\n"
        "SIZE = 2\n"
        "def again():\n    return again()\n"
        "class Held:\n    @property\n    def size(self):\n        return SIZE\n    def wide(self): ...\n"
        "@app.command()\ndef command(): return Held().size\n"
    )
    assert unused({"m": module}, [module], set()) == ["m: again", "m: wide", "m: LISTED"]
