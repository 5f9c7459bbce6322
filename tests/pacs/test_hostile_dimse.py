"""DICOM nodes that mean harm: each operation ends within its limits, in a sentence."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date

import pytest
from making import small_object
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)
from raw_server import Sending, dripping, endless, playing, read_byte_by_byte

from audit.pacs import receiver
from audit.pacs.archive import FoundSeries, Wanted
from audit.pacs.dimse import DimseArchive
from audit.pacs.settings import DimseSettings
from pipelines.errors import PacsError

# pynetdicom, which plays the node, leaves the sockets of connections that were refused or reset to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]

DAY = Wanted(first=date(2026, 1, 1), last=date(2026, 1, 1))
KEYS = {"StudyDate": "20260101", "StudyInstanceUID": ""}
SERIES = FoundSeries(study_uid="1.2", series_uid="1.2.3", instances={"1.2.3.9": str(ComputedRadiographyImageStorage)})
DATA = b"\x04\x00"  # type of a P-DATA-TF PDU, reserved
SLOW = "did not come to the end of a message within"
NO_END = "sends results without end"
BROKE = "broke off, or did not answer in time"
UNREACHED = "offers none|cannot be reached|broke off"


def limits(said: str) -> dict[str, float]:
    """A low limit of time where that is what a test waits for."""
    return {"answer_s": 0.3} if said == SLOW else {}


def archive(port: int, **more: object) -> DimseArchive:
    """Its limits are met by no honest node, however busy this machine is, unless a test sets them lower."""
    limits = {"timeout_s": 240, "answer_s": 240, "answer_mb": 1} | more
    return DimseArchive(DimseSettings(host="127.0.0.1", port=port, ae_title="NODE", **limits))


def pdv(data: bytes, *, control: int) -> bytes:
    """A P-DATA-TF PDU of one fragment in presentation context 1 (PS3.8 9.3.5)."""
    item = struct.pack(">LBB", len(data) + 2, 1, control) + data
    return DATA + struct.pack(">L", len(item)) + item


def command(**elements: object) -> bytes:
    """A command set as its bytes (PS3.7 E.1)."""
    made = Dataset()
    made.AffectedSOPClassUID = StudyRootQueryRetrieveInformationModelFind
    made.MessageIDBeingRespondedTo = 1
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return encode(made, is_implicit_vr=True, is_little_endian=True) or b""


PENDING = command(CommandField=0x8020, CommandDataSetType=0x0001, Status=0xFF00)


BEFORE: dict[str, tuple[Sending, str]] = {
    "an association PDU of 4 GiB": (
        endless(b"\x02\x00\xff\xff\xff\xff", bytes(65536)),
        "announced a PDU of 4,294,967,295",
    ),
    "an association that drips": (dripping(b"\x02\x00\x00\x00\xff\xff", b"\0"), SLOW),
    "a header that drips": (dripping(b"\x02\x00\x00\x00\xff", b"\0"), SLOW),
    "HTTP": (lambda c: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), UNREACHED),
    "nothing": (lambda _: None, UNREACHED),
    "an association of nothing": (
        lambda c: c.sendall(b"\x02\x00\x00\x00\x00\x00"),
        UNREACHED,
    ),
    "endless zeros": (endless(b"", bytes(65536)), UNREACHED),
}


@pytest.mark.parametrize("case", BEFORE)
def test_a_node_that_is_hostile_before_there_is_an_association(case: str) -> None:
    play, said = BEFORE[case]

    def after_the_request(connection: socket.socket, _path: str) -> None:
        connection.recv(65536)
        play(connection)

    with (
        playing(after_the_request, reads_a_request=False) as (port, _),
        archive(port, **limits(said)) as found,
        pytest.raises(PacsError, match=said),
    ):
        found.query("STUDY", KEYS)


def test_an_association_that_is_never_answered_is_given_up() -> None:
    def silent(connection: socket.socket, _path: str) -> None:
        while connection.recv(65536):
            pass

    with (
        playing(silent, reads_a_request=False) as (port, _),
        archive(port, timeout_s=0.3) as found,
        pytest.raises(PacsError, match="cannot be reached"),
    ):
        found.query("STUDY", KEYS)


@contextmanager
def node(**handlers: Callable[[evt.Event], object]) -> Iterator[int]:
    """A node of pynetdicom whose handlers may write to the connection as they like."""
    entity = AE(ae_title="NODE")
    for model in (StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet):
        entity.add_supported_context(model)
    entity.add_supported_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian, scu_role=True, scp_role=True)
    bound = [(getattr(evt, f"EVT_{name.upper()}"), handler) for name, handler in handlers.items()]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=bound)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()
        server.server_close()


def writing(play: Sending) -> Callable[[evt.Event], Iterator[object]]:
    """A handler that writes bytes of its own, until the client has gone."""

    def handler(event: evt.Event) -> Iterator[object]:
        with suppress(OSError, AttributeError):
            play(event.assoc.dul.socket.socket)
        yield from ()

    return handler


WITHIN: dict[str, tuple[Sending, str]] = {
    "a PDU of 4 GiB": (endless(DATA + b"\xff\xff\xff\xff", bytes(65536)), "announced a PDU of 4,294,967,295 bytes"),
    "a PDU that drips": (dripping(DATA + b"\x00\x00\xff\x00", b"\0"), SLOW),
    "a message without end": (
        endless(pdv(PENDING, control=3), pdv(bytes(16000), control=0)),
        "a message of more than 2",
    ),
    "a command without end": (endless(b"", pdv(bytes(16000), control=1)), "a message of more than 2 MB"),
    "a message that drips in whole PDUs": (dripping(pdv(PENDING, control=3), pdv(b"\0", control=0)), SLOW),
    "a command that is none": (endless(b"", pdv(b"\xff" * 100, control=3)), BROKE),
    "another PDU type": (endless(b"", b"\x99" * 60), BROKE),
    "a fragment that is longer than its PDU": (
        endless(b"", DATA + struct.pack(">L", 10) + b"\xff\xff\xff\xff\x01\x03" + bytes(4)),
        "broke off, or did not answer in time",
    ),
    "a rejected association after all": (endless(b"", b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x01"), BROKE),
}


@pytest.mark.parametrize("case", WITHIN)
@pytest.mark.parametrize("service", ["find", "get"])
def test_a_node_that_is_hostile_within_an_association(case: str, service: str) -> None:
    play, said = WITHIN[case]
    with (
        node(**{f"c_{service}": writing(play)}) as port,
        archive(port, **limits(said)) as found,
        pytest.raises(PacsError, match=said),
    ):
        ask(found, service)


def ask(found: DimseArchive, service: str) -> None:
    if service == "find":
        found.query("STUDY", KEYS)
    else:
        found.fetch(SERIES, ["1.2.3.9"], lambda _uid, _file: None)


def test_a_node_that_falls_silent_within_an_association_is_given_up() -> None:
    def silent(connection: socket.socket) -> None:
        while connection.fileno() >= 0:
            time.sleep(0.01)

    with (
        node(c_find=writing(silent)) as port,
        archive(port, timeout_s=1, answer_s=1) as found,
        pytest.raises(PacsError, match=f"{BROKE}|{UNREACHED}"),
    ):
        found.query("STUDY", KEYS)


def test_results_without_end_are_given_up() -> None:
    def find(_event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        number = 0
        while True:
            number += 1
            answer = Dataset()
            answer.StudyInstanceUID = f"1.{number}"
            yield 0xFF00, answer

    with (
        node(c_find=find) as port,
        archive(port, most_results=50) as found,
        pytest.raises(PacsError, match=NO_END),
    ):
        found.query("STUDY", KEYS)


def test_results_that_drip_are_given_up() -> None:
    def find(_event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        while True:
            time.sleep(0.05)
            answer = Dataset()
            answer.StudyInstanceUID = "1.2"
            yield 0xFF00, answer

    with (
        node(c_find=find) as port,
        archive(port, timeout_s=0.5, answer_s=0.05) as found,
        pytest.raises(PacsError, match=f"{NO_END}|{SLOW}|{BROKE}|{UNREACHED}"),  # the others on a busy machine
    ):
        found.query("STUDY", KEYS)


def test_what_is_left_of_a_query_that_failed_is_not_taken_for_the_next_ones_results() -> None:
    def find(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        day = event.identifier.StudyDate
        for number in range(100 if day == "20260101" else 2):
            answer = Dataset()
            answer.StudyInstanceUID = f"{day}.{number}"
            yield 0xFF00, answer

    with node(c_find=find) as port, archive(port, most_results=3) as found:
        with pytest.raises(PacsError, match=NO_END):
            found.query("STUDY", KEYS)
        studies = found.query("STUDY", KEYS | {"StudyDate": "20260102"})
    assert [each.StudyInstanceUID for each in studies] == ["20260102.0", "20260102.1"]


def test_of_a_result_only_what_was_asked_for_is_looked_at() -> None:
    def find(_event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        answer = Dataset()
        answer.StudyInstanceUID = "1.2"
        answer.PatientName = "NOBODY^ASKED"
        inner = Dataset()
        for _ in range(50):
            outer = Dataset()
            outer.ReferencedStudySequence = Sequence([inner])
            inner = outer
        answer.ReferencedStudySequence = Sequence([inner])
        yield 0xFF00, answer

    with node(c_find=find) as port, archive(port) as found:
        (study,) = found.query("STUDY", KEYS)
    assert [element.keyword for element in study] == ["StudyInstanceUID"]


def test_who_goes_on_sending_what_nobody_asked_for_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "MOST_OTHERS", 3)

    def get(_event: evt.Event) -> Iterator[object]:
        yield 10_000
        for number in range(10_000):
            yield 0xFF00, small_object(f"9.9.{number}")

    kept: list[str] = []
    with node(c_get=get) as port, archive(port) as found, pytest.raises(PacsError, match=BROKE):
        found.fetch(SERIES, ["1.2.3.9"], lambda uid, _file: kept.append(uid))
    assert kept == []


def test_an_instance_that_is_sent_again_and_again_is_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "MOST_OTHERS", 3)

    def get(_event: evt.Event) -> Iterator[object]:
        yield 10_000
        for _ in range(10_000):
            yield 0xFF00, small_object("1.2.3.9")

    kept: list[str] = []
    with node(c_get=get) as port, archive(port) as found:
        assert found.fetch(SERIES, ["1.2.3.9"], lambda uid, _file: kept.append(uid)) == {}
    assert kept == ["1.2.3.9"]


def test_an_instance_larger_than_the_limit_is_not_taken() -> None:
    def get(_event: evt.Event) -> Iterator[object]:
        yield 1
        large = small_object("1.2.3.9")
        large.PixelData = bytes(2 * 2**20)
        large["PixelData"].VR = "OW"
        yield 0xFF00, large

    kept: list[str] = []
    with (
        node(c_get=get) as port,
        archive(port) as found,
        pytest.raises(PacsError, match="more than 1 MB: set answer_mb higher"),
    ):
        found.fetch(SERIES, ["1.2.3.9"], lambda uid, _file: kept.append(uid))
    assert kept == []


def acceptance(most_bytes: int, encoding: str = ExplicitVRLittleEndian) -> bytes:
    """An A-ASSOCIATE-AC that accepts the first context, and takes PDUs of this length (PS3.8 9.3.3)."""

    def item(kind: int, data: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(data)) + data

    syntax = item(0x40, encoding.encode())
    user = item(0x51, struct.pack(">L", most_bytes)) + item(0x52, b"1.2.3")
    items = item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x21, b"\x01\0\0\0" + syntax) + item(0x50, user)
    body = struct.pack(">HH16s16s32s", 1, 0, b"NODE".ljust(16), b"M2IB-AUDIT".ljust(16), bytes(32)) + items
    return struct.pack(">BBL", 2, 0, len(body)) + body


def accepting(most_bytes: int, encoding: str = ExplicitVRLittleEndian) -> Callable[[socket.socket, str], None]:
    """Accept an association, and read byte by byte what is sent."""

    def play(connection: socket.socket, _path: str) -> None:
        connection.recv(65536)
        connection.sendall(acceptance(most_bytes, encoding))
        read_byte_by_byte(connection)

    return play


def test_a_node_that_reads_an_object_byte_by_byte_is_given_up() -> None:
    large = small_object("1.2.3.9")
    large.add_new("PixelData", "OW", bytes(2**25))  # more than the buffers of a connection hold
    with (
        playing(accepting(2**20), reads_a_request=False) as (port, _),
        archive(port, answer_s=1) as found,
        pytest.raises(PacsError, match="did not take a message within 1 s: set answer_s higher"),
    ):
        found.store([large])


def test_a_node_that_would_have_objects_split_into_single_bytes_is_refused() -> None:
    with (
        playing(accepting(7), reads_a_request=False) as (port, _),
        archive(port) as found,
        pytest.raises(PacsError, match="accepts PDUs of at most 7 bytes"),
    ):
        found.store([small_object("1.2.3.9")])


@pytest.mark.parametrize("encoding", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.1", "1.2\0\1"])
def test_a_node_that_chooses_an_encoding_that_was_not_offered_is_refused(encoding: str) -> None:
    with (
        playing(accepting(2**14, encoding), reads_a_request=False) as (port, _),
        archive(port) as found,
        pytest.raises(PacsError, match=f"chose an encoding that was not offered|{UNREACHED}"),
    ):
        found.query("STUDY", KEYS)
