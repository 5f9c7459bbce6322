"""Receives instances that were requested, by C-GET or at a port of our own (C-MOVE).

Source: PS3.4 B.2.3 (C-STORE status codes).
"""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import evt
from pynetdicom.presentation import build_context

from audit.pacs.archive import Keep
from audit.pacs.bounded_dimse import BoundedEntity, listen
from audit.pacs.settings import DimseSettings
from pipelines.errors import AuditError, OutputError, PacsError

__all__ = ["COMPRESSED", "DEFAULT_CLASSES", "MOST_OTHERS", "Intake", "Receiver"]

COMPRESSED = (
    *(JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless),
    *(JPEG2000Lossless, JPEG2000, RLELossless, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K),
)
DEFAULT_CLASSES = (
    str(ComputedRadiographyImageStorage),
    str(DigitalXRayImageStorageForPresentation),
    str(SecondaryCaptureImageStorage),
)
_REPORT_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33, 34))
_MORE_CLASSES = ("1.2.840.10008.5.1.4.1.1.1.1.1", *_REPORT_CLASSES)  # For Processing; basic to comprehensive SR

MOST_OTHERS = 200  # instances that were not requested

_OUT_OF_RESOURCES, _NOT_ASKED_FOR = 0xA700, 0x0124


class Intake:
    """Accepts each requested instance once, and no other; a sender with too many others is cut off."""

    def __init__(self, wanted: frozenset[str], keep: Keep, *, seconds: float) -> None:
        self._wanted, self._keep = wanted, keep
        self._end = time.monotonic() + seconds
        self._others = 0
        self._error: AuditError | None = None
        self.taken: set[str] = set()

    def take(self, event: evt.Event) -> int:
        """Store the instance of a C-STORE; returns its status. Called in a thread of the connection."""
        uid = str(getattr(event.request, "AffectedSOPInstanceUID", ""))
        if uid not in self._wanted or uid in self.taken:
            self._others += 1
            if self._others > MOST_OTHERS or self.is_late():
                event.assoc.abort()
            return _NOT_ASKED_FOR
        if self._error is not None:
            return _OUT_OF_RESOURCES
        try:
            self._keep(uid, event.encoded_dataset())
        except OutputError as error:
            self._error = error
            return _OUT_OF_RESOURCES
        self.taken.add(uid)
        return 0x0000

    def is_late(self) -> bool:
        """Return True if the time for the whole retrieval is over."""
        return time.monotonic() > self._end

    def raise_error(self) -> None:
        """Raise the error that prevented an instance from being written."""
        if self._error is not None:
            raise self._error


class Receiver:
    """A port of our own, to which an archive sends the instances that a C-MOVE requested.

    Raises:
        PacsError: the port is in use, or there is no certificate for TLS.
    """

    def __init__(self, settings: DimseSettings) -> None:
        self._entity = BoundedEntity(settings)
        self._intake: Intake | None = None
        encodings: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, *COMPRESSED]
        contexts = [build_context(sop_class, encodings) for sop_class in (*DEFAULT_CLASSES, *_MORE_CLASSES)]
        context = _server_context(settings) if settings.tls else None
        try:
            self._server = listen(
                self._entity,
                (settings.own_address, settings.own_port),
                tls=context,
                evt_handlers=[(evt.EVT_C_STORE, self._take)],
                contexts=contexts,
            )
        except OSError as error:
            raise PacsError(
                f"own_port {settings.own_port} cannot be opened ({error.strerror}): is another pull running?"
            ) from error

    @contextmanager
    def taking(self, intake: Intake) -> Iterator[None]:
        """Pass received instances to ``intake``."""
        self._intake = intake
        try:
            yield
        finally:
            self._intake = None

    def close(self) -> None:
        """Stop listening."""
        self._entity.shutdown()
        self._server.server_close()

    def _take(self, event: evt.Event) -> int:
        return _NOT_ASKED_FOR if self._intake is None else self._intake.take(event)


def _server_context(settings: DimseSettings) -> ssl.SSLContext:
    """Create the TLS context of incoming connections: the peer must present a certificate that ca_file confirms."""
    if settings.client_cert is None or settings.ca_file is None:
        raise PacsError("C-MOVE over TLS needs client_cert (and client_key) and ca_file, or set retrieve to get")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(settings.client_cert, settings.client_key)
    return context
