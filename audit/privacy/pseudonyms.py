"""Salted keys stand for patients, studies, images and files wherever something is written down."""

import contextlib
import hmac
import logging
import os
import secrets
import stat
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


class Pseudonyms:
    """Turns identifiers into keys that cannot be turned back without the salt."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    @property
    def salt(self) -> bytes:
        """What the keys are made with: seals of records follow from it too."""
        return self._salt

    def key(self, kind: str, identifier: str) -> str:
        """Give the key of an identifier; ``kind`` ("study", "patient", ...) keeps equal identifiers apart."""
        # A file name that is no UTF-8 comes with surrogates, which plain UTF-8 refuses.
        digest = hmac.new(self._salt, f"{kind}\x1f{identifier}".encode(errors="surrogatepass"), "sha256")
        return digest.hexdigest()[:_KEY_CHARACTERS]

    def file_key(self, name: str) -> str:
        """Give what stands for a file's name, which may be a patient's."""
        return f"file-{self.key('file', name)}"


def path_key(path: str, keys: Pseudonyms) -> str:
    """Give a path with a key in each part's place, the suffix left away: as far as a box file may name it.

    A box file that is read later names images by their path's last parts or by the stem alone; the same parts give the
    same keys.
    """
    *folders, name = [part for part in path.replace("\\", "/").split("/") if part not in {"", "."}] or [""]
    kept = [keys.key("folder", folder) for folder in folders[-_FOLDERS_KEPT:]]
    return "/".join([*kept, keys.key("file stem", plain_stem(name).casefold())])


def salt_file() -> Path:
    """Name the file that holds this user's salt."""
    return Path(typer.get_app_dir("m2ib-audit")) / "salt"


def salt_of_verification() -> bytes:
    """Read the salt that a log is compared by; none is made, since a new one fits no log.

    Raises:
        OutputError: there is none, or it is not fit for use (see :func:`load_salt`).
    """
    if SALT_VARIABLE not in os.environ and not salt_file().exists():
        raise OutputError(
            f"there is no salt at {salt_file()}: put your copy of it back, set {SALT_VARIABLE} to the one that was "
            "used, or give --without-salt to check the chain alone"
        )
    return load_salt()


def load_salt(*, outside: Path | None = None) -> bytes:
    """Read this user's salt, or make one at first use; it lies outside every OUT.

    The variable M2IB_AUDIT_SALT wins over the file, so that several machines can give the same keys.

    Args:
        outside: an OUT that the salt's file must not lie in: who gets the folder could turn keys back.

    Raises:
        OutputError: the variable or the file is too short, the file can neither be read nor made, other users may
            read it, or it lies in ``outside``; or ``outside`` was made with another salt.
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
            f"--out {outside} holds the salt ({path.name}) that its keys are made with, and who gets the folder could "
            f"turn keys back: name another folder, or set {SALT_VARIABLE}"
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
    """Read the salt's file. Where there is none, write one beside it and link it into place, whole or not at all.

    Two processes that start at once both try to link theirs; the second one reads the first one's.
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
                _log.warning("a new salt for keys was made in your configuration folder: keep a copy of it elsewhere")
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    return _checked(path)


def _checked(path: Path) -> bytes:
    """Read the salt's file and refuse one that others can read or that is too short to keep a key secret."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        salt = file.read(_MOST_BYTES + 1)
    if mode & 0o077:
        raise OutputError(
            f"{path}: other users of this machine may read or change the salt (mode {mode:04o}), and could turn keys "
            f"back: chmod 600 it, or delete it to start with new keys"
        )
    if not _LEAST_CHARACTERS <= len(salt) <= _MOST_BYTES:
        raise OutputError(
            f"{path} holds {len(salt)} bytes, and a salt has {_LEAST_CHARACTERS} to {_MOST_BYTES}: put your copy of it "
            "back to keep the keys of earlier runs, or delete it to start with new keys"
        )
    return salt
