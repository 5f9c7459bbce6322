"""Reads what the audit needs from a radiograph's header, and decides which files are not chest radiographs.

Results of an earlier audit may come back from the archive. They must not be read as a radiograph, as a radiologist's
report or as a radiologist's box.
"""

import re
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, MediaStorageDirectoryStorage

from pipelines.dicom.source import (
    accession_issuer,
    element,
    items,
    numbers,
    read_elements,
    reason_without_path,
    text,
    tolerant_reading,
)
from pipelines.dicom.view import VIEW_KEYWORDS, find_view, is_mirrored
from pipelines.errors import DicomError
from pipelines.quoting import quoted
from pipelines.study import Exclusion, Image

__all__ = [
    "LEFT_OUT_REASON",
    "MULTI_FRAME_CLASSES",
    "OWN_MANUFACTURER",
    "date_in",
    "inspect_file",
    "is_own_result",
    "lift_functional_groups",
    "read_image_header",
]

_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "Modality",
    "BodyPartExamined",
    "PresentationIntentType",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SharedFunctionalGroupsSequence",
    "PhotometricInterpretation",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "PatientSex",
    "PatientAge",
    "PatientBirthDate",
    "StudyDate",
    "Manufacturer",
    *VIEW_KEYWORDS,
)

# PS3.4 B.5: the storage classes of chest radiographs. Converted public collections (RSNA, SIIM) are secondary captures.
MULTI_FRAME_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture Image Storage
        "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word Secondary Capture Image Storage
        "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture Image Storage
    }
)
_RADIOGRAPH_CLASSES = MULTI_FRAME_CLASSES | {
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography Image Storage
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray Image Storage - For Presentation
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image Storage
}
_FOR_PROCESSING_CLASS = "1.2.840.10008.5.1.4.1.1.1.1.1"
_RADIOGRAPH_MODALITIES = {"", "CR", "DX", "DR", "RG", "RF", "OT", "SC"}

# Radiographs of the spine, thoracic spine included, have another beam and centre: T SPINE is not a chest radiograph.
_SPINE = re.compile(r"\w*SPINE|\w*SPINAL|VERTEBRA\w*")
_CHEST_WORDS = ("CHEST", "THORA", "LUNG", "RIB", "HEART", "STERN", "CLAVIC")
# PS3.16 CID 4031 "Common Anatomic Region", as BodyPartExamined spells it, without the parts under which a chest
# radiograph may be filed; and other words that are used for such regions in practice.
_OTHER_PARTS = (
    *("ABDOMEN", "ANKLE", "ARM", "BREAST", "CALCANEUS", "ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT"),
    *("FOREARM", "HAND", "HEAD", "HIP", "HUMERUS", "JAW", "KNEE", "KUB", "LEG", "MANDIBLE", "PATELLA"),
    *("PELVIS", "SHOULDER", "SINUS", "SKULL", "TIBIA", "TOE", "WRIST", "ZYGOMA", "CERVICAL", "LUMBAR", "SACRUM"),
)
_MISSPELT = 0.85  # similarity at which a word counts as misspelt: EXTREMETY is EXTREMITY

_MAX_AGE_YEARS = 130.0
_DAYS_PER_UNIT = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25, "": 365.25}


def read_image_header(path: Path) -> Image:
    """Read a chest radiograph's header. Implausible values are read as unknown.

    Raises:
        DicomError: the file is not DICOM, is truncated, or is not a radiograph that the audit accepts.
    """
    with tolerant_reading():
        found = _inspect(path)
    if isinstance(found, Exclusion):
        raise DicomError(f"{path}: {found.reason}")
    return found


def inspect_file(path: Path) -> Image | Exclusion:
    """Read a file's header, or return why the file is excluded.

    Returns:
        The image, or a :class:`Exclusion`. It has ``failed`` if the file should be readable and is not; another kind of
        object is excluded by rule.
    """
    try:
        with tolerant_reading():
            return _inspect(path)
    except DicomError as error:
        return Exclusion(source=str(path), stage="header", reason=reason_without_path(error, path), failed=True)


def _inspect(path: Path) -> Image | Exclusion:
    """Read the header of a radiograph, or return the rule that excludes the object."""
    dataset, has_pixels = read_elements(path, _KEYWORDS)
    sop_class = text(dataset, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")
    if not sop_class:
        raise DicomError(f"{path}: SOPClassUID is missing, so this is not a DICOM object; remove it from the folder.")
    rule = _rule_against(dataset, sop_class)
    if rule is not None:
        return Exclusion(
            source=str(path),
            stage="header",
            reason=rule,
            failed=False,
            study_instance_uid=text(dataset, "StudyInstanceUID"),
            accession_number=text(dataset, "AccessionNumber"),
            accession_issuer=accession_issuer(dataset),
        )
    if not has_pixels:
        raise DicomError(f"{path}: the file has no pixel data: it is truncated, or only a header; export it again.")
    instance_uid, study_uid = _identifiers(dataset, path)
    rows, columns = (_positive_integer(dataset, keyword, path) for keyword in ("Rows", "Columns"))
    lift_functional_groups(dataset, frame=1)
    view, view_source = find_view(dataset)
    spacing_mm, spacing_source = _spacing(dataset)
    return Image(
        path=path,
        sop_instance_uid=instance_uid,
        study_instance_uid=study_uid,
        patient_id=text(dataset, "PatientID"),
        accession_number=text(dataset, "AccessionNumber"),
        rows=rows,
        columns=columns,
        view=view,
        view_source=view_source,
        photometric_interpretation=text(dataset, "PhotometricInterpretation"),
        spacing_mm=spacing_mm,
        spacing_source=spacing_source,
        sex=_sex(dataset),
        age_years=_age_years(dataset),
        manufacturer=text(dataset, "Manufacturer") or None,
        series_description=text(dataset, "SeriesDescription"),
        horizontally_flipped=is_mirrored(dataset),
        accession_issuer=accession_issuer(dataset),
        frames=_frames(dataset),
        study_date=date_in(text(dataset, "StudyDate")),
    )


def _identifiers(dataset: FileDataset, path: Path) -> tuple[str, str]:
    """Return the UIDs of the image and of its study.

    The de-identification of VinDr-CXR removes both from the data set and leaves a hash in the file meta information:
    each of its images is then a study of its own. If only one of the two is missing, the file is damaged.

    Source: PS3.10 7.1 (Media Storage SOP Instance UID is the SOP Instance UID of the data set).
    """
    instance_uid, study_uid = text(dataset, "SOPInstanceUID"), text(dataset, "StudyInstanceUID")
    in_meta = text(dataset.file_meta, "MediaStorageSOPInstanceUID")
    if not instance_uid and not study_uid and in_meta:
        return in_meta, in_meta
    for keyword, value in (("SOPInstanceUID", instance_uid), ("StudyInstanceUID", study_uid)):
        if not value:
            raise DicomError(f"{path}: {keyword} is missing, so the image cannot be identified; export it again.")
    return instance_uid, study_uid


def _rule_against(dataset: FileDataset, sop_class: str) -> str | None:
    """Return the rule that excludes this object, or None for a radiograph."""
    intent = text(dataset, "PresentationIntentType").upper()
    modality = text(dataset, "Modality").upper()
    if sop_class == _FOR_PROCESSING_CLASS or intent == "FOR PROCESSING":
        return "The image is FOR PROCESSING, not for display; send the FOR PRESENTATION image of the same exposure."
    if sop_class == MediaStorageDirectoryStorage:
        return "DICOMDIR; skipped. The files that it lists are read from the folder itself."
    if sop_class not in _RADIOGRAPH_CLASSES:
        name = UID(sop_class).name
        known = "of an unknown class" if name == sop_class else name
        return f"Not a projection radiograph ({known}); skipped."
    if is_own_result(dataset):
        return LEFT_OUT_REASON
    if modality not in _RADIOGRAPH_MODALITIES:
        return f"Not a chest radiograph (Modality is {_quoted_unless_term(modality)}); skipped."
    return _rule_against_body_part(text(dataset, "BodyPartExamined"))


def _rule_against_body_part(stated: str) -> str | None:
    """Exclude an image that is stated to show another part of the body; blank or unknown values are accepted.

    A third of chest radiographs leave the element blank; others hold "CHEST AP" or a misspelling. The rules apply in
    this order. A part that names the chest is accepted. Any part of the spine is excluded. Another part of the thorax
    is accepted. Any other part of the body, misspelt or not, is excluded. Anything else ("TRUNK", "CHST", "12345") is
    accepted.
    """
    words = re.findall(r"[A-Z]+", stated.upper())
    if any("CHEST" in word for word in words):
        return None
    if any(_SPINE.fullmatch(word) for word in words):
        return _no_chest("SPINE")
    if any(chest in word for word in words for chest in _CHEST_WORDS):
        return None
    parts = [part for word in words for part in get_close_matches(word, _OTHER_PARTS, n=1, cutoff=_MISSPELT)]
    return _no_chest(parts[0]) if parts else None


def _no_chest(part: str) -> str:
    """Describe the body part with a word from our list, because the element may contain free text."""
    return f"Not a chest radiograph (BodyPartExamined is {part}); skipped."


def _quoted_unless_term(modality: str) -> str:
    """Return a modality as it is if it has the form of a defined term (PS3.3 C.7.3.1.1.1), else in quotes."""
    return modality if re.fullmatch(r"[A-Z]{2,3}", modality) else quoted(modality)


def _positive_integer(dataset: FileDataset, keyword: str, path: Path) -> int:
    values = numbers(dataset, keyword)
    if len(values) != 1 or values[0] < 1:
        raise DicomError(f"{path}: {keyword} is missing or not positive, so this is not an image; export it again.")
    return int(values[0])


def _frames(dataset: FileDataset) -> int:
    """Read the number of frames; 1 if the file does not state it."""
    values = numbers(dataset, "NumberOfFrames")
    return int(values[0]) if len(values) == 1 and values[0] >= 1 else 1


def _spacing(dataset: FileDataset) -> tuple[tuple[float, float] | None, str | None]:
    """Read (row, column) spacing in mm and its element; PixelSpacing comes first, because it may be calibrated.

    Source: PS3.3 10.7.1.3 (Pixel Spacing Calibration Type), C.8.11.4 (Imager Pixel Spacing).
    """
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = numbers(dataset, keyword)
        if len(values) == 2 and min(values) > 0:
            return (values[0], values[1]), keyword
    return None, None


def _sex(dataset: FileDataset) -> str | None:
    sex = text(dataset, "PatientSex").upper()
    return sex if sex in {"F", "M", "O"} else None


def _age_years(dataset: FileDataset) -> float | None:
    """Read PatientAge ("045Y", "012M"; RSNA writes "45"), or else compute the age from birth date and study date."""
    stated = re.fullmatch(r"(\d{1,3})([DWMY]?)", text(dataset, "PatientAge").upper())
    if stated:
        age = int(stated[1]) * _DAYS_PER_UNIT[stated[2]] / 365.25
    else:
        birth, study = (date_in(text(dataset, keyword)) for keyword in ("PatientBirthDate", "StudyDate"))
        if birth is None or study is None:
            return None
        age = (study - birth).days / 365.25
    return age if 0.0 <= age <= _MAX_AGE_YEARS else None


def date_in(value: str) -> date | None:
    """Read a date of 8 digits, with or without dots; None for any other text."""
    digits = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", value)  # 1993.08.22 is how ACR-NEMA wrote it
    if digits is None:
        return None
    try:
        return date(int(digits[1]), int(digits[2]), int(digits[3]))
    except ValueError:
        return None


# Elements to read, by macro. The other macros place frames in time and space and do not apply to a radiograph.
_ELEMENTS = {
    "PixelMeasuresSequence": ("PixelSpacing",),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
}


def lift_functional_groups(dataset: Dataset, frame: int) -> None:
    """Copy a frame's functional group values into the data set itself. Frames are counted from 1.

    A value of the frame takes precedence over a value shared by all frames, and both over the data set's own element.

    Source: PS3.3 C.7.6.16 (Multi-frame Functional Groups), C.7.6.16.2.1 (Pixel Measures), C.7.6.16.2.9 (Pixel Value
    Transformation), C.7.6.16.2.10 (Frame VOI LUT).
    """
    shared = items(dataset, "SharedFunctionalGroupsSequence")[:1]
    own = items(dataset, "PerFrameFunctionalGroupsSequence")[frame - 1 : frame]
    for group in (*shared, *own):
        for macro, keywords in _ELEMENTS.items():
            for item in items(group, macro)[:1]:
                for keyword in keywords:
                    if (found := element(item, keyword)) is not None:
                        dataset[keyword] = found


OWN_MANUFACTURER = "m2ib-audit"
"""Manufacturer (0008,0070) of every object that an audit creates."""
LEFT_OUT_REASON = "A result of an earlier m2ib-audit run; skipped."


def is_own_result(dataset: Dataset) -> bool:
    """Return True if an audit created the object; its Manufacturer must have been read."""
    return text(dataset, "Manufacturer") == OWN_MANUFACTURER
