"""A real Orthanc with its DICOMweb plugin, on free ports of this machine, with its own folder."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD = "auditor", "correct horse"
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True, kw_only=True)
class Orthanc:
    """Where one listens."""

    http_port: int
    dicom_port: int
    move_port: int  # where it sends to who asks by C-MOVE
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def ask(self, path: str, data: bytes | None = None, method: str | None = None) -> object:
        """Use its own REST interface, which is not what is tested."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=data, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
        with urllib.request.build_opener().open(request, timeout=120) as answer:
            content = answer.read()
        return json.loads(content) if content.strip().startswith((b"{", b"[")) else content

    def clear(self) -> None:
        for study in self.ask("/studies"):
            self.ask(f"/studies/{study}", method="DELETE")

    def files(self) -> dict[str, bytes]:
        """Every instance by its SOP Instance UID."""
        found = {}
        for name in self.ask("/instances"):
            uid = self.ask(f"/instances/{name}/simplified-tags")["SOPInstanceUID"]
            found[uid] = self.ask(f"/instances/{name}/file")
        return found

    def dicomweb(self) -> dict[str, str]:
        """Environment that leads there by DICOMweb."""
        prefix = "M2IB_AUDIT_DICOMWEB_"
        return {f"{prefix}URL": self.url, f"{prefix}USER": USER, f"{prefix}PASSWORD": PASSWORD}

    def dimse(self, retrieve: str = "get") -> dict[str, str]:
        """Environment that leads there by DIMSE."""
        values = {
            "HOST": "127.0.0.1",
            "PORT": str(self.dicom_port),
            "AE_TITLE": "ORTHANC",
            "RETRIEVE": retrieve,
            "OWN_ADDRESS": "127.0.0.1",
            "OWN_PORT": str(self.move_port),
            "TIMEOUT_S": "20",
        }
        return {f"M2IB_AUDIT_DIMSE_{key}": value for key, value in values.items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Start one, and end it by its process."""
    program = shutil.which("Orthanc")
    if program is None or not _PLUGIN.exists():
        raise RuntimeError("no Orthanc with DICOMweb: run .ci/debian-packages (orthanc, orthanc-dicomweb)")
    server = Orthanc(http_port=free_port(), dicom_port=free_port(), move_port=free_port(), log=folder / "orthanc.log")
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": server.http_port,
        "DicomPort": server.dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {"audit": ["M2IB-AUDIT", "127.0.0.1", server.move_port]},
        "Plugins": [str(_PLUGIN)],
        "DicomWeb": {"Enable": True},
        "OverwriteInstances": False,
        "HttpThreadsCount": 4,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with server.log.open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            _wait(server, process)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(server: Orthanc, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            server.ask("/system")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"Orthanc did not start: {server.log.read_text(errors='replace')[-2000:]}")
