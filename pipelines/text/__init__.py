"""Report files become reports, and reports become phrases."""

from pipelines.text.mask import MaskedText, mask_identifiers, mask_report
from pipelines.text.phrases import phrases_of
from pipelines.text.reports import ReportTable, read_reports
from pipelines.text.sections import without_people

__all__ = [
    "MaskedText",
    "ReportTable",
    "mask_identifiers",
    "mask_report",
    "phrases_of",
    "read_reports",
    "without_people",
]
