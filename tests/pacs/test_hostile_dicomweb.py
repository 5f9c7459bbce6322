"""DICOMweb servers that mean harm: each answer ends within its limits, in a sentence, and the next study is pulled."""

import csv
import gzip
import io
import json
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from fake_server import make_certificate
from pydantic import SecretStr
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from raw_server import playing, read_byte_by_byte

from audit.pacs.archive import FoundSeries, Wanted
from audit.pacs.dicomweb import DicomwebArchive, only_part
from audit.pacs.pulling import FAILURES, pull
from audit.pacs.settings import DicomwebSettings
from pipelines.dicom import bounded
from pipelines.errors import PacsError

KEYS = {"StudyDate": "20260101", "StudyInstanceUID": ""}
DAY = Wanted(first=date(2026, 1, 1), last=date(2026, 1, 1))
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/dicom+json\r\n"
Play = Callable[[socket.socket], None]

SLOW, LARGE = "did not come to the end of an answer within", "an answer of more than 1 MB"
NO_DICOMWEB, BROKE_OFF = "did not answer with DICOMweb", "cannot be reached or broke off"


def archive(port: int, **more: object) -> DicomwebArchive:
    values = {"url": f"http://127.0.0.1:{port}/web", "timeout_s": 120, "answer_s": 0.3, "answer_mb": 1} | more
    return DicomwebArchive(DicomwebSettings(token=SecretStr("s3cr3t"), **values))


def whole(body: bytes, head: bytes = b"") -> Play:
    return lambda c: c.sendall(OK + head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def endless(head: bytes, part: bytes) -> Play:
    def play(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)

    return play


def dripping(head: bytes, part: bytes = b"x") -> Play:
    def play(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)
            time.sleep(0.01)

    return play


def redirect(target: str) -> Play:
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


HOSTILE: dict[str, tuple[Play, str]] = {
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


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_answer_ends_in_a_sentence_without_the_secret(case: str) -> None:
    play, said = HOSTILE[case]
    with (
        playing(lambda connection, _path: play(connection)) as (port, _),
        archive(port, answer_s=120 if said == LARGE else 0.3) as found,
        pytest.raises(PacsError, match=said) as raised,
    ):
        found.query("STUDY", KEYS)
    assert "s3cr3t" not in str(raised.value)
    assert "20260101" not in str(raised.value)


def test_a_silent_server_is_given_up() -> None:
    def silent(connection: socket.socket, _path: str) -> None:
        connection.recv(1)

    with (
        playing(silent) as (port, _),
        archive(port, timeout_s=0.2) as found,
        pytest.raises(PacsError, match="ReadTime"),
    ):
        found.query("STUDY", KEYS)


def test_what_a_redirect_to_another_host_asks_for_is_never_sent() -> None:
    with playing(lambda c, _: whole(b"[]")(c)) as (other, asked):
        for place in (f"http://127.0.0.1:{other}/", f"http://localhost:{other}/", f"//127.0.0.1:{other}"):
            with playing(lambda c, _, place=place: redirect(place)(c)) as (port, _), archive(port) as found:
                with pytest.raises(PacsError, match="which is another server"):
                    found.query("STUDY", KEYS)
                series = FoundSeries(study_uid="1.2", series_uid="1.3", instances={"1.4": ""})
                failed = found.fetch(series, ["1.4"], lambda _uid, _file: None)
                assert "which is another server" in failed["1.4"]
                assert "which is another server" in found.store([small_object("1.4")])["1.4"]
    assert asked == []


def test_bulk_data_elsewhere_is_not_fetched() -> None:
    with playing(lambda c, _: whole(b"[]")(c)) as (other, asked):
        body = result(**{"00080005": {"vr": "CS", "BulkDataURI": f"http://127.0.0.1:{other}/bulk"}})
        with playing(lambda c, _: whole(body)(c)) as (port, _), archive(port) as found:
            assert [each.StudyInstanceUID for each in found.query("STUDY", KEYS | {"SpecificCharacterSet": ""})] == [
                "1.2"
            ]
    assert asked == []


def test_results_without_end_are_given_up() -> None:
    def pages(connection: socket.socket, path: str) -> None:
        start = int(path.partition("offset=")[2].partition("&")[0] or 0)
        uids = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{start + n}"]}} for n in range(200)]
        whole(json.dumps(uids).encode())(connection)

    with (
        playing(pages) as (port, asked),
        archive(port, most_results=1000, answer_s=120) as found,
        pytest.raises(PacsError, match="sends results without end"),
    ):
        found.query("STUDY", KEYS)
    assert len(asked) == 5


def test_an_answer_to_what_is_stored_has_its_limits_too() -> None:
    film = small_object("1.4")
    for play, said in HOSTILE.values():
        if said in {LARGE, SLOW}:
            answer_s = 120 if said == LARGE else 0.3
            with playing(lambda c, _, play=play: play(c)) as (port, _), archive(port, answer_s=answer_s) as found:
                assert said in found.store([film])["1.4"]
    for case in ("JSON of 100,000 lists", "JSON of 100,000 objects", "a number of 100,000 digits"):
        with playing(whole_exchange(HOSTILE[case][0])) as (port, _), archive(port, answer_s=120) as found:
            assert NO_DICOMWEB in found.store([film])["1.4"]


def whole_exchange(play: Play) -> Callable[[socket.socket, str], None]:
    """Play, and read what is still sent: a connection that is closed before that loses what was played."""

    def played(connection: socket.socket, _path: str) -> None:
        play(connection)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    return played


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
XML = {
    "cut short": "<NativeDicomModel><DicomAttribute",
    "a bomb": f'<!DOCTYPE a [<!ENTITY a0 "ha">{LAUGHS}]><a>&a9;</a>',
    "a file": '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>',
    "100,000 elements": "<a>" * 100_000 + "</a>" * 100_000,
}


@pytest.mark.parametrize("case", XML)
def test_hostile_xml_after_what_is_stored_ends_in_a_sentence(case: str) -> None:
    body = XML[case].encode()
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/dicom+xml\r\n"

    answer = head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    with playing(whole_exchange(lambda c: c.sendall(answer))) as (port, _), archive(port, answer_s=120) as found:
        assert NO_DICOMWEB in found.store([small_object("1.4")])["1.4"]


@pytest.mark.parametrize("tls", [False, True], ids=["in the clear", "TLS"])
def test_a_server_that_reads_an_object_byte_by_byte_is_given_up(tls: bool, tmp_path: Path) -> None:
    film = small_object("1.4", pixels=2**25)  # more than the buffers of a connection hold
    context = None
    more: dict[str, object] = {"answer_s": 1}
    if tls:
        both = make_certificate(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        more["ca_file"] = both
    with playing(lambda c, _: read_byte_by_byte(c), reads_a_request=False, tls=context) as (port, _):
        scheme = "https" if tls else "http"
        with archive(port, url=f"{scheme}://127.0.0.1:{port}/web", **more) as found:
            failed = found.store([film])
    assert list(failed) == ["1.4"]
    assert "did not take what was sent within 1 s: set answer_s and timeout_s higher" in failed["1.4"]


def test_the_rest_of_a_series_is_not_asked_of_a_server_that_answers_nothing() -> None:
    uids = [f"1.4.{number}" for number in range(1, 100)]
    series = FoundSeries(study_uid="1.2", series_uid="1.3", instances=dict.fromkeys(uids, ""))
    with playing(lambda *_: None) as (port, asked), archive(port) as found:
        with pytest.raises(PacsError, match=BROKE_OFF):
            found.fetch(series, uids, lambda _uid, _file: None)
        with pytest.raises(PacsError, match=BROKE_OFF):
            found.store([small_object(uid) for uid in uids])
    assert len(asked) == 6


def test_an_answer_in_between_lets_a_series_go_on() -> None:
    uids = [f"1.4.{number}" for number in range(1, 20)]
    series = FoundSeries(study_uid="1.2", series_uid="1.3", instances=dict.fromkeys(uids, ""))
    body = wrapped(FILE)

    def play(connection: socket.socket, path: str) -> None:
        if path.endswith(("3", "6", "9")):
            length = f"Content-Length: {len(body)}\r\n\r\n".encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + MULTIPART + length + body)

    kept: list[str] = []
    with playing(play) as (port, asked), archive(port, answer_s=120) as found:
        failed = found.fetch(series, uids, lambda uid, _file: kept.append(uid))
    assert len(asked) == 19
    assert kept == [f"1.4.{number}" for number in (3, 6, 9, 13, 16, 19)]
    assert len(failed) == 13


def small_object(uid: str, study: str = "1.2", *, pixels: int = 0) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = ComputedRadiographyImageStorage, uid
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = study, f"{study}.3", "CR"
    if pixels:
        made.add_new("PixelData", "OW", bytes(pixels))
    return made


def file_of(made: Dataset) -> bytes:
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def deflate_bomb(uid: str) -> bytes:
    made = small_object(uid)
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    made.add_new("PixelData", "OW", bytes(2**22))
    return file_of(made)


def wrapped(*files: bytes, end: bytes = b"\r\n--b--\r\n") -> bytes:
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    return head + (b"\r\n" + head).join(files) + end


FILE = file_of(small_object("1.2.3.9"))
MULTIPART = b'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'
FALSE_FILES: dict[str, tuple[bytes, bytes, str]] = {  # head, body, reason
    "no end": (MULTIPART, wrapped(FILE, end=b""), NO_DICOMWEB),
    "no beginning": (MULTIPART, FILE, NO_DICOMWEB),
    "no boundary": (b"Content-Type: multipart/related\r\n", wrapped(FILE), NO_DICOMWEB),
    "two objects": (MULTIPART, wrapped(FILE, FILE), NO_DICOMWEB),
    "ten thousand parts": (MULTIPART, wrapped(*[b"x"] * 10_000), NO_DICOMWEB),
    "HTML": (b"Content-Type: text/html\r\n", b"<html>", NO_DICOMWEB),
    "HTML in a part": (MULTIPART, wrapped(b"<html>"), "not a DICOM object"),
    "HTML as an object": (b"Content-Type: application/dicom\r\n", b"<html>" * 100, "not a DICOM object"),
    "nothing": (MULTIPART, b"", NO_DICOMWEB),
    "an empty part": (MULTIPART, wrapped(b""), "not a DICOM object"),
    "half an object": (MULTIPART, wrapped(file_of(small_object("1.2.3.9", pixels=100))[:-9]), "not a DICOM object"),
    "another object": (MULTIPART, wrapped(file_of(small_object("1.2.3.8"))), "another object"),
    "another study's": (MULTIPART, wrapped(file_of(small_object("1.2.3.9", "9.9"))), "another object"),
    "a deflate bomb": (MULTIPART, wrapped(deflate_bomb("1.2.3.9")), "not a DICOM object"),
}


def hospital(play: Callable[[socket.socket, str], None], where: str) -> Callable[[socket.socket, str], None]:
    """A server of three studies that plays something where a path ends so."""

    def answer(connection: socket.socket, path: str) -> None:
        path = path.partition("?")[0]
        parts = path.removeprefix("/web/").split("/")
        if path.endswith(where):
            play(connection, path)
        elif path.endswith("/studies"):
            found = [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in ("1.2", "1.3", "1.4")]
            whole(json.dumps(found).encode())(connection)
        elif path.endswith("/series"):
            series = {"0020000E": {"vr": "UI", "Value": [f"{parts[1]}.3"]}, "00080060": {"vr": "CS", "Value": ["CR"]}}
            whole(json.dumps([series]).encode())(connection)
        elif path.endswith("/instances"):
            whole(json.dumps([{"00080018": {"vr": "UI", "Value": [f"{parts[3]}.9"]}}]).encode())(connection)
        else:
            body = wrapped(file_of(small_object(parts[5], parts[1])))
            length = f"Content-Length: {len(body)}\r\n\r\n".encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + MULTIPART + length + body)

    return answer


def names(into: Path) -> list[str]:
    return sorted(path.name for path in into.rglob("*") if path.is_file())


@pytest.mark.parametrize("case", FALSE_FILES)
def test_a_false_object_is_listed_and_the_next_study_pulled(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MAX_INFLATED_BYTES", 2**20)
    head, body, reason = FALSE_FILES[case]

    def false(connection: socket.socket, _path: str) -> None:
        length = f"Content-Length: {len(body)}\r\n\r\n".encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + head + length + body)

    with playing(hospital(false, "1.2.3.9")) as (port, _), archive(port, answer_s=120) as found:
        pulled = pull(found, tmp_path, DAY)
    ((study, _, uid, said),) = pulled.failed
    assert (study, uid) == ("1.2", "1.2.3.9")
    assert reason in said
    assert pulled.fetched == 2
    assert names(tmp_path) == ["1.3.3.9.dcm", "1.4.3.9.dcm", FAILURES]


@pytest.mark.parametrize("where", ["1.2/series", "1.2.3/instances", "1.2.3.9"])
@pytest.mark.parametrize("case", ["a dripping body", "an endless body", "a gzip bomb", "JSON of 100,000 lists", "HTML"])
def test_a_study_whose_answers_are_hostile_is_listed_and_the_next_pulled(case: str, where: str, tmp_path: Path) -> None:
    with playing(hospital(lambda c, _: HOSTILE[case][0](c), where)) as (port, _), archive(port) as found:
        pulled = pull(found, tmp_path, DAY)
    assert [row[0] for row in pulled.failed] == ["1.2"]
    assert names(tmp_path) == ["1.3.3.9.dcm", "1.4.3.9.dcm", FAILURES]
    with (tmp_path / FAILURES).open(newline="") as file:
        assert [row["study"] for row in csv.DictReader(file)] == ["1.2"]


def test_a_path_for_a_study_is_asked_for_nowhere(tmp_path: Path) -> None:
    def studies(connection: socket.socket, path: str) -> None:
        found = [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in ("../../etc", "1.2", "x" * 100_000)]
        whole(json.dumps(found).encode())(connection)

    with playing(hospital(studies, "/studies")) as (port, asked), archive(port) as found:
        pulled = pull(found, tmp_path / "in", DAY)
    assert not any(".." in path or "xxx" in path for path in asked)
    assert [row[3] for row in pulled.failed] == [
        "the archive sent an identifier that is not a UID: nothing of this study was fetched"
    ] * 2
    assert names(tmp_path) == ["1.2.3.9.dcm", FAILURES]
    assert (tmp_path / "in" / FAILURES).stat().st_size < 2000


def test_an_archive_that_answers_nothing_any_more_is_given_up(tmp_path: Path) -> None:
    def studies(connection: socket.socket, _path: str) -> None:
        found = [{"0020000D": {"vr": "UI", "Value": [f"1.{number}"]}} for number in range(2, 100)]
        whole(json.dumps(found).encode())(connection)

    def play(connection: socket.socket, path: str) -> None:
        (hospital(studies, "/studies") if path.partition("?")[0].endswith("/studies") else lambda *_: None)(
            connection, path
        )

    with playing(play) as (port, asked), archive(port) as found, pytest.raises(PacsError, match=BROKE_OFF):
        pull(found, tmp_path, DAY)
    assert len(asked) == 7  # two modalities, five studies


def test_one_object_is_taken_out_of_its_wrapping_byte_for_byte() -> None:
    tail = FILE + b"\r\n--c\r\n--"
    kind = 'multipart/related; type="application/dicom"; boundary="b"'
    assert only_part(kind, wrapped(tail)) == tail
    assert only_part(kind, b"\r\n" + wrapped(tail, end=b"\r\n--b")) == tail
    assert only_part("Multipart/Related;BOUNDARY=b", b"--b\r\n\r\n" + tail + b"\r\n--b--") == tail
    assert only_part("application/dicom; transfer-syntax=1.2.840.10008.1.2.1", tail) == tail
