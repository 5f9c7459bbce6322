"""Answers of DICOMweb servers that mean harm, and what is said of them."""

import gzip
import io
import json
import zlib

from making import small_object
from pydantic import SecretStr
from pydicom.dataset import Dataset
from raw_server import Sending, dripping, endless

from audit.pacs.dicomweb import DicomwebArchive
from audit.pacs.settings import DicomwebSettings

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/dicom+json\r\n"
SLOW, LARGE = "did not come to the end of an answer within", "an answer of more than 1 MB"
NO_DICOMWEB, BROKE_OFF = "did not answer with DICOMweb", "cannot be reached or broke off"


def archive(port: int, **more: object) -> DicomwebArchive:
    values = {"url": f"http://127.0.0.1:{port}/web", "timeout_s": 120, "answer_s": 0.3, "answer_mb": 1} | more
    return DicomwebArchive(DicomwebSettings(token=SecretStr("s3cr3t"), **values))


def whole(body: bytes, head: bytes = b"") -> Sending:
    return lambda c: c.sendall(OK + head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def redirect(target: str) -> Sending:
    return lambda c: c.sendall(
        f"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()
    )


def result(**values: object) -> bytes:
    given: dict[str, object] = {"0020000D": {"vr": "UI", "Value": ["1.2"]}} | values
    return json.dumps([given]).encode()


def squeezed(size: int, times: int = 1) -> bytes:
    body = b" " * size
    for _ in range(times):
        body = gzip.compress(body)
    return body


HOSTILE: dict[str, tuple[Sending, str]] = {
    "an endless body": (endless(OK + b"\r\n", b"[" * 65536), LARGE),
    "endless chunks": (endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"[" * 4096 + b"\r\n"), LARGE),
    "endless small chunks": (dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n[\r\n"), SLOW),
    "an endless chunk extension": (dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n1;"), SLOW),
    "an endless trailer": (
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
        f"{LARGE}|{SLOW}|{BROKE_OFF}",
    ),
    "a dripping body": (dripping(OK + b"Content-Length: 100000\r\n\r\n"), SLOW),
    "a dripping body without length": (dripping(OK + b"\r\n"), SLOW),
    "a dripping status line": (dripping(b"HTTP/1.1 200 "), SLOW),
    "a dripping header": (dripping(OK + b"X-Endless: "), SLOW),
    "dripping headers": (dripping(OK, b"X: y\r\n"), f"{SLOW}|{BROKE_OFF}"),
    "a flood of headers": (endless(OK, b"X-Flood: y\r\n" * 1000), BROKE_OFF),
    "a header of a megabyte": (whole(b"[]", b"X-Long: " + b"y" * 2**20 + b"\r\n"), BROKE_OFF),
    "endless interim answers": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), f"{LARGE}|{SLOW}"),
    "a body of gigabytes by its length": (endless(OK + b"Content-Length: 4294967296\r\n\r\n", b" " * 65536), LARGE),
    "a length that is too long": (lambda c: c.sendall(OK + b"Content-Length: 9999\r\n\r\n[]"), BROKE_OFF),
    "a length that is too short": (lambda c: c.sendall(OK + b"Content-Length: 1\r\n\r\n[]"), NO_DICOMWEB),
    "a chunk of 16 EiB": (
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", b" " * 65536),
        LARGE,
    ),
    "a chunk that is no number": (lambda c: c.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\nmany\r\n"), BROKE_OFF),
    "a gzip bomb": (whole(squeezed(2**22), b"Content-Encoding: gzip\r\n"), LARGE),
    "a gzip bomb in a gzip": (whole(squeezed(2**22, 2), b"Content-Encoding: gzip, gzip\r\n"), LARGE),
    "a deflate bomb": (whole(zlib.compress(bytes(2**22)), b"Content-Encoding: deflate\r\n"), LARGE),
    "a redirect with a gzip bomb": (
        lambda c: c.sendall(
            b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /web/on\r\nContent-Encoding: gzip\r\n"
            + f"Content-Length: {len(squeezed(2**22))}\r\n\r\n".encode()
            + squeezed(2**22)
        ),
        LARGE,
    ),
    "no gzip": (whole(b"[]", b"Content-Encoding: gzip\r\n"), BROKE_OFF),
    "many codings": (whole(b"[]", b"Content-Encoding: " + b"gzip, " * 1000 + b"gzip\r\n"), BROKE_OFF),
    "JSON of 100,000 lists": (whole(b"[" * 100_000 + b"]" * 100_000), NO_DICOMWEB),
    "JSON of 100,000 objects": (whole(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), NO_DICOMWEB),
    "a number of 100,000 digits": (whole(b"[" + b"9" * 100_000 + b"]"), NO_DICOMWEB),
    "many empty results": (whole(b"[" + b"{}," * 300_000 + b"{}]"), "more than 100000 results"),
    "HTML": (
        lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\n\r\n<html>"),
        NO_DICOMWEB,
    ),
    "no bytes at all": (lambda _: None, BROKE_OFF),
    "no HTTP": (lambda c: c.sendall(b"220 mail.example ESMTP\r\n" * 10), BROKE_OFF),
    "a sequence for an identifier": (
        whole(result(**{"0020000D": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI"}}]}})),
        NO_DICOMWEB,
    ),
    "a result without an identifier": (whole(b'[{"00080020": {"vr": "DA"}}]'), NO_DICOMWEB),
    "a redirect in a circle": (redirect("/web/on"), "in a circle"),
    "a redirect to a file": (redirect("file:///etc/passwd"), "which is another server"),
    "a redirect to another scheme": (redirect("https://127.0.0.1/web"), "which is another server"),
    "a redirect to another port": (redirect("//127.0.0.1:1/web"), "which is another server"),
    "a redirect past a name": (
        redirect("http://127.0.0.1:80\\@evil.example/"),
        "which is another server|not answer with DICOMweb",
    ),
    "a redirect with a name": (redirect("http://evil.example:80@127.0.0.1/"), "which is another server"),
}


def file_of(made: Dataset) -> bytes:
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def wrapped(*files: bytes, end: bytes = b"\r\n--b--\r\n") -> bytes:
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    return head + (b"\r\n" + head).join(files) + end


FILE = file_of(small_object("1.2.3.9"))
MULTIPART = b'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'
