"""Reports in the rows of a CSV or TSV table: an identifier and the text, or findings and impression separately."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.study import Exclusion, Report
from pipelines.text.formats.file import ReadReports, ReportFile, failed
from pipelines.text.table import BadRow, Row, Table, columns_of, describe_columns, parse_table, pick_column, plain_stem

__all__ = ["read_delimited_reports", "recognise_delimited_reports", "reports_of_table"]

# In order of preference; case, spaces and underscores are ignored.
_STUDY_UID = ("study_instance_uid", "study_uid", "study_iuid")
_ACCESSION = ("accession_number", "accession", "accession_no", "acc_no")
_ISSUER = ("accession_issuer", "issuer_of_accession_number", "assigning_authority", "issuer")
_STEM = (
    "study_id",
    "dicom_id",
    "sop_instance_uid",
    "image",
    "image_id",
    "image_index",
    "image_name",
    "filename",
    "file_name",
    "file",
    "path",
    "image_path",
    "path_to_image",
    "study",
    "report_id",
    "uid",
    "id",
)
_REPORT = ("report", "report_text", "text", "full_text", "full_report", "radiology_report", "body", "content")
_FINDINGS = ("findings", "finding", "findings_text")
_IMPRESSION = ("impression", "impressions", "conclusion", "impression_text")
_BOX_SIDES = (("x", "xmin"), ("y", "ymin"))
_WHOLE_NUMBER = re.compile(r"\A(\d+)\.0\Z")  # how pandas writes the numbers of a column with missing values
_DOTTED_UID = re.compile(r"\d+(?:\.\d+){4,}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    study_uid: str | None
    accession: str | None
    issuer: str | None
    stem: str | None
    report: str | None
    findings: str | None
    impression: str | None

    @classmethod
    def of(cls, columns: tuple[str, ...]) -> "_Columns":
        return cls(
            study_uid=pick_column(columns, _STUDY_UID),
            accession=pick_column(columns, _ACCESSION),
            issuer=pick_column(columns, _ISSUER),
            stem=pick_column(columns, _STEM),
            report=pick_column(columns, _REPORT),
            findings=pick_column(columns, _FINDINGS),
            impression=pick_column(columns, _IMPRESSION),
        )


def recognise_delimited_reports(file: ReportFile) -> bool:
    """Return True for a table: by its name, or by a header that names an identifier and a text."""
    if file.suffix in {".csv", ".tsv", ".tab"}:
        return bool(file.text.strip())
    columns = columns_of(file.text.lstrip())
    return len(columns) > 1 and _missing(file.path, columns, _Columns.of(columns)) is None


def read_delimited_reports(file: ReportFile) -> ReadReports:
    """Read one report per row; a row that cannot be used is excluded with a reason."""
    return reports_of_table(file.path, parse_table(file.text))


def reports_of_table(path: Path, table: Table) -> ReadReports:
    """Convert each row to a report, whatever kind of file the table was read from."""
    columns = _Columns.of(table.columns)
    problem = _missing(path, table.columns, columns)
    if problem is not None:
        return (), (problem,)
    reports: list[Report] = []
    left_out: list[Exclusion] = []
    for row in table.rows:
        source = f"{path} row {row.number}"
        read = (
            f"row {row.number} of {path.name}: {row.reason}" if isinstance(row, BadRow) else _report(path, row, columns)
        )
        if isinstance(read, str):
            left_out.append(failed(source, read))
        else:
            reports.append(read)
    if not reports and not left_out:
        reason = f"the table {path.name} has a header and no rows: add one row for each report"
        left_out.append(failed(str(path), reason))
    return tuple(reports), tuple(left_out)


def _missing(path: Path, header: tuple[str, ...], columns: _Columns) -> Exclusion | None:
    named = describe_columns(header)
    if columns.report is None and columns.findings is None and columns.impression is None:
        if all(pick_column(header, side) for side in _BOX_SIDES):
            reason = f"{path.name} is a table of boxes ({named}): give it with --boxes"
            return Exclusion(source=str(path), stage="report", reason=reason, failed=False)
        reason = f"{path.name} has no column with text ({named}): name it report, or findings and impression"
    elif columns.study_uid is None and columns.accession is None and columns.stem is None:
        reason = (
            f"{path.name} has no column that says whose report it is ({named}): add study_instance_uid, "
            "accession_number or filename"
        )
    else:
        return None
    return Exclusion(source=str(path), stage="report", reason=reason, failed=True)


def _report(path: Path, row: Row, columns: _Columns) -> Report | str:
    """Convert a row to a report, or return the reason why it cannot be used."""
    text = "\n\n".join(_texts(row, columns))
    if not text:
        return f"row {row.number} of {path.name} has no report text: fill the cell, or remove the row"
    study_uid = _cell(row, columns.study_uid)
    accession, stem = (_number_or_name(_cell(row, name)) for name in (columns.accession, columns.stem))
    if study_uid is None and accession is None and stem is None:
        return f"row {row.number} of {path.name} does not say whose report it is: fill in its identifier"
    if study_uid is None and columns.stem is not None and pick_column([columns.stem], ("study_id", "study")):
        study_uid = stem if stem is not None and _DOTTED_UID.match(stem) else None
    return Report(
        source=f"{path} row {row.number}",
        text=text,
        study_instance_uid=study_uid,
        accession_number=accession,
        accession_issuer=_cell(row, columns.issuer),
        stem=None if stem is None else plain_stem(stem),
        image_names=(stem,) if stem is not None and "/" in stem else (),  # folders decide where images have one name
    )


def _texts(row: Row, columns: _Columns) -> Iterator[str]:
    whole = _cell(row, columns.report)
    if whole is not None:
        yield whole
        return
    for title, column in (("FINDINGS", columns.findings), ("IMPRESSION", columns.impression)):
        text = _cell(row, column)
        if text is not None:
            yield f"{title}: {text}"


def _number_or_name(cell: str | None) -> str | None:
    """Return "50414267" for "50414267.0"."""
    return None if cell is None else _WHOLE_NUMBER.sub(r"\1", cell)


def _cell(row: Row, column: str | None) -> str | None:
    """Return the text of a cell; None if there is no such column or the cell is empty."""
    text = "" if column is None else row.cells[column]
    return None if not text or text.casefold() in {"nan", "none", "null", "n/a"} else text
