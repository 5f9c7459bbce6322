"""Joins each report to its study: by identifier, else by name, and never by guess."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pipelines.images.layouts import path_within_set
from pipelines.study import Exclusion, Image, Report
from pipelines.text.table import folders_of, have_same_tail, plain_stem

__all__ = ["JoinedReport", "JoinedReports", "Key", "join_reports"]

_MIMIC_STUDY = re.compile(r"s?(\d{8})\Z")  # MIMIC-CXR writes study 50414267 as folder and file "s50414267"
_NAMED_AT_MOST = 5  # reports listed in one message
_OF_LEFT_OUT = "the file that the report is named after is not audited: see the file's own entry"
_OF_OTHER_OBJECTS = "the study has no radiograph to audit, only excluded files: see their own entries"
_OF_UNUSED_LABELS = "no image has the name in this row of labels: the table describes a whole set"
_OF_UNSELECTED = "no image that was selected has the report's number or name"
_OF_LABELS = "the study has a report, which is used instead of these labels"
_SAME = "an identical report of this study is used; skipped"


class Key(StrEnum):
    """The key that joins a report to its study, strongest first; records and pages show these values."""

    STUDY = "StudyInstanceUID"
    ISSUED_ACCESSION = "AccessionNumber and issuer"
    ACCESSION = "AccessionNumber"  # at least one side does not state the issuer
    NAME = "file name"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedReport:
    """A study's report, and the key that joined them."""

    report: Report
    by: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedReports:
    """Each study's report, the studies with several different reports, and the reports without a study."""

    by_study: Mapping[str, JoinedReport]
    ambiguous: frozenset[str]
    left_out: tuple[Exclusion, ...]


_NAMED_BY = (Key.NAME, Key.NAME, Key.FOLDER)  # one for each kind of name that is tried


@dataclass(slots=True)
class _Keys:
    """The studies that match each key; names are in the order in which they are tried."""

    uids: set[str] = field(default_factory=set)
    accessions: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))  # (study, issuer)
    # UIDs and file stems, then accession numbers, then folders
    names: tuple[dict[str, set[str]], ...] = field(default_factory=lambda: tuple(defaultdict(set) for _ in _NAMED_BY))
    paths: dict[str, list[tuple[tuple[str, ...], str]]] = field(default_factory=lambda: defaultdict(list))
    """The folders and the study of each image, by its name."""

    @classmethod
    def of(cls, studies: Mapping[str, Sequence[Image]]) -> "_Keys":
        keys = cls()
        for uid, images in studies.items():
            keys.uids.add(uid)
            for image in images:
                if image.accession_number.strip():
                    keys.accessions[image.accession_number.strip()].add((uid, _issuer(image.accession_issuer)))
                keys.paths[_name_key(image.path.name)].append((folders_of(str(image.path)), uid))
                stems = (image.path.name, image.sop_instance_uid, uid)
                for names, words in zip(
                    keys.names, (stems, (image.accession_number,), (image.path.parent.name,)), strict=True
                ):
                    for word in filter(None, map(_name_key, words)):
                        names[word].add(uid)
        return keys


def join_reports(
    studies: Mapping[str, Sequence[Image]],
    reports: Iterable[Report],
    without: Iterable[Exclusion] = (),
    *,
    selected: bool = False,
) -> JoinedReports:
    """Find the study of each report.

    Two identical reports of a study count as one. If the reports differ, or if their accession numbers are of two
    issuers, all of them and the study are excluded, because no rule says which report describes the images.

    Args:
        studies: the images by StudyInstanceUID.
        reports: the reports as they were read.
        without: files that are not audited: a report named after such a file is not reported as an orphan, and is
            excluded as well.
        selected: the images are a selection of those that the reports are about: a report of none of them is excluded
            by rule. Rows of a table of labels, which describes a whole set, always are.
    """
    keys = _Keys.of(studies)
    others = _Others.of(without)
    left_out: list[Exclusion] = []
    found: dict[str, list[JoinedReport]] = defaultdict(list)
    for report in reports:
        study = _study_of(report, keys)
        if study is None:
            left_out.append(_orphan(report, others, selected=selected))
        elif isinstance(study, str):
            left_out.append(Exclusion(source=report.source, stage="join", reason=study, failed=True))
        else:
            found[study[0]].append(JoinedReport(report=report, by=study[1]))
    joined: dict[str, JoinedReport] = {}
    for uid, every in found.items():
        written = [each for each in every if not each.report.from_labels]
        candidates = written or every
        if written:
            left_out += [_by_rule(each, _OF_LABELS) for each in every if each.report.from_labels]
        why = _conflict(candidates)
        if why is None:
            joined[uid], *same = sorted(candidates, key=_rank)
            left_out += [_by_rule(each, _SAME) for each in same]
        else:
            left_out += [
                Exclusion(source=each.report.source, stage="join", reason=why, failed=True) for each in candidates
            ]
    return JoinedReports(by_study=joined, ambiguous=frozenset(found.keys() - joined.keys()), left_out=tuple(left_out))


def _by_rule(candidate: JoinedReport, reason: str) -> Exclusion:
    return Exclusion(source=candidate.report.source, stage="join", reason=reason, failed=False)


def _rank(candidate: JoinedReport) -> tuple[int, str]:
    """Order identical reports independently of their input order: the strongest key first."""
    return list(Key).index(candidate.by), candidate.report.source


@dataclass(frozen=True, slots=True)
class _Others:
    """Files that are not audited, by the names and numbers that a report may refer to."""

    by_name: Mapping[str, Exclusion]
    uids: frozenset[str]
    accessions: frozenset[tuple[str, str]]  # with their issuers

    @classmethod
    def of(cls, without: Iterable[Exclusion]) -> "_Others":
        files = tuple(without)
        return cls(
            by_name={_name_key(Path(item.source).name): item for item in files},
            uids=frozenset(item.study_instance_uid for item in files),
            accessions=frozenset((item.accession_number.strip(), _issuer(item.accession_issuer)) for item in files),
        )

    def have(self, report: Report) -> bool:
        """Return True if the report belongs to one of their studies, by StudyInstanceUID or else accession number."""
        if report.study_instance_uid:
            return report.study_instance_uid in self.uids
        number, issuer = (report.accession_number or "").strip(), _issuer(report.accession_issuer)
        issuers = {given for known, given in self.accessions if known == number} if number else set()
        return bool(issuers) and (not issuer or not issuers.isdisjoint({issuer, ""}))


def _orphan(report: Report, others: _Others, *, selected: bool) -> Exclusion:
    """Explain why a report has no image: there is none, or the file that it is named after is excluded itself."""
    names = filter(None, (*report.image_names, report.stem))
    file = next((others.by_name[key] for key in map(_name_key, names) if key in others.by_name), None)
    if file is not None:
        return Exclusion(source=report.source, stage="join", reason=_OF_LEFT_OUT, failed=file.failed)
    if others.have(report):
        return Exclusion(source=report.source, stage="join", reason=_OF_OTHER_OBJECTS, failed=False)
    if selected or report.from_labels:
        reason = _OF_UNSELECTED if selected else _OF_UNUSED_LABELS
        return Exclusion(source=report.source, stage="join", reason=reason, failed=False)
    if report.study_instance_uid is not None:
        reason = "no image has the report's StudyInstanceUID: add or repair its DICOM files, or correct the identifier"
    else:
        key = "accession number or name" if report.accession_number else "name"
        reason = (
            f"no image has the report's {key}: add or repair its DICOM files, or name the report by its "
            "StudyInstanceUID, accession number, DICOM file or folder"
        )
    return Exclusion(source=report.source, stage="join", reason=reason, failed=True)


def _study_of(report: Report, keys: _Keys) -> tuple[str, Key] | str | None:
    """Return (StudyInstanceUID, key that joined), a message if several studies match, or None if none does."""
    if report.study_instance_uid is not None:
        # The report states its study: a weaker key could only contradict it.
        return (report.study_instance_uid, Key.STUDY) if report.study_instance_uid in keys.uids else None
    numbered = keys.accessions.get((report.accession_number or "").strip())
    if numbered:
        return _study_of_accession(_issuer(report.accession_issuer), numbered)
    fits, by = _named(report, keys)
    if len(fits) == 1:
        return next(iter(fits)), by
    if fits:
        how = ", by their folder" if by is Key.FOLDER else ""
        return f"the report's name fits {len(fits)} studies{how}: give the report a StudyInstanceUID"
    return None


def _study_of_accession(issuer: str, numbered: Iterable[tuple[str, str]]) -> tuple[str, Key] | str:
    """Find the study of an accession number that images have: for the same issuer, or if there is only one study.

    Source: PS3.3 C.7.2.1 (Issuer of Accession Number Sequence): a number is unique only within its issuer.
    """
    issued = {uid for uid, of_image in numbered if issuer and of_image == issuer}
    possible = issued or {uid for uid, of_image in numbered if not issuer or not of_image}
    everywhere = {uid for uid, _ in numbered}
    if not possible:
        return (
            "the report's accession number matches an image of another issuer: correct the issuer, or give the report "
            "a StudyInstanceUID"
        )
    if len(issued) == 1:
        return issued.pop(), Key.ISSUED_ACCESSION
    if not issued and len(everywhere) == 1:
        return possible.pop(), Key.ACCESSION
    remedy = "give the report a StudyInstanceUID"
    if issued:
        return f"the report's accession number and issuer match {len(issued)} studies: {remedy}"
    unknown = "one of their issuers is unknown" if issuer else "the report does not state the issuer"
    return f"the report's accession number matches {len(everywhere)} studies, and {unknown}: {remedy}, or the issuer"


def _issuer(name: str | None) -> str:
    return (name or "").strip().casefold()


def _named(report: Report, keys: _Keys) -> tuple[set[str], Key]:
    """Return the studies that match the report's images, or else its own name, and the key that matched."""
    for words in (report.image_names, (report.stem,)):
        for names, by in zip(keys.names, _NAMED_BY, strict=True):
            fits = {uid for word in filter(None, words) for uid in names.get(_name_key(word), ())}
            if len(fits) > 1:  # folders decide where several images have one name
                fits = {uid for word in filter(None, words) for uid in _by_folders(word, keys)} or fits
            if fits:
                return fits, by
    return set(), Key.NAME


def _by_folders(reference: str, keys: _Keys) -> Iterator[str]:
    """Yield the studies of images that lie in the folders that a reference names."""
    wanted = folders_of(path_within_set(reference))
    for folders, uid in keys.paths.get(_name_key(reference), ()) if wanted else ():
        if have_same_tail(wanted, folders):
            yield uid


def _conflict(candidates: Sequence[JoinedReport]) -> str | None:
    """Explain why the reports of a study cannot be merged; None if they can."""
    reports = [candidate.report for candidate in candidates]
    one_issuer = (
        len({_issuer(each.report.accession_issuer) for each in candidates if each.by is Key.ACCESSION} - {""}) < 2
    )
    if one_issuer and len({" ".join(report.text.split()) for report in reports}) == 1:
        return None
    names = [Path(report.source).name for report in reports]
    if len(set(names)) < len(names):  # files in several folders: the folder shows which one to keep
        names = ["/".join(Path(report.source).parts[-2:]) for report in reports]
    listed = ", ".join(sorted(names)[:_NAMED_AT_MOST]) + (" and more" if len(names) > _NAMED_AT_MOST else "")
    if not one_issuer:
        return (
            f"reports of several issuers have this study's accession number ({listed}), and its images name no issuer: "
            "give the reports the StudyInstanceUID, or the images the issuer"
        )
    return f"{len(names)} different reports belong to one study ({listed}): keep the one that describes these images"


def _name_key(name: str) -> str:
    stem = plain_stem(name).casefold()
    mimic = _MIMIC_STUDY.match(stem)
    return mimic[1] if mimic else stem
