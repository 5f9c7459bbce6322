"""The port that C-MOVE delivers to, and nodes that mean harm to it."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from making import small_object
from orthanc import free_port
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from raw_server import Sending, dripping, endless

from audit.pacs.receiver import Intake, Receiver
from audit.pacs.settings import DimseSettings, Retrieve

# pynetdicom, which plays the node, leaves the sockets of connections that were refused or reset to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]


@contextmanager
def receiving(**more: object) -> Iterator[tuple[int, Receiver]]:
    """The port that C-MOVE delivers to."""
    port = free_port()
    values = {"timeout_s": 240, "answer_s": 0.3, "answer_mb": 1} | more
    taking = Receiver(
        DimseSettings(
            host="127.0.0.1",
            port=104,
            ae_title="NODE",
            retrieve=Retrieve.MOVE,
            own_address="127.0.0.1",
            own_port=port,
            **values,
        )
    )
    try:
        yield port, taking
    finally:
        taking.close()


@pytest.mark.parametrize(
    "play",
    [
        endless(b"\x01\x00\xff\xff\xff\xff", bytes(65536)),
        dripping(b"\x01\x00\x00\x00\xff\xff", b"\0"),
        dripping(b"\x01", b"\0"),
        endless(b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
    ],
    ids=["a PDU of 4 GiB", "a PDU that drips", "a header that drips", "HTTP"],
)
def test_the_port_for_what_is_moved_drops_who_is_hostile(play: Sending) -> None:
    with (
        receiving() as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=240) as connection,
        pytest.raises(OSError, match=r"\w"),
    ):
        play(connection)


def sent(port: int, uid: str) -> int | None:
    """Send an object as an honest node does; gives the status it gets, None for no association."""
    entity = AE(ae_title="NODE")
    entity.add_requested_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port)
    if not association.is_established:
        return None
    status = association.send_c_store(small_object(uid)).get("Status")
    association.release()
    return status


def test_the_port_for_what_is_moved_takes_what_was_asked_for_beside_who_is_hostile() -> None:
    kept: list[str] = []
    intake = Intake(frozenset({"1.2.3.9"}), lambda uid, _file: kept.append(uid), seconds=240)
    with receiving(answer_s=240) as (port, taking), taking.taking(intake):
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.sendall(b"\x01")
            assert [sent(port, uid) for uid in ("1.2.3.9", "1.2.3.8")] == [0x0000, 0x0124]
        assert kept == ["1.2.3.9"]


def test_the_port_for_what_is_moved_has_a_limit_of_connections() -> None:
    with receiving(answer_s=240) as (port, _), ExitStack() as stack:
        for _ in range(200):  # a connection counts once its thread has started
            last = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=240))
            if select.select([last], [], [], 0.1)[0]:
                break
        assert last.recv(1) == b""
