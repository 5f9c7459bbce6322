"""Makes the DICOM results of a study from its records and the headers of the originals.

Header values that would make a result invalid (a sex of "MALE", a date of "1993.08.22") are corrected if their meaning
is clear, and otherwise left blank; the original is not changed.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from pipelines.dicom.headers import MULTI_FRAME_CLASSES, lift_functional_groups
from pipelines.dicom.source import READ_ERRORS, numbers, read_elements, text, tolerant_reading
from pipelines.errors import DicomError
from reports.dicom_out.assessment import assessments_of, make_assessment
from reports.dicom_out.capture import make_captures
from reports.dicom_out.content import ImageContent, content_of
from reports.dicom_out.identity import Identity, as_single_frame, refer_to_frame
from reports.dicom_out.presentation_state import make_presentations
from reports.dicom_out.segmentation import make_segmentations
from reports.dicom_out.structured_report import make_report
from reports.results_folder import StudyFolder
from reports.review_record import ReviewEntry

__all__ = ["ObjectKind", "Result", "make_results", "read_source"]

# PS3.3 C.7.1.1 (Patient), C.7.2.1 (General Study), C.7.2.2 (Patient Study), table 10-17 (issuers).
_IDENTITY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence"),
    *("PatientBirthDate", "PatientBirthTime", "PatientSex", "OtherPatientIDsSequence", "EthnicGroup"),
    *("PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription", "ResponsiblePerson"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber"),
    *("IssuerOfAccessionNumberSequence", "ReferringPhysicianName", "ProcedureCodeSequence"),
    *("PatientAge", "PatientSize", "PatientWeight", "TimezoneOffsetFromUTC"),
)
_PIXELS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "InstanceNumber", "Modality", "BodyPartExamined"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "PixelSpacing", "ImagerPixelSpacing", "PatientOrientation"),
    *("ImageLaterality", "Laterality", "PresentationLUTShape", "RescaleIntercept", "RescaleSlope", "RescaleType"),
    *("ModalityLUTSequence", "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction"),
    "VOILUTSequence",
)
_FRAMES = ("NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_ALWAYS_THERE = (  # type 2: present, blank if unknown
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName"),
)
_DATES, _TIMES = ("PatientBirthDate", "StudyDate"), ("PatientBirthTime", "StudyTime")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")


def read_source(path: Path, *, frame: int = 1) -> Dataset:
    """Read the part of an image's header that results need; no pixels, text in Unicode, no frame of reference.

    Args:
        path: of the original.
        frame: number of the frame that the results describe, from 1.

    Raises:
        DicomError: the file cannot be read, or has several frames that cannot be referenced.
    """
    with tolerant_reading():
        found, _ = read_elements(path, ("SpecificCharacterSet", *_FRAMES, *_IDENTITY, *_PIXELS))
        try:
            found.decode()
            lift_functional_groups(found, frame)
            source = Dataset()
            for keyword in (*_IDENTITY, *_PIXELS):
                if keyword in found:
                    source.add(DataElement(found[keyword].tag, found[keyword].VR, found[keyword].value))
            _repair(source)
        except READ_ERRORS as error:
            raise DicomError(
                f"{path}: the header cannot be read ({type(error).__name__}); export the image again."
            ) from error
    if text(found, "NumberOfFrames") not in {"", "1"} and source.SOPClassUID not in MULTI_FRAME_CLASSES:
        raise DicomError(
            f"{path}: the image has several frames, but its SOP class allows one, so results cannot reference a frame: "
            "export it as a multi-frame secondary capture."
        )
    source.SpecificCharacterSet = "ISO_IR 192"  # can encode every name
    return source


def _repair(source: Dataset) -> None:
    for keyword in _ALWAYS_THERE:
        if keyword not in source or source[keyword].value is None:
            setattr(source, keyword, "")
    source.PatientSex = {"M": "M", "F": "F", "O": "O"}.get(text(source, "PatientSex")[:1].upper(), "")
    for keyword in _DATES:
        digits = text(source, keyword).replace(".", "").replace("-", "")
        setattr(source, keyword, digits if re.fullmatch(r"\d{8}", digits) else "")
    for keyword in _TIMES:
        if keyword in source:
            stated = text(source, keyword).replace(":", "")
            setattr(source, keyword, stated if _TIME.fullmatch(stated) else "")
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if keyword in source and not (len(numbers(source, keyword)) == 2 and min(numbers(source, keyword)) > 0):
            delattr(source, keyword)
    for keyword, form in (("PatientAge", r"\d{3}[DWMY]"), ("PatientSize", r".+"), ("PatientWeight", r".+")):
        if keyword in source and re.fullmatch(form, text(source, keyword)) is None:
            delattr(source, keyword)


class ObjectKind(StrEnum):
    """The kind of a result."""

    CAPTURE = "sc"
    SEGMENTATION = "seg"
    REPORT = "sr"
    PRESENTATION = "gsps"
    ASSESSMENT = "assessment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One object for the PACS."""

    kind: ObjectKind
    dataset: Dataset


_MAKERS: Mapping[ObjectKind, Callable[[ImageContent, int], list[Dataset]]] = {
    ObjectKind.CAPTURE: lambda content, _number: make_captures(content),
    ObjectKind.SEGMENTATION: make_segmentations,
    ObjectKind.REPORT: lambda content, number: [make_report(content, number)],
    ObjectKind.PRESENTATION: lambda content, _number: make_presentations(content),
}


def make_results(
    study: StudyFolder,
    *,
    sources: Mapping[str, Dataset],
    valid: Mapping[str, Bool[np.ndarray, "rows columns"]],
    secret: bytes,
    kinds: frozenset[ObjectKind] = frozenset(ObjectKind),
    answers: Sequence[ReviewEntry] = (),
) -> list[Result]:
    """Make the results for those images of a study whose originals are available.

    Args:
        study: an audited study, as returned by :func:`reports.results_folder.read_study`.
        sources: headers by image key (:func:`reports.dicom_out.read_source`).
        valid: masks of valid pixels by image key (:func:`reports.results_folder.valid_of`).
        secret: the salt; UIDs are derived from it and from the content of the objects.
        kinds: kinds of objects to make.
        answers: each reviewer's latest entry about each heat map of the study.

    Returns:
        Captures and presentation states, one per phrase; segmentations and reports, one per image; assessments, one
        per image and reviewer.
    """
    identity = Identity(secret=secret, study=study)
    made: list[Result] = []
    first = 1
    for number, image in enumerate(study.record.images, start=1):
        if image.key in sources and image.phrases:
            source = sources[image.key]
            single = as_single_frame(source)
            content = content_of(study, image, source=single, valid=valid[image.key], identity=identity, first=first)
            with tolerant_reading():  # for values that results copy from the originals
                for kind, dataset, moment in _made(content, number, kinds, answers):
                    identity.finish(dataset, source, moment)
                    if single is not source:
                        refer_to_frame(dataset, source, image.frame)
                    made.append(Result(kind=kind, dataset=dataset))
        first += len(image.phrases)
    return made


def _made(
    content: ImageContent, number: int, kinds: frozenset[ObjectKind], answers: Sequence[ReviewEntry]
) -> Iterator[tuple[ObjectKind, Dataset, datetime]]:
    """Make the objects of an image, each with the moment of its content."""
    for kind, make in _MAKERS.items():
        if kind in kinds:
            for dataset in make(content, number):
                yield kind, dataset, content.study.created
    if ObjectKind.ASSESSMENT in kinds:
        for place, entries in enumerate(assessments_of(answers, content.record.key), start=1):
            given = max(entry.moment for entry in entries)
            yield ObjectKind.ASSESSMENT, make_assessment(content, number, place, entries), given
