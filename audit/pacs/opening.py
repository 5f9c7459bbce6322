"""Opens the configured archive."""

from pathlib import Path

from audit.pacs.archive import Archive
from audit.pacs.dicomweb import DicomwebArchive
from audit.pacs.dimse import DimseArchive
from audit.pacs.settings import load_settings
from pipelines.errors import PacsError

__all__ = ["open_archive"]


def open_archive(via: str | None, config: Path | None) -> Archive:
    """Return the archive over DICOMweb or DIMSE.

    Args:
        via: "dicomweb" or "dimse"; None for the configured one, DICOMweb before DIMSE.
        config: the settings file; None for the default one.

    Raises:
        PacsError: it is not set up, or the settings are wrong.
    """
    settings = load_settings(config)
    if settings.dicomweb is not None and via in {None, "dicomweb"}:
        return DicomwebArchive(settings.dicomweb)
    if settings.dimse is not None and via in {None, "dimse"}:
        return DimseArchive(settings.dimse)
    wanted = "M2IB_AUDIT_DIMSE_HOST" if via == "dimse" else "M2IB_AUDIT_DICOMWEB_URL"
    raise PacsError(
        f"no archive is configured{f' for {via}' if via else ''}: set {wanted}, or write the file of docs/PACS.md"
    )
