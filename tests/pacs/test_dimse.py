"""Nodes of our own making: what is not asked for, TLS, and refusals."""

import gc
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from fake_server import make_certificate
from orthanc import free_port
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    DigitalXRayImageStorageForPresentation,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from audit.pacs.archive import Wanted
from audit.pacs.dimse import DimseArchive
from audit.pacs.pulling import Pulled, pull
from audit.pacs.receiver import Receiver
from audit.pacs.settings import DimseSettings, Retrieve
from pipelines.errors import OutputError, PacsError

# pynetdicom, which plays the node, leaves the sockets of connections that were refused or reset to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

DAY = Wanted(first=date(2026, 1, 1), last=date(2026, 1, 1))


@pytest.fixture(autouse=True, scope="module")
def collected() -> Iterator[None]:
    """Let no such socket be collected in another file's test."""
    yield
    gc.collect()


@contextmanager
def node(film: Dataset, sent: list[Dataset], *, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[int]]]:
    """A node that has one film, and sends ``sent`` whatever is asked; gives port and the answers to what it sent."""
    answers: list[int] = []
    entity = AE(ae_title="NODE")
    entity.require_called_aet = True
    for model in (StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet):
        entity.add_supported_context(model)
    entity.add_supported_context(
        DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, scu_role=True, scp_role=True
    )

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        answer = Dataset()
        answer.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
        for keyword in (
            "StudyInstanceUID",
            "SeriesInstanceUID",
            "SOPInstanceUID",
            "SOPClassUID",
            "Modality",
            "StudyDate",
        ):
            setattr(answer, keyword, film.get(keyword))
        yield 0xFF00, answer

    def get(_event: evt.Event) -> Iterator[object]:
        yield len(sent)
        for each in sent:
            yield 0xFF00, each

    def taken(event: evt.Event) -> None:
        if type(event.message).__name__ == "C_STORE_RSP":
            answers.append(event.message.command_set.Status)

    handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_GET, get), (evt.EVT_DIMSE_RECV, taken)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=tls)
    try:
        yield server.socket.getsockname()[1], answers
    finally:
        server.shutdown()
        server.server_close()


def settings(port: int, **more: object) -> DimseSettings:
    return DimseSettings(host="127.0.0.1", port=port, ae_title="NODE", timeout_s=120, **more)


@pytest.fixture
def film(cohort: Path) -> Dataset:
    return dcmread(cohort / "dicom" / "phantom-00001.dcm")


def pulled_from(port: int, into: Path, **more: object) -> Pulled:
    with DimseArchive(settings(port, **more)) as archive:
        return pull(archive, into, DAY)


def test_an_instance_that_nobody_asked_for_is_refused(film: Dataset, cohort: Path, tmp_path: Path) -> None:
    other = dcmread(cohort / "dicom" / "phantom-00002.dcm")
    with node(film, [other, film]) as (port, answers):
        pulled = pulled_from(port, tmp_path)
    assert answers == [0x0124, 0x0000]
    assert (pulled.fetched, pulled.failed) == (1, [])
    assert [dcmread(path).SOPInstanceUID for path in tmp_path.rglob("*.dcm")] == [film.SOPInstanceUID]


def test_an_instance_that_is_not_what_it_is_called_is_listed(film: Dataset, tmp_path: Path) -> None:
    false = dcmread(film.filename)
    false.StudyInstanceUID = "1.2.3"
    with node(film, [false]) as (port, _):
        pulled = pulled_from(port, tmp_path)
    assert [row[3] for row in pulled.failed] == ["the archive sent another object than the requested one"]
    assert not list(tmp_path.rglob("*.dcm*"))


def test_an_instance_that_does_not_come_is_listed(film: Dataset, tmp_path: Path) -> None:
    with node(film, []) as (port, _):
        pulled = pulled_from(port, tmp_path)
    ((_, _, uid, reason),) = pulled.failed
    assert uid == film.SOPInstanceUID
    assert reason.startswith("NODE at 127.0.0.1")


def test_a_result_of_our_own_is_left_where_it_is(film: Dataset, tmp_path: Path) -> None:
    film.Manufacturer = "m2ib-audit"
    with node(film, [film]) as (port, _):
        pulled = pulled_from(port, tmp_path)
    assert (pulled.own, pulled.fetched, pulled.failed) == (1, 0, [])
    assert not list(tmp_path.rglob("*.dcm*"))


def test_a_folder_that_cannot_be_written_ends_the_pull_in_a_sentence(
    film: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("audit.pacs.pulling.os.fsync", full)
    with node(film, [film]) as (port, answers), pytest.raises(OutputError, match="No space left"):
        pulled_from(port, tmp_path)
    assert answers == [0xA700]
    assert not list(tmp_path.rglob("*.dcm*"))


def test_tls_is_checked_in_both_directions(film: Dataset, tmp_path: Path) -> None:
    both = make_certificate(tmp_path)
    certificate = tmp_path / "cert.pem"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.load_cert_chain(both)
    context.verify_mode = ssl.CERT_REQUIRED
    with node(film, [film], tls=context) as (port, _):
        own = {"tls": True, "ca_file": certificate, "client_cert": both}
        assert pulled_from(port, tmp_path / "in", **own).fetched == 1
        with pytest.raises(PacsError, match="certificate trusted"):
            pulled_from(port, tmp_path / "not", tls=True, client_cert=both)


def test_nobody_there_gives_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PacsError, match="cannot be reached: is it up"):
        pulled_from(free_port(), tmp_path)


def test_a_node_without_the_service_says_so(film: Dataset, tmp_path: Path) -> None:
    entity = AE(ae_title="NODE")
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(PacsError, match="offers none of the requested services"):
            pulled_from(server.socket.getsockname()[1], tmp_path)
    finally:
        server.shutdown()
        server.server_close()


def test_a_move_over_tls_without_a_certificate_of_our_own_says_what_it_needs(film: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PacsError, match="C-MOVE over TLS needs client_cert"):
        Receiver(settings(104, tls=True, retrieve=Retrieve.MOVE))


def test_a_port_that_is_taken_says_so(film: Dataset) -> None:
    with node(film, []) as (port, _), pytest.raises(PacsError, match=f"own_port {port} cannot be opened"):
        Receiver(settings(104, retrieve=Retrieve.MOVE, own_address="127.0.0.1", own_port=port))
