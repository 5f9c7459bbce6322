"""Colour secondary captures: one a phrase, for every viewer that shows pictures.

Source: PS3.3 A.8 (Secondary Capture Image IOD), C.8.6 (SC modules).
"""

from highdicom.sc import SCImage
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset

from pipelines.dicom.source import texts
from reports.dicom_out.drawing import draw_capture
from reports.dicom_out.identity import SeriesLabel, plain_line
from reports.dicom_out.shown import Shown

__all__ = ["CAPTURES", "make_captures"]

CAPTURES = SeriesLabel(name="secondary capture", number=9801, title="heat over film")


def make_captures(shown: Shown) -> list[Dataset]:
    """Draw every phrase's heat over the film, with the warning burned in."""
    made: list[Dataset] = []
    for phrase in shown.phrases:
        capture = SCImage.from_ref_dataset(
            ref_dataset=shown.source,
            pixel_array=draw_capture(shown, phrase),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "F"),
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            **shown.identity.of_object(CAPTURES, shown.record.key, phrase.number),
        )
        capture.copy_patient_and_study_information(shown.source)
        capture.PatientOrientation = list(texts(shown.source, "PatientOrientation"))
        capture.ConversionType = "WSD"  # made on a workstation
        capture.BurnedInAnnotation = "YES"
        capture.LossyImageCompression = "01"  # the film's picture went through a JPEG
        capture.LossyImageCompressionMethod = "ISO_10918_1"
        capture.LossyImageCompressionRatio = _ratio(shown)
        capture.DerivationDescription = plain_line(
            f"Not for diagnosis: heat of {shown.study.method} on {shown.model.name} laid over the film", 1024
        )
        capture.ImageComments = plain_line(f"Phrase {phrase.number}: {phrase.record.text}", 10_000)
        capture.SourceImageSequence = [_reference(shown.source)]
        _copy_body_part(capture, shown.source)
        made.append(capture)
    return made


def _ratio(shown: Shown) -> str:
    stored = int(shown.record.rows) * int(shown.record.columns) * 2
    return f"{max(stored / max(len(shown.picture), 1), 1.0):.1f}"


def _reference(source: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    purpose = CodedConcept(
        value="121322", scheme_designator="DCM", meaning="Source image for image processing operation"
    )
    reference.PurposeOfReferenceCodeSequence = [purpose]
    return reference


def _copy_body_part(capture: Dataset, source: Dataset) -> None:
    if source.get("BodyPartExamined"):
        capture.BodyPartExamined = source.BodyPartExamined
