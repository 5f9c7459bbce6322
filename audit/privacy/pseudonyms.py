"""Pseudonyms: salted keys that replace patients, studies, images and files in all output."""

import contextlib
import hmac
import logging
import os
import secrets
import stat
from datetime import date, timedelta
from pathlib import Path

import typer

from audit.logbook.chain import AUDIT_LOG, refuse_other_salt
from pipelines.errors import OutputError
from pipelines.text.table import plain_stem
from reports.writing import sync_folder

__all__ = ["SALT_VARIABLE", "Pseudonyms", "load_salt", "path_key", "salt_file", "salt_of_verification"]

SALT_VARIABLE = "M2IB_AUDIT_SALT"
_log = logging.getLogger(__name__)

_LEAST_CHARACTERS = 16
_MOST_BYTES = 4096
_KEY_CHARACTERS = 16
_FOLDERS_KEPT = 4
_LEAST_SHIFT, _SHIFTS = 36_525, 36_525  # days: a century, and the number of different shifts


class Pseudonyms:
    """Turns identifiers into keys that cannot be turned back without the salt."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    @property
    def salt(self) -> bytes:
        """The secret from which keys and the seals of records are derived."""
        return self._salt

    def key(self, kind: str, identifier: str) -> str:
        """Return the key of an identifier; ``kind`` ("study", "patient", ...) separates equal identifiers."""
        # A file name that is not UTF-8 contains surrogates, which plain UTF-8 refuses.
        digest = hmac.new(self._salt, f"{kind}\x1f{identifier}".encode(errors="surrogatepass"), "sha256")
        return digest.hexdigest()[:_KEY_CHARACTERS]

    def shifted(self, day: date, *, patient: str) -> date:
        """Return a date shifted into the future by 100 to 200 years: as many days for every date of a patient.

        The intervals between dates of a patient are kept. The order of dates of different patients is not, and nobody
        can take the result for a real date. Without the salt the number of days cannot be found.

        Args:
            day: the date.
            patient: key of the patient.

        Source: PS3.15 annex E.3.6 (Retain Longitudinal Temporal Information With Modified Dates).
        """
        digest = hmac.new(self._salt, f"days\x1f{patient}".encode(), "sha256").digest()
        return day + timedelta(days=_LEAST_SHIFT + int.from_bytes(digest[:8]) % _SHIFTS)

    def file_key(self, name: str) -> str:
        """Return the pseudonym of a file name, which may name a patient."""
        return f"file-{self.key('file', name)}"


def path_key(path: str, keys: Pseudonyms) -> str:
    """Return a path without suffix in which each part is replaced by a key.

    A box file that is read later names images by the last parts of their paths or by the stem; equal parts have equal
    keys.
    """
    *folders, name = [part for part in path.replace("\\", "/").split("/") if part not in {"", "."}] or [""]
    kept = [keys.key("folder", folder) for folder in folders[-_FOLDERS_KEPT:]]
    return "/".join([*kept, keys.key("file stem", plain_stem(name).casefold())])


def salt_file() -> Path:
    """Return the path of the file with this user's salt."""
    return Path(typer.get_app_dir("m2ib-audit")) / "salt"


def salt_of_verification() -> bytes:
    """Read the salt to verify a log; none is created, because a new one would match no log.

    Raises:
        OutputError: there is none, or it cannot be used (see :func:`load_salt`).
    """
    if SALT_VARIABLE not in os.environ and not salt_file().exists():
        raise OutputError(
            f"there is no salt at {salt_file()}: put your copy of it back, set {SALT_VARIABLE} to the one that was "
            "used, or give --without-salt to check the chain alone"
        )
    return load_salt()


def load_salt(*, outside: Path | None = None) -> bytes:
    """Read this user's salt, or create one at first use; it is stored outside every OUT.

    The variable M2IB_AUDIT_SALT wins over the file, so that several machines can derive the same keys.

    Args:
        outside: an OUT that must not contain the salt's file, because readers of the folder could then reverse keys.

    Raises:
        OutputError: the variable or the file is too short, the file can neither be read nor created, other users can
            read it, or it is in ``outside``; or ``outside`` was made with another salt.
    """
    salt = _given_or_kept(outside)
    if outside is not None:
        refuse_other_salt(outside, salt)
    return salt


def _given_or_kept(outside: Path | None) -> bytes:
    given = os.environ.get(SALT_VARIABLE)
    if given is not None:
        if len(given) < _LEAST_CHARACTERS:
            raise OutputError(
                f"{SALT_VARIABLE} has {len(given)} characters: give at least {_LEAST_CHARACTERS} random ones"
            )
        return given.encode()
    path = salt_file()
    if outside is not None and path.resolve().is_relative_to(outside.resolve()):
        raise OutputError(
            f"--out {outside} contains the salt ({path.name}) of its keys, so that anyone with the folder could "
            f"reverse the keys: name another folder, or set {SALT_VARIABLE}"
        )
    if outside is not None and not path.exists() and (outside / AUDIT_LOG).exists():
        raise OutputError(
            f"{outside} was made with a salt, and there is none at {path}: put your copy of it back, or set "
            f"{SALT_VARIABLE} to the one that was used; a new salt would give other keys"
        )
    try:
        return _read_or_make(path)
    except OSError as error:
        raise OutputError(
            f"{path}: the salt for study keys can neither be read nor made ({error.strerror}); "
            f"set {SALT_VARIABLE} to at least {_LEAST_CHARACTERS} random characters"
        ) from error


def _read_or_make(path: Path) -> bytes:
    """Read the salt's file. If there is none, write a temporary file and link it into place atomically.

    If two processes start at the same time, both try to link their file; the second one reads that of the first.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_hex(32).encode())
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(temporary)
                _log.warning("a new salt for keys was created in your configuration folder: store a copy elsewhere")
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    return _checked(path)


def _checked(path: Path) -> bytes:
    """Read the salt's file; refuse it if others can read it or if it is too short."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        salt = file.read(_MOST_BYTES + 1)
    if mode & 0o077:
        raise OutputError(
            f"{path}: other users of this machine may read or change the salt (mode {mode:04o}) and could reverse "
            f"keys: chmod 600 it, or delete it to start with new keys"
        )
    if not _LEAST_CHARACTERS <= len(salt) <= _MOST_BYTES:
        raise OutputError(
            f"{path} holds {len(salt)} bytes, and a salt has {_LEAST_CHARACTERS} to {_MOST_BYTES}: put your copy of it "
            "back to keep the keys of earlier runs, or delete it to start with new keys"
        )
    return salt
