"""An archive over DIMSE: C-FIND to find, C-GET or C-MOVE to fetch, C-STORE to store.

Source: PS3.4 annex B (storage), annex C (query/retrieve, study root); PS3.15 B.1 (secure transport).
"""

import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when the module is imported
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from audit.pacs.archive import FoundSeries, Keep
from audit.pacs.bounded_dimse import BoundedEntity, reason_of
from audit.pacs.receiver import COMPRESSED, DEFAULT_CLASSES, Intake, Receiver
from audit.pacs.settings import DimseSettings, Retrieve
from pipelines.dicom.source import READ_ERRORS, tolerant_reading
from pipelines.errors import PacsError

__all__ = ["DimseArchive"]

_PENDING = frozenset({0xFF00, 0xFF01})
_MOST_CLASSES = 9  # with all encodings: an association has at most 128 presentation contexts
_AT_ONCE = 50  # UIDs per request
_MANY_MESSAGES = 10  # all results of a query may take this many times the time of one message
_LEAST_PDU_BYTES = 4096  # minimum PDU size of the archive; an object is split into PDUs all at once
_PLAIN: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]  # deflated encodings are not offered
_CHARACTER_SET = 0x00080005
_MEANINGS = {
    0xA701: "it is out of resources",
    0xA702: "it could not send them",
    0xA801: "it does not know own_ae_title as a destination: have it entered with address and own_port",
    0xA900: "it does not understand the query",
    0xC000: "it could not process the query",
    0x0110: "it could not process the request",
    0x0122: "it does not offer this service",
    0x0124: "it does not allow this",
}


class DimseArchive:
    """A DICOM node."""

    def __init__(self, settings: DimseSettings) -> None:
        self._settings = settings
        self._name = f"{settings.ae_title} at {settings.host}:{settings.port}"
        self._entity = BoundedEntity(settings)
        self._finding: Association | None = None
        self._receiver: Receiver | None = None

    def __enter__(self) -> "DimseArchive":
        """Do nothing: associations are opened when they are needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End open associations, and close the port."""
        if self._finding is not None:
            _end(self._finding)
            self._finding = None
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None

    def query(self, level: str, keys: Mapping[str, str]) -> list[Dataset]:
        """Find matches at a level (:class:`audit.pacs.archive.Archive`)."""
        if self._finding is None or not self._finding.is_established:
            self._finding = self._open([build_context(StudyRootQueryRetrieveInformationModelFind, _PLAIN)])
        try:
            with tolerant_reading(), self._readable_loss(self._finding):
                return self._results(self._finding, level, keys)
        except PacsError:
            self._finding.abort()  # otherwise remaining results would be read as those of the next query
            self._finding = None
            raise

    def _results(self, association: Association, level: str, keys: Mapping[str, str]) -> list[Dataset]:
        model, settings = StudyRootQueryRetrieveInformationModelFind, self._settings
        end = time.monotonic() + settings.timeout_s + _MANY_MESSAGES * settings.answer_s
        found: list[Dataset] = []
        for status, identifier in association.send_c_find(_identifier(level, keys), model):
            if identifier is not None and status.get("Status") in _PENDING:
                found.append(self._picked(identifier, keys))
                if len(found) > settings.most_results or time.monotonic() > end:
                    raise PacsError(
                        f"{self._name} sends results without end ({len(found)} so far): ask for fewer days, or set "
                        "most_results or answer_s higher"
                    )
            elif status.get("Status") != 0x0000:
                raise PacsError(f"{self._name} does not answer the query: {_meaning(status, association)}")
        return found

    def _picked(self, identifier: Dataset, keys: Mapping[str, str]) -> Dataset:
        """Copy the requested elements of a result, and nothing else that the archive may have added."""
        picked = Dataset()
        try:
            for tag in [*map(tag_for_keyword, keys), _CHARACTER_SET]:
                if tag is not None and tag in identifier:
                    picked[tag] = identifier[tag]
            picked.decode()
        except READ_ERRORS as error:
            raise PacsError(f"{self._name} sent a result that cannot be read ({type(error).__name__})") from error
        return picked

    def fetch(self, series: FoundSeries, uids: Sequence[str], keep: Keep) -> dict[str, str]:
        """Fetch instances of a series, over this connection (C-GET) or another (C-MOVE)."""
        failed: dict[str, str] = {}
        for start in range(0, len(uids), _AT_ONCE):
            part = uids[start : start + _AT_ONCE]
            keys = {
                "StudyInstanceUID": series.study_uid,
                "SeriesInstanceUID": series.series_uid,
                "SOPInstanceUID": "\\".join(part),
            }
            seconds = self._settings.timeout_s + len(part) * self._settings.answer_s
            intake = Intake(frozenset(part), keep, seconds=seconds)
            try:
                if self._settings.retrieve is Retrieve.MOVE:
                    reason = self._move(keys, intake)
                else:
                    classes = {series.instances.get(uid, "") for uid in part} - {""}
                    reason = self._get(keys, sorted(classes) or list(DEFAULT_CLASSES), intake)
            finally:
                intake.raise_error()
            failed |= {uid: reason for uid in part if uid not in intake.taken}
        return failed

    def store(self, objects: Sequence[Dataset]) -> dict[str, str]:
        """Store objects over one association."""
        classes = sorted({str(each.SOPClassUID) for each in objects})
        contexts = [
            build_context(sop_class, syntax)
            for sop_class in classes
            for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
        ]
        failed: dict[str, str] = {}
        with self._opened(contexts) as association:
            taken = {str(context.abstract_syntax) for context in association.accepted_contexts}
            for each in objects:
                if str(each.SOPClassUID) not in taken:
                    failed[str(each.SOPInstanceUID)] = f"{self._name} takes no {each.SOPClassUID.name}"
                    continue
                with self._readable_loss(association):
                    status = association.send_c_store(each).get("Status")
                if status is None:
                    raise PacsError(f"{self._name} did not take an object: {_broken_off(association)}")
                if status != 0x0000 and status >> 12 != 0xB:  # Bxxx: stored, with a warning
                    failed[str(each.SOPInstanceUID)] = f"the archive refused it (status {status:04X})"
        return failed

    def _get(self, keys: Mapping[str, str], classes: Sequence[str], intake: Intake) -> str:
        """Receive instances over this connection (C-GET); return the reason for missing ones."""
        model = StudyRootQueryRetrieveInformationModelGet
        classes = classes[:_MOST_CLASSES]
        contexts = [build_context(model, _PLAIN)]
        for sop_class in classes:
            # One context per encoding, so that the archive sends each image in its stored encoding.
            contexts += [build_context(sop_class, _PLAIN), *(build_context(sop_class, each) for each in COMPRESSED)]
        roles = [build_role(sop_class, scp_role=True) for sop_class in classes]
        handlers = [(evt.EVT_C_STORE, intake.take)]
        with self._opened(contexts, ext_neg=roles, evt_handlers=handlers) as association:
            answers = association.send_c_get(_identifier("IMAGE", keys), model)
            return self._reason(association, answers, intake)

    def _move(self, keys: Mapping[str, str], intake: Intake) -> str:
        """Receive instances at this program's own port (C-MOVE)."""
        model = StudyRootQueryRetrieveInformationModelMove
        if self._receiver is None:
            self._receiver = Receiver(self._settings)
        with self._receiver.taking(intake), self._opened([build_context(model, _PLAIN)]) as association:
            own = self._settings.own_ae_title
            answers = association.send_c_move(_identifier("IMAGE", keys), own, model)
            return self._reason(association, answers, intake)

    def _reason(
        self, association: Association, answers: Iterable[tuple[Dataset, Dataset | None]], intake: Intake
    ) -> str:
        """Follow a retrieval to its end; returns the reason for instances that are missing.

        Raises:
            PacsError: the archive broke off or took too long, and had sent nothing.
        """
        last = Dataset()
        with tolerant_reading(), self._readable_loss(association):
            for status, _ in answers:
                last = status
                if intake.is_late():
                    association.abort()
                    last = Dataset()
                    break
        late = "it took too long: set answer_s higher if it is that slow" if intake.is_late() else None
        reason = f"{self._name} did not send it: {late or _meaning(last, association)}"
        if "Status" not in last and not intake.taken:
            raise PacsError(reason)
        return reason

    @contextmanager
    def _readable_loss(self, association: Association) -> Iterator[None]:
        """Convert the RuntimeError that pynetdicom raises if an association ended before a request was sent."""
        try:
            yield
        except RuntimeError as error:
            if association.is_established:
                raise
            raise PacsError(f"{self._name} broke off: {_broken_off(association)}") from error

    @contextmanager
    def _opened(self, contexts: list[PresentationContext], **more: Any) -> Iterator[Association]:
        association = self._open(contexts, **more)
        try:
            yield association
        finally:
            _end(association)

    def _open(self, contexts: list[PresentationContext], **more: Any) -> Association:
        """Open an association.

        Raises:
            PacsError: there is no answer, or the archive does not accept the association.
        """
        settings = self._settings
        tls = (client_context(settings), settings.host) if settings.tls else None
        with tolerant_reading():
            association = self._entity.associate(
                settings.host, settings.port, contexts=contexts, ae_title=settings.ae_title, tls_args=tls, **more
            )
        if association.is_established:
            self._check_terms(association, contexts)
            return association
        if (limit := reason_of(association)) is not None:
            raise PacsError(f"{self._name} broke off: {limit}")
        if association.is_rejected:
            raise PacsError(
                f"{self._name} does not accept {settings.own_ae_title}: have this title and this machine entered "
                "there, and check ae_title"
            )
        if association.acceptor.primitive is not None:
            raise PacsError(f"{self._name} offers none of the requested services, or broke off")
        trust = ", its certificate trusted (ca_file)" if settings.tls else ""
        raise PacsError(f"{self._name} cannot be reached: is it up{trust}, and are host, port and tls right?")

    def _check_terms(self, association: Association, offered: list[PresentationContext]) -> None:
        """Refuse an archive with terms that pynetdicom accepts but cannot handle.

        Raises:
            PacsError: it chose an encoding that was not offered, or accepts only PDUs that are shorter than any real
                ones: an object would be split into millions of parts at once.
        """
        pairs = {(each.abstract_syntax, syntax) for each in offered for syntax in each.transfer_syntax}
        chosen = {(each.abstract_syntax, each.transfer_syntax[0]) for each in association.accepted_contexts}
        stated = association.acceptor.maximum_length
        wrong = None
        if not chosen <= pairs:
            wrong = "chose an encoding that was not offered"
        elif stated and stated < _LEAST_PDU_BYTES:
            wrong = f"accepts PDUs of at most {stated} bytes, but {_LEAST_PDU_BYTES} are needed"
        if wrong is not None:
            association.abort()
            raise PacsError(f"{self._name} {wrong}: have its settings checked")


def client_context(settings: DimseSettings) -> ssl.SSLContext:
    """Create the TLS context of outgoing connections: the server's certificate and name are checked.

    Raises:
        PacsError: a certificate cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.client_cert is not None:
            context.load_cert_chain(settings.client_cert, settings.client_key)
    except (ssl.SSLError, OSError) as error:
        raise PacsError(
            f"a certificate cannot be used ({error.strerror or error}): check ca_file, client_cert"
        ) from error
    return context


def _identifier(level: str, keys: Mapping[str, str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    with tolerant_reading():
        for keyword, value in keys.items():
            setattr(identifier, keyword, value.split("\\") if "\\" in value else value)
    return identifier


def _meaning(status: Dataset, association: Association) -> str:
    code = status.get("Status")
    if code is None:
        return _broken_off(association)
    return f"{_MEANINGS.get(code, 'see its log')} (status {code:04X})"


def _broken_off(association: Association) -> str:
    return reason_of(association) or "it broke off, or did not answer in time"


def _end(association: Association) -> None:
    if association.is_established:
        association.release()
    else:
        association.abort()
