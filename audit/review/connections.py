"""Connections to the review server: none can hold it by being slow, and none keeps a reviewer out.

uvicorn limits the time between two requests alone. On loopback every peer has the same address, so that a limit for
each of them would be one for all. Told apart are those who have sent a whole request and those who have not: of the
latter the oldest go when new ones come.
"""

import asyncio
import socket
import struct
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HEAD_BYTES", "MOST_WAITING", "READING_S", "REQUEST_S", "BoundedProtocol"]

MOST_WAITING: Final = 32
"""Connections that have not sent a whole request. A browser has six, and some that it opens to be ready."""
HEAD_BYTES: Final = 2**20
"""Of a request's head: cookies of every other server on this machine come along, ports or not."""

REQUEST_S: Final = 20.0  # from a request's first byte, or the connection's beginning, to the request's last byte
READING_S: Final = 30.0  # without the client taking anything of an answer


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with a limit on how long a request may take to come, and an answer to be taken."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._coming: asyncio.TimerHandle | None = None
        self._going: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base has it
        """Give the first request its time; the oldest that waits makes room."""
        super().connection_made(transport)
        self._await_request()
        waiting = [each for each in self.connections if isinstance(each, BoundedProtocol) and each._coming is not None]
        if len(waiting) > MOST_WAITING:
            min(waiting, key=lambda each: each._coming.when() if each._coming else 0.0).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what comes, and see whether the request is whole."""
        super().data_received(data)
        if self.conn.their_state in {h11.IDLE, h11.SEND_BODY}:
            self._await_request()
        else:
            self._request_came()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._request_came()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes nothing: give it some time."""
        super().pause_writing()
        self._going = self._going or self.loop.call_later(READING_S, self._drop)

    def resume_writing(self) -> None:
        """It does again."""
        if self._going is not None:
            self._going.cancel()
            self._going = None
        super().resume_writing()

    def _drop(self) -> None:
        """End the connection with what the client has not taken: the system would keep it for the client otherwise."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _await_request(self) -> None:
        if self._coming is None:
            self._coming = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _request_came(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
