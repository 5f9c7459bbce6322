"""Presentation states: the frame around a phrase's hottest region, which the viewer draws over the original.

Source: PS3.3 A.33.1 (Grayscale Softcopy Presentation State IOD), C.10.5 (graphic annotation: the corner of the top left
pixel is 0, 0), C.11.6 (its Presentation LUT Shape replaces the image's polarity).
"""

import numpy as np
from highdicom import PresentationLUTTransformation
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from pydicom.dataset import Dataset
from pydicom.uid import UID

from reports.dicom_out.content import ImageContent, PhraseContent
from reports.dicom_out.identity import CREATOR, SeriesLabel, plain_line

__all__ = ["PRESENTATIONS", "make_presentations"]

PRESENTATIONS = SeriesLabel(name="presentation state", number=9804, title="hottest regions")


def make_presentations(content: ImageContent) -> list[Dataset]:
    """Make one presentation state per phrase."""
    return [_presentation(content, phrase) for phrase in content.phrases]


def _presentation(content: ImageContent, phrase: PhraseContent) -> Dataset:
    layer = GraphicLayer(layer_name="M2IB_AUDIT", order=1, description="Where a model looked; not for diagnosis")
    annotation = GraphicAnnotation(
        referenced_images=[content.source],
        graphic_layer=layer,
        graphic_objects=_graphics(content, phrase),
        text_objects=[_words(content, phrase)],
    )
    presentation = GrayscaleSoftcopyPresentationState(
        referenced_images=[content.source],
        content_label=f"M2IB_{phrase.number}"[:16],
        content_description=plain_line(phrase.record.text),
        content_creator_name=CREATOR,
        graphic_layers=[layer],
        graphic_annotations=[annotation],
        presentation_lut_transformation=PresentationLUTTransformation(
            presentation_lut_shape="INVERSE" if content.is_inverted else "IDENTITY"
        ),
        **content.identity.of_object(PRESENTATIONS, content.record.key, phrase.number),
    )
    presentation.Laterality = content.source.get("Laterality") or ""
    return presentation


def _graphics(content: ImageContent, phrase: PhraseContent) -> list[GraphicObject] | None:
    outline = None if phrase.region is None else phrase.region.outline
    if outline is None:
        return None
    return [
        GraphicObject(
            graphic_type="POLYLINE",
            graphic_data=np.array(outline),
            units="PIXEL",
            tracking_id=plain_line(f"m2ib-audit {content.record.key} {phrase.number}"),
            tracking_uid=UID(content.identity.uid("tracking", content.record.key, str(phrase.number))),
        )
    ]


def _words(content: ImageContent, phrase: PhraseContent) -> TextObject:
    """Write phrase, model and warning across the top of the image."""
    where = "" if phrase.region is not None and phrase.region.box is not None else "\r\nThe heat points nowhere"
    words = (
        f"{plain_line(phrase.record.text, 300)}\r\n"
        f"NOT FOR DIAGNOSIS: {plain_line(f'{content.study.method} of {content.model.name}')}, m2ib-audit{where}"
    )
    rows, columns = content.record.rows, content.record.columns
    return TextObject(
        text_value=words,
        units="PIXEL",
        bounding_box=(0.02 * columns, 0.01 * rows, 0.98 * columns, 0.07 * rows),
    )
