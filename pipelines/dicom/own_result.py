"""How the results that m2ib-audit sends to a PACS are told from what it audits.

A result that comes back with the next pull must be taken for no film, no radiologist's report and no radiologist's box.
"""

from pydicom.dataset import Dataset

from pipelines.dicom.source import text

__all__ = ["LEFT_OUT_REASON", "OWN_MANUFACTURER", "is_own_result"]

OWN_MANUFACTURER = "m2ib-audit"
"""Manufacturer (0008,0070) of every object that is made from an audit."""
LEFT_OUT_REASON = "This object is a result of m2ib-audit, made from an earlier audit; nothing is to be done."


def is_own_result(dataset: Dataset) -> bool:
    """Whether m2ib-audit has made an object from an audit; its Manufacturer must have been read."""
    return text(dataset, "Manufacturer") == OWN_MANUFACTURER
