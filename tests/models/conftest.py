"""A hub on loopback, that serves folders as the real one serves repositories."""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import close_session, constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".bin", ".h5", ".msgpack", ".onnx")  # what the hub keeps in LFS


@dataclass
class Repository:
    files: dict[str, bytes]
    commit: str = COMMIT
    licence: str | list[str] | None = None
    gated: bool = False
    cut_short: set[str] = field(default_factory=set)  # the connection ends in the middle of these
    damaged: set[str] = field(default_factory=set)  # these come with a wrong byte
    elsewhere: dict[str, str] = field(default_factory=dict)  # these are redirected to an address

    def info(self, hub_id: str) -> dict[str, object]:
        return {
            "id": hub_id,
            "sha": self.commit,
            "gated": "manual" if self.gated else False,
            "cardData": {} if self.licence is None else {"license": self.licence},
            "siblings": [self.sibling(name, content) for name, content in self.files.items()],
        }

    @staticmethod
    def sibling(name: str, content: bytes) -> dict[str, object]:
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
        stated: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": blob}
        if name.endswith(LARGE):
            sha256 = hashlib.sha256(content).hexdigest()
            stated["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        return stated


@dataclass
class Hub:
    endpoint: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)  # names of the files whose content was asked for

    def add(self, hub_id: str, files: Path | dict[str, bytes], **more: object) -> Repository:
        if isinstance(files, Path):
            files = {path.name: path.read_bytes() for path in sorted(files.iterdir()) if path.is_file()}
        self.repositories[hub_id] = Repository(dict(files), **more)
        return self.repositories[hub_id]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.answer(with_content=False)

    def do_GET(self) -> None:
        self.answer(with_content=True)

    def answer(self, *, with_content: bool) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        about = parts[:2] == ["api", "models"]
        owner, name, *rest = parts[2:] if about else parts
        repository = self.hub.repositories.get(f"{owner}/{name}")
        if repository is None:
            return self.refuse(401, "RepoNotFound")
        revision = rest[1] if len(rest) > 1 else "main"
        if revision not in {"main", "v1", repository.commit}:
            return self.refuse(404, "RevisionNotFound")
        if about:
            return self.send(json.dumps(repository.info(f"{owner}/{name}")).encode(), "application/json")
        if repository.gated:
            return self.refuse(401, "GatedRepo")
        return self.send_file(repository, rest[2], with_content=with_content)

    def send_file(self, repository: Repository, name: str, *, with_content: bool) -> None:
        content = repository.files[name]
        if name in repository.elsewhere:
            self.redirect(repository, content, repository.elsewhere[name])
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        digest = hashlib.sha256(content).hexdigest()
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("ETag", f'"{digest}"')
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if not with_content:
            return
        self.hub.sent.append(name)
        if name in repository.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if name in repository.cut_short:
            self.wfile.write(content[start : start + (len(content) - start) // 2])
            self.close_connection = True
        else:
            self.wfile.write(content[start:])

    def redirect(self, repository: Repository, content: bytes, address: str) -> None:
        self.send_response(302)
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("X-Linked-ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that the tool reaches, and the only one: nothing leaves this machine."""
    handler = type("Handler", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.hub = Hub(endpoint=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    real = constants.ENDPOINT
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", handler.hub.endpoint)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(real, handler.hub.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    yield handler.hub
    close_session()
    server.shutdown()
    server.server_close()
    thread.join()
