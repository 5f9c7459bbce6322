"""Who may speak to the review server: tokens that open a session, and sessions that name their reviewer.

The server listens on loopback, which keeps other machines out, not the browser's other pages: any of them may send
requests to it. The Host header is checked against DNS rebinding (a foreign name made to point here), Origin and
Sec-Fetch-Site against pages of other sites, and the session's cookie is SameSite=Strict.

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
    """Exchanges tokens for sessions. A reviewer's name comes from the command line alone, never from a page.

    There are two tokens a reviewer: one is printed in the terminal and lasts as long as the server; the other opens one
    session only, for the address that a browser is started with stands in the list of processes, where others on the
    machine can read it.
    """

    def __init__(self, reviewers: Sequence[str]) -> None:
        self._lasting = {_new(): reviewer for reviewer in reviewers}
        self._once: dict[str, str] = {}
        self._sessions: dict[str, str] = {}
        self._lock = Lock()

    def lasting_tokens(self) -> dict[str, str]:
        """Give each reviewer's token for the terminal, by the reviewer."""
        return {reviewer: token for token, reviewer in self._lasting.items()}

    def token_for_once(self, reviewer: str) -> str:
        """Make a token that opens one session."""
        token = _new()
        with self._lock:
            self._once[token] = reviewer
        return token

    def open(self, token: str) -> str | None:
        """Open a session with a token and give its secret; None if the token is not, or no longer, good."""
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
        """Name the reviewer of a session; None if there is no such session."""
        with self._lock:
            return _find(self._sessions, secret)


def _new() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _equal(one: str, other: str) -> bool:
    return compare_digest(one.encode(), other.encode())


def _find(known: dict[str, str], given: str) -> str | None:
    """Look a secret up without telling by the time taken how much of it was right."""
    found = None
    for secret, reviewer in known.items():
        if _equal(secret, given):
            found = reviewer
    return found


ENTRY: Final = "/enter"
"""The only path that needs no session: it takes a token and gives one."""

MOST_BYTES: Final = 64 * 1024
"""Of a request's body: an entry with its fifty boxes and the longest comment has under 25 kB."""

_COOKIES_TRIED: Final = 200  # a browser keeps about as many for one host

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
    """Name the session's cookie; cookies know no ports, so two servers of one machine need two names."""
    return f"m2ib-audit-review-{port}"


class Guard:
    """ASGI middleware: lets a request pass with its reviewer in ``scope["reviewer"]``, or answers itself."""

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
        """Name whose session one of the cookies is.

        Cookies of every other server on this machine come along: some are written as no standard has it, and one may
        have our name and stand before ours. So all of our name are tried, and what the others hold is not looked at.
        """
        own = cookie_name(self._port)
        pairs = (pair.partition("=") for line in headers.getlist("cookie") for pair in line.split(";"))
        secrets = [value.strip() for name, _, value in pairs if name.strip() == own]
        reviewers = (self._sessions.reviewer(secret) for secret in secrets[:_COOKIES_TRIED])
        return next((reviewer for reviewer in reviewers if reviewer is not None), None)

    def _enter(self, scope: Scope) -> Response:
        """Exchange the token in the address for a session.

        The answer is a page that goes on by itself, not a redirect: after a redirect a browser would not send the
        strict cookie if the address was opened from another site's page (a web mail, a notebook).
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
    """Refuse what none of our own pages sends."""
    if method not in {"GET", "POST"}:
        return _error(405, "only GET and POST are known")
    if method == "POST" and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _error(415, "send application/json")
    origin = headers.get("origin")
    # A browser says where a POST comes from: one that does not say so is none of our pages.
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
    """Count what a request sends: one in chunks does not say its length."""
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
