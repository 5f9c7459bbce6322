"""From and to the PACS: originals are pulled, results are pushed, by DICOMweb or by DIMSE.

Needs the extra ``pacs``; :func:`audit.pacs.settings.need_extra` says so where it is missing.
"""
