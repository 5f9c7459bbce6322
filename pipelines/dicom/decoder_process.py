"""Decompresses pixel data in a separate process, so that a damaged file cannot crash the audit.

The decoders are C and C++ code. On some corrupt JPEG streams GDCM calls ``abort``, which ends the interpreter and
cannot be caught. Compressed pixel data are therefore decoded in a child process. The child starts on first use (about
0.4 s), lives as long as this process, and is restarted after it died or hung. Uncompressed pixel data are decoded in
this process.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
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

__all__ = ["MOST_MEMORY", "SECONDS_TO_DECODE", "Decoder", "decode_apart"]

SECONDS_TO_DECODE = 120.0
_SECONDS_TO_END = 1.0
MOST_MEMORY = 6 * 2**30  # bytes of address space; the largest accepted image takes a tenth of this when decoded


def decode_apart(
    path: Path, frame: int = 1, *, decoder: "Decoder | None" = None
) -> Integer[np.ndarray, "rows columns *samples"]:
    """Decode one frame of a compressed file in the child process.

    Args:
        path: the DICOM file.
        frame: counted from 1.
        decoder: the child process; by default the one that this process keeps.

    Raises:
        DicomError: the decoder refuses the pixel data, dies of them, or does not end.
    """
    child = decoder or _decoder_of(os.getpid())
    try:
        try:
            kind, content = child.ask(path, frame)
        except _DecoderDiedError:  # caused by this file or by something else on the machine: a second attempt tells
            kind, content = child.ask(path, frame)
    except _DecoderDiedError as died:
        if died.was_killed:
            raise DicomError(
                f"{path}: the decoder was killed twice on the pixel data, most often for lack of memory: free memory "
                "or use fewer execution.workers, then run again with --set execution.retry-failed=true."
            ) from died
        raise DicomError(
            f"{path}: the decoder broke down on the pixel data; the file is damaged: export it again, or without "
            "compression."
        ) from died
    except OSError as error:
        if is_out_of_memory(error):
            raise DicomError(f"{path}: decoding the pixel data {NEEDS_MORE_MEMORY}.") from error
        raise DicomError(
            f"{path}: the decoder broke down on the pixel data ({error}); the file is damaged: export it again, or "
            "without compression."
        ) from error
    if "error" in kind:
        raise DicomError(
            f"{path}: the pixel data cannot be decoded ({kind['error']}); the file is truncated or damaged: export it "
            "again, or without compression."
        )
    return np.frombuffer(content, kind["dtype"]).reshape(kind["shape"])


class _DecoderDiedError(Exception):
    """The decoding process ended before it answered."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"it ended with status {code}")
        self.was_killed = code is not None and -code in {signal.SIGKILL, signal.SIGTERM}


# -P: do not import from a folder named "pipelines" in the current directory.
_SERVING = (sys.executable, "-P", "-m", "pipelines.dicom.decoder_process")


class Decoder:
    """The decoding process, started on first use and after it has died."""

    def __init__(self, command: Sequence[str] = _SERVING) -> None:
        """Start nothing yet.

        Args:
            command: the program with its arguments; the file descriptor of its connection is appended.
        """
        self._command = command
        self._running: tuple[subprocess.Popen[bytes], Connection] | None = None
        atexit.register(self.stop)

    def ask(self, path: Path, frame: int) -> tuple[dict[str, Any], bytes]:
        """Send a path and a frame number and wait for the frame; any failure ends the child.

        Raises:
            _DecoderDiedError: the child died.
            OSError: it took longer than ``SECONDS_TO_DECODE``, or could not be started.
        """
        if self._running is None:
            self._running = self._start()
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
            process.wait(_SECONDS_TO_END)  # it ends by itself, or has ended: its status then tells how
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _start(self) -> tuple[subprocess.Popen[bytes], Connection]:
        here, there = Pipe()
        # Decoders print messages about damaged streams; keep them out of the command's own output.
        process = subprocess.Popen(  # noqa: S603 our own module, and a number
            [*self._command, str(there.fileno())],
            stdin=subprocess.PIPE,  # closed when this process ends, which ends the child
            pass_fds=[there.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C must not reach the child: the file would look like one that crashes the decoder
        )
        there.close()
        return process, here


@cache
def _decoder_of(_pid: int) -> Decoder:
    """Return the decoder of this process: a forked worker must not use its parent's connection."""
    return Decoder()


def _await(connection: Connection) -> None:
    if not connection.poll(SECONDS_TO_DECODE):
        raise TimeoutError(f"no answer in {SECONDS_TO_DECODE:g} s")


def _limit_memory() -> None:
    """Limit the memory of this process, so that a decompression bomb fails here; not available on Windows."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def _serve(connection: Connection) -> None:
    """Read paths and frame numbers and answer with frames, until the connection closes."""
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
                # Not by the path alone: with a path, pydicom refuses pixel data after an item of unusual form.
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
