"""The address of the PACS and the credentials: from environment variables or a file, never from the command line.

``M2IB_AUDIT_DICOMWEB_URL`` is ``url`` of the section ``[dicomweb]`` of the file, ``M2IB_AUDIT_DIMSE_PORT`` is ``port``
of ``[dimse]``, and so on; the environment takes precedence. The file is TOML and must be readable only by its owner.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from pipelines.errors import PacsError

__all__ = [
    "CONFIG_VARIABLE",
    "DicomwebSettings",
    "DimseSettings",
    "PacsSettings",
    "Retrieve",
    "load_settings",
    "need_extra",
]

CONFIG_VARIABLE = "M2IB_AUDIT_PACS_CONFIG"
_PREFIX = "M2IB_AUDIT_"

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$")]  # PS3.5 6.2: no backslash
Port = Annotated[int, Field(ge=1, le=65535)]


class Retrieve(StrEnum):
    """How images are retrieved over DIMSE."""

    GET = "get"  # over the requesting connection
    MOVE = "move"  # over a connection that the archive opens to a configured address


class _ArchiveSection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    ca_file: Path | None = None  # certificates to check the server's against; None: those of the system
    client_cert: Path | None = None  # this program's own certificate, PEM
    client_key: Path | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0  # limit of silence
    answer_s: Annotated[float, Field(gt=0, le=3600)] = 30.0  # from the first byte of an answer to its last
    answer_mb: Annotated[int, Field(ge=1, le=2048)] = 128  # MiB; images of the largest detectors have about 50
    most_results: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000  # per query

    @model_validator(mode="after")
    def _check_files(self) -> "_ArchiveSection":
        for name in ("ca_file", "client_cert", "client_key"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name} {path} is not a file")
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs client_cert")
        return self


class DicomwebSettings(_ArchiveSection):
    """A DICOMweb service."""

    url: str  # without "/studies" and the rest of the path
    user: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None  # sent as "Authorization: Bearer"

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("url must begin with https:// or http:// and name a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("url must not hold user and password: give them as user and password")
        if parts.query or parts.fragment:
            raise ValueError("url must end with its path")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _check_credentials(self) -> "DicomwebSettings":
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together: give both or neither")
        if self.token is not None and self.user is not None:
            raise ValueError("token and user exclude each other: give one of them")
        secret = self.token is not None or self.user is not None
        if secret and urlsplit(self.url).scheme == "http" and not is_loopback(urlsplit(self.url).hostname or ""):
            raise ValueError("credentials are not sent unencrypted: give an https:// url")
        return self


class DimseSettings(_ArchiveSection):
    """A DICOM node."""

    host: str
    port: Port
    ae_title: AeTitle  # AE title of the archive
    own_ae_title: AeTitle = "M2IB-AUDIT"
    tls: bool = False
    retrieve: Retrieve = Retrieve.GET
    own_address: str = ""  # address at which C-MOVE delivers images; "": every address of this machine
    own_port: Port = 11113


class PacsSettings(BaseModel):
    """Both protocols of the archive, as far as they are configured."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    dicomweb: DicomwebSettings | None = None
    dimse: DimseSettings | None = None


def is_loopback(host: str) -> bool:
    """Return True for localhost, 127.0.0.0/8 and ::1. Other names are not resolved."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load_settings(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> PacsSettings:
    """Read settings from the file and the environment.

    Args:
        path: the file; None for the one that M2IB_AUDIT_PACS_CONFIG names, else ``pacs.toml`` in this user's
            configuration folder, which need not exist.
        environment: the environment variables.

    Raises:
        PacsError: a value is missing or wrong, or other users may read the file. The message holds no secret.
    """
    named = path or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    file = named or Path(typer.get_app_dir("m2ib-audit")) / "pacs.toml"
    content = _read(file) if named is not None or file.exists() else {}
    sections = {"dicomweb": DicomwebSettings, "dimse": DimseSettings}
    for section in sections:
        prefix = f"{_PREFIX}{section.upper()}_"
        given = {k.removeprefix(prefix).lower(): v for k, v in environment.items() if k.startswith(prefix) and v}
        if given:
            stated = content.get(section, {})
            content[section] = {**stated, **given} if isinstance(stated, dict) else stated
    try:
        return PacsSettings.model_validate(content)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)
        first = next((each for each in wrong if each["type"] == "extra_forbidden"), wrong[0])  # a misspelt key
        place = ".".join(str(part) for part in first["loc"]) or "settings"
        what = first["msg"].removeprefix("Value error, ")
        variable = f"{_PREFIX}{'_'.join(str(part) for part in first['loc']).upper()}"
        raise PacsError(f"PACS settings: {place}: {what}; correct {file} or the variable {variable}") from None


def _read(path: Path) -> dict[str, Any]:
    """Read a file that only its owner may read.

    Raises:
        PacsError: it is missing, is not TOML, or is readable by others.
    """
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & 0o077:
                raise PacsError(f"{path}: others may read or change it (mode {mode:04o}): run chmod 600 {path}")
            return tomllib.load(stream)
    except OSError as error:
        raise PacsError(
            f"{path}: cannot be read ({error.strerror}); give --pacs-config a file, or set variables"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # The parser's message is not shown, because the error may be next to the password.
        raise PacsError(f"{path}: this is not a TOML file; docs/PACS.md shows one") from None


PACKAGES = ("highdicom", "pynetdicom", "dicomweb_client")


def need_extra() -> None:
    """Check that the extra ``pacs`` is installed.

    Raises:
        PacsError: a package of it is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise PacsError(f"{', '.join(missing)} is not installed: run pip install 'm2ib-audit[pacs]'")
