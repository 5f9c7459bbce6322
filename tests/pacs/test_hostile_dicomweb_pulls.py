"""A study whose answers mean harm is listed, and the next study is pulled."""

import csv
import json
import socket
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hostile_dicomweb import BROKE_OFF, FILE, HOSTILE, MULTIPART, NO_DICOMWEB, archive, file_of, whole, wrapped
from making import small_object
from pydicom.uid import DeflatedExplicitVRLittleEndian
from raw_server import playing

from audit.pacs.archive import Wanted
from audit.pacs.dicomweb import only_part
from audit.pacs.pulling import FAILURES, pull
from pipelines.dicom import bounded
from pipelines.errors import PacsError

DAY = Wanted(first=date(2026, 1, 1), last=date(2026, 1, 1))


def deflate_bomb(uid: str) -> bytes:
    made = small_object(uid)
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    made.add_new("PixelData", "OW", bytes(2**22))
    return file_of(made)


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
