"""Secondary captures: the radiograph under one phrase's heat, with the explanation that a reader needs burned in.

The picture does not identify the patient: the viewer shows that from the header.

Source: PS3.3 A.8 (Secondary Capture Image IOD), C.8.6 (SC modules).
"""

import io
import textwrap
from dataclasses import dataclass

import numpy as np
from highdicom.sc import SCImage
from highdicom.sr import CodedConcept
from jaxtyping import UInt8
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from pydicom.dataset import Dataset

from pipelines.dicom.source import texts
from reports.dicom_out.content import ImageContent, PhraseContent
from reports.dicom_out.identity import SeriesLabel, plain_line
from reports.overlay import COLOURS, colour_heat, display_range

__all__ = ["CAPTURES", "draw_capture", "make_captures"]

_IMAGE_SIDE = 1024  # px, longest side: text of 22 px is legible on any viewer
_LEAST_WIDTH = 820  # px: the header's warning fits
_OPACITY = 0.6
_MARGIN, _LARGE, _SMALL, _LINE = 20, 34, 21, 29  # px
_BLACK, _WARNING, _WHITE, _GREY = (14, 17, 22), (170, 28, 36), (245, 245, 245), (180, 186, 196)
_OUTLINE = (90, 220, 255)


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(slots=True)
class _Page:
    """A canvas that is filled with lines from top to bottom."""

    canvas: Picture.Image
    draw: ImageDraw.ImageDraw
    width: int
    top: int

    def line(self, words: str, *, size: int = _SMALL, fill: tuple[int, int, int] = _WHITE) -> None:
        font = _font(size)
        words = _cut(words, font, self.width - 2 * _MARGIN)
        self.draw.text((_MARGIN, self.top), words, font=font, fill=fill)
        self.top += round(size * _LINE / _SMALL)


def draw_capture(content: ImageContent, phrase: PhraseContent) -> UInt8[np.ndarray, "height width 3"]:
    """Draw the radiograph under a phrase's heat, with a warning above and an explanation below."""
    radiograph = _overlay(content, phrase)
    width = max(radiograph.width, _LEAST_WIDTH)
    lines, facts = _quoted(phrase.record.text, width), _facts(content, phrase, width)
    header, footer = 92, 2 * _MARGIN + len(lines) * 37 + 50 + len(facts) * _LINE
    canvas = Picture.new("RGB", (width, header + radiograph.height + footer), _BLACK)
    canvas.paste(radiograph, ((width - radiograph.width) // 2, header))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, width, header - 1), fill=_WARNING)
    page = _Page(canvas, draw, width, 10)
    page.line("NOT FOR DIAGNOSIS", size=_LARGE)
    page.line("Audit of a model: where it looked for these words, not where disease is")
    page.top = header + radiograph.height + _MARGIN
    for line in lines:
        page.line(line, size=27)
    _scale(page, content, phrase)
    for line in facts:
        page.line(line, fill=_GREY)
    return np.asarray(canvas)


def _overlay(content: ImageContent, phrase: PhraseContent) -> Picture.Image:
    with Picture.open(io.BytesIO(content.picture), formats=["JPEG", "PNG"]) as opened:
        grey = opened.convert("L")
    factor = _IMAGE_SIDE / max(grey.size)
    size = round(grey.width * factor), round(grey.height * factor)
    radiograph = grey.resize(size, Picture.Resampling.LANCZOS).convert("RGBA")
    colours = colour_heat(phrase.heat, content.record.placement, height=size[1], width=size[0])
    colours[..., 3] = (colours[..., 3] * _OPACITY).astype(np.uint8)
    radiograph.alpha_composite(Picture.fromarray(colours))
    outline = phrase.region.outline if phrase.region is not None else None
    if outline is not None:
        across, down = size[0] / content.record.columns, size[1] / content.record.rows
        left, top, right, bottom = (
            outline[0][0] * across, outline[0][1] * down, outline[2][0] * across - 1, outline[2][1] * down - 1
        )  # fmt: skip
        draw = ImageDraw.Draw(radiograph)
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=(0, 0, 0), width=5)
        draw.rectangle((left, top, right, bottom), outline=_OUTLINE, width=3)
    return radiograph.convert("RGB")


def _scale(page: _Page, content: ImageContent, phrase: PhraseContent) -> None:
    """Draw the colour scale with the coldest and hottest cell at its ends."""
    scale = display_range(phrase.heat)
    page.top += 8
    if scale is None:
        page.line("The heat is flat.", fill=_GREY)
        return
    ends = [f"{value:.3g}" for value in scale]
    font = _font(_SMALL)
    left = _MARGIN + round(font.getlength(ends[0])) + 10
    page.draw.text((_MARGIN, page.top), ends[0], font=font, fill=_GREY)
    bar = Picture.fromarray(np.repeat(COLOURS[None], 18, axis=0)).resize((300, 18))
    page.canvas.paste(bar, (left, page.top + 4))
    unit = f"{ends[1]} {content.study.unit} per cell of the model's grid"
    page.draw.text((left + 310, page.top), unit, font=font, fill=_GREY)
    page.top += 42


def _facts(content: ImageContent, phrase: PhraseContent, width: int) -> list[str]:
    model, study, record = content.model, content.study, phrase.record
    region = phrase.region
    if region is None or region.box is None:
        where = "Points nowhere: no single peak"
    else:
        where = f"Frame: hottest region above {region.threshold:.3g} {study.unit} per cell (Otsu's threshold)"
    return [
        f"Model: {model.name} ({model.family}, {model.sha256[:12]})",
        *textwrap.wrap(f"Terms: {model.terms}", width=(width - 2 * _MARGIN) // 11, max_lines=2, placeholder=" ..."),
        f"Method: {study.method}; cosine {record.cosine:.3f}; total heat {record.total_nats:.4g} {study.unit}",
        where,
        f"Made by m2ib-audit {study.software.get('m2ib-audit', '')} on {study.created:%Y-%m-%d}; for research only",
    ]


def _quoted(words: str, width: int) -> list[str]:
    """Wrap a phrase into at most three lines."""
    letters = (width - 2 * _MARGIN) // 14
    return textwrap.wrap(f"\u201c{words}\u201d", width=letters, max_lines=3, placeholder=" ...\u201d") or ['""']


def _cut(words: str, font: _Font, width: int) -> str:
    """Truncate a line that is wider than the canvas."""
    cut = words
    while cut and font.getlength(cut if cut == words else f"{cut}...") > width:
        cut = cut[:-1]
    return cut if cut == words else f"{cut.rstrip()}..."


def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


CAPTURES = SeriesLabel(name="secondary capture", number=9801, title="heat over image")


def make_captures(content: ImageContent) -> list[Dataset]:
    """Make one secondary capture per phrase, with the warning burned in."""
    made: list[Dataset] = []
    for phrase in content.phrases:
        capture = SCImage.from_ref_dataset(
            ref_dataset=content.source,
            pixel_array=draw_capture(content, phrase),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "F"),
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            **content.identity.of_object(CAPTURES, content.record.key, phrase.number),
        )
        capture.copy_patient_and_study_information(content.source)
        capture.PatientOrientation = list(texts(content.source, "PatientOrientation"))
        capture.ConversionType = "WSD"  # made on a workstation
        capture.BurnedInAnnotation = "YES"
        capture.LossyImageCompression = "01"  # the displayed image was stored as a JPEG
        capture.LossyImageCompressionMethod = "ISO_10918_1"
        capture.LossyImageCompressionRatio = _ratio(content)
        capture.DerivationDescription = plain_line(
            f"Not for diagnosis: heat of {content.study.method} on {content.model.name} over the image", 1024
        )
        capture.ImageComments = plain_line(f"Phrase {phrase.number}: {phrase.record.text}", 10_000)
        capture.SourceImageSequence = [_reference(content.source)]
        _copy_body_part(capture, content.source)
        made.append(capture)
    return made


def _ratio(content: ImageContent) -> str:
    stored = int(content.record.rows) * int(content.record.columns) * 2
    return f"{max(stored / max(len(content.picture), 1), 1.0):.1f}"


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
