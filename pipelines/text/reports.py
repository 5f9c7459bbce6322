"""Reads a folder of report files, or one table of reports, and keeps the latest version of each.

Source: HL7 v2.5.1, table 0123; FHIR R4, DiagnosticReport.status; PS3.3 C.17.2 (SR Document General).

To add a format, write one file in ``formats`` with a recogniser and a reader, and add one line to :data:`FORMATS`.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pipelines.errors import ReportError
from pipelines.input_folder import files_under
from pipelines.limits import MAX_REPORT_CHARACTERS
from pipelines.quoting import quoted
from pipelines.study import Exclusion, Report, ReportStatus
from pipelines.text.formats.delimited import read_delimited_reports, recognise_delimited_reports
from pipelines.text.formats.fhir_json import read_fhir_reports, recognise_fhir_reports
from pipelines.text.formats.file import (
    PARQUET_MAGIC,
    ReadReports,
    ReportFile,
    failed,
    left_out_by_rule,
    open_report_file,
)
from pipelines.text.formats.hl7_v2 import read_hl7_reports, recognise_hl7_reports
from pipelines.text.formats.label_table import read_label_table, recognise_label_table
from pipelines.text.formats.openi_xml import read_openi_report, recognise_openi_report
from pipelines.text.formats.parquet import read_parquet_reports, recognise_parquet_reports
from pipelines.text.formats.structured_report import read_structured_report, recognise_structured_report
from pipelines.text.table import plain_stem

__all__ = [
    "FORMATS",
    "PLAIN_ENDINGS",
    "ReportFormat",
    "ReportTable",
    "read_plain_report",
    "read_reports",
    "recognise_plain_report",
    "settle_versions",
]


PLAIN_ENDINGS = (".txt", ".text", ".rpt")


def recognise_plain_report(file: ReportFile) -> bool:
    """Return True for a text report. The file name decides, because any text may be a report."""
    return file.decoded is not None and file.suffix in PLAIN_ENDINGS


def read_plain_report(file: ReportFile) -> ReadReports:
    """Read the whole file as one report; its file stem joins it to a study."""
    source = str(file.path)
    if not file.text.strip():
        reason = f"the report {file.path.name} is empty: put the radiologist's text into it, or remove the file"
        return (), (failed(source, reason),)
    return (Report(source=source, text=file.text, stem=plain_stem(file.path.name)),), ()


_EARLIEST = datetime.min.replace(tzinfo=UTC)
_COMPLETE = frozenset({ReportStatus.FINAL, ReportStatus.CORRECTED})


def settle_versions(reports: Sequence[Report]) -> tuple[tuple[Report, ...], tuple[Exclusion, ...]]:
    """Keep one of the versions that were sent of a report; versions share an accession number or a study.

    A final or corrected version replaces all earlier ones. An addendum is appended. A preliminary version counts until
    there is a final one. A withdrawn report is discarded. Versions are ordered by the time of issue, or else by file.
    Reports in formats without versions are unchanged.
    """
    versions: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
    for index, report in enumerate(reports):
        if report.status is not None:
            versions[_key(report)].append(index)
    kept: dict[int, Report] = {index: report for index, report in enumerate(reports) if report.status is None}
    left_out: list[Exclusion] = []
    for indices in versions.values():
        # Sorting is stable: reports without a time keep their file order.
        ordered = sorted((reports[index] for index in indices), key=lambda report: report.issued or _EARLIEST)
        settled, lost = _settled(ordered)
        left_out += lost
        if settled is not None:
            kept[indices[0]] = settled
    return tuple(kept[index] for index in sorted(kept)), tuple(left_out)


def _key(report: Report) -> tuple[str | None, ...]:
    if report.accession_number:
        return "accession", report.accession_number, report.accession_issuer
    if report.study_instance_uid:
        return "study", report.study_instance_uid
    return "name", report.stem, report.source if report.stem is None else None


def _settled(ordered: Sequence[Report]) -> tuple[Report | None, list[Exclusion]]:
    body: Report | None = None
    addenda: list[Report] = []
    lost: list[Exclusion] = []
    for version in ordered:
        if version.status is ReportStatus.ADDENDUM:
            addenda.append(version)
        elif version.status is ReportStatus.WITHDRAWN:
            lost += _withdrawn([*filter(None, [body]), *addenda, version])
            body, addenda = None, []
        elif version.status in _COMPLETE or body is None or body.status is ReportStatus.PRELIMINARY:
            # A newer version already contains the addenda to an older one.
            lost += _superseded([*filter(None, [body]), *addenda], version)
            body, addenda = version, []
        else:
            lost += _superseded([version], body)
    if body is None and addenda:
        body, addenda = addenda[0], addenda[1:]
    return (None if body is None else _with_addenda(body, addenda)), lost


def _with_addenda(body: Report, addenda: Iterable[Report]) -> Report:
    texts = [body.text]
    for addendum in addenda:
        own_heading = addendum.text.lstrip().casefold().startswith("addendum")
        texts.append(addendum.text if own_heading else f"ADDENDUM:\n{addendum.text}")
        body = replace(body, study_instance_uid=body.study_instance_uid or addendum.study_instance_uid)
    return replace(body, text="\n\n".join(texts))


def _superseded(versions: Iterable[Report], by: Report) -> list[Exclusion]:
    reason = f"replaced by a {by.status} version of this report; skipped"
    return [Exclusion(source=version.source, stage="report", reason=reason, failed=False) for version in versions]


def _withdrawn(versions: Iterable[Report]) -> list[Exclusion]:
    reason = "the report was withdrawn by its sender; skipped"
    return [Exclusion(source=version.source, stage="report", reason=reason, failed=False) for version in versions]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTable:
    """Every report that was read, and everything that was not, in the order of the file names."""

    reports: tuple[Report, ...]
    left_out: tuple[Exclusion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFormat:
    """A format; both functions take the opened file."""

    recognise: Callable[[ReportFile], bool]
    read: Callable[[ReportFile], ReadReports]
    endings: tuple[str, ...] = ()  # suffixes of its files, in lower case
    start: bytes | None = (
        None  # regular expression of the first bytes of its files, if these identify it under any name
    )


# Tried in this order: formats that identify themselves come before those that accept any text.
FORMATS: dict[str, ReportFormat] = {
    "DICOM SR": ReportFormat(recognise=recognise_structured_report, read=read_structured_report),
    "Parquet table": ReportFormat(
        recognise=recognise_parquet_reports,
        read=read_parquet_reports,
        endings=(".parquet", ".pq"),
        start=PARQUET_MAGIC,
    ),
    "HL7 v2 ORU": ReportFormat(
        recognise=recognise_hl7_reports,
        read=read_hl7_reports,
        endings=(".hl7",),
        start=rb"(?:MSH|FHS|BHS)[^\w\s]",
    ),
    "OpenI XML": ReportFormat(
        recognise=recognise_openi_report,
        read=read_openi_report,
        endings=(".xml",),
        start=rb"<\?xml|<eCitation",
    ),
    "FHIR DiagnosticReport": ReportFormat(
        recognise=recognise_fhir_reports,
        read=read_fhir_reports,
        endings=(".json", ".ndjson", ".jsonl"),
        start=rb'[\[{]\s*["{]',
    ),
    "table of labels": ReportFormat(
        recognise=recognise_label_table,
        read=read_label_table,
        endings=(".csv", ".tsv", ".tab"),
    ),
    "CSV or TSV table": ReportFormat(
        recognise=recognise_delimited_reports,
        read=read_delimited_reports,
        endings=(".csv", ".tsv", ".tab"),
    ),
    "plain text": ReportFormat(
        recognise=recognise_plain_report,
        read=read_plain_report,
        endings=PLAIN_ENDINGS,
    ),
}


def read_reports(path: Path) -> ReportTable:
    """Read the reports in a file, or in all files of a folder and its subfolders, in any of the formats.

    The format is detected from the content; gzip and zip archives are unpacked. A file that cannot be read is excluded
    with a reason and does not affect the others. Hidden files and links that lead out of the folder are listed and not
    read. Files that are not reports are counted by their suffix. Of several versions of a report the latest counts
    (:func:`pipelines.text.reports.settle_versions`).

    Raises:
        ReportError: ``path`` does not exist, holds no report file, or is a single file of no known format.
    """
    if not path.exists():
        raise ReportError(f"{path} does not exist: give --reports a folder or a file of reports")
    files, passed = ([path], []) if path.is_file() else files_under(path, stage="report")
    reports: list[Report] = []
    left_out = [item for item in passed if item.failed]
    others: dict[str, int] = defaultdict(int)
    for file in files:
        read = _read_file(file)
        if read is None:
            others[file.suffix.casefold()] += 1
            continue
        reports += read[0]
        left_out += read[1]
    if not reports and not left_out:
        if path.is_file():
            raise ReportError(f"{path} does not have the suffix of a report format: give {_known_formats()}")
        entries = len(files) + len(passed)
        raise ReportError(f"{path} holds no report among {entries:,} files: add {_known_formats()}")
    settled, older = settle_versions(reports)
    by_rule = (item for item in passed if not item.failed)
    return ReportTable(reports=settled, left_out=(*left_out, *older, *by_rule, *_not_reports(path, others)))


def _read_file(path: Path) -> ReadReports | None:
    """Read one file; None if it does not hold reports."""
    try:
        file = open_report_file(path, may_hold=_may_hold_reports)
        if file is None:
            return None
        known = _format_of(file)
    except ReportError as error:
        return (), (failed(str(path), str(error)),)
    if known is None:
        return (), (_of_no_format(file),)
    read, left_out = known.read(file)
    if file.is_dicom and not read and not left_out:
        return None  # an image, counted among the files that are not reports
    lost = list(left_out)
    if file.text and file.decoded is not None and file.decoded.doubt is not None:
        lost.append(left_out_by_rule(str(path), f"{path.name}: {file.decoded.doubt}"))
    kept: list[Report] = []
    for report in read:
        if len(report.text) > MAX_REPORT_CHARACTERS:
            length = f"{len(report.text):,} characters, more than {MAX_REPORT_CHARACTERS:,}"
            lost.append(failed(report.source, f"the report has {length}: give one file or row for each report"))
        else:
            kept.append(report)
    return tuple(kept), tuple(lost)


def _may_hold_reports(ending: str, start: bytes) -> bool:
    formats = FORMATS.values()
    return any(ending in one.endings or (one.start and re.match(one.start, start)) for one in formats)


def _format_of(file: ReportFile) -> ReportFormat | None:
    return next((known for known in FORMATS.values() if known.recognise(file)), None)


def _of_no_format(file: ReportFile) -> Exclusion:
    name = file.path.name
    if file.decoded is None:
        reason = f"{name} holds zero bytes, so it is not a text file: save it as UTF-8 text"
    elif not file.text.strip():
        reason = f"{name} is empty: put reports into it, or remove the file"
    else:
        reason = f"{name} has none of the known formats: give {_known_formats()}"
    return failed(str(file.path), reason)


def _not_reports(folder: Path, others: dict[str, int]) -> Iterable[Exclusion]:
    for suffix, count in sorted(others.items()):
        ending = suffix if suffix in _KNOWN_ENDINGS else quoted(suffix)
        one, many = (f"ends in {ending}", f"end in {ending}") if suffix else ("has no suffix", "have no suffix")
        what = f"1 file {one} and is not a report" if count == 1 else f"{count:,} files {many} and are not reports"
        reason = f"{what}: give {_known_formats()} if {'it' if count == 1 else 'they'} should be"
        yield Exclusion(source=str(folder / f"*{suffix}"), stage="report", reason=reason, failed=False)


_KNOWN_ENDINGS = frozenset(
    (
        *(".dcm", ".dicom", ".dic", ".ima", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".pdf", ".doc"),
        *(".docx", ".xls", ".xlsx", ".rtf", ".zip", ".gz", ".tar", ".7z", ".nii", ".npy", ".npz", ".mha", ".mhd"),
        *(".nrrd", ".md", ".ini", ".db", ".log", ".html", ".htm", ".yaml", ".yml", ".toml", ".bak", ".tmp"),
        *(".sqlite", ".py", ".ipynb", ".mp3", ".wav", ".csv", ".tsv", ".txt", ".xml", ".json", ".parquet"),
    )
)  # anything else may be part of the name after a full stop: "report.Smith"


def _known_formats() -> str:
    endings = sorted({ending for one in FORMATS.values() for ending in one.endings})
    return f"{', '.join(endings)} files ({', '.join(FORMATS)})"
