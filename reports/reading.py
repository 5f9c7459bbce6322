"""Files of OUT read back within bounds: whatever lies there, reading takes little memory and ends in data or an error.

OUT may have been copied over a bad line, edited, or made by somebody else. So a file's size is looked at before it is
read, a record's depth, containers and keys are limited, and the checksum that a record gives is compared with the bytes
that are used.
"""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipelines.errors import DamagedError
from reports.record import SCHEMA_VERSION

__all__ = ["OF_RUN", "OF_STUDY", "Limits", "checksum", "file_checksum", "read_bounded", "read_checked", "read_model"]

_MOST_KEYS = 10_000  # of one JSON object; the largest that is written has some hundred

_Read = TypeVar("_Read", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a record may be, and what to do about one that cannot be used."""

    most_bytes: int
    most_containers: int  # JSON objects and arrays
    remedy: str


OF_STUDY = Limits(
    most_bytes=32 << 20, most_containers=1_000_000, remedy="delete its folder and run again, the rest is kept"
)
OF_RUN = Limits(
    most_bytes=128 << 20, most_containers=4_000_000, remedy="give the same `m2ib-audit run` again, which writes it"
)


def checksum(content: bytes) -> str:
    """SHA-256, in hex."""
    return sha256(content).hexdigest()


def file_checksum(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises:
        DamagedError: it cannot be read, or is no plain file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DamagedError(f"{path} cannot be read (it is no plain file): is its folder one that a run made?")
            return file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror}): is its folder one that a run made?") from error


def read_bounded(path: Path, *, most_bytes: int, remedy: str = "audit the study again") -> bytes:
    """Read a plain file of at most ``most_bytes``; a named pipe or device is not opened for long.

    Raises:
        DamagedError: the file is missing, no plain file, or larger.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise DamagedError(f"{path} cannot be read (it is no plain file): {remedy}")
            content = stream.read(most_bytes + 1) if found.st_size <= most_bytes else None
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror}): {remedy}") from error
    if content is None or len(content) > most_bytes:
        raise DamagedError(f"{path} is larger than {most_bytes:,} bytes, which no run writes: {remedy}")
    return content


def read_checked(path: Path, checksums: Mapping[str, str] | None, *, most_bytes: int) -> bytes:
    """Read a file of a study whose record gives its checksum; records of version 0.1.0 give none.

    Raises:
        DamagedError: the file is missing, too large, or not the one that was written.
    """
    content = read_bounded(path, most_bytes=most_bytes)
    if checksums is not None and checksums.get(path.name) != checksum(content):
        raise DamagedError(f"{path} is not the file that was written (SHA-256 differs): audit the study again")
    return content


def read_model(path: Path, model: type[_Read], limits: Limits) -> _Read:
    """Read a record.

    Raises:
        DamagedError: it is missing, damaged, beyond its limits or of another schema version.
    """
    content = read_bounded(path, most_bytes=limits.most_bytes, remedy=limits.remedy)
    if content.count(b"[") + content.count(b"{") > limits.most_containers:
        raise DamagedError(f"{path} is no record (more than {limits.most_containers:,} values): {limits.remedy}")
    try:
        data = json.loads(content, object_hook=_of_few_keys)
    except RecursionError as error:
        raise DamagedError(f"{path} is no record (it is nested too deeply): {limits.remedy}") from error
    except ValueError as error:
        raise DamagedError(f"{path} is no record: {limits.remedy}") from error
    if not isinstance(data, dict):
        raise DamagedError(f"{path} is no record: {limits.remedy}")
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DamagedError(
            f"{path} has schema version {version!r:.40}, this program reads {SCHEMA_VERSION!r}: "
            "use the version of m2ib-audit that wrote it, or audit again"
        )
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DamagedError(
            f"{path} is damaged at {place[:200] or 'its top'} ({first['msg'][:200]}): {limits.remedy}"
        ) from error


def _of_few_keys(found: dict[str, object]) -> dict[str, object]:
    if len(found) > _MOST_KEYS:
        raise ValueError(f"an object of {len(found)} keys")
    return found
