"""The one object in the answer to a retrieval.

Source: PS3.18 8.6.1 (multipart payloads), RFC 2046 5.1.1 (boundaries).
"""

from email.message import Message

__all__ = ["only_part"]

_HEAD_BYTES = 2**14


def only_part(content_type: str, body: bytes) -> bytes:
    """Take the only part out of a multipart message; some servers send the object without such a wrapping.

    Raises:
        ValueError: it is neither, is cut short, or holds several parts.
    """
    message = Message()
    message["Content-Type"] = content_type
    if message.get_content_type() == "application/dicom":
        return body
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/related" or not boundary or len(boundary) > 200:
        raise ValueError("no object came")
    marker = b"--" + boundary.encode("latin-1")
    start = body.find(marker, 0, _HEAD_BYTES)
    head_end = body.find(b"\r\n\r\n", start + len(marker), start + len(marker) + _HEAD_BYTES)
    if start < 0 or head_end < 0:
        raise ValueError("the object has no beginning")
    end = body.find(b"\r\n" + marker, head_end + 4)
    if end < 0:
        raise ValueError("the object has no end")
    after = end + 2 + len(marker)
    if body[after : after + 4].strip() not in {b"", b"--"}:
        raise ValueError("several objects came")
    return body[head_end + 4 : end]
