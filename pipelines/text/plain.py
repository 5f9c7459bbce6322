"""Reports that are one text file each, as in MIMIC-CXR: the file's name says which study they belong to."""

from pathlib import Path

from pipelines.study import LeftOut, Report
from pipelines.text.table import plain_stem

__all__ = ["read_plain_report", "recognise_plain_report"]


def recognise_plain_report(path: Path, _text: str) -> bool:
    """Say whether this is a text report: by its name, since any text may be a report."""
    return path.suffix.casefold() in {".txt", ".text", ".rpt"}


def read_plain_report(path: Path, text: str) -> tuple[tuple[Report, ...], tuple[LeftOut, ...]]:
    """Read the whole file as one report, joined by the file's stem."""
    if not text.strip():
        reason = f"the report {path.name} is empty: put the radiologist's text into it, or remove the file"
        return (), (LeftOut(source=str(path), stage="report", reason=reason, failed=True),)
    return (Report(source=str(path), text=text, stem=plain_stem(path.name)),), ()
