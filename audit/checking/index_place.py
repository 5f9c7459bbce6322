"""Where the indexes of scanned folders lie: in the cache folder of the user who scans."""

import os
from hashlib import sha256
from pathlib import Path

__all__ = ["index_of"]


def index_of(dicom_dir: Path) -> Path:
    """Name the index of a folder: the same folder has the same, whatever way it is written.

    Source: XDG Base Directory Specification 0.8 (XDG_CACHE_HOME).
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has a relative path ignored.
    cache = Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
    digest = sha256(os.fsencode(dicom_dir.resolve())).hexdigest()
    return cache / "m2ib-audit" / "scans" / f"{digest[:32]}.sqlite"
