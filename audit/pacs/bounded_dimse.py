"""Associations with an untrusted peer: limits of time and size for each message, in both directions.

pynetdicom reads a PDU of any length that the peer states, and sends as long as the peer reads a byte now and then. It
does both without a time limit, in a thread that cannot be ended from outside. This module limits the length of a PDU,
the size and duration of a message, and the amount of unprocessed data. Beyond a limit the connection is closed, which
pynetdicom handles as if the peer had closed it.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.fsm import AA_4, InvalidEventError, StateMachine
from pynetdicom.transport import (
    AddressInformation,
    AssociationServer,
    AssociationSocket,
    RequestHandler,
    ThreadedAssociationServer,
)

from audit.pacs.settings import DimseSettings
from pipelines.dicom.source import READ_ERRORS

__all__ = ["BoundedEntity", "listen", "reason_of"]

_PDU_BYTES: Final = 2**20  # an association request or answer has about 20 kB; for data, this program requests 16 kB
_ANSWER_BYTES: Final = 2 * _PDU_BYTES  # for messages without an object: a result of a query, the end of a retrieval
_HEADER_BYTES: Final = 6  # PDU header: type, reserved, length (PS3.8 9.3.1)
_SENT_AT_ONCE: Final = 2**14  # bytes; TLS sends records of this size, each with its own timeout
_CONNECTIONS: Final = 8  # simultaneous connections of the C-MOVE receiver, each with up to one object in memory
_ENDED: Final = "Sta13"  # the association has ended, but the connection is not yet closed (PS3.8 table 9-5)


class _LimitError(OSError):
    """A limit was exceeded; pynetdicom treats it as the end of the connection."""


class _BoundedSocket(AssociationSocket):
    """Reads and writes one PDU after another within the limits. pynetdicom uses it only in the connection's thread.

    Args:
        assoc: the association; it gets a state machine that a malformed PDU cannot stop.
        settings: the limits of its messages.
        connection: ``client_socket`` or ``address``, as in pynetdicom.
    """

    def __init__(self, assoc: Association, settings: DimseSettings, **connection: Any) -> None:
        super().__init__(assoc, **connection)
        assoc.dul.state_machine = _LastingStateMachine(assoc.dul)
        self._settings = settings
        self._receiving_since = time.monotonic()
        self._sending_since: float | None = None
        self._message_bytes = 0
        self._most_bytes = settings.answer_mb * 2**20
        self._unread_bytes = 0  # bytes of messages that arrived since the message queue was last empty
        self.reason: str | None = None  # why this program closed the connection

    @property
    def ready(self) -> bool:
        """Return True if data can be read; a peer that sends faster than its messages are processed has to wait."""
        if self.assoc.dul.state_machine.current_state == _ENDED:  # pynetdicom would continue to read what it sends
            return False
        waiting = not self.assoc.dimse.msg_queue.empty()
        if not waiting:
            self._unread_bytes = 0
        if waiting and self._unread_bytes > self._most_bytes // 4:
            return False
        return bool(super().ready)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read the first six bytes of a PDU, or the rest of it.

        Raises:
            OSError: a limit was exceeded, or the connection failed.
        """
        if nr_bytes == _HEADER_BYTES and self.assoc.dimse.message is None:
            self._receiving_since, self._message_bytes = time.monotonic(), 0
        self._message_bytes += nr_bytes
        self._unread_bytes += nr_bytes
        if nr_bytes > _PDU_BYTES:
            raise self._limit(f"it announced a PDU of {nr_bytes:,} bytes; the limit is {_PDU_BYTES:,}")
        is_object = isinstance(self.assoc.dimse.message, C_STORE_RQ)
        most = self._most_bytes if is_object else _ANSWER_BYTES
        if self._message_bytes > most:
            megabytes = most / 2**20
            raise self._limit(f"it sent a message of more than {megabytes:g} MB: set answer_mb higher to allow it")
        read = bytearray()
        while len(read) < nr_bytes:
            with self._within(self._receiving_since, "come to the end of a message") as connection:
                part = connection.recv(min(nr_bytes - len(read), 2**16))
            if not part:
                break
            read += part
        return read

    def send(self, bytestream: bytes) -> None:
        """Send a PDU within the time limit of its message; the connection of a slower peer is closed."""
        if self._sending_since is None:
            self._sending_since = time.monotonic()
        try:
            for start in range(0, len(bytestream), _SENT_AT_ONCE):
                with self._within(self._sending_since, "take a message") as connection:
                    connection.sendall(bytestream[start : start + _SENT_AT_ONCE])
        except OSError:
            self.event_queue.put("Evt17")  # transport connection closed
            return
        if self.assoc.dul.to_provider_queue.empty():  # this was the last PDU of the message
            self._sending_since = None

    def close(self) -> None:
        """Close, and wake threads that wait for a message: pynetdicom would let them wait for the whole timeout."""
        super().close()
        self.assoc.dimse.msg_queue.put((None, None))

    def _shutdown_socket(self) -> None:
        """Close the socket, which pynetdicom leaves to the garbage collector if it was never connected."""
        super()._shutdown_socket()
        if self.socket is not None:
            self.socket.close()

    @contextmanager
    def _within(self, began: float, what: str) -> Iterator[socket.socket]:
        """Yield the socket, with the rest of a message's time as its timeout.

        Raises:
            OSError: no time is left, or the socket is closed.
        """
        if self.socket is None:
            raise OSError("the connection is closed")
        seconds = self._settings.answer_s
        too_slow = f"it did not {what} within {seconds:g} s: set answer_s higher if it or the network is that slow"
        left = began + seconds - time.monotonic()
        if left <= 0:
            raise self._limit(too_slow)
        self.socket.settimeout(min(left, self._settings.timeout_s))
        try:
            yield self.socket
        except TimeoutError as error:
            silent = f"it neither sent nor took anything for {self._settings.timeout_s:g} s in the middle of a message"
            raise self._limit(too_slow if left <= self._settings.timeout_s else silent) from error

    def _limit(self, reason: str) -> _LimitError:
        self.reason = reason
        return _LimitError(reason)


class _LastingStateMachine(StateMachine):
    """Ends the association if a PDU cannot be processed: otherwise pynetdicom's thread would die and its users wait."""

    def do_action(self, event: str) -> None:
        """Process an event."""
        try:
            super().do_action(event)
        except (*READ_ERRORS, InvalidEventError):
            self.transition(AA_4(self.dul))


class BoundedEntity(AE):
    """An application entity with limited connections."""

    def __init__(self, settings: DimseSettings) -> None:
        super().__init__(ae_title=settings.own_ae_title)
        self.settings = settings
        self.acse_timeout = self.network_timeout = self.connection_timeout = settings.timeout_s
        self.dimse_timeout = settings.answer_s + settings.timeout_s  # sending a request and waiting for its answer

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> AssociationSocket:
        made = _BoundedSocket(assoc, self.settings, address=address)
        made.tls_args = tls_args
        return made


class _BoundedHandler(RequestHandler):
    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.event_queue.get_nowait()  # "connected", from pynetdicom's socket: our socket reports it again
        association.dul.socket = _BoundedSocket(association, _settings_of(self.server), client_socket=self.request)
        return association


class _BoundedServer(ThreadedAssociationServer):
    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; its own thread does the TLS handshake, so that a slow client does not block others."""
        if self.socket is None:
            raise OSError("the server is closed")
        connection, address = self.socket.accept()
        if len(self.active_associations) >= _CONNECTIONS:
            connection.close()
            raise OSError("there are too many connections")
        connection.settimeout(_settings_of(self).timeout_s)
        if self.ssl_context is not None:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address


def _settings_of(server: AssociationServer) -> DimseSettings:
    if not isinstance(server.ae, BoundedEntity):
        raise TypeError("the server does not belong to a BoundedEntity")
    return server.ae.settings


def listen(
    entity: BoundedEntity, address: tuple[str, int], *, tls: ssl.SSLContext | None, **more: Any
) -> ThreadedAssociationServer:
    """Make an entity accept associations.

    Raises:
        OSError: the port cannot be opened.
    """
    server = entity.make_server(
        address, ssl_context=tls, server_class=_BoundedServer, request_handler=_BoundedHandler, **more
    )
    threading.Thread(target=server.serve_forever, name="receiver of C-MOVE", daemon=True).start()
    entity._servers.append(server)
    return server


def reason_of(association: Association) -> str | None:
    """Return the limit that ended an association; None if none did."""
    found = association.dul.socket
    return found.reason if isinstance(found, _BoundedSocket) else None
