"""Faults at a chosen place of a run: the n-th of all calls that change a file fails, or the n-th of our functions."""

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from unittest import mock

ROOT = Path(__file__).parents[2]
KINDS = ("open", "write", "fsync", "change", "allocation")
_CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir"}
# Whose functions run out of memory.
_WRITERS = (
    "audit/pipeline",
    "audit/output",
    "audit/privacy",
    "audit/execution",
    "audit/logbook",
    "reports",
)  # whose functions run out of memory

_asked: list[Callable[[str, object], None]] = []  # an audit hook stays for ever: this says whom it asks


def _hook(event: str, args: tuple) -> None:
    for ask in _asked:
        if event in _CHANGES:
            ask("change", args[0])
        elif event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR):
            ask("open", args[0])


sys.addaudithook(_hook)


class _File(io.FileIO):
    """A file that asks before it is written."""

    ask: Callable[[str, object], None]

    def write(self, content) -> int:
        self.ask("write", self.name)
        return super().write(content)


@dataclass(frozen=True)
class Fault:
    """The ``number``-th call of a kind below ``out`` fails, from 1; 0 fails none and counts them.

    Kinds: "open" (to write), "write", "fsync", "change" (rename, mkdir, remove, rmdir), and "allocation", which is the
    call of a function in the modules that write.
    """

    out: Path
    kind: str
    number: int

    @contextmanager
    def armed(self) -> Iterator[list[int]]:
        """Let it happen in this process while the context lasts; gives how many calls there were."""
        count = [0]

        def ask(kind: str, place: object) -> None:
            if kind != self.kind or (not isinstance(place, int) and not str(place).startswith(str(self.out))):
                return
            count[0] += 1
            if count[0] == self.number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        if self.kind == "allocation":
            with self._short_of_memory(count):
                yield count
            return
        fsync, write, opened = os.fsync, os.write, io.open

        def opens(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *more):
            if not (set(mode) & set("wxa+")) or not str(file).startswith(str(self.out)):
                return opened(file, mode, buffering, encoding, errors, newline, *more)
            raw = _File(file, mode.replace("b", "").replace("t", ""))
            raw.ask = ask
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

        _asked.append(ask)
        try:
            with (
                mock.patch.object(os, "fsync", lambda file: (ask("fsync", file), fsync(file))[1]),
                mock.patch.object(os, "write", lambda file, content: (ask("write", file), write(file, content))[1]),
                mock.patch.object(io, "open", opens),
            ):
                yield count
        finally:
            _asked.remove(ask)

    @contextmanager
    def _short_of_memory(self, count: list[int]) -> Iterator[None]:
        ours = tuple(str(ROOT / each) for each in _WRITERS)

        def called(frame: FrameType, event: str, _arg: object) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(ours) and frame.f_code.co_name != "__exit__":
                count[0] += 1
                if count[0] == self.number:
                    raise MemoryError

        before = sys.getprofile()
        sys.setprofile(called)
        try:
            yield
        finally:
            sys.setprofile(before)
