"""The run-time type checker of the tests: what our functions and dataclasses are given and give, and shapes of arrays.

beartype checks the types; for it an int is a float, as PEP 484 has it. jaxtyping's wrapper around it, which holds the
sizes of axes against each other, takes many times as long to make and to call. Its own import hook puts it around every
function; this one puts it around those alone whose hints need it.
"""

import ast
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from importlib.util import decode_source
from inspect import isgeneratorfunction
from types import CodeType, ModuleType
from typing import ForwardRef, Literal, get_args, get_origin

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, jaxtyped

__all__ = ["checked", "install"]

_typed = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function_or_class):
    """Check calls of a function, or what a dataclass is made of; another class is left alone."""
    if isinstance(function_or_class, type):
        if is_dataclass(function_or_class) and "__init__" in vars(function_or_class):
            function_or_class.__init__ = checked(function_or_class.__init__)
        return function_or_class
    function = function_or_class
    parts = [part for hint in function.__annotations__.values() for part in _parts(hint)]
    shapes = any(isinstance(part, type) and issubclass(part, AbstractArray) for part in parts)
    if any(isinstance(part, str | ForwardRef) for part in parts) or (shapes and isgeneratorfunction(function)):
        return jaxtyped(function, typechecker=_typed)  # it looks names in quotes up itself, and leaves those it misses
    return jaxtyped(_typed(function), typechecker=None) if shapes else _typed(function)


def _parts(hint: object) -> Iterator[object]:
    """Give a hint and what it consists of: of ``dict[str, int]`` also ``str`` and ``int``."""
    yield hint
    if get_origin(hint) is not Literal:
        for part in hint if isinstance(hint, list) else get_args(hint):
            yield from _parts(part)


class _Decorating(ast.NodeVisitor):
    """Puts ``checked`` beneath a function's decorators, and above those of a class, which make a dataclass of it.

    Asynchronous functions are left alone, as jaxtyping's own hook leaves them: its wrapper is none.
    """

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        node.decorator_list.append(self._decorator(node))
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        node.decorator_list.insert(0, self._decorator(node))
        self.generic_visit(node)

    @staticmethod
    def _decorator(node: ast.stmt) -> ast.expr:
        return ast.copy_location(ast.Name("@checked", ast.Load()), node)


class _Loader(importlib.machinery.SourceFileLoader):
    def source_to_code(self, data, path, *, _optimize: int = -1) -> CodeType:
        tree = ast.parse(decode_source(data), path)
        _Decorating().visit(tree)
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True, optimize=_optimize)

    def get_code(self, fullname: str) -> CodeType:
        """Compile the source: what is kept of it in __pycache__ checks nothing."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["@checked"] = checked  # a name that no module has
        super().exec_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages

    def find_spec(self, fullname: str, path=None, target=None) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in self._packages:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install(packages: Sequence[str]) -> None:
    """Check whatever is imported of these packages from now on."""
    sys.meta_path.insert(0, _Finder(packages))
