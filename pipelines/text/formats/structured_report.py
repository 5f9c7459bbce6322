"""Reports in DICOM structured reports: Basic Text and similar (TID 2000), and measurement reports (TID 1500).

Source: PS3.3 C.17 (SR document modules), PS3.16 TID 1500 (Measurement Report) and TID 2000 (Basic Diagnostic Imaging
Report).
"""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from pipelines.dicom.headers import LEFT_OUT_REASON, is_own_result
from pipelines.dicom.source import READ_ERRORS, accession_issuer, items, read_elements, text, tolerant_reading
from pipelines.errors import DicomError
from pipelines.study import Report, ReportStatus
from pipelines.text.formats.file import ReadReports, ReportFile, failed, issued_at, left_out_by_rule
from pipelines.text.sections import headed_text, heading_of

__all__ = ["is_structured_report", "read_structured_report", "recognise_structured_report"]

_SR_CLASSES = "1.2.840.10008.5.1.4.1.1.88."  # PS3.4 B.5: Basic Text .11, Enhanced .22, Comprehensive .33, 3D .34 ...
_KEY_OBJECT = f"{_SR_CLASSES}59"  # lists images without describing them
_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ContentDate",
    "ContentTime",
    "CompletionFlag",
    "PreliminaryFlag",
    "CurrentRequestedProcedureEvidenceSequence",
    "ContentSequence",
)
_MEASUREMENT_GROUP = "125007"
_TRACKING = frozenset({"112039", "112040"})
_FINDING = frozenset({"121071", "59776-5"})
_FINDING_SITE = frozenset({"363698007", "G-C0E3"})
_LATERALITY = frozenset({"272741003", "G-C171"})
_DEEPEST = 30  # levels of containers; reports have fewer than ten


def recognise_structured_report(file: ReportFile) -> bool:
    """Return True for DICOM; its class is checked when it is read."""
    return file.is_dicom


def is_structured_report(sop_class: str) -> bool:
    """Return True if a SOP class holds a report's text."""
    return sop_class.startswith(_SR_CLASSES) and sop_class != _KEY_OBJECT


def read_structured_report(file: ReportFile) -> ReadReports:
    """Read the text of a structured report; other DICOM objects are excluded by rule, without an entry for each."""
    source, name = str(file.path), file.path.name
    with tolerant_reading():
        try:
            kind, _ = read_elements(file.path, ("SOPClassUID", "Manufacturer"))
        except DicomError:
            # A damaged file may be an image: the scan of --dicom-dir reports it if so.
            return (), (left_out_by_rule(source, f"{name} is damaged DICOM: export it again if it holds a report"),)
        if not is_structured_report(text(kind, "SOPClassUID")):
            return (), ()
        if is_own_result(kind):
            return (), (left_out_by_rule(source, LEFT_OUT_REASON),)
        try:
            dataset, _ = read_elements(file.path, _KEYWORDS)
            report = _report(source, dataset)
        except (DicomError, *READ_ERRORS):
            reason = f"{name} is a structured report that is truncated or damaged: export or copy it again"
            return (), (failed(source, reason),)
    if not report.text:
        return (), (failed(source, f"{name} is a structured report without text: export it with its content"),)
    return (report,), ()


def _report(source: str, dataset: Dataset) -> Report:
    evidence = {
        uid
        for item in items(dataset, "CurrentRequestedProcedureEvidenceSequence")
        if (uid := text(item, "StudyInstanceUID"))
    }
    own = text(dataset, "StudyInstanceUID")
    return Report(
        source=source,
        text=headed_text(_content(dataset, None, 0)),
        # A report may be in a study of its own: its evidence says which images it describes.
        study_instance_uid=(evidence.pop() if len(evidence) == 1 else own) or None,
        accession_number=text(dataset, "AccessionNumber") or None,
        accession_issuer=accession_issuer(dataset) or None,
        status=_status(dataset),
        issued=issued_at(text(dataset, "ContentDate") + text(dataset, "ContentTime")),
    )


def _status(dataset: Dataset) -> ReportStatus:
    preliminary = text(dataset, "PreliminaryFlag") == "PRELIMINARY" or text(dataset, "CompletionFlag") == "PARTIAL"
    return ReportStatus.PRELIMINARY if preliminary else ReportStatus.FINAL


def _content(container: Dataset, heading: str | None, depth: int) -> Iterator[tuple[str | None, str]]:
    """Yield (heading, text) of every content item below a container, in document order."""
    if depth > _DEEPEST:
        return
    for item in items(container, "ContentSequence"):
        code, meaning = _concept(item, "ConceptNameCodeSequence")
        own = heading_of(code, meaning) or heading
        kind = text(item, "ValueType")
        if kind == "CONTAINER" and code == _MEASUREMENT_GROUP:
            yield own, _group(item)
        elif kind == "CONTAINER":
            yield from _content(item, own, depth + 1)
        elif kind == "TEXT" and code not in _TRACKING:
            yield own, text(item, "TextValue").replace("\r\n", "\n").replace("\r", "\n")
        elif kind == "CODE" and text(item, "RelationshipType") == "CONTAINS":
            value = _concept(item, "ConceptCodeSequence")[1]
            yield own, _sentence(value if code in _FINDING or own is not None else f"{meaning}: {value}")
        elif kind == "NUM":
            yield own, _sentence(_number(item))


def _group(group: Dataset) -> str:
    """Write a measurement group as one sentence: the finding, its site and side, its numbers."""
    finding: list[str] = []
    site: list[str] = []
    rest: list[str] = []
    notes: list[str] = []
    for item in items(group, "ContentSequence"):
        code, meaning = _concept(item, "ConceptNameCodeSequence")
        kind = text(item, "ValueType")
        value = _concept(item, "ConceptCodeSequence")[1]
        if kind == "CODE" and code in _FINDING:
            finding.append(value)
        elif kind == "CODE" and code in _FINDING_SITE:
            site.append(" ".join(filter(None, [*_lateralities(item), value])))
        elif kind == "CODE" and value and text(item, "RelationshipType") == "CONTAINS":
            rest.append(f"{meaning} {value}")
        elif kind == "NUM":
            rest.append(_number(item))
        elif kind == "TEXT" and code not in _TRACKING:
            notes.append(_sentence(text(item, "TextValue")))
    named = " in ".join(filter(None, [", ".join(finding), " and ".join(site)]))
    sentence = _sentence(", ".join(filter(None, [named, *rest])))
    return " ".join(filter(None, [sentence if named else "", *notes]))


def _lateralities(item: Dataset) -> Iterator[str]:
    for modifier in items(item, "ContentSequence"):
        if _concept(modifier, "ConceptNameCodeSequence")[0] in _LATERALITY:
            yield _concept(modifier, "ConceptCodeSequence")[1].casefold()


def _number(item: Dataset) -> str:
    measured = items(item, "MeasuredValueSequence")
    if not measured:
        return ""
    unit = items(measured[0], "MeasurementUnitsCodeSequence")
    written = text(unit[0], "CodeValue") if unit else ""
    meaning = _concept(item, "ConceptNameCodeSequence")[1]
    return f"{meaning} {text(measured[0], 'NumericValue')} {'' if written in {'1', '{ratio}'} else written}".strip()


def _concept(item: Dataset, keyword: str) -> tuple[str, str]:
    """Return the code and the meaning of a coded concept; ("", "") if there is none."""
    codes = items(item, keyword)
    if not codes:
        return "", ""
    code = next(
        (text(codes[0], key) for key in ("CodeValue", "LongCodeValue", "URNCodeValue") if text(codes[0], key)), ""
    )
    return code, text(codes[0], "CodeMeaning")


def _sentence(words: str) -> str:
    """End the words with a full stop, so that two content items are two sentences."""
    stripped = words.strip()
    return stripped if not stripped or stripped[-1] in ".!?:" else f"{stripped}."
