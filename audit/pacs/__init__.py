"""Transfer from and to the PACS: originals are pulled, results are pushed, over DICOMweb or DIMSE.

Needs the extra ``pacs``; :func:`audit.pacs.settings.need_extra` reports if it is missing.
"""
