"""Decompression in a process of its own, which a damaged file may bring down without bringing down the audit.

The decoders are C and C++: on some corrupt JPEG streams GDCM calls ``abort`` and takes the interpreter with it, and no
``except`` helps. So compressed pixel data are decoded by a child that lives as long as this process, is started on
first use (about 0.4 s), and is started again after it died or hung. It ends when this process does. Uncompressed pixel
data never come here.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array

from pipelines.dicom.bounded import open_bounded
from pipelines.dicom.source import READ_ERRORS, tolerant_reading
from pipelines.errors import DicomError
from pipelines.limits import MAX_PIXEL_FILE_BYTES, NEEDS_MORE_MEMORY, is_out_of_memory
from pipelines.processes import end_when_closed

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["decode_apart"]

SECONDS_TO_DECODE = 120.0
_SECONDS_TO_END = 1.0
MOST_MEMORY = 6 * 2**30  # bytes of address space; the largest image that is read takes a tenth of it decoded


def decode_apart(path: Path, frame: int = 1) -> Integer[np.ndarray, "rows columns *samples"]:
    """Decode one frame of a compressed file, counted from 1, in the child.

    Raises:
        DicomError: the decoder refuses the pixel data, dies of them, or does not end.
    """
    child = _child_of(os.getpid())
    try:
        try:
            kind, content = child.ask(path, frame)
        except _DecoderDiedError:  # of this file, or of something else that happened to the machine: a second one tells
            kind, content = child.ask(path, frame)
    except _DecoderDiedError as died:
        if died.was_killed:
            raise DicomError(
                f"{path}: the decoder was killed twice over the pixel data, most often for want of memory: free memory "
                "or give fewer --workers, then run again with --retry-failed."
            ) from died
        raise DicomError(
            f"{path}: the decoder broke down over the pixel data; the file is damaged: export it again, or without "
            "compression."
        ) from died
    except OSError as error:
        if is_out_of_memory(error):
            raise DicomError(f"{path}: decoding the pixel data {NEEDS_MORE_MEMORY}.") from error
        raise DicomError(
            f"{path}: the decoder broke down over the pixel data ({error}); the file is damaged: export it again, or "
            "without compression."
        ) from error
    if "error" in kind:
        raise DicomError(
            f"{path}: the pixel data cannot be decoded ({kind['error']}); the file is cut short or damaged: export it "
            "again, or without compression."
        )
    return np.frombuffer(content, kind["dtype"]).reshape(kind["shape"])


class _DecoderDiedError(Exception):
    """The decoding process ended before it answered."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"it ended with status {code}")
        self.was_killed = code is not None and -code in {signal.SIGKILL, signal.SIGTERM}


class _Child:
    """The decoding process, started when it is first asked and whenever it is gone."""

    def __init__(self) -> None:
        self._running: tuple[subprocess.Popen[bytes], Connection] | None = None
        atexit.register(self.stop)

    def ask(self, path: Path, frame: int) -> tuple[dict[str, Any], bytes]:
        """Send a path and a number and wait for the frame; whatever goes wrong meanwhile ends the child.

        Raises:
            _DiedError: the child died.
            OSError: it took longer than ``SECONDS_TO_DECODE``, or could not be started.
        """
        if self._running is None:
            self._running = _start()
        process, connection = self._running
        try:
            connection.send_bytes(os.fsencode(path.absolute()))
            connection.send_bytes(str(frame).encode())
            _await(connection)
            return json.loads(connection.recv_bytes()), connection.recv_bytes()
        except (EOFError, ConnectionError) as error:
            self.stop()
            raise _DecoderDiedError(process.returncode) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the child, if there is one."""
        if self._running is None:
            return
        process, connection = self._running
        self._running = None
        connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)  # of itself, or as it has ended already: the status then tells how
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


@cache
def _child_of(_pid: int) -> _Child:
    """Keep one child for each process: a forked worker must not talk into its parent's connection."""
    return _Child()


def _start() -> tuple[subprocess.Popen[bytes], Connection]:
    here, there = Pipe()
    # -P: a folder named "pipelines" where the user happens to stand is not what is meant.
    command = [sys.executable, "-P", "-m", "pipelines.dicom.decoder_process", str(there.fileno())]
    # What decoders print about damaged streams would land amid the command's own output.
    process = subprocess.Popen(  # noqa: S603 our own module, and a number
        command,
        stdin=subprocess.PIPE,  # closed when this process ends, and the child with it
        pass_fds=[there.fileno()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,  # out of reach of Ctrl-C, which would make a good file look like one that kills decoders
    )
    there.close()
    return process, here


def _await(connection: Connection) -> None:
    if not connection.poll(SECONDS_TO_DECODE):
        raise TimeoutError(f"no answer in {SECONDS_TO_DECODE:g} s")


def _limit_memory() -> None:
    """Let a stream that unpacks without end fail in here, where it harms nobody; Windows knows no such limit."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def _serve(connection: Connection) -> None:
    """Answer paths and numbers with frames until the connection closes."""
    end_when_closed(sys.stdin.fileno())
    _limit_memory()
    while True:
        try:
            path = os.fsdecode(connection.recv_bytes())
            index = int(connection.recv_bytes()) - 1
        except EOFError:
            return
        try:
            with tolerant_reading(), open_bounded(Path(path), most_bytes=MAX_PIXEL_FILE_BYTES) as file:
                # Not by the path alone: that way of pydicom's refuses pixel data after an item of unusual form.
                frame = np.ascontiguousarray(pixel_array(dcmread(file, force=True), index=index))
        except (*READ_ERRORS, RuntimeError, DicomError) as error:
            kind: dict[str, Any] = {"error": type(error).__name__}
            content = b""
        else:
            kind, content = {"dtype": frame.dtype.str, "shape": frame.shape}, frame.tobytes()
        connection.send_bytes(json.dumps(kind).encode())
        connection.send_bytes(content)


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
