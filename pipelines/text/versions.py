"""Which of a report's versions counts: the last final or corrected one, and what was added to it since.

Source: HL7 v2.5.1, table 0123; FHIR R4, DiagnosticReport.status; PS3.3 C.17.2 (SR Document General).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pipelines.study import LeftOut, Report, ReportStatus

__all__ = ["settle_versions"]

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_COMPLETE = frozenset({ReportStatus.FINAL, ReportStatus.CORRECTED})


def settle_versions(reports: Sequence[Report]) -> tuple[tuple[Report, ...], tuple[LeftOut, ...]]:
    """Keep one report of the versions that were sent of it; versions are known by their accession number or study.

    A final or corrected version stands in the place of all before it; an addendum is appended; a preliminary version
    counts until there is a final one; a withdrawn report counts no more. Versions are taken in the order in which they
    were issued, else in that of the files. Reports of formats that know no versions stay as they are.
    """
    versions: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
    for index, report in enumerate(reports):
        if report.status is not None:
            versions[_key(report)].append(index)
    kept: dict[int, Report] = {index: report for index, report in enumerate(reports) if report.status is None}
    left_out: list[LeftOut] = []
    for indices in versions.values():
        # Sorting is stable: what has no time keeps its place among the files.
        ordered = sorted((reports[index] for index in indices), key=lambda report: report.issued or _EARLIEST)
        settled, lost = _settled(ordered)
        left_out += lost
        if settled is not None:
            kept[indices[0]] = settled
    return tuple(kept[index] for index in sorted(kept)), tuple(left_out)


def _key(report: Report) -> tuple[str | None, ...]:
    if report.accession_number:
        return "accession", report.accession_number, report.accession_issuer
    if report.study_instance_uid:
        return "study", report.study_instance_uid
    return "name", report.stem, report.source if report.stem is None else None


def _settled(ordered: Sequence[Report]) -> tuple[Report | None, list[LeftOut]]:
    body: Report | None = None
    addenda: list[Report] = []
    lost: list[LeftOut] = []
    for version in ordered:
        if version.status is ReportStatus.ADDENDUM:
            addenda.append(version)
        elif version.status is ReportStatus.WITHDRAWN:
            lost += _withdrawn([*filter(None, [body]), *addenda, version])
            body, addenda = None, []
        elif version.status in _COMPLETE or body is None or body.status is ReportStatus.PRELIMINARY:
            # What was added to an older version is part of a newer one, as its writer left it.
            lost += _superseded([*filter(None, [body]), *addenda], version)
            body, addenda = version, []
        else:
            lost += _superseded([version], body)
    if body is None and addenda:
        body, addenda = addenda[0], addenda[1:]
    return (None if body is None else _with_addenda(body, addenda)), lost


def _with_addenda(body: Report, addenda: Iterable[Report]) -> Report:
    texts = [body.text]
    for addendum in addenda:
        own_heading = addendum.text.lstrip().casefold().startswith("addendum")
        texts.append(addendum.text if own_heading else f"ADDENDUM:\n{addendum.text}")
        body = replace(body, study_instance_uid=body.study_instance_uid or addendum.study_instance_uid)
    return replace(body, text="\n\n".join(texts))


def _superseded(versions: Iterable[Report], by: Report) -> list[LeftOut]:
    reason = f"a {by.status} version of this report stands in its place: nothing is to be done"
    return [LeftOut(source=version.source, stage="report", reason=reason, failed=False) for version in versions]


def _withdrawn(versions: Iterable[Report]) -> list[LeftOut]:
    reason = "the report was withdrawn by its sender: nothing is to be done"
    return [LeftOut(source=version.source, stage="report", reason=reason, failed=False) for version in versions]
