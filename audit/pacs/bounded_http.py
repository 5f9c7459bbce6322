"""A requests session for an untrusted server: one origin, and limits of time and size for each exchange.

requests limits only the time between two reads or writes. A server that sends or reads a byte now and then blocks a
program forever, and requests reads and inflates any amount. Here a request is sent in pieces; every byte of an answer,
from the status line on, is read through :class:`_MeteredSocket`; and the body is inflated in pieces.
"""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPResponse as StandardResponse
from io import BufferedReader, BytesIO, RawIOBase
from socket import socket
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import BaseHTTPResponse, HTTPResponse

from audit.pacs.archive import UnansweredError
from audit.pacs.settings import DicomwebSettings
from pipelines.errors import PacsError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["BoundedSession"]

_CHUNK: Final = 2**16
_SENT_AT_ONCE: Final = 2**14  # bytes; TLS sends records of this size, each with its own timeout
_HEAD_BYTES: Final = 2**20  # status lines and headers of one answer; servers send a few hundred bytes
_REDIRECTS: Final = 5


class _Meter:
    """The remaining time and size of one request and its answer, including redirects."""

    def __init__(self, *, seconds: float, silence_s: float, most_bytes: int) -> None:
        self._seconds, self._silence_s, self._most_bytes = seconds, silence_s, most_bytes
        self._sending = 0.0  # seconds spent on writes
        self._began: float | None = None  # time of the first byte; before that, silence_s is the limit
        self._taken = 0

    @contextmanager
    def sending(self, connected: socket) -> Iterator[None]:
        """Limit one write to the remaining time for writes.

        Raises:
            PacsError: no time is left.
        """
        left = self._seconds - self._sending
        if left <= 0:
            raise self._not_taken()
        connected.settimeout(min(left, self._silence_s))
        began = time.monotonic()
        try:
            yield
        except TimeoutError as error:
            raise self._not_taken() from error
        finally:
            self._sending += time.monotonic() - began

    def wait_s(self) -> float:
        """Return the time limit of the next read.

        Raises:
            PacsError: no time is left.
        """
        if self._began is None:
            return self._silence_s
        left = self._began + self._seconds - time.monotonic()
        if left <= 0:
            raise self._too_slow()
        return min(left, self._silence_s)

    def timed_out(self) -> None:
        """Decide whether a read timed out because the total time is over or because the server was silent.

        Raises:
            PacsError: the total time is over.
        """
        if self._began is not None and time.monotonic() >= self._began + self._seconds:
            raise self._too_slow()

    def take(self, count: int) -> None:
        """Count received bytes.

        Raises:
            PacsError: there are too many.
        """
        if self._began is None:
            self._began = time.monotonic()
        self._taken += count
        if self._taken > self._most_bytes + _HEAD_BYTES:
            raise self._too_large()

    def refuse_larger(self, size: int) -> None:
        """Refuse a body of this many bytes if it is too large."""
        if size > self._most_bytes:
            raise self._too_large()

    def _not_taken(self) -> UnansweredError:
        seconds = min(self._seconds, self._silence_s)
        return UnansweredError(
            f"the server did not take what was sent within {seconds:g} s: set answer_s and timeout_s higher if it or "
            "the network is that slow"
        )

    def _too_slow(self) -> UnansweredError:
        return UnansweredError(
            f"the server did not come to the end of an answer within {self._seconds:g} s: set answer_s higher if it or "
            "the network is that slow"
        )

    def _too_large(self) -> PacsError:
        megabytes = self._most_bytes / 2**20
        return PacsError(f"the server sent an answer of more than {megabytes:g} MB: set answer_mb higher to allow it")


_meter: ContextVar[_Meter] = ContextVar("meter of the current request")


class _MeteredSocket(RawIOBase):
    """Reads a socket within the limits of the current request."""

    def __init__(self, raw: RawIOBase, connected: socket) -> None:
        self._raw, self._socket = raw, connected

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Read like a socket's file."""
        meter = _meter.get()
        self._socket.settimeout(meter.wait_s())
        try:
            count: int | None = self._raw.readinto(buffer)
        except TimeoutError:
            meter.timed_out()
            raise
        meter.take(count or 0)
        return count

    def close(self) -> None:
        """Return the socket."""
        self._raw.close()
        super().close()


class _MeteredResponse(StandardResponse):
    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = BufferedReader(_MeteredSocket(self.fp.detach(), sock), _CHUNK)


class _Connection(HTTPConnection):
    response_class = _MeteredResponse  # the class of http.client's answers

    def send(self, data: Any) -> None:
        """Send bytes in pieces; urllib3 passes only bytes."""
        if self.sock is None:
            self.connect()
        for start in range(0, len(data), _SENT_AT_ONCE):
            with _meter.get().sending(self.sock):
                super().send(data[start : start + _SENT_AT_ONCE])


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _BoundedAdapter(HTTPAdapter):
    """Reads and inflates a complete body within the limits before it returns an answer."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create metered connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def build_response(self, req: requests.PreparedRequest, resp: BaseHTTPResponse) -> requests.Response:
        """Create an answer with its complete body."""
        meter = _meter.get()
        try:
            body = self._body(resp, meter)
        except BaseException:
            resp.close()
            raise
        resp.release_conn()
        headers = resp.headers.copy()
        headers.discard("Content-Encoding")
        whole = HTTPResponse(
            body=BytesIO(body),
            headers=headers,
            status=resp.status,
            version=resp.version,
            reason=resp.reason,
            preload_content=False,
            original_response=getattr(resp, "_original_response", None),  # cookies are read from it
            enforce_content_length=False,
        )
        return super().build_response(req, whole)

    @staticmethod
    def _body(resp: BaseHTTPResponse, meter: _Meter) -> bytes:
        stated = resp.headers.get("Content-Length", "")
        if stated.isascii() and stated.isdigit():
            meter.refuse_larger(int(stated[:20]))
        parts, size = [], 0
        for part in resp.stream(_CHUNK, decode_content=True):
            meter.wait_s()  # inflating also takes time
            size += len(part)
            meter.refuse_larger(size)
            parts.append(part)
        return b"".join(parts)


class BoundedSession(requests.Session):
    """Sends requests to one server only, within the limits of its settings.

    Raises:
        PacsError: from every request, if a limit is exceeded or the server redirects elsewhere.
    """

    def __init__(self, settings: DicomwebSettings) -> None:
        super().__init__()
        self.trust_env = False  # no .netrc, and no proxy that the PACS administrator does not know about
        self.max_redirects = _REDIRECTS
        self.verify = True if settings.ca_file is None else str(settings.ca_file)
        if settings.client_cert is not None:
            key = None if settings.client_key is None else str(settings.client_key)
            self.cert = str(settings.client_cert) if key is None else (str(settings.client_cert), key)
        if settings.user is not None and settings.password is not None:
            pair = f"{settings.user}:{settings.password.get_secret_value()}".encode()
            self.headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if settings.token is not None:
            self.headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
        self.headers["Accept-Encoding"] = "identity"  # radiographs hardly compress
        self.mount("http://", _BoundedAdapter())
        self.mount("https://", _BoundedAdapter())
        self._origin = _origin(settings.url)
        self._settings = settings
        self._most_bytes = settings.answer_mb * 2**20

    @contextmanager
    def answers_up_to(self, megabytes: int) -> Iterator[None]:
        """Set the size limit of answers in this context."""
        before = self._most_bytes
        self._most_bytes = min(before, megabytes * 2**20)
        try:
            yield
        finally:
            self._most_bytes = before

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, and follow redirects within the server, within the limits of one answer."""
        settings = self._settings
        token = _meter.set(_Meter(seconds=settings.answer_s, silence_s=settings.timeout_s, most_bytes=self._most_bytes))
        try:
            return super().request(*args, **kwargs)
        finally:
            _meter.reset(token)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send one request, or one redirect, to the configured server only."""
        there = _origin(request.url or "")
        if there != self._origin:
            raise PacsError(
                f"the server redirects to {there[0]}://{there[1]}, which is another server: credentials and patient "
                "data are not sent there; set url to it if that is intended"
            )
        return super().send(request, **kwargs)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
