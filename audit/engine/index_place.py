"""Where the indexes of scanned folders lie: in the cache folder of the user who scans, never among results."""

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from pipelines.errors import InputError

__all__ = ["CACHE_VARIABLE", "index_of", "refuse_among"]

CACHE_VARIABLE = "M2IB_AUDIT_CACHE"


def index_of(dicom_dir: Path) -> Path | None:
    """Name the index of a folder: the same folder has the same, whatever way it is written.

    The variable M2IB_AUDIT_CACHE names the folder that holds the indexes. Without it they lie in the user's cache
    folder; None where this user has no home, as in some containers.

    Source: XDG Base Directory Specification 0.8 (XDG_CACHE_HOME).
    """
    given = os.environ.get(CACHE_VARIABLE)
    cache = Path(given) if given else _user_cache()
    digest = sha256(os.fsencode(dicom_dir.resolve())).hexdigest()
    return None if cache is None else cache / "scans" / f"{digest[:32]}.sqlite"


def refuse_among(index: Path, folders: Iterable[Path], *, flag: str = "--index") -> None:
    """Refuse an index or a list of keys that would lie among images or results: it holds patient and accession numbers.

    Raises:
        InputError: it lies in one of the folders.
    """
    for folder in folders:
        if index.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"{flag} {index} lies in {folder}, and it holds patient and accession numbers: give a file elsewhere"
            )


def _user_cache() -> Path | None:
    given = os.environ.get("XDG_CACHE_HOME", "")
    if Path(given).is_absolute():  # the specification has a relative path ignored
        return Path(given) / "m2ib-audit"
    try:
        return Path.home() / ".cache" / "m2ib-audit"
    except RuntimeError:  # how pathlib says that there is no home
        return None
