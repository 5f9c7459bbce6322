"""DICOM objects that hold annotations: structured reports and presentation states."""

from collections.abc import Iterator
from pathlib import Path

from pydicom.dataset import Dataset

from pipelines.boxes.presentation_state import presentation_state_boxes
from pipelines.boxes.structured_report import structured_report_boxes
from pipelines.boxes.table import BlankRowError, RawBox
from pipelines.dicom.own_result import LEFT_OUT_REASON, is_own_result
from pipelines.dicom.source import READ_ERRORS, read_elements, text, tolerant_reading
from pipelines.errors import BoxError, DicomError

__all__ = ["read_dicom_annotations"]

_STRUCTURED_REPORTS = "1.2.840.10008.5.1.4.1.1.88."  # PS3.4 B.5
_PRESENTATION_STATES = "1.2.840.10008.5.1.4.1.1.11."
_KEYWORDS = (
    "SpecificCharacterSet",
    "ContentCreatorName",
    "ContentSequence",
    "DisplayedAreaSelectionSequence",
    "GraphicAnnotationSequence",
    "GraphicLayerSequence",
    "ImageRotation",
    "ReferencedSeriesSequence",
)


def read_dicom_annotations(path: Path, name: str) -> list[RawBox | BoxError] | None:
    """Give what a DICOM object has drawn, its readers by name; None for an object of another class.

    Raises:
        BoxError: the object is damaged.
    """
    with tolerant_reading():
        try:
            kind, _ = read_elements(path, ("SOPClassUID", "Manufacturer"))
            sop_class = text(kind, "SOPClassUID")
            if not sop_class.startswith((_STRUCTURED_REPORTS, _PRESENTATION_STATES)):
                return None
            if is_own_result(kind):
                return [BlankRowError(LEFT_OUT_REASON)]  # a model's region is no radiologist's box
            dataset, _ = read_elements(path, _KEYWORDS)
            return list(_boxes(sop_class, dataset, name))
        except (DicomError, *READ_ERRORS) as error:
            raise BoxError(f"{name} is a DICOM object that is cut short or damaged: export it again") from error


def _boxes(sop_class: str, dataset: Dataset, name: str) -> Iterator[RawBox | BoxError]:
    structured = sop_class.startswith(_STRUCTURED_REPORTS)
    return structured_report_boxes(name, dataset) if structured else presentation_state_boxes(name, dataset)
