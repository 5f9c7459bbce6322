"""Connections to the review server: a slow client cannot block it, and no client can keep reviewers out.

uvicorn limits only the time between two requests. On loopback every client has the same address, so a limit per client
would be a limit for all. The server therefore distinguishes connections that have sent a complete request from those
that have not: when new ones arrive, the oldest of the latter are closed.
"""

import asyncio
import logging
import socket
import struct
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import h11
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from audit.review.app import Review, make_app
from audit.review.guard import ENTRY, Sessions
from audit.review.ledger import LEDGER_NAME, Ledger
from audit.review.studies import ReviewedStudies
from pipelines.errors import InputError, OutputError

__all__ = [
    "HEAD_BYTES",
    "MOST_WAITING",
    "READING_S",
    "REQUESTS_AT_ONCE",
    "REQUEST_S",
    "BoundedProtocol",
    "ServeSettings",
    "Watched",
    "reviewer_names",
    "serve",
    "server_config",
]

MOST_WAITING: Final = 32
"""Limit of connections without a complete request. A browser opens six, and some in advance."""
HEAD_BYTES: Final = 2**20
"""Limit of a request's head: it includes the cookies of every other server on this machine, whatever the port."""

REQUEST_S: Final = 20.0  # from the connection's beginning, or a request's first byte, to the request's last byte
READING_S: Final = 30.0  # time in which a client reads nothing of an answer


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with a time limit for receiving a request and for sending an answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._coming: asyncio.TimerHandle | None = None
        self._going: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base has it
        """Start the time of the first request; the oldest waiting connection is closed to make room."""
        super().connection_made(transport)
        self._await_request()
        waiting = [each for each in self.connections if isinstance(each, BoundedProtocol) and each._coming is not None]
        if len(waiting) > MOST_WAITING:
            min(waiting, key=lambda each: each._coming.when() if each._coming else 0.0).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Receive data, and check whether the request is complete."""
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
        """The client reads nothing: start its time limit."""
        super().pause_writing()
        self._going = self._going or self.loop.call_later(READING_S, self._drop)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._going is not None:
            self._going.cancel()
            self._going = None
        super().resume_writing()

    def _drop(self) -> None:
        """Close the connection and discard unread data, which the system would otherwise keep for the client."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _await_request(self) -> None:
        if self._coming is None:
            self._coming = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _request_came(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None


LOOPBACK: Final = "127.0.0.1"
REQUESTS_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How to serve an OUT for review."""

    out: Path
    reviewers: tuple[str, ...]
    blind: bool = False
    hide_scores: bool = False
    port: int = 0  # 0: any free port
    browser: bool = True
    idle_minutes: float = 480.0  # the server ends after this time without a request; 0: never


def serve(settings: ServeSettings, *, announce: Callable[[str, str], None], warn: Callable[[str], None]) -> None:
    """Serve the pages of an OUT until Ctrl-C, or until there was no request for ``idle_minutes``.

    Args:
        settings: what to serve, and to whom.
        announce: called with each reviewer's name and address, once the server listens.
        warn: called with errors while it serves.

    Raises:
        OutputError: OUT holds no run, its database cannot be used, or the port is in use.
    """
    studies = ReviewedStudies(settings.out)
    with closing(Ledger(settings.out / LEDGER_NAME)) as ledger, _bound(settings.port) as listener:
        port = listener.getsockname()[1]
        review = Review(
            out=settings.out,
            ledger=ledger,
            studies=studies,
            sessions=Sessions(settings.reviewers),
            blind=settings.blind,
            hide_scores=settings.hide_scores,
            clock=lambda: datetime.now(UTC),
            warn=warn,
        )
        watched = Watched(make_app(review, port=port))
        server = uvicorn.Server(server_config(watched))
        listener.listen()
        if studies.doubt is not None:
            warn(f"{settings.out}: {studies.doubt}, so it is unknown whether its studies are as they were written")
        for reviewer, token in review.sessions.lasting_tokens().items():
            announce(reviewer, _address(port, token))
        if settings.browser:
            address = _address(port, review.sessions.token_for_once(settings.reviewers[0]))
            # Some browsers (in a terminal) return only when they are closed.
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        with _ending_when_idle(server, watched, settings.idle_minutes * 60):
            server.run(sockets=[listener])


def _address(port: int, token: str) -> str:
    return f"http://{LOOPBACK}:{port}{ENTRY}?token={token}"


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        raise OutputError(f"--port {port} cannot be used ({error.strerror}): name another, or 0 for any") from error
    return listener


def server_config(app: ASGIApp) -> uvicorn.Config:
    """Return the server configuration for an application."""
    return uvicorn.Config(
        app,
        access_log=False,  # addresses contain tokens
        log_level=logging.WARNING,
        lifespan="off",
        server_header=False,
        http=BoundedProtocol,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_graceful_shutdown=5,
        ws="none",
        proxy_headers=False,
    )


class Watched:
    """Records the time of the latest request and the number in progress; more than the limit are refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.last = time.monotonic()
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.last = time.monotonic()
        if self._answering >= REQUESTS_AT_ONCE:
            busy = PlainTextResponse("too many requests at once", status_code=503, headers={"connection": "close"})
            await busy(scope, receive, send)
            return
        self._answering += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._answering -= 1


@contextmanager
def _ending_when_idle(server: uvicorn.Server, watched: Watched, seconds: float) -> Iterator[None]:
    """Make the server end after some time without a request."""
    done = Event()

    def watch() -> None:
        while not done.wait(min(1.0, seconds / 4)):
            if time.monotonic() - watched.last > seconds:
                server.should_exit = True
                return

    if seconds > 0:
        Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def reviewer_names(given: Sequence[str]) -> tuple[str, ...]:
    """Check the reviewers' names of a command line, and remove duplicates.

    Raises:
        InputError: a name is blank or too long.
    """
    names = tuple(dict.fromkeys(" ".join(name.split()) for name in given))
    for name in names:
        if not 1 <= len(name) <= 80:
            raise InputError(f"--reviewer {name!r} has {len(name)} characters: give a name or initials, 80 at most")
    return names
