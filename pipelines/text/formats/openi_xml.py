"""Reports of the Indiana University collection (OpenI), one XML file each.

Source: Demner-Fushman et al. 2016, "Preparing a collection of radiology examinations for distribution and retrieval".
"""

import re
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from pipelines.limits import MAX_XML_BYTES
from pipelines.study import Report
from pipelines.text.formats.file import ReadReports, ReportFile, failed, left_out_by_rule
from pipelines.text.sections import headed_text

__all__ = ["read_openi_report", "recognise_openi_report"]

_XML = re.compile(r"\s*<(?:\?xml|!DOCTYPE|eCitation\b)")
_ROOT = "eCitation"


def recognise_openi_report(file: ReportFile) -> bool:
    """Return True for XML; its root is checked when it is read."""
    return file.suffix == ".xml" or _XML.match(file.text) is not None


def read_openi_report(file: ReportFile) -> ReadReports:
    """Read the labelled parts of the abstract. A file that defines entities is refused."""
    source, name = str(file.path), file.path.name
    if not file.data:
        reason = f"{name} has more than {MAX_XML_BYTES:,} bytes, a hundred times what a report has: split it"
        return (), (failed(source, reason),)
    try:
        root: Element = fromstring(file.data)
    except DefusedXmlException:
        reason = f"{name} defines entities, which are not allowed because they can expand to any size: remove them"
        return (), (failed(source, reason),)
    except (ParseError, LookupError, ValueError) as error:
        reason = f"{name} is invalid XML ({type(error).__name__}): copy or export it again"
        return (), (failed(source, reason),)
    if root.tag != _ROOT:
        reason = f"{name} is XML with another root than {_ROOT} and not an OpenI report: remove it from the folder"
        return (), (left_out_by_rule(source, reason),)
    parts = (
        (part.get("Label", "").strip().upper() or None, "".join(part.itertext()).strip())
        for part in root.iterfind(".//AbstractText")
    )
    text = headed_text(parts)
    if not text:
        return (), (left_out_by_rule(source, f"the report {name} has no text in any section; skipped"),)
    identifier = root.find("uId")
    images = (image.get("id", "").strip() for image in root.iterfind("parentImage"))
    return (
        Report(
            source=source,
            text=text,
            stem=(identifier.get("id") if identifier is not None else None) or file.path.stem,
            image_names=tuple(spelling for image in images if image for spelling in _spellings(image)),
        ),
    ), ()


def _spellings(image: str) -> tuple[str, ...]:
    """The collection's PNG files have the image's name; its DICOM files have it without "CXR"."""
    return (image, image.removeprefix("CXR")) if image.startswith("CXR") else (image,)
