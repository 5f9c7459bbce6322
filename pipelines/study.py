"""What a study is made of: images, report, phrases, boxes, and the case that the audit works on."""

import re
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipelines.shapes import Shape

__all__ = [
    "PART_OF_FILE",
    "Box",
    "Case",
    "Context",
    "Exclusion",
    "Identifiers",
    "Image",
    "Phrase",
    "PixelStep",
    "Radiograph",
    "Report",
    "ReportStatus",
    "Side",
    "Study",
    "View",
    "Zone",
    "fields_of",
    "instance_of",
]

PART_OF_FILE = re.compile(r" (?:row|message|report|frame) \d+(?: order \d+)?\Z")
"""What stands behind a path in a source: where in a table, HL7 or FHIR file it was found, or which frame it is."""


class View(StrEnum):
    """Projection of a radiograph."""

    PA = "PA"
    AP = "AP"
    FRONTAL = "frontal"  # frontal, direction of the beam not known
    LATERAL = "lateral"
    UNKNOWN = "unknown"

    @property
    def is_frontal(self) -> bool:
        """Whether this is a PA, AP or other frontal projection."""
        return self in {View.PA, View.AP, View.FRONTAL}


class Side(StrEnum):
    """The patient's side; the patient's right lies at the image's left unless the image is flipped."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"


class Zone(StrEnum):
    """Third of the lung, from the apex down."""

    UPPER = "upper"
    MID = "mid"
    LOWER = "lower"


class Context(StrEnum):
    """What a sentence says about its finding."""

    PRESENT = "present"
    UNCERTAIN = "uncertain"
    ABSENT = "absent"
    HISTORICAL = "historical"  # of the patient's past, or of an earlier film: no claim about this image


class ReportStatus(StrEnum):
    """How far a report had got when its system sent it out."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    CORRECTED = "corrected"  # stands in the place of what came before
    ADDENDUM = "addendum"  # holds only what is added to what came before
    WITHDRAWN = "withdrawn"  # cancelled, or entered in error


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What a radiologist drew on one image: a rectangle, or a shape with the rectangle around it, in source pixels.

    ``x``/``y`` is the top-left corner (column, row), origin at the centre of the top-left pixel minus one half;
    the right and bottom edges are exclusive. ``label`` is a name of
    :data:`pipelines.findings.FINDINGS` where the file's own word maps to one, else that word in lower case.
    """

    x: float
    y: float
    width: float
    height: float
    label: str
    reader: str | None = None
    phrase: str | None = None  # the annotator's wording, where the file has one (MS-CXR label_text)
    shape: Shape | None = None  # what was drawn, where that is no rectangle


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiograph:
    """What the header of a radiograph says of its pixels and of how it was taken: nothing that names a patient."""

    rows: int
    columns: int
    view: View
    view_source: str  # the header element that decided the view, for example "ViewPosition"
    photometric_interpretation: str | None = None
    spacing_mm: tuple[float, float] | None  # (row, column), as DICOM orders PixelSpacing; None if not known
    spacing_source: str | None  # "PixelSpacing" or "ImagerPixelSpacing"
    manufacturer: str | None = None
    horizontally_flipped: bool  # FieldOfViewHorizontalFlip: the patient's right lies at the image's right
    frames: int = 1  # in the file
    frame: int = 1  # the one that this is, counted from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Radiograph):
    """One radiograph's header, as far as the audit needs it. The pixels stay in the file."""

    path: Path
    sop_instance_uid: str
    study_instance_uid: str
    patient_id: str  # "" where the header has none
    accession_number: str  # "" where the header has none
    accession_issuer: str = ""  # who gave the accession number; "" where the header does not say
    sex: str | None  # "F", "M", "O" or None
    age_years: float | None
    series_description: str

    @property
    def instance(self) -> str:
        """What tells this image from every other: see :func:`instance_of`."""
        return instance_of(self.sop_instance_uid, self.frame)

    @property
    def source(self) -> str:
        """Name the file, and the frame where it is not the first, as :class:`Exclusion` names its source."""
        return str(self.path) if self.frame == 1 else f"{self.path} frame {self.frame}"


def fields_of(item: object, kind: type) -> dict[str, Any]:
    """Give the values of the fields that ``item`` has as a ``kind``: what a dataclass that extends ``kind`` takes."""
    return {field.name: getattr(item, field.name) for field in fields(kind)}


def instance_of(sop_instance_uid: str, frame: int) -> str:
    """Write a SOP Instance UID, and behind it the number of a frame that is not the first."""
    return sop_instance_uid if frame == 1 else f"{sop_instance_uid}#{frame}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """What the text elements of a header say, to be masked where a report repeats it; never kept."""

    names: tuple[str, ...] = ()  # of people
    places: tuple[str, ...] = ()  # addresses, institutions, wards, stations
    others: tuple[str, ...] = ()  # all other text: numbers, descriptions, comments
    complete: bool = True  # False where a header says more than was read: then nothing of its report may be shown

    def __or__(self, other: "Identifiers") -> "Identifiers":
        """Join what two headers say."""
        return Identifiers(
            names=tuple(dict.fromkeys((*self.names, *other.names))),
            places=tuple(dict.fromkeys((*self.places, *other.places))),
            others=tuple(dict.fromkeys((*self.others, *other.others))),
            complete=self.complete and other.complete,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """One sentence of a report that is put to the model, with what it claims."""

    text: str  # with the sentence before it where a pronoun stands for a finding named there
    section: str  # "findings" or "impression"
    finding: str | None  # a name of pipelines.findings.FINDINGS, or None where the sentence names no known finding
    context: Context
    side: Side | None = None
    zone: Zone | None = None
    compared_with_prior: bool = False  # "unchanged", "increased since": beside the context, and no context of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One radiologist's report, before it is split into phrases."""

    source: str  # the file, and the row where the file is a table
    text: str
    study_instance_uid: str | None = None
    accession_number: str | None = None
    stem: str | None = None  # file stem or id column: joins by name where no identifier is given
    accession_issuer: str | None = None  # who gave the accession number, where the report says so
    image_names: tuple[str, ...] = ()  # file stems or SOP Instance UIDs of its images, where the report names them
    status: ReportStatus | None = None  # None where the format knows no versions
    issued: datetime | None = None  # of this version


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One image with the phrases and boxes that belong to it: the unit of the audit."""

    image: Image
    phrases: tuple[Phrase, ...]
    boxes: tuple[Box, ...]
    targets: tuple[tuple[int, ...], ...] | None = None
    """For each phrase the places of its boxes among ``boxes``; None: see :func:`pipelines.boxes.table.places_for`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All cases of one StudyInstanceUID, with its report."""

    study_instance_uid: str
    report: Report
    report_joined_by: str  # a pipelines.text.joining.Key: "StudyInstanceUID", "file name", ...
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A file, report or box that takes no part, and why."""

    source: str  # path, or path and row
    stage: str  # "scan", "header", "pixels", "report", "boxes", "join", "view", ...
    reason: str  # a sentence that names the mend
    failed: bool  # True: should have been audited and could not (exit status 3); False: left out by rule
    # Of a DICOM object that is no radiograph to audit: a report of its study is no orphan.
    study_instance_uid: str = ""
    accession_number: str = ""
    accession_issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelStep:
    """One step between the stored values and the displayed image. Holds no value that could name a patient."""

    step: str  # "decoding", "modality", "VOI window", "polarity", ...
    detail: str  # what was applied, with its numbers and the header element it came from
