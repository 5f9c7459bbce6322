"""Segmentations: the hot pixels of every phrase of one film, on the film's own pixels.

There are no pixel measures: they want a slice thickness, which a film has not.

Source: PS3.3 A.51 (Segmentation IOD), C.8.20 (segmentation modules).
"""

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.dataset import Dataset

from reports.dicom_out.codes import AI, HEAT_REGION, SPATIAL_CONCEPT
from reports.dicom_out.content import HotRegion, ImageContent, PhraseContent
from reports.dicom_out.identity import CREATOR, SeriesLabel, plain_line

__all__ = ["SEGMENTATIONS", "make_segmentations"]

SEGMENTATIONS = SeriesLabel(name="segmentation", number=9802, title="hot regions")

# L*a*b* of an orange, a blue, a green, a pink, a yellow and a violet that differ without colour vision as well.
_COLOURS = ((67.0, 32.0, 62.0), (55.0, 0.0, -40.0), (58.0, -41.0, 12.0), (63.0, 41.0, -9.0), (92.0, -10.0, 71.0))


def make_segmentations(content: ImageContent, number: int) -> list[Dataset]:
    """Make one binary segmentation of an image with one segment per phrase; none if all heat maps are flat.

    SegmentDescription contains the threshold of the segment.
    """
    hot = [(phrase, phrase.region) for phrase in content.phrases if phrase.region is not None]
    if not hot:
        return []
    segmentation = Segmentation(
        source_images=[_without_spacing(content.source)],
        pixel_array=np.stack([region.mask for _, region in hot], axis=-1)[None].astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[
            _described(segment, phrase, region, content) for segment, (phrase, region) in enumerate(hot, start=1)
        ],
        content_label="HOT_REGIONS",
        content_description="Where a model looked; not for diagnosis",
        content_creator_name=CREATOR,
        **content.identity.of_object(SEGMENTATIONS, content.record.key, number),
    )
    segmentation.PatientOrientation = content.source.get("PatientOrientation") or ""  # no plane says it
    return [segmentation]


def _described(segment: int, phrase: PhraseContent, region: HotRegion, content: ImageContent) -> SegmentDescription:
    study = content.study
    described = SegmentDescription(
        segment_number=segment,
        segment_label=plain_line(f"{phrase.number}: {phrase.record.text}"),
        segmented_property_category=SPATIAL_CONCEPT,
        segmented_property_type=HEAT_REGION,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=plain_line(f"{study.method} of {content.model.name}"),
            family=AI,
            version=plain_line(study.software.get("m2ib-audit", "unknown")),
            source="m2ib-audit",
        ),
        tracking_uid=content.identity.uid("tracking", content.record.key, str(phrase.number)),
        tracking_id=plain_line(f"m2ib-audit {content.record.key} {phrase.number}"),
        display_color=CIELabColor(*_COLOURS[(segment - 1) % len(_COLOURS)]),
    )
    described.SegmentDescription = (
        f"Heat above {region.threshold:.6g} {study.unit} per cell (Otsu's threshold on image pixels) for the phrase "
        f"{plain_line(phrase.record.text, 800)!r}. Not for diagnosis."
    )
    return described


def _without_spacing(source: Dataset) -> Dataset:
    """Return the header without PixelSpacing, from which highdicom would create pixel measures that it cannot read."""
    bare = Dataset()
    bare.update(source)  # Dataset(source) would share its elements, so that removing one would change the source
    bare.pop("PixelSpacing", None)
    return bare
