"""Measurement reports (TID 1500) on one image: their frame, and groups of what was found on the image or a part of it.

Source: PS3.16 TID 1500, TID 1410 (Planar ROI Measurements), TID 1501; PS3.3 C.18.6 (spatial coordinates: the corner of
the top left pixel is 0, 0); IHE RAD AI Results (AIR), 6.5.3, which asks for Comprehensive 3D SR.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from highdicom.sr import (
    Comprehensive3DSR,
    ImageRegion,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from pipelines.dicom.source import numbers, texts
from reports.dicom_out.codes import CHEST_IMAGING, finding_code, own_scheme
from reports.dicom_out.content import ImageContent, PhraseContent
from reports.dicom_out.identity import plain_line

__all__ = ["Group", "group", "measurement_report"]

Group = PlanarROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations


def measurement_report(
    content: ImageContent,
    groups: Sequence[Group],
    context: ObservationContext,
    identifiers: dict[str, Any],
    *,
    about: Iterable[Dataset] = (),
) -> Dataset:
    """Make a complete, preliminary and unverified report on an image.

    Args:
        content: the image.
        groups: what was found.
        context: who found it.
        identifiers: of the object, by :meth:`reports.dicom_out.identity.Identity.of_object`.
        about: other objects of the study that the report refers to.
    """
    report = MeasurementReport(
        observation_context=context,
        procedure_reported=CHEST_IMAGING,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=_library(content.source),
    )
    return Comprehensive3DSR(
        evidence=[content.source, *about],
        content=report,
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=[own_scheme()],
        **identifiers,
    )


def _library(source: Dataset) -> list[Dataset] | None:
    """Return the image for the report's library if its header has the elements that TID 1603 requires."""
    spacing, orientation = numbers(source, "ImagerPixelSpacing"), texts(source, "PatientOrientation")
    return [source] if len(spacing) == 2 and min(spacing) > 0 and len(orientation) == 2 else None


def group(
    content: ImageContent, phrase: PhraseContent, outline: list[tuple[float, float]] | None, **found: Any
) -> Group:
    """Make the group of what was found about a phrase.

    Groups about the same phrase have the same tracking identifier, in whichever report they stand.

    Args:
        content: the image.
        phrase: the phrase.
        outline: closed polyline (column, row) in source pixels around the part of the image; None: all of it.
        found: measurements, qualitative evaluations and the like, as highdicom's groups take them.
    """
    source = content.source
    found |= {
        "tracking_identifier": TrackingIdentifier(
            uid=UID(content.identity.uid("tracking", content.record.key, str(phrase.number))),
            identifier=plain_line(phrase.record.text, 1024),
        ),
        "finding_type": finding_code(phrase.record.finding),
    }
    reference = {
        "referenced_sop_class_uid": source.SOPClassUID,
        "referenced_sop_instance_uid": source.SOPInstanceUID,
    }
    if outline is None:
        return MeasurementsAndQualitativeEvaluations(
            source_images=[SourceImageForMeasurementGroup(**reference)], **found
        )
    region = ImageRegion(
        graphic_type="POLYLINE", graphic_data=np.array(outline), source_image=SourceImageForRegion(**reference)
    )
    return PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **found)
