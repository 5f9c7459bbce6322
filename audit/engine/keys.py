"""Salted keys stand for patients, studies, images and files wherever something is written down."""

import hmac
import os
import secrets
from pathlib import Path

import typer

from pipelines.errors import OutputError
from pipelines.text.table import plain_stem

__all__ = ["SALT_VARIABLE", "Keys", "load_salt", "path_key", "salt_file"]

SALT_VARIABLE = "M2IB_AUDIT_SALT"
_LEAST_CHARACTERS = 16
_KEY_CHARACTERS = 16
_FOLDERS_KEPT = 4


class Keys:
    """Turns identifiers into keys that cannot be turned back without the salt."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def key(self, kind: str, identifier: str) -> str:
        """Give the key of an identifier; ``kind`` ("study", "patient", ...) keeps equal identifiers apart."""
        digest = hmac.new(self._salt, f"{kind}\x1f{identifier}".encode(), "sha256")
        return digest.hexdigest()[:_KEY_CHARACTERS]

    def file_key(self, name: str) -> str:
        """Give what stands for a file's name, which may be a patient's."""
        return f"file-{self.key('file', name)}"


def path_key(path: str, keys: Keys) -> str:
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


def load_salt(*, outside: Path | None = None) -> bytes:
    """Read this user's salt, or make one at first use; it lies outside every OUT.

    The variable M2IB_AUDIT_SALT wins over the file, so that several machines can give the same keys.

    Args:
        outside: an OUT that the salt's file must not lie in: who gets the folder could turn keys back.

    Raises:
        OutputError: the variable is too short, or the file can neither be read nor made, or lies in ``outside``.
    """
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
    try:
        return _read_or_make(path)
    except OSError as error:
        raise OutputError(
            f"{path}: the salt for study keys can neither be read nor made ({error.strerror}); "
            f"set {SALT_VARIABLE} to at least {_LEAST_CHARACTERS} random characters"
        ) from error


def _read_or_make(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    salt = secrets.token_hex(32).encode()
    with os.fdopen(descriptor, "wb") as file:
        file.write(salt)
    return salt
