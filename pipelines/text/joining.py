"""Which study each report belongs to: by identifier, else by name, and never by guess."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.study import Image, LeftOut, Report
from pipelines.text.table import plain_stem

__all__ = ["JoinedReport", "JoinedReports", "join_reports"]

_MIMIC_STUDY = re.compile(r"s?(\d{8})\Z")  # MIMIC-CXR writes study 50414267 as folder and file "s50414267"
_NAMED_AT_MOST = 5  # reports that one sentence lists


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedReport:
    """A study's report and the key that joined them: "StudyInstanceUID", "AccessionNumber" or "file name"."""

    report: Report
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedReports:
    """Each study's report, the studies that have several different ones, and the reports that joined none."""

    by_study: Mapping[str, JoinedReport]
    ambiguous: frozenset[str]
    left_out: tuple[LeftOut, ...]


@dataclass(slots=True)
class _Keys:
    """The studies that each key fits; the names stand in the order in which they are tried."""

    uids: set[str] = field(default_factory=set)
    accessions: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))  # (study, issuer)
    names: tuple[dict[str, set[str]], ...] = field(default_factory=lambda: tuple(defaultdict(set) for _ in range(3)))

    @classmethod
    def of(cls, studies: Mapping[str, Sequence[Image]]) -> "_Keys":
        keys = cls()
        for uid, images in studies.items():
            keys.uids.add(uid)
            for image in images:
                if image.accession_number.strip():
                    keys.accessions[image.accession_number.strip()].add((uid, image.accession_issuer))
                stems = (image.path.name, image.sop_instance_uid, uid)
                for names, words in zip(
                    keys.names, (stems, (image.accession_number,), (image.path.parent.name,)), strict=True
                ):
                    for word in filter(None, map(_name_key, words)):
                        names[word].add(uid)
        return keys


def join_reports(studies: Mapping[str, Sequence[Image]], reports: Iterable[Report]) -> JoinedReports:
    """Find each report's study.

    Two reports of one study that say the same count as one; where they differ, both are left out and the study with
    them, since no rule says which one is about these images.

    Args:
        studies: the images by StudyInstanceUID.
        reports: as read.
    """
    keys = _Keys.of(studies)
    left_out: list[LeftOut] = []
    found: dict[str, list[JoinedReport]] = defaultdict(list)
    for report in reports:
        study = _study_of(report, keys)
        if isinstance(study, str):
            left_out.append(LeftOut(source=report.source, stage="join", reason=study, failed=True))
        else:
            found[study[0]].append(JoinedReport(report=report, by=study[1]))
    joined: dict[str, JoinedReport] = {}
    for uid, candidates in found.items():
        if len({" ".join(candidate.report.text.split()) for candidate in candidates}) == 1:
            joined[uid] = candidates[0]
        else:
            left_out += _several([candidate.report for candidate in candidates])
    return JoinedReports(by_study=joined, ambiguous=frozenset(found.keys() - joined.keys()), left_out=tuple(left_out))


def _study_of(report: Report, keys: _Keys) -> tuple[str, str] | str:
    """Give (StudyInstanceUID, key that joined), or a sentence that says why there is none."""
    if report.study_instance_uid is not None:
        # The report says itself which study it is of: a weaker key could only contradict it.
        if report.study_instance_uid in keys.uids:
            return report.study_instance_uid, "StudyInstanceUID"
        return "no image has the report's StudyInstanceUID: give its DICOM files, or correct the identifier"
    numbered = keys.accessions.get((report.accession_number or "").strip(), set())
    fits = {uid for uid, issuer in numbered if _one_issuer(issuer, report.accession_issuer)}
    if numbered and not fits:
        return (
            "the report's accession number is that of an image and another issuer gave it: correct the issuer, or give "
            "the report a StudyInstanceUID"
        )
    by = "AccessionNumber"
    if not fits:
        fits = _named(report, keys)
        by = "file name"
    if len(fits) == 1:
        return next(iter(fits)), by
    key = "accession number" if by == "AccessionNumber" else "name"
    if fits:
        return f"the report's {key} fits {len(fits)} studies: give the report a StudyInstanceUID"
    return (
        f"no image has the report's {key}: give its DICOM files, or name the report by its StudyInstanceUID, accession "
        "number, DICOM file or folder"
    )


def _one_issuer(of_image: str, of_report: str | None) -> bool:
    """Whether two accession numbers may come from one issuer: an issuer that is not known contradicts none."""
    return not of_image or not of_report or of_image.strip().casefold() == of_report.strip().casefold()


def _named(report: Report, keys: _Keys) -> set[str]:
    """The studies that the report's images, else its own name, fit."""
    for words in (report.image_names, (report.stem,)):
        for names in keys.names:
            fits = {uid for word in filter(None, words) for uid in names.get(_name_key(word), ())}
            if fits:
                return fits
    return set()


def _several(reports: Sequence[Report]) -> list[LeftOut]:
    names = [Path(report.source).name for report in reports]
    listed = ", ".join(names[:_NAMED_AT_MOST]) + (" and more" if len(names) > _NAMED_AT_MOST else "")
    reason = f"{len(names)} different reports belong to one study ({listed}): keep the one that describes these images"
    return [LeftOut(source=report.source, stage="join", reason=reason, failed=True) for report in reports]


def _name_key(name: str) -> str:
    stem = plain_stem(name).casefold()
    mimic = _MIMIC_STUDY.match(stem)
    return mimic[1] if mimic else stem
