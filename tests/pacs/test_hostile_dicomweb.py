"""DICOMweb servers that mean harm: each answer ends within its limits, in a sentence, and the next study is pulled."""

import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_server import make_certificate
from hostile_dicomweb import (
    BROKE_OFF,
    FILE,
    HOSTILE,
    LARGE,
    MULTIPART,
    NO_DICOMWEB,
    SLOW,
    archive,
    redirect,
    result,
    whole,
    wrapped,
)
from making import small_object
from raw_server import Sending, playing, read_byte_by_byte

from audit.pacs.archive import FoundSeries
from pipelines.errors import PacsError

KEYS = {"StudyDate": "20260101", "StudyInstanceUID": ""}


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


def whole_exchange(play: Sending) -> Callable[[socket.socket, str], None]:
    """Sending, and read what is still sent: a connection that is closed before that loses what was played."""

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
