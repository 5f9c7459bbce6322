"""The domain model of a study: images, report, phrases, boxes, and the case, which is the unit of the audit."""

import re
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pipelines.shapes import Shape

__all__ = [
    "DICOM",
    "PART_OF_FILE",
    "Box",
    "Case",
    "Context",
    "Exclusion",
    "Identifiers",
    "Image",
    "Orientation",
    "Phrase",
    "PixelStep",
    "Radiograph",
    "Report",
    "ReportStatus",
    "Side",
    "SideMarker",
    "Study",
    "View",
    "Zone",
    "fields_of",
    "instance_of",
    "unexpected",
]

PART_OF_FILE = re.compile(r" (?:row|message|report|frame) \d+(?: order \d+)?\Z")
"""Suffix of a source after the path: the position in a table, HL7 or FHIR file, or the frame."""


DICOM = "DICOM"
"""The format of an image that a DICOM file holds; image files have the names of their formats."""


class View(StrEnum):
    """Projection of a radiograph."""

    PA = "PA"
    AP = "AP"
    FRONTAL = "frontal"  # frontal, direction of the beam unknown
    LATERAL = "lateral"
    UNKNOWN = "unknown"

    @property
    def is_frontal(self) -> bool:
        """Whether this is a PA, AP or other frontal projection."""
        return self in {View.PA, View.AP, View.FRONTAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class SideMarker:
    """A letter that was read, and the half of the image on which it stands."""

    letter: Literal["L", "R"]
    at_left: bool  # of the image
    mirrored: bool = False

    @property
    def right_is_at_left(self) -> bool:
        """Whether it says that the patient's right is at the left of the image, as on images that are not flipped."""
        return (self.letter == "R") == self.at_left


class Orientation(StrEnum):
    """How an image lies: what was done to an upright one, mirrored left to right first, then rotated clockwise.

    These are the eight symmetries of a square; a flip upside down is ``MIRRORED_180``.
    """

    UPRIGHT = "upright"
    ROTATED_90 = "rotated by 90 degrees"
    ROTATED_180 = "rotated by 180 degrees"
    ROTATED_270 = "rotated by 270 degrees"
    MIRRORED = "mirrored"
    MIRRORED_90 = "mirrored and rotated by 90 degrees"
    MIRRORED_180 = "mirrored and rotated by 180 degrees"
    MIRRORED_270 = "mirrored and rotated by 270 degrees"

    @property
    def is_mirrored(self) -> bool:
        """Whether left and right are exchanged."""
        return self.value.startswith("mirrored")

    @property
    def quarter_turns(self) -> int:
        """Number of clockwise quarter turns."""
        return list(Orientation).index(self) % 4


def unexpected(orientation: Orientation | None, *, flipped: bool) -> Orientation | None:
    """Return how an image lies unless its header says so; None if that is unknown.

    Args:
        orientation: as its anatomy shows; None if unknown.
        flipped: the header says that the patient's right lies at the image's right.
    """
    return None if orientation is (Orientation.MIRRORED if flipped else Orientation.UPRIGHT) else orientation


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
    HISTORICAL = "historical"  # about the past or an earlier image: no claim about this image


class ReportStatus(StrEnum):
    """Status of a report when its system sent it."""

    PRELIMINARY = "preliminary"
    FINAL = "final"
    CORRECTED = "corrected"  # replaces the earlier versions
    ADDENDUM = "addendum"  # contains only an addition to the earlier versions
    WITHDRAWN = "withdrawn"  # cancelled, or entered in error


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A radiologist's annotation on one image: a rectangle, or a shape with its bounding rectangle, in source pixels.

    ``x``/``y`` is the top-left corner (column, row), origin at the centre of the top-left pixel minus one half;
    the right and bottom edges are exclusive. ``label`` is a name in :data:`pipelines.findings.FINDINGS` if the file's
    label maps to one, otherwise that label in lower case.
    """

    x: float
    y: float
    width: float
    height: float
    label: str
    reader: str | None = None
    phrase: str | None = None  # the annotator's sentence, if the file has one (MS-CXR label_text)
    shape: Shape | None = None  # the outline, if it is not a rectangle


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiograph:
    """Geometry and acquisition of a radiograph, from its header or table; nothing that identifies a patient."""

    rows: int
    columns: int
    view: View
    view_source: str  # the header element, or set and column of a table, that decided the view: "ViewPosition"
    photometric_interpretation: str | None = None
    spacing_mm: tuple[float, float] | None  # (row, column), as DICOM orders PixelSpacing; None if unknown
    spacing_source: str | None  # "PixelSpacing" or "ImagerPixelSpacing"
    manufacturer: str | None = None
    horizontally_flipped: bool  # FieldOfViewHorizontalFlip: the patient's right lies at the image's right
    frames: int = 1  # in the file
    frame: int = 1  # number of this frame, from 1
    file_format: str = DICOM  # or "PNG", "JPEG", "TIFF": an image file, which has no DICOM identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Radiograph):
    """One radiograph's header, as far as the audit needs it; the pixels are not loaded.

    An image file has no header: its identifiers come from its path and from a table of images.
    """

    path: Path
    sop_instance_uid: str  # of an image file its path below the scanned folder, with / between folders
    study_instance_uid: str
    patient_id: str  # "" if it is unknown
    accession_number: str  # "" if the header has none
    accession_issuer: str = ""  # issuer of the accession number; "" if the header has none
    sex: str | None  # "F", "M", "O" or None
    age_years: float | None
    series_description: str
    people: tuple[str, ...] = ()  # names in the table of images, to be masked in the report
    original_shape: tuple[int, int] | None = None  # rows and columns of what an image file was made from, if known
    study_date: date | None = None

    @property
    def instance(self) -> str:
        """Unique identifier of this image: see :func:`instance_of`."""
        return instance_of(self.sop_instance_uid, self.frame)

    @property
    def source(self) -> str:
        """The file, and the frame unless it is the first, in the form of :attr:`Exclusion.source`."""
        return str(self.path) if self.frame == 1 else f"{self.path} frame {self.frame}"


def fields_of(item: object, kind: type) -> dict[str, Any]:
    """Return the values of the fields of dataclass ``kind`` in ``item``, to construct a subclass of ``kind``."""
    return {field.name: getattr(item, field.name) for field in fields(kind)}


def instance_of(sop_instance_uid: str, frame: int) -> str:
    """Return the SOP Instance UID, followed by the number of the frame unless it is the first."""
    return sop_instance_uid if frame == 1 else f"{sop_instance_uid}#{frame}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """The text elements of a header, which are masked where a report repeats them; never stored."""

    names: tuple[str, ...] = ()  # of people
    places: tuple[str, ...] = ()  # addresses, institutions, wards, stations
    others: tuple[str, ...] = ()  # all other text: numbers, descriptions, comments
    complete: bool = True  # False if a header contains more than was read: its report is then masked completely

    def __or__(self, other: "Identifiers") -> "Identifiers":
        """Join the identifiers of two headers."""
        return Identifiers(
            names=tuple(dict.fromkeys((*self.names, *other.names))),
            places=tuple(dict.fromkeys((*self.places, *other.places))),
            others=tuple(dict.fromkeys((*self.others, *other.others))),
            complete=self.complete and other.complete,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """One sentence of a report with what it claims about one finding."""

    text: str  # preceded by the previous sentence if a pronoun refers to a finding named there
    section: str  # "findings" or "impression"
    finding: str | None  # a name in pipelines.findings.FINDINGS; None if the sentence names no known finding
    context: Context
    side: Side | None = None
    zone: Zone | None = None
    compared_with_prior: bool = False  # "unchanged", "increased since": independent of the context


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One radiologist's report, before it is split into phrases."""

    source: str  # the file, and the row if the file is a table
    text: str
    study_instance_uid: str | None = None
    accession_number: str | None = None
    stem: str | None = None  # file stem or id column: joins by name if there is no identifier
    accession_issuer: str | None = None  # issuer of the accession number, if the report has it
    image_names: tuple[str, ...] = ()  # names, paths or SOP Instance UIDs of its images, if the report names them
    from_labels: bool = False  # made from the labels of a data set: a radiologist's text comes before it
    status: ReportStatus | None = None  # None if the format has no versions
    issued: datetime | None = None  # of this version


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One image with its phrases and boxes: the unit of the audit."""

    image: Image
    phrases: tuple[Phrase, ...]
    boxes: tuple[Box, ...]
    absent: tuple[Phrase, ...] = ()
    """What the report denies of the whole image (:mod:`pipelines.text.absent`); ``phrases`` are what it affirms"""
    targets: tuple[tuple[int, ...], ...] | None = None
    """For each phrase the indices of its boxes in ``boxes``; None: see :func:`pipelines.boxes.table.match_boxes`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All cases of one StudyInstanceUID, with its report."""

    study_instance_uid: str
    report: Report
    report_joined_by: str  # a pipelines.text.joining.Key: "StudyInstanceUID", "file name", ...
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A file, report or box that is excluded, and why."""

    source: str  # path, or path and row
    stage: str  # "scan", "header", "pixels", "report", "boxes", "join", "view", ...
    reason: str  # a sentence that says how to fix it
    failed: bool  # True: should have been audited but could not be (exit status 3); False: excluded by a rule
    # Set for a DICOM object that is not a radiograph to audit, so that a report of its study is not an orphan.
    study_instance_uid: str = ""
    accession_number: str = ""
    accession_issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelStep:
    """One processing step between the stored values and the displayed image; contains nothing about the patient."""

    step: str  # "decoding", "modality", "VOI window", "polarity", ...
    detail: str  # what was applied, with its parameters and the header element they came from
