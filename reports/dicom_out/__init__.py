"""Results for the PACS: what an audited folder holds becomes DICOM objects in the studies of the originals.

Needs highdicom (the extra ``pacs``).
"""

from reports.dicom_out.encapsulated_pdf import encapsulated_pdf
from reports.dicom_out.objects import ObjectKind, Result, make_results, read_source

__all__ = ["ObjectKind", "Result", "encapsulated_pdf", "make_results", "read_source"]
