"""Who may speak to the review server: tokens that open a session, and sessions that name their reviewer."""

import secrets
from collections.abc import Sequence
from hmac import compare_digest
from threading import Lock

__all__ = ["Sessions"]

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
