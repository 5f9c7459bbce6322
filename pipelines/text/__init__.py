"""Report files become reports, and reports become phrases."""

from pipelines.text.mask import mask_identifiers, mask_known
from pipelines.text.phrases import phrases_of
from pipelines.text.reports import ReportTable, read_reports
from pipelines.text.sections import without_people

__all__ = ["ReportTable", "mask_identifiers", "mask_known", "phrases_of", "read_reports", "without_people"]
