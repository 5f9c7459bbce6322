"""Reports that are one text file each, as in MIMIC-CXR: the file's name says which study they belong to."""

from pipelines.study import Report
from pipelines.text.formats.file import ReadReports, ReportFile, failed
from pipelines.text.table import plain_stem

__all__ = ["read_plain_report", "recognise_plain_report"]


def recognise_plain_report(file: ReportFile) -> bool:
    """Say whether this is a text report: by its name, since any text may be a report."""
    return file.decoded is not None and file.suffix in {".txt", ".text", ".rpt"}


def read_plain_report(file: ReportFile) -> ReadReports:
    """Read the whole file as one report, joined by the file's stem."""
    source = str(file.path)
    if not file.text.strip():
        reason = f"the report {file.path.name} is empty: put the radiologist's text into it, or remove the file"
        return (), (failed(source, reason),)
    return (Report(source=source, text=file.text, stem=plain_stem(file.path.name)),), ()
