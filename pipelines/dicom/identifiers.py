"""What the text elements of a header say: to be found again in the words of the report.

Any of them may name the patient, a person or a place, so all are read, those of private blocks and of items of
sequences too. Nothing of it is kept or shown; it lives as long as the image is worked on.

Source: PS3.5 table 6.2-1 (value representations); PS3.15 table E.1-1, for which of them name places.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from pipelines.dicom.source import READ_ERRORS, read_header, tolerant_reading
from pipelines.errors import DicomError
from pipelines.study import Identifiers

__all__ = ["identifiers_in", "read_identifiers"]

_PLACES = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        *("PatientAddress", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName"),
        *("RequestingService", "CurrentPatientLocation", "PatientInstitutionResidence", "RegionOfResidence"),
        *("CountryOfResidence", "PatientReligiousPreference", "Occupation", "EthnicGroup", "MilitaryRank"),
    )
)
_TEXT = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
_BYTES = frozenset({"OB", "UN"})
_READABLE = re.compile(rb"[\x20-\x7e\x80-\xff]{3,}")
_MOST_ELEMENTS = 20_000  # real headers have some hundreds
_MOST_CHARACTERS = 1 << 20
_LONGEST_VALUE = 1 << 16  # characters
_DEEPEST = 8  # levels of sequences


def identifiers_in(dataset: Dataset) -> Identifiers:
    """Gather the words of a header; an element that cannot be read says nothing."""
    names: dict[str, None] = {}
    places: dict[str, None] = {}
    others: dict[str, None] = {}
    left = _MOST_CHARACTERS
    for element in islice(_elements(dataset), _MOST_ELEMENTS):
        for value in _values(element):
            left -= len(value)
            if left < 0:
                break
            kind = names if element.VR == "PN" else places if element.tag in _PLACES else others
            kind[value] = None
    return Identifiers(names=tuple(names), places=tuple(places), others=tuple(others))


def read_identifiers(path: Path) -> Identifiers:
    """Gather them from a file; one that cannot be read any more names nothing."""
    try:
        with tolerant_reading():
            return identifiers_in(read_header(path))
    except (DicomError, *READ_ERRORS):
        return Identifiers()


def _elements(dataset: Dataset, level: int = 0) -> Iterator[DataElement]:
    """Walk through a data set and the items of its sequences; what cannot be read is passed over."""
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
            items = list(element.value or ()) if element.VR == "SQ" else []
        except READ_ERRORS:
            continue
        if element.VR != "SQ":
            yield element
        elif level < _DEEPEST:
            for item in items:
                yield from _elements(item, level + 1)


def _values(element: DataElement) -> Iterator[str]:
    try:
        value = element.value
        if element.VR in _TEXT:
            for each in value if isinstance(value, MultiValue | list | tuple) else (value,):
                yield from _texts(each)
        elif element.VR in _BYTES and isinstance(value, bytes) and len(value) <= _LONGEST_VALUE:
            for found in _READABLE.finditer(value):
                yield _decoded(found[0])
    except READ_ERRORS:
        return


def _texts(value: object) -> Iterator[str]:
    """Give a value as text; a person's name in each of the scripts that it is written in."""
    if value is None:
        return
    text = str(value) if not isinstance(value, PersonName) else str(value).replace("=", " ").replace("^", " ")
    stripped = text.strip("\0 ")[:_LONGEST_VALUE]
    if stripped:
        yield stripped


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
