"""Access control of the review server: tokens that open a session, and sessions that identify their reviewer.

The server listens on loopback, which excludes other machines, but not other pages in the browser: any of them can send
requests to it. The Host header is checked against DNS rebinding (a foreign name that resolves to this machine), Origin
and Sec-Fetch-Site against pages of other sites, and the session's cookie is SameSite=Strict.

Source: OWASP, "Cross-Site Request Forgery Prevention"; W3C, "Fetch Metadata Request Headers".
"""

import secrets
from collections.abc import Sequence
from hmac import compare_digest
from threading import Lock
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ENTRY", "MOST_BYTES", "Guard", "Sessions", "cookie_name"]

_TOKEN_BYTES = 32
_SESSIONS_AT_MOST = 1000


class Sessions:
    """Exchanges tokens for sessions. A reviewer's name comes only from the command line, never from a page.

    Each reviewer has two tokens. The first is printed in the terminal and is valid as long as the server runs. The
    second opens a single session: it is part of the address with which a browser is started, and other users of the
    machine can read that address in the list of processes.
    """

    def __init__(self, reviewers: Sequence[str]) -> None:
        self._lasting = {_new(): reviewer for reviewer in reviewers}
        self._once: dict[str, str] = {}
        self._sessions: dict[str, str] = {}
        self._lock = Lock()

    def lasting_tokens(self) -> dict[str, str]:
        """Return the reviewers' tokens for the terminal, by reviewer."""
        return {reviewer: token for token, reviewer in self._lasting.items()}

    def token_for_once(self, reviewer: str) -> str:
        """Create a token that opens one session."""
        token = _new()
        with self._lock:
            self._once[token] = reviewer
        return token

    def open(self, token: str) -> str | None:
        """Open a session with a token and return its secret; None if the token is not valid, or no longer valid."""
        with self._lock:
            reviewer = _find(self._lasting, token)
            if reviewer is None:
                reviewer = _find(self._once, token)
                self._once = {known: name for known, name in self._once.items() if not _equal(known, token)}
            if reviewer is None:
                return None
            secret = _new()
            self._sessions[secret] = reviewer
            while len(self._sessions) > _SESSIONS_AT_MOST:
                self._sessions.pop(next(iter(self._sessions)))
            return secret

    def reviewer(self, secret: str) -> str | None:
        """Return the reviewer of a session; None if there is no such session."""
        with self._lock:
            return _find(self._sessions, secret)


def _new() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _equal(one: str, other: str) -> bool:
    return compare_digest(one.encode(), other.encode())


def _find(known: dict[str, str], given: str) -> str | None:
    """Look up a secret in constant time, so that the duration does not reveal how much of it was right."""
    found = None
    for secret, reviewer in known.items():
        if _equal(secret, given):
            found = reviewer
    return found


ENTRY: Final = "/enter"
"""The only path that needs no session: it exchanges a token for one."""

MOST_BYTES: Final = 64 * 1024
"""Limit of a request's body: an entry with fifty boxes and the longest comment has less than 25 kB."""

_COOKIES_TRIED: Final = 200  # browsers store about as many for one host

_MARKS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), clipboard-read=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>m2ib-audit review</title>{head}
<body><p>{body}</p></body></html>"""


def cookie_name(port: int) -> str:
    """Return the name of the session's cookie; cookies ignore ports, so two servers on a machine need two names."""
    return f"m2ib-audit-review-{port}"


class Guard:
    """ASGI middleware: passes a request on with its reviewer in ``scope["reviewer"]``, or answers it itself."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions, port: int) -> None:
        self._app, self._sessions, self._port = app, sessions, port
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, _limited(receive), _marking(send))
        else:
            await refusal(scope, receive, _marking(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        host = headers.get("host", "")
        if host not in self._hosts:
            return _error(421, "this server answers to 127.0.0.1 only")
        if method == "GET" and path == ENTRY:
            return self._enter(scope)
        if path == "/favicon.ico":  # every browser asks for one
            return Response(status_code=204)
        foreign = _foreign(headers, method, host)
        if foreign is not None:
            return foreign
        reviewer = self._reviewer(headers)
        if reviewer is None:
            return _no_session(path)
        scope["reviewer"] = reviewer
        return None

    def _reviewer(self, headers: Headers) -> str | None:
        """Return the reviewer whose session one of the cookies belongs to.

        A request carries the cookies of every other server on this machine. Some violate the standard, and another
        cookie may have our name and come first. So all cookies of our name are tried, and the others are ignored.
        """
        own = cookie_name(self._port)
        pairs = (pair.partition("=") for line in headers.getlist("cookie") for pair in line.split(";"))
        secrets = [value.strip() for name, _, value in pairs if name.strip() == own]
        reviewers = (self._sessions.reviewer(secret) for secret in secrets[:_COOKIES_TRIED])
        return next((reviewer for reviewer in reviewers if reviewer is not None), None)

    def _enter(self, scope: Scope) -> Response:
        """Exchange the token in the address for a session.

        The answer is a page with a refresh, not a redirect: after a redirect, a browser would not send the strict
        cookie if the address was opened from another site's page (a web mail, a notebook).
        """
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        secret = self._sessions.open(token)
        if secret is None:
            return _no_session(ENTRY)
        head = '<meta http-equiv="refresh" content="0; url=/index.html">'
        response = HTMLResponse(_PAGE.format(head=head, body='<a href="/index.html">To the studies</a>'))
        response.set_cookie(cookie_name(self._port), secret, httponly=True, samesite="strict", path="/")
        return response


def _foreign(headers: Headers, method: str, host: str) -> Response | None:
    """Refuse requests that our own pages do not send."""
    if method not in {"GET", "POST"}:
        return _error(405, "only GET and POST are known")
    if method == "POST" and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _error(415, "send application/json")
    origin = headers.get("origin")
    # A browser states the origin of a POST: a request without one does not come from our pages.
    is_own = origin == f"http://{host}" or (origin is None and method == "GET")
    if not is_own or headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return _error(403, "the request comes from another site")
    return None


def _no_session(path: str) -> Response:
    if path.startswith("/api/"):
        return _error(401, "your session has ended; open the address in the terminal again, in another tab")
    body = "Open the address that <code>m2ib-audit review</code> has printed in its terminal: it holds your token."
    return HTMLResponse(_PAGE.format(head="", body=body), status_code=401)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)


def _limited(receive: Receive) -> Receive:
    """Count the bytes of a request: a chunked request does not state its length."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            raise HTTPException(413, f"more than {MOST_BYTES} bytes were sent")
        return message

    return counted


def _marking(send: Send) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in _MARKS.items():
                headers.setdefault(name, value)
        await send(message)

    return marked
