"""A folder or a file becomes reports, whatever format each file has.

To add a format: write one file with a recogniser and a reader, and add one line to :data:`FORMATS`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import ReportError
from pipelines.study import LeftOut, Report
from pipelines.text.delimited import read_delimited_reports, recognise_delimited_reports
from pipelines.text.encoding import read_text
from pipelines.text.plain import read_plain_report, recognise_plain_report

__all__ = ["FORMATS", "LONGEST_REPORT", "ReportFormat", "ReportTable", "files_under", "read_reports"]

LONGEST_REPORT = 100_000  # characters; the longest of MIMIC-CXR has about 10,000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTable:
    """Every report that was read, and everything that was not, in the order of the files' names."""

    reports: tuple[Report, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFormat:
    """One format: both functions take the file's path and its text."""

    recognise: Callable[[Path, str], bool]
    read: Callable[[Path, str], tuple[tuple[Report, ...], tuple[LeftOut, ...]]]


FORMATS: dict[str, ReportFormat] = {
    "CSV or TSV table": ReportFormat(recognise=recognise_delimited_reports, read=read_delimited_reports),
    "plain text": ReportFormat(recognise=recognise_plain_report, read=read_plain_report),
}

_MAY_HOLD_REPORTS = frozenset({".txt", ".text", ".rpt", ".csv", ".tsv", ".tab"})


def read_reports(path: Path) -> ReportTable:
    """Read the reports in a file, or in all files of a folder and its subfolders.

    What cannot be read is left out with a sentence and stops nothing else. Hidden files are passed over; files whose
    names end like no format are counted by their ending.

    Raises:
        ReportError: ``path`` is missing, holds no report file, or is one file of no known format.
    """
    if not path.exists():
        raise ReportError(f"{path} does not exist: give --reports a folder or a file of reports")
    if path.is_file():
        if path.suffix.casefold() not in _MAY_HOLD_REPORTS:
            raise ReportError(f"{path} ends like no format of reports: give {_known_formats()}")
        files = [path]
    else:
        files = list(files_under(path))
    reports: list[Report] = []
    left_out: list[LeftOut] = []
    others: dict[str, int] = defaultdict(int)
    for file in files:
        if file.suffix.casefold() not in _MAY_HOLD_REPORTS:
            others[file.suffix.casefold()] += 1
            continue
        found, lost = _read_file(file)
        reports += found
        left_out += lost
    if not reports and not left_out:
        raise ReportError(f"{path} holds no report among {len(files):,} files: put {_known_formats()} there")
    left_out += _not_reports(path, others)
    return ReportTable(reports=tuple(reports), left_out=tuple(left_out))


def files_under(folder: Path) -> Iterable[Path]:
    """Give the files of a folder and its subfolders in the order of their names, without hidden ones and links out."""
    root = folder.resolve()
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if not hidden and file.is_file() and file.resolve().is_relative_to(root):
            yield file


def _read_file(file: Path) -> tuple[list[Report], list[LeftOut]]:
    try:
        decoded = read_text(file, failure=ReportError)
    except ReportError as error:
        return [], [LeftOut(source=str(file), stage="report", reason=str(error), failed=True)]
    known = next((known for known in FORMATS.values() if known.recognise(file, decoded.text)), None)
    if known is None:
        reason = f"{file.name} is empty: put reports into it, or remove the file"
        return [], [LeftOut(source=str(file), stage="report", reason=reason, failed=True)]
    read, left_out = known.read(file, decoded.text)
    lost = list(left_out)
    if decoded.doubt is not None:
        lost.append(LeftOut(source=str(file), stage="report", reason=f"{file.name}: {decoded.doubt}", failed=False))
    kept: list[Report] = []
    for report in read:
        if len(report.text) > LONGEST_REPORT:
            length = f"{len(report.text):,} characters, more than {LONGEST_REPORT:,}"
            reason = f"the report has {length}: give one file or row for each report"
            lost.append(LeftOut(source=report.source, stage="report", reason=reason, failed=True))
        else:
            kept.append(report)
    return kept, lost


def _not_reports(folder: Path, others: dict[str, int]) -> Iterable[LeftOut]:
    for suffix, count in sorted(others.items()):
        named = f"end in {suffix}" if suffix else "have no ending"
        reason = f"{count:,} files {named} and are no reports: give {_known_formats()} if they should be"
        yield LeftOut(source=str(folder / f"*{suffix}"), stage="report", reason=reason, failed=False)


def _known_formats() -> str:
    return f"{', '.join(sorted(_MAY_HOLD_REPORTS))} files ({', '.join(FORMATS)})"
