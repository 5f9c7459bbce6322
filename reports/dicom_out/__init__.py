"""Results for the PACS: what an audited folder holds becomes DICOM objects in the studies of the originals.

Needs highdicom (the extra ``pacs``).
"""

from reports.dicom_out.objects import Kind, Result, make_results, read_source

__all__ = ["Kind", "Result", "make_results", "read_source"]
