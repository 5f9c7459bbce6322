"""Collects the text of a header's elements, to find it again in the words of the report.

Any text element may name the patient, another person or a place. All of them are read, including private blocks and
items of sequences. The text is neither stored nor shown, and is discarded when the image is done.

Source: PS3.5 table 6.2-1 (value representations); PS3.15 table E.1-1, for which of them name places.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
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
_PIXEL_GROUP = 0x7FE0
_READABLE = re.compile(rb"[\x20-\x7e\x80-\xff]{3,}")
_READABLE_IN_LARGE = re.compile(rb"[\x20-\x7e]{6,}")  # shorter runs occur by chance in binary data
_LARGE = 1 << 16  # bytes
_MOST_ELEMENTS = 20_000  # real headers have a few hundred
_MOST_CHARACTERS = 1 << 20
_DEEPEST = 8  # levels of sequences


def identifiers_in(dataset: Dataset) -> Identifiers:
    """Collect the words of a header.

    Returns:
        The text of its elements. It is not ``complete`` if the header has more than 20,000 elements, 1 MiB of text or
        8 levels of sequences, or if an element cannot be read.
    """
    gathering = _Gathering()
    complete = gathering.read(dataset)
    return Identifiers(
        names=tuple(gathering.names),
        places=tuple(gathering.places),
        others=tuple(gathering.others),
        complete=complete,
    )


def read_identifiers(path: Path) -> Identifiers:
    """Collect the words of a file's header; they are not complete if the file cannot be read."""
    try:
        with tolerant_reading():
            return identifiers_in(read_header(path))
    except (DicomError, *READ_ERRORS):
        return Identifiers(complete=False)


@dataclass(slots=True)
class _Gathering:
    """The text collected from a header, each value once, and how much more is allowed."""

    names: dict[str, None] = field(default_factory=dict)
    places: dict[str, None] = field(default_factory=dict)
    others: dict[str, None] = field(default_factory=dict)
    elements_left: int = _MOST_ELEMENTS
    characters_left: int = _MOST_CHARACTERS

    def read(self, dataset: Dataset, level: int = 0) -> bool:
        """Read a data set and the items of its sequences; return False if anything was skipped."""
        if level > _DEEPEST:
            return False
        complete = True
        for tag in sorted(dataset.keys()):
            self.elements_left -= 1
            if self.elements_left < 0 or self.characters_left < 0:
                return False
            try:
                element = dataset[tag]
                values = () if element.VR == "SQ" else tuple(_values(element))
                items = tuple(element.value or ()) if element.VR == "SQ" else ()
            except READ_ERRORS:
                complete &= self._keep_as_stored(dataset, tag)
                continue
            self._keep(element.VR, element.tag, values)
            for item in items:
                complete &= self.read(item, level + 1)
        return complete and self.characters_left >= 0

    def _keep_as_stored(self, dataset: Dataset, tag: BaseTag) -> bool:
        """Store the bytes of an element whose value does not conform; return whether there are any."""
        try:
            stored: object = dataset.get_item(tag)  # pydicom's declared type is too narrow
        except READ_ERRORS:
            return False
        if not isinstance(stored, RawDataElement) or not isinstance(stored.value, bytes):
            return False
        self._keep(stored.VR, tag, [_decoded(found[0]) for found in _READABLE.finditer(stored.value)])
        return True

    def _keep(self, vr: str | None, tag: BaseTag, values: Iterable[str]) -> None:
        kind = self.names if vr == "PN" else self.places if tag in _PLACES else self.others
        for value in values:
            self.characters_left -= len(value)
            if self.characters_left < 0:
                return
            kind[value] = None


def _values(element: DataElement) -> Iterator[str]:
    value = element.value
    if element.VR in _TEXT or isinstance(value, str):  # an invalid number is read as text
        for each in value if isinstance(value, MultiValue | list | tuple) else (value,):
            yield from _texts(each)
    elif element.VR in _BYTES and isinstance(value, bytes) and element.tag.group != _PIXEL_GROUP:
        readable = _READABLE if len(value) <= _LARGE else _READABLE_IN_LARGE
        for found in readable.finditer(value):
            yield _decoded(found[0])


def _texts(value: object) -> Iterator[str]:
    """Return a value as text; a person's name in each script in which it is written."""
    if value is None:
        return
    text = str(value) if not isinstance(value, PersonName) else str(value).replace("=", " ").replace("^", " ")
    stripped = text.strip("\0 ")
    if stripped:
        yield stripped


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
