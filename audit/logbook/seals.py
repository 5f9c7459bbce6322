"""Records that carry an HMAC of themselves, so that one that the log does not name yet is told from a forged one.

A run that is killed leaves records that its log does not name yet. The log's next entry may vouch for them only if
whoever wrote them had the salt. The seal is an HMAC-SHA-256 of the file's bytes with the seal's own digits as zeros.

Source: RFC 2104 (HMAC).
"""

import hmac
import re

__all__ = ["UNSEALED", "is_sealed", "seal_key", "sealed"]

UNSEALED = "0" * 64
"""What stands in a record's field ``seal`` until the file's bytes are known."""

_SEAL = re.compile(rb'^ "seal": ?"([0-9a-f]{64})"', re.MULTILINE)  # of the record itself: nested fields stand deeper


def seal_key(salt: bytes) -> bytes:
    """Derive the key of the seals, so that one key serves one purpose."""
    return hmac.new(salt, b"m2ib-audit record seal", "sha256").digest()


def sealed(content: bytes, key: bytes) -> bytes:
    """Put the seal into a record that was written with :data:`UNSEALED`.

    Raises:
        ValueError: the record has no such field.
    """
    found = list(_SEAL.finditer(content))
    if len(found) != 1 or found[0][1] != UNSEALED.encode():
        raise ValueError("a record is sealed that has no field for it")
    return _with_seal(content, found[0], hmac.new(key, content, "sha256").hexdigest())


def is_sealed(content: bytes, key: bytes) -> bool:
    """Say whether a record was written, as it is, by who had the salt."""
    found = list(_SEAL.finditer(content))
    if len(found) != 1:
        return False
    bare = _with_seal(content, found[0], UNSEALED)
    return hmac.compare_digest(found[0][1].decode(), hmac.new(key, bare, "sha256").hexdigest())


def _with_seal(content: bytes, place: re.Match[bytes], seal: str) -> bytes:
    return content[: place.start(1)] + seal.encode() + content[place.end(1) :]
