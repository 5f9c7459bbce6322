"""An archive over DICOMweb: QIDO-RS to find, WADO-RS to fetch, STOW-RS to store.

Source: PS3.18 10.4 (retrieve), 10.5 (store), 10.6 (search).
"""

import base64
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

from audit.pacs.archive import FoundSeries, Keep
from audit.pacs.settings import DicomwebSettings
from pipelines.dicom.source import READ_ERRORS, items, text, tolerant_reading
from pipelines.errors import PacsError

__all__ = ["DicomwebArchive"]

_PAGE = 200  # results a query
_PAGES = 5000
_ADVICE = {
    401: "refuses the credentials: set user and password, or token",
    403: "refuses what this user asks for: have its administrator allow it",
    404: "has no DICOMweb there: the url ends before /studies",
}
_REFUSED = frozenset({401, 403})


class DicomwebArchive:
    """A DICOMweb service."""

    def __init__(self, settings: DicomwebSettings) -> None:
        self._url = settings.url
        self._session = _Session(settings)
        # Its warnings quote the server, and a server may quote a patient.
        logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)
        self._client = DICOMwebClient(settings.url, session=self._session, timeout=settings.timeout_s)
        self._client.set_http_retry_params(retry=False)

    def __enter__(self) -> "DicomwebArchive":
        """Nothing is opened before it is needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._session.close()

    def query(self, level: str, keys: Mapping[str, str]) -> list[Dataset]:
        """Find what matches at a level (:class:`audit.pacs.archive.Archive`), page by page."""
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
        for page in range(_PAGES):
            with self._errors_in_a_sentence():
                answers = search(*place, fields=fields, search_filters=filters, limit=_PAGE, offset=page * _PAGE)
                with tolerant_reading():
                    read = [Dataset.from_json(answer) for answer in answers]
            new = [each for each in read if _name(each) not in known]
            known.update(map(_name, new))
            found += new
            if len(answers) < _PAGE or not new:  # some servers begin again from the first result
                return found
        raise PacsError(f"{self._url} does not come to an end of its results: ask for fewer days")

    def fetch(self, series: FoundSeries, uids: Sequence[str], keep: Keep) -> dict[str, str]:
        """Fetch instances of a series one by one, in the encoding that the archive has them in."""
        failed: dict[str, str] = {}
        for uid in uids:
            try:
                with self._errors_in_a_sentence(), tolerant_reading():
                    instance = self._client.retrieve_instance(series.study_uid, series.series_uid, uid)
                    encoded = io.BytesIO()
                    instance.save_as(encoded, enforce_file_format=True)
            except _RefusedError:
                raise
            except PacsError as error:
                failed[uid] = str(error)
            else:
                keep(uid, encoded.getvalue())
        return failed

    def store(self, objects: Sequence[Dataset]) -> dict[str, str]:
        """Store objects one by one: a message of all of them may be larger than servers take."""
        failed: dict[str, str] = {}
        for each in objects:
            uid = str(each.SOPInstanceUID)
            try:
                with self._errors_in_a_sentence():
                    answer = self._client.store_instances([each])
            except _RefusedError:
                raise
            except PacsError as error:
                failed[uid] = str(error)
            else:
                reasons = [text(item, "FailureReason") for item in items(answer, "FailedSOPSequence")]
                if reasons:
                    failed[uid] = f"the archive refused it (failure reason {reasons[0]})"
        return failed

    @contextmanager
    def _errors_in_a_sentence(self) -> Iterator[None]:
        """Say what went wrong without the query, which may name a patient, and without credentials."""
        try:
            yield
        except requests.exceptions.SSLError as error:
            raise PacsError(
                f"{self._url}: its certificate is not trusted here: set ca_file to the file of your authority"
            ) from error
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            sentence = f"{self._url} {_ADVICE.get(status, 'failed: see its log')} (HTTP {status})"
            raise (_RefusedError if status in _REFUSED else PacsError)(sentence) from error
        except requests.exceptions.JSONDecodeError as error:
            raise PacsError(f"{self._url} answered what is no DICOMweb (no JSON): check url") from error
        except requests.RequestException as error:
            raise PacsError(
                f"{self._url} cannot be reached or broke off ({type(error).__name__}): check url, and whether it is up"
            ) from error
        except READ_ERRORS as error:
            raise PacsError(f"{self._url} answered what is no DICOMweb ({type(error).__name__}): check url") from error


class _RefusedError(PacsError):
    """The archive does not let this user in: nothing else will succeed."""


class _Session(requests.Session):
    """A session whose credentials stay with the server that they are for."""

    def __init__(self, settings: DicomwebSettings) -> None:
        super().__init__()
        self.trust_env = False  # no .netrc, no proxy that the administrator of the PACS does not know of
        self.verify = True if settings.ca_file is None else str(settings.ca_file)
        if settings.client_cert is not None:
            key = None if settings.client_key is None else str(settings.client_key)
            self.cert = str(settings.client_cert) if key is None else (str(settings.client_cert), key)
        if settings.user is not None and settings.password is not None:
            pair = f"{settings.user}:{settings.password.get_secret_value()}".encode()
            self.headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if settings.token is not None:
            self.headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
        self._origin = _origin(settings.url)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Follow a redirect within the server alone."""
        target = super().get_redirect_target(resp)
        if target is not None:
            there = _origin(urljoin(resp.url, target))
            if there != self._origin:
                resp.close()
                raise PacsError(
                    f"the server sends requests on to {there[0]}://{there[1]}, which is another one: credentials and "
                    "patients' data are not sent there; give its url if it is meant"
                )
        return target


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _name(found: Dataset) -> str:
    """Tell results apart."""
    return "/".join(text(found, level) for level in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
