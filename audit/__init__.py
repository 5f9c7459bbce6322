"""Attribution, scoring and the command line.

What a notebook needs can be imported from here by name; ``__init__.pyi`` lists the names and their modules. Nothing is
loaded before it is asked for: ``import audit`` takes no time, and torch comes with the first name that needs it. ::

    from audit import M2IB, load_encoder, read_image

    encoder = load_encoder("phantom")
    seen = M2IB().explain(encoder, read_image("film.dcm"), "left pleural effusion")
    seen.figure()
"""

import ast
from importlib import import_module
from pathlib import Path


def _modules() -> dict[str, str]:
    """Read the module of each name from the stub that type checkers read."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    return {
        alias.name: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }


_MODULE_OF = _modules()

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    """Load a name from its own module when it is first asked for."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'audit' has no attribute {name!r}")
    found = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The names that are here and those that can be loaded."""
    return sorted({*globals(), *__all__})
