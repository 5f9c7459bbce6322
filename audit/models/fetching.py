"""Downloads a model from the hub into a plain folder that a machine without network can use.

The folder contains the files themselves, no links into a cache, and ``m2ib_audit.json`` with terms, hub id and
revision. Every file is compared with the checksum that the hub states, so that an interrupted fetch can be resumed and
damaged files are not kept.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from huggingface_hub import HfApi, ModelInfo, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling

from audit.encoders.catalogue import KNOWN, SHIPPED, find_known, hub_page, only_known_hosts
from audit.encoders.model_folder import read_json
from audit.models.choosing import choose_files, needed_names
from pipelines.errors import ModelError, OutputError

__all__ = ["Fetched", "as_lines", "fetch"]

_MARK = "m2ib_audit.json"
_TIMEOUT_S = 30.0
# The base error of the HTTP library that huggingface_hub rests on, whose name its versions differ in.
_HTTP_ERROR = cast("type[Exception]", HfHubHTTPError.__bases__[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A model folder that was made."""

    folder: Path
    source: str  # hub id
    revision: str  # commit
    family: str
    terms: str
    files: tuple[tuple[str, int], ...]  # name, size in bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repository:
    """One commit of a hub repository."""

    hub_id: str
    revision: str
    endpoint: str | None
    files: dict[str, RepoSibling]
    terms: str

    def download(self, name: str, folder: Path) -> Path:
        path = folder / name
        hf_hub_download(
            self.hub_id,
            name,
            revision=self.revision,
            local_dir=folder,
            endpoint=self.endpoint,
            force_download=path.exists(),  # it is there and is not what the hub has
        )
        return path


def fetch(
    name: str,
    folder: Path,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    on_message: Callable[[str], None],
) -> Fetched:
    """Make ``folder`` a complete copy of a model on the hub.

    Args:
        name: a known name, or a hub id (owner/name).
        folder: new or empty, or that of an interrupted fetch of the same model.
        revision: branch, tag or commit; the main branch by default.
        endpoint: of another hub; the environment's (HF_ENDPOINT) by default.
        on_message: called with a line of progress per file.

    Raises:
        ModelError: the model does not exist, cannot be fetched, or is of an unsupported family.
        OutputError: ``folder`` contains something else, or cannot be written.
    """
    hub_id = _hub_id(name)
    _check_folder(folder, hub_id)
    with _hub_errors(hub_id, revision), only_known_hosts(endpoint):
        repository = _look_up(hub_id, revision, endpoint)
        _check_revision(folder, repository)
        family, names = _choose(repository)
    with _hub_errors(hub_id, revision), only_known_hosts(endpoint), _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _write_mark(repository, folder)
        for number, file in enumerate(names, start=1):
            on_message(f"{number} of {len(names)}: {file}")
            _bring(repository, file, folder)
        if (folder / ".cache").is_dir():
            shutil.rmtree(folder / ".cache")  # what huggingface_hub noted on its way
    return Fetched(
        folder=folder,
        source=hub_id,
        revision=repository.revision,
        family=family,
        terms=str(_read_mark(folder)["terms"]),
        files=tuple((path.name, path.stat().st_size) for path in sorted(folder.iterdir()) if path.is_file()),
    )


def _hub_id(name: str) -> str:
    if name in SHIPPED:
        raise ModelError(f"{name}: it is part of this installation; pass --model {name}")
    if name in KNOWN:
        known = KNOWN[name]
        if known.hub_id is None:
            raise ModelError(f"{name}: its weights are on no hub; {known.how_to_get}")
        return known.hub_id
    if name.count("/") != 1 or name.startswith(("/", ".", "~")):
        raise ModelError(f"{name}: neither a known name ({', '.join(KNOWN)}) nor a hub id (owner/name)")
    return name


def _check_folder(folder: Path, hub_id: str) -> None:
    """Refuse a folder with anything in it but a fetch of the same model."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder}: this is a file; give a new or empty folder")
    if not any(folder.iterdir()):
        return
    found = _read_mark(folder).get("source")
    if found != hub_id:
        held = f"a model from {found}" if found else "something else"
        raise OutputError(f"{folder}: it is not empty and holds {held}; give a new or empty folder for {hub_id}")


def _check_revision(folder: Path, repository: _Repository) -> None:
    found = _read_mark(folder).get("revision", repository.revision)
    if found != repository.revision:
        raise OutputError(
            f"{folder}: it holds revision {found} of {repository.hub_id}, and {repository.revision} is requested; "
            f"pass --revision {found} to finish it, or a new folder"
        )


def _read_mark(folder: Path) -> dict[str, Any]:
    return read_json(folder / _MARK) if (folder / _MARK).is_file() else {}


def _look_up(hub_id: str, revision: str | None, endpoint: str | None) -> _Repository:
    info = HfApi(endpoint=endpoint).model_info(hub_id, revision=revision, files_metadata=True, timeout=_TIMEOUT_S)
    return _Repository(
        hub_id=hub_id,
        revision=info.sha or revision or "main",
        endpoint=endpoint,
        files={sibling.rfilename: sibling for sibling in info.siblings or ()},
        terms=_terms(hub_id, info),
    )


def _terms(hub_id: str, info: ModelInfo) -> str:
    known = find_known(hub_id)
    if known is not None:
        return known.terms
    licence = info.card_data.license if info.card_data is not None else None
    stated = ", ".join(licence) if isinstance(licence, list) else licence
    return f"licence {stated} according to its card" if stated else "no licence stated: see its card"


def _choose(repository: _Repository) -> tuple[str, tuple[str, ...]]:
    with TemporaryDirectory() as name:
        scratch = Path(name)
        for config in needed_names(repository.files):
            repository.download(config, scratch)
        try:
            return choose_files(repository.files, scratch)
        except ModelError as error:
            raise ModelError(str(error).replace(name, repository.hub_id)) from error


def _write_mark(repository: _Repository, folder: Path) -> None:
    """Record the model in the folder before anything else is written; the repository's own entries are kept."""
    if (folder / _MARK).is_file():
        return
    own: dict[str, Any] = {}
    if _MARK in repository.files:
        with TemporaryDirectory() as scratch:
            own = read_json(repository.download(_MARK, Path(scratch)))
    mark = {"terms": repository.terms} | own | {"source": repository.hub_id, "revision": repository.revision}
    (folder / _MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")


def _bring(repository: _Repository, name: str, folder: Path) -> None:
    stated, path = repository.files[name], folder / name
    if _is_intact(path, stated):
        return
    repository.download(name, folder)
    if not _is_intact(path, stated):
        path.unlink()
        raise ModelError(f"{path}: what came is not what {repository.hub_id} states; run the same command again")


def _is_intact(path: Path, stated: RepoSibling) -> bool:
    """Return True if a file exists and is as the hub states: LFS gives SHA-256, git the checksum of its blob."""
    if not path.is_file() or path.is_symlink() or stated.size not in (None, path.stat().st_size):
        return False
    if stated.lfs is not None:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == stated.lfs.sha256
    if stated.blob_id is not None:
        content = path.read_bytes()
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False)
        return blob.hexdigest() == stated.blob_id
    return True


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled):
        raise  # these are OSErrors too, and the hub's
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OutputError(f"{folder}: cannot be written ({reason}); give another folder or make room") from error


@contextmanager
def _hub_errors(hub_id: str, revision: str | None) -> Iterator[None]:
    """Explain the hub's refusals and how to resolve them."""
    page = hub_page(hub_id)
    try:
        yield
    except GatedRepoError as error:
        raise ModelError(
            f"{hub_id}: this model is gated; accept its terms on {page}, run `hf auth login`, and try again"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"{hub_id}: the hub has no such model, or it is private; check the name, or run `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{hub_id}: there is no revision {revision}; {page}/commits lists them") from error
    except HFValidationError as error:
        raise ModelError(f"{hub_id}: this is not a hub id (owner/name)") from error
    except OfflineModeIsEnabled as error:
        raise ModelError(
            f"{hub_id}: the hub is switched off here (HF_HUB_OFFLINE); unset it, or fetch where there is a network "
            "and copy the folder"
        ) from error
    except (_HTTP_ERROR, LocalEntryNotFoundError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{hub_id}: cannot reach the hub ({reason}); fetch where there is a network and copy the folder, or set "
            "HF_ENDPOINT to a mirror"
        ) from error


def as_lines(fetched: Fetched) -> list[str]:
    """Format what was fetched and the next step for a terminal."""
    width = max(len(name) for name, _ in fetched.files)
    total = sum(size for _, size in fetched.files)
    return [
        f"folder    {fetched.folder}",
        f"source    {fetched.source}",
        f"revision  {fetched.revision}",
        f"family    {fetched.family}",
        f"terms     {fetched.terms}",
        *(f"  {name:<{width}}  {size:>13,} bytes" for name, size in fetched.files),
        f"  {'in all':<{width}}  {total:>13,} bytes",
        f"next      m2ib-audit models check {fetched.folder}",
    ]
