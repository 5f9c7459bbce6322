"""Attribution, scoring and the command line.

The API for notebooks is importable from here by name; ``__init__.pyi`` lists the names and their modules. Names are
loaded lazily: ``import audit`` takes no time, and torch is imported with the first name that needs it. ::

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
    """Load a name from its own module on first access."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'audit' has no attribute {name!r}")
    found = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List loaded names and those that can be loaded."""
    return sorted({*globals(), *__all__})
