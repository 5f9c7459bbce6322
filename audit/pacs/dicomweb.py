"""An archive over DICOMweb: QIDO-RS to find, WADO-RS to fetch, STOW-RS to store.

Source: PS3.18 8.6.1 (multipart payloads), RFC 2046 5.1.1 (boundaries).
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.message import Message
from types import TracebackType
from typing import Any
from xml.etree.ElementTree import ParseError  # raised by dicomweb-client's XML reader

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from urllib3.exceptions import HTTPError as TransferError

from audit.pacs.archive import FoundSeries, Keep, RefusedError, UnansweredError
from audit.pacs.bounded_http import BoundedSession
from audit.pacs.settings import DicomwebSettings
from pipelines.dicom.source import READ_ERRORS, items, text, tolerant_reading
from pipelines.errors import PacsError

__all__ = ["DicomwebArchive", "only_part"]

_HEAD_BYTES = 2**14


def only_part(content_type: str, body: bytes) -> bytes:
    """Return the only part of a multipart message; some servers send the object without multipart.

    Raises:
        ValueError: it is neither, is truncated, or holds several parts.
    """
    message = Message()
    message["Content-Type"] = content_type
    if message.get_content_type() == "application/dicom":
        return body
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/related" or not boundary or len(boundary) > 200:
        raise ValueError("no object came")
    marker = b"--" + boundary.encode("latin-1")
    start = body.find(marker, 0, _HEAD_BYTES)
    head_end = body.find(b"\r\n\r\n", start + len(marker), start + len(marker) + _HEAD_BYTES)
    if start < 0 or head_end < 0:
        raise ValueError("the object has no beginning")
    end = body.find(b"\r\n" + marker, head_end + 4)
    if end < 0:
        raise ValueError("the object has no end")
    after = end + 2 + len(marker)
    if body[after : after + 4].strip() not in {b"", b"--"}:
        raise ValueError("several objects came")
    return body[head_end + 4 : end]


_PAGE = 200  # results per query
_QUERY_MB = 16  # limit per page of results; 200 studies have about 200 kB
_MOST_UNANSWERED = 5  # consecutive retrievals or objects: after that the rest of a series or study is not tried
_MANY_PAGES = 10  # all pages of a query may take this many times the time of one answer
_OWN_UID = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
_ADVICE = {
    401: "refuses the credentials: set user and password, or token",
    403: "refuses what this user asks for: have its administrator allow it",
    404: "has no DICOMweb there: the url ends before /studies",
}
_REFUSED = frozenset({401, 403})
_ANY_ENCODING = 'multipart/related; type="application/dicom"; transfer-syntax=*'


class DicomwebArchive:
    """A DICOMweb service."""

    def __init__(self, settings: DicomwebSettings) -> None:
        self._url, self._settings = settings.url, settings
        self._unanswered = 0  # consecutive retrievals or objects
        self._session = BoundedSession(settings)
        # Its warnings quote the server, and the server's text may name a patient.
        for name in ("dicomweb_client", "retrying", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._client = DICOMwebClient(settings.url, session=self._session, timeout=settings.timeout_s)
        self._client.set_http_retry_params(retry=False)

    def __enter__(self) -> "DicomwebArchive":
        """Do nothing: connections are opened when they are needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._session.close()

    def query(self, level: str, keys: Mapping[str, str]) -> list[Dataset]:
        """Find matches at a level (:class:`audit.pacs.archive.Archive`), page by page."""
        parents = {k: keys[k] for k in ("StudyInstanceUID", "SeriesInstanceUID") if keys.get(k)}
        above = {"STUDY": 0, "SERIES": 1, "IMAGE": 2}[level]
        place = list(parents.values())[:above]
        filters = {key: value for key, value in keys.items() if value and key not in parents}
        fields = [key for key, value in keys.items() if not value]
        search: Any = {
            "STUDY": self._client.search_for_studies,
            "SERIES": self._client.search_for_series,
            "IMAGE": self._client.search_for_instances,
        }[level]
        found: list[Dataset] = []
        known: set[str] = set()
        offset, end = 0, time.monotonic() + _MANY_PAGES * self._settings.answer_s + self._settings.timeout_s
        while len(found) < self._settings.most_results and time.monotonic() < end:
            with self._readable_errors(), self._session.answers_up_to(_QUERY_MB), tolerant_reading():
                answers = search(*place, fields=fields, search_filters=filters, limit=_PAGE, offset=offset)
                read = self._read(answers, keys, own=_OWN_UID[level])
            new = [each for each in read if _name(each) not in known]
            known.update(map(_name, new))
            found += new
            if len(answers) < _PAGE or not new:  # some servers start again from the first result
                return found
            offset += _PAGE
        raise PacsError(
            f"{self._url} sends results without end ({len(found)} so far): ask for fewer days, or set "
            "most_results or answer_s higher"
        )

    def _read(self, answers: object, keys: Mapping[str, str], *, own: str) -> list[Dataset]:
        """Read the requested values of each result, and nothing nested or external (a BulkDataURI)."""
        if not isinstance(answers, list):
            raise TypeError("no array of results")
        if len(answers) > self._settings.most_results:
            raise PacsError(
                f"{self._url} answered with more than {self._settings.most_results} results: ask for fewer days, or "
                "set most_results higher"
            )
        tags = {key: f"{tag_for_keyword(key):08X}" for key in keys}
        read = []
        for answer in answers:
            given = {tag: answer[tag] for key, tag in tags.items() if key == own or tag in answer}
            plain = {tag: {"vr": each["vr"], "Value": _plain(each.get("Value", []))} for tag, each in given.items()}
            read.append(Dataset.from_json(plain))
        return read

    def fetch(self, series: FoundSeries, uids: Sequence[str], keep: Keep) -> dict[str, str]:
        """Fetch instances of a series one by one, in the encoding in which the archive stores them."""
        failed: dict[str, str] = {}
        for uid in uids:
            try:
                with self._counting_unanswered(), self._readable_errors():
                    file = self._retrieve(series, uid)
            except RefusedError:
                raise
            except PacsError as error:
                failed[uid] = str(error)
                if self._unanswered >= _MOST_UNANSWERED:
                    raise
            else:
                keep(uid, file)
        return failed

    def _retrieve(self, series: FoundSeries, uid: str) -> bytes:
        """Fetch the file of one instance unchanged: dicomweb-client would parse it and write it again."""
        url = f"{self._url}/studies/{series.study_uid}/series/{series.series_uid}/instances/{uid}"
        answer = self._session.get(url, headers={"Accept": _ANY_ENCODING}, timeout=self._settings.timeout_s)
        answer.raise_for_status()
        return only_part(answer.headers.get("Content-Type", ""), answer.content)

    def store(self, objects: Sequence[Dataset]) -> dict[str, str]:
        """Store objects one by one: a message with all of them may exceed the server's limit."""
        failed: dict[str, str] = {}
        for each in objects:
            uid = str(each.SOPInstanceUID)
            try:
                with self._counting_unanswered(), self._readable_errors():
                    answer = self._store(each)
            except RefusedError:
                raise
            except PacsError as error:
                failed[uid] = str(error)
                if self._unanswered >= _MOST_UNANSWERED:
                    raise
            else:
                reasons = [text(item, "FailureReason") for item in items(answer, "FailedSOPSequence")]
                if reasons:
                    failed[uid] = f"the archive refused it (failure reason {reasons[0]})"
        return failed

    def _store(self, made: Dataset) -> Dataset:
        with self._session.answers_up_to(_QUERY_MB), tolerant_reading():
            return self._client.store_instances([made])

    @contextmanager
    def _counting_unanswered(self) -> Iterator[None]:
        try:
            yield
        except UnansweredError:
            self._unanswered += 1
            raise
        except PacsError:
            self._unanswered = 0
            raise
        self._unanswered = 0

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        """Describe an error without the query, which may name a patient, and without credentials."""
        try:
            yield
        except requests.exceptions.SSLError as error:
            raise PacsError(
                f"{self._url}: its certificate is not trusted here: set ca_file to the file of your authority"
            ) from error
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            sentence = f"{self._url} {_ADVICE.get(status, 'failed: see its log')} (HTTP {status})"
            raise (RefusedError if status in _REFUSED else PacsError)(sentence) from error
        except requests.exceptions.JSONDecodeError as error:
            raise PacsError(f"{self._url} did not answer with DICOMweb (no JSON): check url") from error
        except requests.TooManyRedirects as error:
            raise PacsError(f"{self._url} redirects in a circle: check url") from error
        except (requests.RequestException, TransferError) as error:
            raise UnansweredError(
                f"{self._url} cannot be reached or broke off ({type(error).__name__}): check url, and whether it is up"
            ) from error
        except (*READ_ERRORS, ParseError) as error:
            raise PacsError(f"{self._url} did not answer with DICOMweb ({type(error).__name__}): check url") from error


def _plain(values: Any) -> list[Any]:
    """Check that values are scalars, not items of a sequence.

    Raises:
        ValueError: they are not.
    """
    if not isinstance(values, list) or any(isinstance(value, list | dict) for value in values):
        raise ValueError("a requested value is not a scalar")
    return values


def _name(found: Dataset) -> str:
    """Return the name that identifies a result."""
    return "/".join(text(found, level) for level in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
