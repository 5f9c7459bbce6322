"""What a command leaves beside its results: what ``ps`` shows of its processes, and its temporary files."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import psutil

__all__ = ["Home", "printed"]

_FOLDERS = frozenset({"M2IB_AUDIT_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"})  # set to others than those of the home
_PAUSE_S = 0.02
_ENDING_S = 60.0

Named = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Home:
    """A user's home of its own, with a folder for temporary files, in which commands are called."""

    folder: Path
    said: list[Named] = field(default_factory=list)  # stdout and stderr of each command
    shown: set[str] = field(default_factory=set)  # lines of ``ps``: names, command lines

    def __post_init__(self) -> None:
        for name in ("home", "tmp", "kept"):
            (self.folder / name).mkdir(parents=True)

    @property
    def settings(self) -> Mapping[str, str]:
        """The environment: a salt, no index folder but the default one, redirected stderr without names of files."""
        inherited = {key: value for key, value in os.environ.items() if key not in _FOLDERS}
        own = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp")}
        return inherited | own | {"M2IB_AUDIT_SALT": "a salt for tests only", "M2IB_AUDIT_NAMES": ""}

    def call(self, *words: str, during: Callable[[subprocess.Popen[bytes]], None] | None = None) -> int:
        """Call the command in a process of its own and watch it; ``during`` is done while it runs, then it is ended."""
        command = [sys.executable, "-m", "audit.cli", *words]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=self.settings
        )
        ended = Event()
        watcher = Thread(target=self._watch, args=(process.pid, ended))
        watcher.start()
        try:
            if during is not None:
                during(process)
                process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate()
        finally:
            if process.poll() is None:
                process.kill()
            ended.set()
            watcher.join(_ENDING_S)
        name = " ".join(words[:2])
        self.said.extend([(f"stdout of {name}", stdout), (f"stderr of {name}", stderr)])
        return process.returncode

    def left(self) -> Iterator[Named]:
        """Give what is in the home, except the index of headers, and what was at any time a temporary file."""
        for path in sorted(self.folder.rglob("*")):
            if not path.is_relative_to(self._index):
                yield f"name of {path.name}", str(path.relative_to(self.folder)).encode()
                if path.is_file():
                    yield str(path.relative_to(self.folder)), path.read_bytes()

    def index_files(self) -> list[Path]:
        """List the files of the index of headers, which holds what headers say."""
        return [path for path in self._index.rglob("*") if path.is_file()]

    @property
    def _index(self) -> Path:
        return self.folder / "home" / ".cache" / "m2ib-audit" / "scans"

    def _watch(self, pid: int, ended: Event) -> None:
        while not ended.wait(_PAUSE_S):
            with suppress(psutil.Error):
                ours = psutil.Process(pid)
                for process in (ours, *ours.children(recursive=True)):
                    with suppress(psutil.Error):
                        self.shown.add(f"{process.name()}\n{' '.join(process.cmdline())}")
            self._keep_temporary_files()

    def _keep_temporary_files(self) -> None:
        """Link each temporary file, so that its content stays when it is removed."""
        for path in (self.folder / "tmp").rglob("*"):
            with suppress(OSError):
                if path.is_file():
                    kept = self.folder / "kept" / f"{path.stat().st_ino} {path.name}"
                    kept.hardlink_to(path)


def printed(home: Home) -> list[Named]:
    """Give what commands printed, and what ``ps`` showed of them."""
    return [*home.said, ("ps", "\n".join(sorted(home.shown)).encode())]
