"""Whether the packages are there that talk to a PACS."""

from importlib.util import find_spec

from pipelines.errors import PacsError

__all__ = ["need_extra"]

_PACKAGES = ("highdicom", "pynetdicom", "dicomweb_client")


def need_extra() -> None:
    """Make sure that the extra ``pacs`` is installed.

    Raises:
        PacsError: a package of it is missing.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise PacsError(f"{', '.join(missing)} is not installed: run pip install 'm2ib-audit[pacs]'")
